"""Which strategy runs, why, and that it is never silently wrong; the model is left as it was."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.errors import MixedRecordsError, UnsupportedModule
from privkd.private_training import Clipper, clipped_sum
from privkd.private_training.clipping import strategies


def square_loss(model, x):
    return model(x).flatten(1).square().sum(1)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)).double()


def images(count):
    return torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(1)).double()


class Bare(nn.Module):
    """A parameter that belongs to no layer."""

    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.layer(x) * self.scale


class Borrowing(nn.Module):
    """A layer's weight read without calling the layer: a hook alone would miss it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return functional.linear(torch.tanh(self.layer(x)), self.layer.weight)


class SequenceFirst(nn.Module):
    """Layers inside see (positions, records, features): ghost norms would be wrong where both have the same size."""

    def __init__(self):
        super().__init__()
        self.layer, self.head = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.layer(x.transpose(0, 1)))).transpose(0, 1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(self.cells(x)[0][:, -1])


class Looking(nn.Module):
    """A Python branch on values, which vmap cannot follow, beside a parameter that ghost cannot see."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return torch.stack([row * self.scale if float(row[0]) > 0 else row * self.scale**2 for row in x])


class Overwriting(nn.Module):
    """Changes the input of a layer after the layer has read it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        x = x.detach().clone()
        return self.layer(x) + x.mul_(0.5)


@pytest.mark.parametrize(
    ("build", "shape", "strategies", "reason"),
    [
        (Bare, (4,), {"vmap"}, "no rule for the parameters of Bare"),
        (Borrowing, (4,), {"vmap"}, "used outside of a covered layer's own call: layer.weight"),
        (SequenceFirst, (3, 4), {"vmap"}, "dimension 0"),
        (SequenceFirst, (7, 4), {"vmap"}, "dimension 0"),
        (Recurrent, (3, 4), {"vmap", "loop"}, "no rule for the parameters of LSTM"),
        (Looking, (4,), {"loop"}, "vmap: "),
        (lambda: nn.ConvTranspose2d(2, 3, 2), (2, 3, 3), {"vmap"}, "ConvTranspose2d"),
        (
            lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
            (4,),
            {"vmap"},
            "no rule for the parameters of",
        ),
    ],
)
@pytest.mark.parametrize("records", [1, 3, 7])
@pytest.mark.filterwarnings("ignore:There is a performance drop", "ignore:Converting a tensor")
def test_auto_falls_to_an_exact_strategy_and_says_why(twin, build, shape, strategies, reason, records):
    torch.manual_seed(0)
    model, x = build().double(), torch.randn(records, *shape).double()
    if build is SequenceFirst and records == 1:
        shape = (1, 4)  # the only sizes that agree
        x = torch.randn(1, *shape).double()
        strategies, reason = {"ghost"}, ""
    clipper = Clipper(model, square_loss, 1.0)
    found = clipper(x)
    twin.assert_same(found, twin.one_by_one(model, square_loss, (x,), 1.0), torch.float64)
    assert clipper.strategy in strategies
    assert reason in "".join(clipper.reasons)


def test_the_trap_of_equal_sizes_is_real_and_is_caught(twin, monkeypatch):
    torch.manual_seed(0)
    model, x = SequenceFirst().double(), torch.randn(3, 3, 4).double()
    truth = twin.one_by_one(model, square_loss, (x,), 1.0)
    with pytest.raises(UnsupportedModule, match=r"dimension 0 is not the records in layer, head"):
        clipped_sum(model, square_loss, (x,), 1.0, "ghost")
    monkeypatch.setattr(Clipper, "_check", lambda *_: None)
    unchecked = clipped_sum(model, square_loss, (x,), 1.0, "ghost")
    assert ((unchecked.norms - truth.norms) / truth.norms).abs().max() > 0.05  # without the check: silently wrong


def test_an_overwritten_input_is_noticed_where_it_is_needed(twin, monkeypatch):
    model, x = Overwriting().double(), torch.randn(4, 4).double()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):  # autograd refuses it too
        clipped_sum(model, square_loss, (x,), 1.0, "loop")
    monkeypatch.setattr(Clipper, "_check", lambda *_: None)
    with pytest.raises(UnsupportedModule, match="the input of layer was changed in place"):
        clipped_sum(model, square_loss, (x,), 1.0, "ghost")
    model.layer.weight.requires_grad_(False)
    found = clipped_sum(model, square_loss, (x,), 1.0, "ghost")
    twin.assert_same(found, twin.one_by_one(model, square_loss, (x,), 1.0), torch.float64)


def test_asking_by_name_for_what_is_not_covered_raises_with_a_way_out():
    with pytest.raises(UnsupportedModule, match=r"the model itself: no rule.*strategy='auto'"):
        Clipper(Bare(), square_loss, 1.0, "ghost")
    with pytest.raises(UnsupportedModule, match=r"layer\.weight.*strategy='auto'"):
        clipped_sum(Borrowing(), square_loss, (torch.randn(2, 4),), 1.0, "ghost")


