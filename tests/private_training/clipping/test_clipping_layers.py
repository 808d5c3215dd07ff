"""Norms and clipped sums are those of the twin: every layer by every strategy, every memory layout for a layer of each kind."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from privkd.private_training import Clipper, clipped_sum
from privkd.private_training.clipping.layers import affine


def square_loss(model, x):
    """One number per row that depends on all outputs in a different way."""
    out = model(x).flatten(1)
    return (out * torch.linspace(0.5, 1.5, out.shape[1], dtype=out.dtype)).square().sum(1) / 2 + out.sum(1)


class Twice(nn.Module):
    """The same layer called twice, and a weight that two layers share."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.tanh(self.first(torch.tanh(self.first(x)))))


class Tied(nn.Module):
    """An embedding whose table is the output layer too."""

    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(11, 5), nn.Linear(5, 11, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        return self.head(torch.tanh(self.table(tokens)).cumsum(1))


def image(channels, *size):
    return lambda b: torch.randn(b, channels, *size)


def tokens(b):
    out = torch.randint(0, 11, (b, 6))
    out[:, 2:4] = out[:, :2]  # the same entry more than once in a record
    return out


LAYERS = {
    "linear": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)), lambda b: torch.randn(b, 6)),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), lambda b: torch.randn(b, 6)),
    "linear, positions": (lambda: nn.Linear(40, 30), lambda b: torch.randn(b, 3, 40)),
    "linear, many positions": (lambda: nn.Linear(4, 5), lambda b: torch.randn(b, 5, 6, 4)),
    "conv1d": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), image(4, 9)),
    "conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1), image(3, 6, 6)),
    "conv2d, few positions": (lambda: nn.Conv2d(32, 48, 3, stride=2, padding=1), image(32, 4, 4)),
    "conv2d, whole image": (lambda: nn.Conv2d(2, 3, 4), image(2, 4, 4)),
    "conv2d, one position": (lambda: nn.Conv2d(2, 3, 4, stride=2), image(2, 5, 5)),
    "conv2d, one position over padding": (lambda: nn.Conv2d(2, 3, 3, stride=3, padding=1), image(2, 3, 3)),
    "conv1d, one position, dilated": (lambda: nn.Conv1d(2, 3, 3, dilation=3), image(2, 8)),
    "conv2d, not kept": (lambda: nn.Conv2d(8, 16, 5), image(8, 7, 7)),
    "conv2d, not square": (
        lambda: nn.Conv2d(2, 4, (2, 5), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        image(2, 6, 11),
    ),
    "conv2d, even kernel and same": (lambda: nn.Conv2d(3, 4, (4, 2), padding="same"), image(3, 5, 6)),
    "conv2d, valid": (lambda: nn.Conv2d(3, 4, 2, padding="valid", bias=False), image(3, 5, 5)),
    "conv2d, circular": (lambda: nn.Conv2d(3, 4, 3, padding=(1, 2), padding_mode="circular"), image(3, 5, 5)),
    "conv2d, reflect and same": (
        lambda: nn.Conv2d(3, 4, (4, 3), padding="same", padding_mode="reflect"),
        image(3, 5, 6),
    ),
    "conv2d, depthwise": (lambda: nn.Conv2d(6, 12, 3, groups=6, stride=2), image(6, 7, 7)),
    "conv2d, grouped": (lambda: nn.Conv2d(8, 6, 3, groups=2, padding=1), image(8, 4, 4)),
    "conv3d": (lambda: nn.Conv3d(2, 3, (2, 3, 2), padding=(0, 1, 1), stride=(1, 2, 1)), image(2, 3, 5, 4)),
    "embedding": (lambda: nn.Embedding(11, 5), tokens),
    "embedding with padding": (lambda: nn.Embedding(11, 5, padding_idx=3), tokens),
    "embedding of one token": (lambda: nn.Embedding(11, 5), lambda b: torch.randint(0, 11, (b,))),
    "tied embedding": (Tied, tokens),
    "layer norm": (lambda: nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6)), lambda b: torch.randn(b, 3, 4)),
    "layer norm over two": (lambda: nn.LayerNorm((3, 4)), lambda b: torch.randn(b, 2, 3, 4)),
    "group norm": (lambda: nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.GroupNorm(4, 8)), image(3, 5, 5)),
    "group norm of vectors": (lambda: nn.GroupNorm(2, 8), lambda b: torch.randn(b, 8)),
    "instance norm": (lambda: nn.InstanceNorm2d(3, affine=True), image(3, 5, 5)),
    "instance norm 1d": (lambda: nn.InstanceNorm1d(3, affine=True), image(3, 5)),
    "called twice and shared": (Twice, lambda b: torch.randn(b, 6)),
    "shared over positions": (Twice, lambda b: torch.randn(b, 4, 6)),
    "overwritten outputs": (
        lambda: nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3), nn.ReLU(inplace=True)),
        lambda b: torch.randn(b, 5, 4),
    ),
    "overwritten images": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 2), nn.ReLU(inplace=True)),
        image(3, 5, 5),
    ),
}


