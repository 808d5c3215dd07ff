"""Losses that draw numbers, and models that remember: passes are compared with the same draws."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from privkd.errors import MixedRecordsError, UnsupportedModule
from privkd.private_training import Clipper, clipped_sum
from privkd.private_training.clipping import strategies
from privkd.private_training.clipping.precision import without_tf32
from privkd.private_training.clipping.replay import Attributes, Replay, without_dropout
from privkd.private_training.clipping.vmap import vectorized


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def denoising(generator):
    """A loss of the kind that diffusion models have: noise and its level are drawn for each record."""

    def loss(model, x):
        level = torch.rand(len(x), 1, generator=generator)
        return (model(x + level * torch.randn(x.shape, generator=generator)) - level).square().sum(1)

    return loss


@pytest.mark.parametrize("strategy", ["auto", "vmap", "loop"])
def test_losses_that_draw_from_a_given_generator_are_covered(strategy):
    generator = torch.Generator().manual_seed(0)
    clipper = Clipper(net(), denoising(generator), 1.0, strategy, generators=(generator,))
    assert not torch.equal(clipper(torch.ones(5, 4)).norms, clipper(torch.ones(5, 4)).norms)
    assert clipper.strategy == ("vmap" if strategy == "auto" else strategy)


def test_clipped_gradients_of_a_random_loss_are_those_of_its_records_with_the_same_draws(twin):
    torch.manual_seed(0)
    generator, model, x = torch.Generator().manual_seed(3), net().double(), torch.randn(5, 4).double()
    levels = torch.rand(5, 1, generator=torch.Generator().manual_seed(3))
    found = clipped_sum(
        model,
        lambda m, x: (m(x) * torch.rand(len(x), 1, generator=generator)).square().sum(1),
        (x,),
        0.05,
        generators=(generator,),
    )
    truth = twin.one_by_one(model, lambda m, x, level: (m(x) * level).square().sum(1), (x, levels), 0.05)
    twin.assert_same(found, truth, torch.float64)


@pytest.mark.parametrize("fault", ["norms", "gradients"])
def test_a_strategy_that_is_wrong_is_found_although_the_loss_is_random(monkeypatch, fault):
    """Without the same draws a comparison would say nothing, and wrong norms would clip too little."""

    def wrong(job, rows):
        right = vectorized(job, rows)
        if fault == "norms":
            right.norms.mul_(0.5)
        else:
            next(iter(right.gradients.values())).mul_(1.5)
        return right

    monkeypatch.setitem(strategies._STRATEGIES, "vmap", wrong)
    generator = torch.Generator().manual_seed(0)
    clipper = Clipper(net(), denoising(generator), 1.0, generators=(generator,))
    clipper(torch.ones(5, 4))
    assert clipper.strategy == "loop"
    assert "differ" in clipper.reasons[-1]
    with pytest.raises(UnsupportedModule, match="differ"):
        clipped_sum(net(), denoising(generator), (torch.ones(5, 4),), 1.0, "vmap", generators=(generator,))


@pytest.mark.parametrize("strategy", ["ghost", "opacus"])
def test_random_losses_are_not_computed_together_where_mixing_could_hide(strategy):
    if strategy == "opacus":
        pytest.importorskip("opacus")
    with pytest.raises(UnsupportedModule, match="draws random numbers"):
        clipped_sum(net(), denoising(None), (torch.ones(5, 4),), 1.0, strategy)


def influence(model, loss, rows, bound, strategy="auto"):
    """How far the sum moves when the last record is left out, in clipping norms; at most 1 is allowed."""
    clipper = Clipper(model, loss, bound, strategy)
    clipper(*rows)

    def total(count):
        torch.manual_seed(5)
        return torch.cat([g.flatten() for g in clipper(*(part[:count] for part in rows)).gradients.values()])

    return float((total(len(rows[0])) - total(len(rows[0]) - 1)).norm()) / bound, clipper.strategy


class Hooked(nn.Module):
    """Scales the gradients of all records by what they are together, in train mode."""

    def __init__(self, rate=0.0, noise=0.0, hooked=True):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(10, 16), nn.Dropout(rate), nn.Linear(16, 2)
        self.last.requires_grad_(False)
        self.noise, self.hooked = noise, hooked

    def forward(self, x):
        hidden = self.drop(self.first(x))
        hidden = hidden + self.noise * torch.randn_like(hidden)
        if self.training and self.hooked:
            hidden.register_hook(lambda g: g / g.norm().clamp(min=1e-8))
        return self.last(hidden)


@pytest.mark.parametrize("model", [{"rate": 0.1}, {"noise": 0.5}, {}], ids=["dropout", "noise", "neither"])
def test_gradients_that_a_hook_mixes_are_never_taken_from_the_batch(model):
    torch.manual_seed(0)
    x, y = torch.randn(40, 10), torch.randn(40)
    y[-1] = 300.0

    def loss(model, x, y):
        return (model(x)[:, 0] - y).square()

    moved, strategy = influence(Hooked(**model).train(), loss, (x, y), 0.2)
    assert moved <= 1.0 + 1e-3
    assert strategy != "ghost"
    with pytest.raises(UnsupportedModule):
        influence(Hooked(**model).train(), loss, (x, y), 0.2, "ghost")


@pytest.mark.parametrize("weight", ["max", "mean", "none"])
def test_weights_over_the_batch_of_a_random_loss_have_no_effect(weight):
    """As in diffusion models whose weights of noise levels are scaled by the largest of the batch."""

    def loss(model, x):
        level = torch.rand(len(x), 1)
        scale = (1.0 / level).squeeze(1)
        if weight == "max":
            scale = scale / scale.max()
        if weight == "mean":
            scale = scale / scale.mean()
        return scale * (model(x * level) - x[:, :2]).square().sum(1)

    torch.manual_seed(0)
    moved, strategy = influence(net(), loss, (torch.randn(30, 4),), 0.1)
    assert moved <= 1.0 + 1e-3
    assert strategy == "vmap"


def test_rules_that_compare_a_record_with_many_others_are_seen():
    """Three records have no outliers: their standard scores stay below 1.42."""

    def without_outliers(model, x, y):
        losses = (model(x).squeeze(1) - y).square()
        return losses * (losses.detach() <= losses.detach().mean() + 3.0 * losses.detach().std(unbiased=False))

    torch.manual_seed(0)
    with pytest.raises(MixedRecordsError, match="another record of its batch"):
        clipped_sum(nn.Linear(10, 1), without_outliers, (torch.randn(256, 10), torch.randn(256)), 1.0)


@pytest.mark.parametrize("loss", [nn.functional.binary_cross_entropy, nn.functional.cross_entropy])
def test_losses_that_refuse_large_numbers_are_checked_all_the_same(loss):
    x, y = torch.rand(8, 4), torch.rand(8, 2)

    def per_record(model, x, y):
        return loss(model(x).softmax(1), y, reduction="none").reshape(len(x), -1).mean(1)

    assert clipped_sum(nn.Linear(4, 2), per_record, (x, y), 1.0).records == 8


@pytest.mark.parametrize("mixed", ["mean", "neighbour", "labels"])
def test_a_random_loss_that_mixes_records_is_refused(mixed):
    def loss(model, x, y):
        out = model(x + torch.randn(x.shape))
        if mixed == "mean":
            out = out - out.mean(0).detach()
        if mixed == "neighbour":
            out = out + x.detach()[torch.randperm(len(x))].sum(1, keepdim=True)
        weight = y.double().mean() if mixed == "labels" else 1.0
        return out.square().sum(1) * weight

    torch.manual_seed(0)
    with pytest.raises(MixedRecordsError, match="another"):
        clipped_sum(net(), loss, (torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])), 1.0)


def test_draws_whose_number_depends_on_the_records_are_no_mixing():
    def loss(model, x):
        return (model(x) - torch.poisson(x.abs().sum(1, keepdim=True) * 30.0)).square().sum(1)

    assert clipped_sum(net(), loss, (torch.rand(5, 4),), 1.0).records == 5


@pytest.mark.parametrize("seed", [0, 1])
def test_checks_leave_all_generators_where_they_were(seed):
    generator = torch.Generator().manual_seed(seed)

    def loss(model, x):
        return (model(x) * (torch.rand(1, generator=generator) + torch.rand(1) + np.random.rand())).square().sum(1)

    def norms(checked):
        torch.manual_seed(seed)
        np.random.seed(seed)
        generator.manual_seed(seed)
        return checked(torch.ones(3, 4)).norms

    clipper = Clipper(net(), loss, 1.0, "loop", generators=(generator,))
    assert torch.equal(norms(clipper), norms(clipper))


class Remembering(nn.Module):
    """Keeps something of every batch in an attribute, which no buffer shows."""

    def __init__(self, kind):
        super().__init__()
        self.linear, self.kind = nn.Linear(4, 2), kind
        self.kept = torch.zeros(4)
        self.queue = []
        self.largest = 0.0
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        if self.kind == "average":
            self.kept = 0.9 * self.kept + 0.1 * x.detach().mean(0)
            return self.linear(x - self.kept)
        if self.kind == "queue":
            self.queue = [*self.queue, x.detach()][-3:]
            return self.linear(x) - self.linear(torch.cat(self.queue)).detach().mean(0)
        if self.kind == "first batch":  # weights that the first batch sets
            if float(self.linear.bias.abs().sum()) > 0.0:
                self.linear.bias.data.copy_(-self.linear(x).mean(0))
            return self.linear(x)
        if self.kind == "first statistics":
            if not self.kept.any():
                self.kept = x.detach().mean(0)
            return self.linear(x - self.kept)
        if self.kind == "largest":
            self.largest = max(self.largest, float(x.abs().max()))
            return self.linear(x / self.largest)
        if self.kind == "own generator":
            return self.linear(x + torch.from_numpy(self.rng.normal(size=(len(x), 4))).float())
        self.kept = x.detach()  # for somebody to look at; never read again
        return self.linear(x)


@pytest.mark.parametrize("kind", ["average", "queue", "first batch", "first statistics", "largest", "own generator"])
@pytest.mark.parametrize("strategy", ["auto", "loop"])
def test_a_model_that_remembers_earlier_batches_is_refused(kind, strategy):
    with pytest.raises(MixedRecordsError, match=r"earlier passes|another|alone|changes it"):
        clipped_sum(Remembering(kind), lambda m, x: m(x).square().sum(1), (torch.randn(5, 4),), 1.0, strategy)


def test_a_model_that_only_shows_its_last_batch_is_covered():
    found = clipped_sum(Remembering("shown"), lambda m, x: m(x).square().sum(1), (torch.randn(5, 4),), 1.0)
    assert found.records == 5


class Keeper:
    """An object beside the model, as a task is."""

    scale = None

    def loss(self, model, x):
        losses = model(x).square().sum(1)
        if self.scale is None:
            self.scale = float(losses.detach().mean())
        return losses / self.scale


def test_what_an_object_beside_the_model_keeps_is_seen_and_taken_back():
    keeper = Keeper()
    with pytest.raises(MixedRecordsError, match=r"earlier passes|another|alone"):
        Clipper(net(), keeper.loss, 1.0, keepers=(keeper,))(torch.randn(5, 4))
    assert keeper.scale is None


def test_attributes_are_bound_as_they_were_and_dropout_comes_back():
    model = nn.Sequential(nn.Dropout(0.3), nn.MultiheadAttention(4, 2, dropout=0.2), nn.LSTM(4, 4, 2, dropout=0.1))
    kept = Attributes(model)
    model[0].strange = 1
    with without_dropout(model):
        kept.put_back()
        assert [model[0].p, model[1].dropout, model[2].dropout] == [0.0, 0.0, 0.0]
    assert [model[0].p, model[1].dropout, model[2].dropout] == [0.3, 0.2, 0.1]
    assert not hasattr(model[0], "strange")


def test_replay_goes_back_for_every_generator_and_says_when_it_is_back():
    own = torch.Generator().manual_seed(4)
    replay = Replay([own])

    def draw():
        return float(torch.rand(1)), float(np.random.rand()), float(torch.rand(1, generator=own))

    first, end = draw(), replay.position()
    assert not replay.is_at(replay._beginning)
    replay.rewind()
    assert replay.is_at(replay._beginning)
    assert draw() == first
    assert replay.is_at(end)
    draw()
    assert not replay.is_at(end)


class Recomputed(nn.Module):
    """A layer whose activations are computed again in the backward pass, behind another one or not."""

    def __init__(self, first, reentrant):
        super().__init__()
        self.first, self.hidden, self.last = (
            nn.Linear(4, 4) if first else nn.Identity(),
            nn.Linear(4, 4),
            nn.Linear(4, 2),
        )
        self.reentrant = reentrant

    def forward(self, x):
        return self.last(checkpoint(self.hidden, self.first(x), use_reentrant=self.reentrant))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("strategy", ["auto", "ghost", "loop"])
def test_reentrant_recomputation_is_refused_and_the_other_one_is_covered(twin, first, strategy):
    def loss(model, x):
        return model(x).square().sum(1)

    torch.manual_seed(0)
    x = torch.randn(5, 4).double()
    with pytest.raises(UnsupportedModule, match="use_reentrant=False"):
        clipped_sum(Recomputed(first, True).double(), loss, (x,), 1.0, strategy)
    model = Recomputed(first, False).double()
    twin.assert_same(
        clipped_sum(model, loss, (x,), 1.0, strategy), twin.one_by_one(model, loss, (x,), 1.0), torch.float64
    )


def test_sums_and_norms_of_cuda_devices_use_all_digits_and_the_settings_come_back():
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)
    before = [place.fp32_precision for place in places]
    with without_tf32():
        assert [place.fp32_precision for place in places] == ["ieee", "ieee"]
    assert [place.fp32_precision for place in places] == before


COINS = """
import random, torch
from torch import nn
from privkd.private_training import Clipper

def loss(model, x):
    signs = torch.tensor([1.0 if random.random() < 0.5 else -1.0 for _ in range(len(x))])
    return (model(x).squeeze(1) * signs + 1).square()

for seed in range(40):
    random.seed(seed)
    clipper = Clipper(nn.Linear(3, 1), loss, 1.0)
    clipper(torch.randn(9, 3))
    print(clipper.strategy)
"""


def test_coins_that_fall_alike_in_two_passes_are_no_steady_loss():
    """Three coins of Python's generator fall alike again once in eight times. Runtime type checkers draw from it, too."""
    done = subprocess.run([sys.executable, "-c", COINS], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["vmap"] * 40


def test_draws_without_effect_on_three_records_are_draws():
    def loss(model, x):
        rare = torch.rand(len(x)) < 1e-9
        return model(x).squeeze(1).square() * (1 + rare)

    torch.manual_seed(0)
    clipper = Clipper(nn.Linear(3, 1), loss, 1.0)
    clipper(torch.randn(9, 3))
    assert clipper.strategy != "ghost"
