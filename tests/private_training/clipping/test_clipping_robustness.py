"""Broken records contribute nothing and disturb nobody; half precision keeps its norms in float32."""

import math

import pytest
import torch
from torch import nn

from privkd.errors import MixedRecordsError, UnsupportedModule
from privkd.private_training import Automatic, Clipper, PerLayer, clipped_sum
from privkd.private_training.clipping.layers import affine

STRATEGIES = ["auto", "ghost", "vmap", "loop"]


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(1, 2), nn.Linear(5, 3), nn.LayerNorm(3)
    )


def weighted_loss(model, x, weight):
    return model(x).flatten(1).cumsum(1).square().mean(1) * weight


def draw(records):
    torch.manual_seed(1)
    return torch.randn(records, 2, 5, 5), torch.ones(records)


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop"])
@pytest.mark.parametrize(
    ("rule", "place", "broken"),
    [
        (0.5, "input", torch.nan),
        (0.5, "input", torch.inf),
        (0.5, "loss", torch.nan),
        (0.5, "loss", -torch.inf),
        (0.5, "loss", 1e38),
        (Automatic(0.5), "input", torch.nan),
        (PerLayer({"0": 0.1, "": 0.5}), "loss", torch.nan),
    ],
)
def test_a_record_that_is_not_finite_contributes_exactly_nothing(strategy, rule, broken, place):
    model, (x, weight) = network(), draw(6)
    expected = clipped_sum(model, weighted_loss, (x[1:], weight[1:]), rule, strategy)
    (x[0] if place == "input" else weight)[0] = broken
    if place == "input":
        x[0, 1] = broken
    total = clipped_sum(model, weighted_loss, (x, weight), rule, strategy)
    assert total.norms[0] == torch.inf
    assert torch.isfinite(total.norms[1:]).all()
    torch.testing.assert_close(total.norms[1:], expected.norms, rtol=1e-5, atol=0)
    for name, value in expected.gradients.items():
        assert torch.isfinite(total.gradients[name]).all()
        torch.testing.assert_close(total.gradients[name], value, rtol=1e-4, atol=1e-6)
    alone = clipped_sum(model, weighted_loss, (x[:1], weight[:1]), rule, strategy)
    assert not any(g.any() for g in alone.gradients.values())