def layouts(x):
    """The same values in other places of memory."""
    yield "contiguous", x.contiguous()
    if not x.is_floating_point() or x.dim() < 3:
        yield "sliced", torch.stack([x, x + 1], -1)[..., 0]
        return
    yield "transposed", x.transpose(1, 2).contiguous().transpose(1, 2)
    yield "sliced", torch.stack([x, x + 1], -1)[..., 0]
    yield "records last", x.movedim(0, -1).contiguous().movedim(-1, 0)
    if x.dim() in (4, 5):
        form = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        yield "channels last", x.contiguous(memory_format=form)


KINDS = (
    "linear, many positions",
    "conv1d",
    "conv3d",
    "embedding with padding",
    "layer norm",
    "group norm",
    "instance norm",
)
"""A layer of each kind, for claims that depend on the kind and not on its settings."""


def assert_same_as_single_records(twin, model, x, bound, strategy, dtype=torch.float64):
    truth = twin.one_by_one(model, square_loss, (x,), bound)
    error = twin.distance(clipped_sum(model, square_loss, (x,), bound, "loop"), truth)
    clipper = Clipper(model, square_loss, bound, strategy)
    found = clipper(x)
    assert clipper.strategy == strategy, clipper.reasons
    twin.assert_same(found, truth, dtype, error)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("strategy", ["ghost", "vmap"])
def test_norms_and_clipped_sums_are_those_of_single_records(twin, layer, strategy):
    torch.manual_seed(0)
    build, draw = LAYERS[layer]
    model, data = build().double(), draw(7)
    data = data.double() if data.is_floating_point() else data
    bound = float(twin.one_by_one(model, square_loss, (data,)).norms.median())  # half of the records are clipped
    assert_same_as_single_records(twin, model, data, bound, strategy)
    assert_same_as_single_records(twin, model, data[:1], bound, strategy)


@pytest.mark.parametrize("layer", [*KINDS, "conv2d", "conv2d, grouped", "conv2d, not kept", "conv2d, reflect and same"])
def test_memory_layouts_change_nothing_also_in_float32(twin, layer):
    torch.manual_seed(0)
    build, draw = LAYERS[layer]
    model, data = build(), draw(7)
    bound = float(twin.one_by_one(model, square_loss, (data,)).norms.median())
    for where, x in layouts(data):
        for strategy in ("ghost", "vmap") if where == "channels last" else ("ghost",):
            assert_same_as_single_records(twin, model, x, bound, strategy, torch.float32)


@pytest.mark.parametrize(
    ("layer", "strategy"),
    [*((layer, "ghost") for layer in LAYERS), *((layer, strategy) for layer in KINDS for strategy in ("vmap", "loop"))],
)
def test_no_single_record_exceeds_the_bound(layer, strategy):
    torch.manual_seed(1)
    build, draw = LAYERS[layer]
    model = build()
    data = draw(6)
    norms = clipped_sum(model, square_loss, (data,), 1.0, "loop").norms
    bound = float(norms.min()) * 0.5
    clipper = Clipper(model, square_loss, bound, strategy)
    for index in range(6):
        total = clipper(data[index : index + 1])
        length = sum(float(g.double().square().sum()) for g in total.gradients.values()) ** 0.5
        assert bound * (1 - 1e-5) < length <= bound


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
def test_an_empty_batch_gives_zeros(strategy):
    for layer in ("conv2d", "embedding"):
        build, draw = LAYERS[layer]
        model = build()
        total = clipped_sum(model, square_loss, (draw(0),), 1.0, strategy)
        assert total.records == 0
        assert total.norms.shape == total.losses.shape == (0,)
        assert {n: g.shape for n, g in total.gradients.items()} == {n: p.shape for n, p in model.named_parameters()}
        assert not any(g.any() for g in total.gradients.values())


