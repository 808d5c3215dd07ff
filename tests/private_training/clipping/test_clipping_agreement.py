"""Rounding never ends a run, however small losses are beside what they are made from; what records do to each other does."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.errors import MixedRecordsError, UnsupportedModule
from privkd.private_training import Clipper
from privkd.private_training.clipping import probing, strategies
from privkd.private_training.clipping.agreement import agree, alike, in_float64
from privkd.private_training.clipping.job import Job
from privkd.private_training.clipping.probing import check_records_are_separate
from privkd.private_training.clipping.rules import Flat
from privkd.trainer import seeded

LARGE = 4096.0
BESIDE = 2.0**17 * torch.tensor([0.3, 0.7, 0.9])  # what small numbers are added to


class Cancelling(nn.Module):
    """Adds numbers that nearly cancel, in another order for one row than for several, as fast kernels do."""

    def __init__(self, mixing=0.0):
        super().__init__()
        with seeded(0):
            self.layer = nn.Linear(6, 6)
        self.mixing = mixing
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(6) + 0.01 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        terms = torch.cat([self.layer(x), BESIDE.expand(len(x), 3)], 1)
        order = range(9) if len(x) == 1 else (8, 0, 5, 7, 2, 6, 4, 1, 3)
        total = sum(terms[:, column] for column in order)
        small = 1e-3 * (total - BESIDE.sum())
        return small + self.mixing * small.mean()


def loss(model, x):
    return 1e-3 * model(x).square()


def without_second_look(monkeypatch):
    for module in (probing, strategies):
        monkeypatch.setattr(module, "in_float64", lambda job: job)


def rows(count=3):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop"])
def test_losses_that_are_small_beside_what_they_are_made_from_do_not_end_a_run(strategy, monkeypatch):
    Clipper(Cancelling(), loss, 1.0, strategy)(rows())
    without_second_look(monkeypatch)
    with pytest.raises(MixedRecordsError, match="not its loss alone"):
        Clipper(Cancelling(), loss, 1.0, strategy)(rows())


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop", "auto"])
@pytest.mark.parametrize("mixing", [1.0, 1e-2])
def test_mixing_that_is_no_rounding_is_found_beside_the_rounding(strategy, mixing):
    with pytest.raises(MixedRecordsError):
        Clipper(Cancelling(mixing), loss, 1.0, strategy)(rows())


class Kinked(nn.Module):
    """A unit at the kink of its ReLU: rounding puts it on one side for one row, and on the other for several."""

    def __init__(self, shift=2.0**-12):
        super().__init__()
        self.layer, self.shift = nn.Linear(4, 4, bias=False), shift
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(4))

    def forward(self, x):
        out = self.layer(x)
        # 4096 + 2^-12 - 4096 is 0 or 2^-12 in float32, by the order of additions
        at = out + LARGE + self.shift - LARGE if len(x) == 1 else out + self.shift + (LARGE - LARGE)
        return functional.relu(at.sub(self.shift / 2)).sum(1)


def test_a_unit_at_its_kink_does_not_end_a_run(monkeypatch):
    x = torch.zeros(3, 4)
    Clipper(Kinked(), lambda m, x: m(x) + 0.0 * x.sum(1), 1.0, "ghost")(x)
    without_second_look(monkeypatch)
    with pytest.raises((UnsupportedModule, MixedRecordsError)):
        Clipper(Kinked(), lambda m, x: m(x) + 0.0 * x.sum(1), 1.0, "ghost")(x)


def test_losses_are_computed_in_float64_whatever_the_model_asks_for():
    seen = []

    class Insisting(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            made = torch.zeros(len(x), 3)
            made[:] = self.layer(x).to(torch.float32)
            made += torch.ones(3)
            seen.append((made * self.layer(x).float()).dtype)
            return functional.cross_entropy(
                made, torch.zeros(len(x), dtype=torch.long), torch.ones(3), reduction="none"
            )

    model = Insisting()
    job = Job(model, lambda m, x: m(x), Flat(1.0))
    losses = in_float64(job).losses((torch.randn(2, 3),))
    assert losses.dtype == torch.float64
    assert seen == [torch.float64]
    assert all(p.dtype == torch.float32 for p in model.parameters())
    assert torch.autograd.grad(losses.sum(), model.layer.weight)[0].dtype == torch.float32


def never():
    raise AssertionError("asked although the first look was clear")


def failing():
    raise RuntimeError("no float64 here")


def test_a_second_look_is_taken_only_where_the_first_one_is_not_clear():
    one, eps = torch.ones(3), torch.finfo(torch.float32).eps
    near, far = one + 1e-5, one + 1e-2
    wide = [torch.ones(3, dtype=torch.float64) + shift for shift in (1e-11, 0.0, 0.0)]
    apart = [torch.ones(3, dtype=torch.float64) + shift for shift in (1e-2, 0.0, 0.0)]
    assert agree(near, one, one, eps=eps, again=never)
    assert agree(far, one, one, eps=eps, again=lambda: tuple(wide))
    assert not agree(far, one, one, eps=eps, again=lambda: tuple(apart))
    assert not agree(far, one, one, eps=eps, again=failing)
    lost = torch.tensor([1.0, 1.0, torch.inf])
    assert not agree(lost, one, one, eps=eps, again=lambda: (lost.double(), one.double(), one.double()))


def test_what_changes_once_for_all_is_not_taken_for_rounding():
    first, later = torch.tensor([1.0, 2.0]), torch.tensor([1.001, 2.0])
    settled = (later.double() + 1e-9, later.double() + 1e-9)  # in float64 both passes come behind the change
    assert not alike(later, first, again=lambda: settled)
    jitter = torch.tensor([1.0, 2.0 + 1e-4])
    coarse = (torch.tensor([1.0, 2.0 + 5e-5]).double(),) * 2  # both are as far from the truth: an order of additions
    assert alike(jitter, first, again=lambda: coarse)


class Counting(nn.Module):
    """Behaves in another way once it has been called; a list is not bound anew."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(2, 1), []

    def forward(self, x):
        self.calls.append(1)
        return self.layer(x).squeeze(1) * (2.0 if len(self.calls) > 3 else 1.0)


def test_a_model_that_changes_its_ways_once_is_refused():
    with pytest.raises(MixedRecordsError, match="earlier passes"):
        Clipper(Counting(), lambda m, x: m(x), 1.0, "loop")(torch.randn(3, 2))


def test_losses_of_zero_agree():
    job = Job(nn.Linear(2, 1), lambda m, x: 0.0 * m(x).squeeze(1), Flat(1.0))
    assert check_records_are_separate(job, (torch.randn(3, 2),), (torch.randn(3, 2),))