def test_a_way_that_only_later_batches_take_is_noticed(twin):
    class Switching(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.bare = nn.Linear(4, 4), False

        def forward(self, x):
            return functional.linear(x, self.layer.weight * 2) if self.bare else self.layer(x)

    model, x = Switching().double(), torch.randn(5, 4).double()
    clipper, strict = Clipper(model, square_loss, 1.0), Clipper(model, square_loss, 1.0, "ghost")
    clipper(x)
    strict(x)
    assert clipper.strategy == "ghost"
    model.bare = True
    twin.assert_same(clipper(x), twin.one_by_one(model, square_loss, (x,), 1.0), torch.float64)
    assert clipper.strategy == "vmap"
    with pytest.raises(UnsupportedModule, match=r"layer\.weight"):
        strict(x)


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop"])
@pytest.mark.parametrize("at_once", [1, 3, 7, 100])
def test_micro_batches_change_nothing(strategy, at_once):
    model, x = network(), images(7)
    whole = clipped_sum(model, square_loss, (x,), 1.0, strategy)
    parts = clipped_sum(model, square_loss, (x,), 1.0, strategy, at_once=at_once)
    torch.testing.assert_close(parts.norms, whole.norms, rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.losses, whole.losses, rtol=1e-12, atol=0)
    for name, value in whole.gradients.items():
        torch.testing.assert_close(parts.gradients[name], value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop"])
@pytest.mark.parametrize(
    "frozen", [["0.weight"], ["0.bias"], ["0.weight", "0.bias"], ["3.weight"], ["3.weight", "3.bias"]]
)
def test_frozen_parameters_stay_out_and_let_gradients_through(twin, strategy, frozen):
    model, x = network(), images(4)
    for name in frozen:
        model.get_parameter(name).requires_grad_(False)
    found = clipped_sum(model, square_loss, (x,), 1.0, strategy)
    assert not set(frozen) & set(found.gradients)
    twin.assert_same(found, twin.one_by_one(model, square_loss, (x,), 1.0), torch.float64)


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
def test_layers_that_take_no_part_have_zero_gradients(twin, strategy):
    class Partly(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.cut, self.unused = nn.Linear(4, 3), nn.Linear(4, 3), nn.Linear(2, 2)

        def forward(self, x):
            with torch.no_grad():
                extra = self.cut(x)
            return self.used(x) + self.cut(x).detach() + extra

    model, x = Partly().double(), torch.randn(4, 4).double()
    found = clipped_sum(model, square_loss, (x,), 1.0, strategy)
    twin.assert_same(found, twin.one_by_one(model, square_loss, (x,), 1.0), torch.float64)
    assert not any(found.gradients[f"{name}.weight"].any() for name in ("cut", "unused"))


def test_a_loss_without_any_parameter_gives_zeros():
    for strategy in ("auto", "ghost", "loop"):
        found = clipped_sum(nn.Linear(2, 2), lambda m, x: x.sum(1), (torch.ones(3, 2),), 1.0, strategy)
        assert not any(g.any() for g in found.gradients.values())
        assert found.norms.tolist() == [0.0] * 3
        assert found.losses.tolist() == [2.0] * 3


def noisy_loss(model, x):
    return (model(x) - torch.randn(len(x), 2)).square().sum(1)


@pytest.mark.parametrize(
    ("loss", "strategy", "taken"),
    [
        *((square_loss, strategy, strategy) for strategy in ("ghost", "vmap", "loop")),
        *((noisy_loss, strategy, strategy) for strategy in ("vmap", "loop")),
        (square_loss, "auto", "ghost"),
        (noisy_loss, "auto", "vmap"),
    ],
)
def test_random_layers_run_and_random_losses_are_covered(loss, strategy, taken):
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 2))
    clipper = Clipper(model, loss, 1.0, strategy)
    first, second = clipper(torch.ones(5, 6)), clipper(torch.ones(5, 6))
    assert not torch.equal(first.norms, second.norms)
    assert len(set(first.norms.tolist())) == 5  # every record draws for itself
    assert clipper.strategy == taken


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
def test_the_model_is_left_as_it_was_also_when_the_loss_raises(strategy):
    model = nn.Sequential(network(), nn.Dropout(0.5))
    model[0][0].eval()
    for p in model.parameters():
        p.grad = torch.full_like(p, 3.0)
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    calls = []

    def failing(model, x):
        calls.append(len(x))
        if len(x) == 1 or len(calls) > 40:
            raise KeyError("the loss failed")
        return square_loss(model, x)

    clipped_sum(model, square_loss, (images(4),), 1.0, strategy)
    with pytest.raises(KeyError, match="the loss failed"):
        clipped_sum(model, failing, (images(4),), 1.0, strategy)
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
        assert "forward" not in vars(module)
    for p in model.parameters():
        assert torch.equal(p.grad, torch.full_like(p, 3.0))
        assert not vars(p)


def test_checks_leave_the_random_state_alone():
    model, x = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2)), torch.randn(5, 4)
    clipper = Clipper(model, square_loss, 1.0)
    torch.manual_seed(5)
    first = clipper(x)
    torch.manual_seed(5)
    assert torch.equal(clipper(x).norms, first.norms)