PATHS = [
    "by positions",
    "by positions, inputs kept",
    "by products, nothing kept",
    "by products, all kept",
    "row by row",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "layer",
    [
        "linear, many positions",
        "conv1d",
        "conv2d, few positions",
        "conv2d, whole image",
        "conv2d, one position over padding",
        "conv2d, even kernel and same",
        "conv2d, reflect and same",
        "conv2d, depthwise",
        "conv3d",
    ],
)
def test_all_ways_to_a_norm_agree(twin, monkeypatch, layer, path):
    torch.manual_seed(2)
    build, draw = LAYERS[layer]
    model, data = build().double(), draw(5).double()
    if path.startswith("by positions"):
        monkeypatch.setattr(affine.AffineSite, "_positions_are_cheaper", lambda *_: True)
        monkeypatch.setattr(affine, "_KEEP", 1e9 if "kept" in path else 0)
    elif path.startswith("by products"):
        monkeypatch.setattr(affine.AffineSite, "_positions_are_cheaper", lambda *_: False)
        monkeypatch.setattr(affine, "_KEEP", 0 if "nothing" in path else 1e9)
    else:
        monkeypatch.setattr(affine, "_CHUNK", 1)
    truth = twin.one_by_one(model, square_loss, (data,), 2.0)
    twin.assert_same(clipped_sum(model, square_loss, (data,), 2.0, "ghost"), truth, torch.float64)


def test_positions_that_cancel_do_not_make_a_norm_too_small(twin):
    """Inner products of positions are 1e9 times larger than the norm here: in float32 all digits would be lost."""
    torch.manual_seed(0)
    model, x = nn.Linear(40, 30), 1000 + torch.randn(5, 3, 40) * 0.1
    assert affine.AffineSite._positions_are_cheaper(SimpleNamespace(gradient=x), 3, 40, 30)

    def loss(model, x):
        return (model(x) * torch.tensor([1.0, 1.0, -2.0], dtype=x.dtype)[:, None]).sum((1, 2))

    truth = twin.one_by_one(model, loss, (x,), 1.0)
    found = clipped_sum(model, loss, (x,), 1.0, "ghost")
    torch.testing.assert_close(found.norms.double(), truth.norms, rtol=1e-5, atol=0)
    outputs = torch.tensor([1.0, 1.0, -2.0]).expand(5, 1, 30, 3)
    plain = ((x @ x.mT) * (outputs.mT @ outputs)[:, 0]).sum((1, 2))  # the same in float32
    assert ((plain.clamp(min=0).sqrt().double() - truth.norms) / truth.norms).abs().max() > 0.1


@pytest.mark.parametrize(
    ("layer", "strategy"),
    [*((layer, "ghost") for layer in LAYERS), *((layer, strategy) for layer in KINDS for strategy in ("vmap", "loop"))],
)
def test_views_are_averaged_before_they_are_clipped(twin, layer, strategy):
    torch.manual_seed(3)
    build, draw = LAYERS[layer]
    model = build().double()
    data = draw(12)
    data = (data.double() if data.is_floating_point() else data).unflatten(0, (4, 3))
    truth = twin.one_by_one(model, square_loss, (data,), 1.0, views=3)
    found = clipped_sum(model, square_loss, (data,), 1.0, strategy, views=3, at_once=3)
    twin.assert_same(found, truth, torch.float64)
    as_records = clipped_sum(model, square_loss, (data.flatten(0, 1),), 1.0, strategy)
    assert twin.distance(as_records, twin.one_by_one(model, square_loss, (data.flatten(0, 1),), 1.0)) < 1e-9
    assert as_records.records == 12
    assert found.records == len(found.norms) == len(found.losses) == 4