@pytest.mark.parametrize("keep", [0, 1e9], ids=["made anew", "kept"])
@pytest.mark.parametrize("positions", [False, True], ids=["products", "positions"])
@pytest.mark.parametrize("views", [1, 2])
def test_nothing_of_a_broken_record_is_kept(monkeypatch, keep, positions, views):
    monkeypatch.setattr(affine, "_KEEP", keep)
    monkeypatch.setattr(affine.AffineSite, "_positions_are_cheaper", lambda *_: positions)
    model, (x, weight) = network(), draw(4 * views)
    x, weight = x.unflatten(0, (4, views)).squeeze(1), weight.unflatten(0, (4, views)).squeeze(1)
    expected = clipped_sum(model, weighted_loss, (x[1:], weight[1:]), 0.5, "ghost", views=views)
    x[0].view(-1)[:3] = torch.nan
    total = clipped_sum(model, weighted_loss, (x, weight), 0.5, "ghost", views=views)
    assert total.norms[0] == torch.inf
    for name, value in expected.gradients.items():
        torch.testing.assert_close(total.gradients[name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_broken_tokens_and_views_are_removed_as_a_whole(strategy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    tokens, weight = torch.randint(0, 9, (4, 2, 3)), torch.ones(4, 2)

    def loss(model, tokens, weight):
        return model(tokens).square().sum(1) * weight

    expected = clipped_sum(model, loss, (tokens[1:], weight[1:]), 0.5, strategy, views=2)
    weight[0, 1] = torch.nan
    total = clipped_sum(model, loss, (tokens, weight), 0.5, strategy, views=2)
    assert total.norms[0] == torch.inf
    for name, value in expected.gradients.items():
        torch.testing.assert_close(total.gradients[name], value)


def test_a_batch_of_broken_records_does_not_count_as_a_check(twin):
    model, (x, weight) = network(), draw(4)
    clipper = Clipper(model, weighted_loss, 1.0)
    total = clipper(x * torch.nan, weight)
    assert not any(g.any() for g in total.gradients.values())
    assert not clipper._checked
    clipper(x, weight)
    assert clipper._checked
    assert clipper.strategy == "ghost"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_gradients_of_zero_stay_zero(strategy):
    model, (x, weight) = network(), draw(3)
    for rule in (1.0, Automatic(1.0), PerLayer({"": 1.0})):
        total = clipped_sum(model, weighted_loss, (x, 0 * weight), rule, strategy)
        assert total.norms.tolist() == [0.0] * 3
        assert not any(g.any() for g in total.gradients.values())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_under_autocast_norms_are_float32_and_bound_the_contributions(twin, strategy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(1, 2), nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    x, weight = draw(6)
    truth = twin.one_by_one(model, weighted_loss, (x, weight))
    bound = float(truth.norms.min()) / 2
    with torch.autocast("cpu", dtype=torch.bfloat16):
        clipper = Clipper(model, weighted_loss, bound, strategy)
        total = clipper(x, weight)
        assert total.norms.dtype == torch.float32
        assert {g.dtype for g in total.gradients.values()} == {torch.float64}
        # bfloat16 rounds to 2^-9: three layers, each with a rounded weight, input, output and gradient
        torch.testing.assert_close(total.norms.double(), truth.norms, rtol=12 * 2.0**-9, atol=0)
        lengths = []
        for index in range(6):
            one = clipper(x[index : index + 1], weight[index : index + 1])
            lengths.append(sum(float(g.double().square().sum()) for g in one.gradients.values()) ** 0.5)
    assert max(lengths) <= bound
    assert min(lengths) >= bound * (1 - 64 * 2.0**-23)  # float32 all the way; bfloat16 sums would be off by 1e-3
    assert clipper.strategy == ("ghost" if strategy == "auto" else strategy)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_auto_finds_what_runs_under_autocast(twin):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.scale = network(), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return self.inner(x) * self.scale

    model, (x, weight) = Scaled(), draw(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        clipper = Clipper(model, weighted_loss, 1.0)
        found = clipper(x, weight)
        alone = clipped_sum(model, weighted_loss, (x, weight), 1.0, "loop")
    assert clipper.strategy in ("vmap", "loop")  # torch 2.13 fails in vmap with a group norm in half precision
    torch.testing.assert_close(found.norms, alone.norms, rtol=0.1, atol=0)


def test_sums_in_float32_do_not_depend_on_the_order_of_records_much(twin):
    model, (x, weight) = network(), draw(64)
    total = clipped_sum(model, weighted_loss, (x, weight), 0.5)
    truth = twin.one_by_one(model, weighted_loss, (x, weight), 0.5)
    flipped = clipped_sum(model, weighted_loss, (x.flip(0), weight), 0.5)
    assert max(float((g - flipped.gradients[n]).norm()) for n, g in total.gradients.items()) < 64 * 2.0**-23
    assert twin.distance(total, truth) < 64 * 40 * 2.0**-23  # each record undercuts the bound by 32 ulps


def moved_by_one_record(model, loss, rows, extra, strategy):
    """How far the sum moves when a record joins."""
    before = clipped_sum(model, loss, rows, 1.0, strategy).gradients
    after = clipped_sum(
        model, loss, tuple(torch.cat([a, b]) for a, b in zip(rows, extra, strict=True)), 1.0, strategy
    ).gradients
    return math.sqrt(sum(float((after[name] - value).double().square().sum()) for name, value in before.items()))


class Difference(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Linear(1, 1, bias=False)

    def forward(self, x):
        return (self.shared(x[:, :1]) - self.shared(x[:, 1:])).squeeze(1)


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1, bias=False)

    def forward(self, x):
        return (self.layer(x[..., None]).squeeze(2) * torch.tensor([1.0, -1.0])).sum(1)


def test_large_numbers_that_a_gradient_never_meets_do_not_exclude_a_record(twin):
    """The gradient at one corner meets a small value there; a bound by the whole image would be 30 000 times too large."""
    model, x = nn.Conv2d(1, 1, 3, padding=1, bias=False), torch.zeros(5, 1, 6, 6)
    x[:, :, 0, 0], x[:, :, 4, 4] = 1.0, 1e4

    def corner(model, x, weight):
        return model(x)[:, 0, 0, 0] * weight

    batch = (x, torch.arange(1.0, 6.0))
    found = clipped_sum(model, corner, batch, 1.5, "ghost")
    twin.assert_same(found, twin.one_by_one(model, corner, batch, 1.5), torch.float32)
    assert found.gradients["weight"].norm() > 1


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
@pytest.mark.parametrize("model", [Difference(), Positions()], ids=["shared layer", "positions"])
def test_a_record_whose_terms_cancel_cannot_erase_the_others(model, strategy):
    rows = torch.rand(63, 2, generator=torch.Generator().manual_seed(0))
    for size in (1e4, 1e8, 1e12):
        extra = torch.full((1, 2), size)  # its gradient is x1 - x2 = 0, made of terms of this size
        assert moved_by_one_record(model, lambda m, x: m(x), (rows,), (extra,), strategy) <= 1.01


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop"])
def test_sums_over_many_records_are_not_rounded_away(strategy):
    model = nn.Linear(1, 1, bias=False)
    # 4096 records of norm 1, then many small ones: in float32 these would be rounded to another grid beyond 4096.
    x = torch.cat([torch.ones(4096), torch.full((6000,), -2.2e-4)])[:, None]
    if strategy == "loop":
        x = torch.cat([torch.ones(300), torch.full((300,), -2.2e-4)])[:, None]
    extra = torch.ones(1, 1)
    joined = torch.cat([extra, x])  # in front: everything after it is moved
    before = clipped_sum(model, lambda m, x: m(x).squeeze(1), (x,), 1.0, strategy).gradients["weight"]
    after = clipped_sum(model, lambda m, x: m(x).squeeze(1), (joined,), 1.0, strategy).gradients["weight"]
    assert float((after - before).abs()) <= 1.0 + 1e-3


def test_a_norm_that_is_a_product_of_a_tiny_and_a_huge_number_is_not_zero():
    model = nn.Linear(1000, 1, bias=False)
    x = torch.full((2, 1000), 1.5e18)
    total = clipped_sum(model, lambda m, x: 2e-23 * m(x).squeeze(1), (x,), 1e-3, "ghost")
    assert total.norms.tolist() == pytest.approx([1.5e18 * 2e-23 * math.sqrt(1000)] * 2, rel=1e-4)
    assert float(total.gradients["weight"].norm()) <= 2e-3


def test_messages_do_not_tell_how_many_records_were_drawn():
    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return self.layer(x.reshape(-1, 2)).reshape(len(x), -1).sum(1)

    with pytest.raises(UnsupportedModule) as caught:
        clipped_sum(Folded(), lambda m, x: m(x), (torch.rand(19, 6),), 1.0, "ghost")
    assert "19" not in str(caught.value)
    assert "57" not in str(caught.value)


class HomeMade(nn.Module):
    """A batch normalisation that gradients do not see."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 1)

    def forward(self, x):
        return self.layer(x - x.mean(0).detach() if self.training else x).squeeze(1)


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
def test_mixing_that_gradients_do_not_see_and_that_training_alone_does_is_found(strategy):
    model = HomeMade().train()
    with pytest.raises(MixedRecordsError, match="is not its loss alone"):
        clipped_sum(model, lambda m, x: m(x), (torch.rand(8, 3),), 1.0, strategy)
    clipped_sum(model.eval(), lambda m, x: m(x), (torch.rand(8, 3),), 1.0, strategy)