def test_checks_are_made_once_for_each_kind_of_batch(monkeypatch):
    counted = []
    real = strategies.check_strategy
    monkeypatch.setattr(strategies, "check_strategy", lambda *args: counted.append(len(args[1][0])) or real(*args))
    model = network()
    clipper = Clipper(model, square_loss, 1.0)
    for x in (images(1), images(2), images(9), images(9), images(5), images(0), images(5)):
        clipper(x)
    assert counted == [1, 2, 3, 3]  # more records make a better check, and batch 4 is checked again
    clipper(images(5).transpose(2, 3))
    assert len(counted) == 5
    model.eval()
    clipper(images(5))  # the eighth batch
    model[0].requires_grad_(False)
    clipper(images(5))
    clipper(images(5))
    assert len(counted) == 7


@pytest.mark.parametrize("start", [3, 7, 200, 600])
def test_a_model_that_begins_to_mix_records_later_is_found_before_twice_as_many_batches(start):
    batches = []

    def loss(model, x):
        if len(batches) >= start:  # for example mixup after some passes
            x = 0.7 * x + 0.3 * x.flip(0)
        return square_loss(model, x)

    model = nn.Linear(4, 2)
    clipper = Clipper(model, loss, 1.0)

    def train():
        for _ in range(2 * start + 2):
            clipper(torch.randn(3, 4))
            batches.append(1)

    with pytest.raises(MixedRecordsError):
        train()
    assert len(batches) >= start


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
def test_arguments_are_checked(strategy):
    model = nn.Linear(4, 2)
    with pytest.raises(ValueError, match=r"returned shape \(\) for"):
        clipped_sum(model, lambda m, x: m(x).sum(), (torch.ones(3, 4),), 1.0, strategy)
    with pytest.raises(TypeError, match="floating"):
        clipped_sum(model, lambda m, x: m(x).sum(1).long(), (torch.ones(3, 4),), 1.0, strategy)
    with pytest.raises(ValueError, match=r"\[2, 3\] records"):
        clipped_sum(model, lambda m, x, y: m(x).sum(1), (torch.ones(3, 4), torch.ones(2)), 1.0, strategy)
    with pytest.raises(ValueError, match="views=2 needs"):
        clipped_sum(model, square_loss, (torch.ones(3, 4),), 1.0, strategy, views=2)
    with pytest.raises(ValueError, match="shape"):
        clipped_sum(model, square_loss, (torch.tensor(1.0),), 1.0, strategy)
    with pytest.raises(ValueError, match="requires a gradient"):
        clipped_sum(nn.ReLU(), square_loss, (torch.ones(3, 4),), 1.0, strategy)


@pytest.mark.parametrize("strategy", ["auto", "loop"])
def test_sparse_gradients_are_made_dense(twin, strategy):
    torch.manual_seed(0)
    model, tokens = nn.Embedding(9, 4, sparse=True).double(), torch.randint(0, 9, (5, 3))
    truth = twin.one_by_one(model, square_loss_dense, (tokens,), 1.0)
    twin.assert_same(clipped_sum(model, square_loss, (tokens,), 1.0, strategy), truth, torch.float64)


def square_loss_dense(model, x):
    return functional.embedding(x, model.weight).flatten(1).square().sum(1)


def test_complex_parameters_are_refused():
    with pytest.raises(ValueError, match=r"weight \(torch\.complex64\)"):
        Clipper(nn.Linear(2, 2, dtype=torch.complex64), square_loss, 1.0)


def test_unknown_words_and_numbers_are_refused():
    with pytest.raises(ValueError, match="strategy='fast'"):
        Clipper(nn.Linear(1, 1), square_loss, 1.0, "fast")
    with pytest.raises(ValueError, match="views"):
        Clipper(nn.Linear(1, 1), square_loss, 1.0, views=0)
    with pytest.raises(ValueError, match="at_once"):
        Clipper(nn.Linear(1, 1), square_loss, 1.0, at_once=0)


def test_a_loss_that_mixes_records_is_refused():
    model, x = nn.Linear(4, 2), torch.randn(5, 4)
    mixing = {
        "inputs": lambda m, x: m(x - x.mean(0)).square().sum(1),
        "cumulative": lambda m, x: m(x).square().sum(1).cumsum(0),
        "losses": lambda m, x: m(x).square().sum(1) / m(x).square().sum(1).mean().detach(),
    }
    for loss in mixing.values():
        for strategy in ("auto", "ghost", "vmap", "loop"):
            with pytest.raises(MixedRecordsError, match=r"another|alone"):
                clipped_sum(model, loss, (x,), 1.0, strategy)


def test_layers_without_a_shape_are_named():
    with pytest.raises(ValueError, match=r"1\.weight, 1\.bias have no shape yet"):
        Clipper(nn.Sequential(nn.Linear(4, 2), nn.LazyLinear(2)), square_loss, 1.0)
