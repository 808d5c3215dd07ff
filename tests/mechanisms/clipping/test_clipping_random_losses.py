"""Losses that draw numbers, and models that remember: passes are compared with the same draws."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import privkd.mechanisms.clipping.clipper as clipper_module
from privkd.errors import MixedRecordsError, UnsupportedModule
from privkd.mechanisms.clipping import Clipper, clipped_sum
from privkd.mechanisms.clipping.clipped import without_tf32
from privkd.mechanisms.clipping.replay import Replay


def net():
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 2))


def denoising(generator):
    """A loss of the kind that diffusion models have: noise and its level are drawn for each record."""

    def loss(model, x):
        level = torch.rand(len(x), 1, generator=generator)
        return (model(x + level * torch.randn(x.shape, generator=generator)) - level).square().sum(1)

    return loss


@pytest.mark.parametrize("strategy", ["auto", "ghost", "vmap", "loop"])
def test_losses_that_draw_from_a_given_generator_are_covered(strategy):
    generator = torch.Generator().manual_seed(0)
    clipper = Clipper(net(), denoising(generator), 1.0, strategy, generators=(generator,))
    assert not torch.equal(clipper(torch.ones(5, 4)).norms, clipper(torch.ones(5, 4)).norms)
    assert clipper.strategy == ("ghost" if strategy == "auto" else strategy)


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
    from privkd.mechanisms.clipping.ghost import ghost

    def wrong(job, rows):
        right = ghost(job, rows)
        if fault == "norms":
            right.norms.mul_(0.5)
        else:
            next(iter(right.gradients.values())).mul_(1.5)
        return right

    monkeypatch.setitem(clipper_module._STRATEGIES, "ghost", wrong)
    generator = torch.Generator().manual_seed(0)
    clipper = Clipper(net(), denoising(generator), 1.0, generators=(generator,))
    clipper(torch.ones(5, 4))
    assert clipper.strategy == "vmap"
    assert "differ" in clipper.reasons[0]
    with pytest.raises(UnsupportedModule, match="differ"):
        clipped_sum(net(), denoising(generator), (torch.ones(5, 4),), 1.0, "ghost", generators=(generator,))


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

    clipper = Clipper(net(), loss, 1.0, "ghost", generators=(generator,))
    assert torch.equal(norms(clipper), norms(clipper))


class Remembering(nn.Module):
    """Keeps something of every batch in an attribute, which no buffer shows."""

    def __init__(self, kind):
        super().__init__()
        self.linear, self.kind = nn.Linear(4, 2), kind
        self.kept = torch.zeros(4)
        self.queue = []
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
        if self.kind == "own generator":
            return self.linear(x + torch.from_numpy(self.rng.normal(size=(len(x), 4))).float())
        self.kept = x.detach()  # for somebody to look at; never read again
        return self.linear(x)


@pytest.mark.parametrize("kind", ["average", "queue", "first batch", "own generator"])
@pytest.mark.parametrize("strategy", ["auto", "loop"])
def test_a_model_that_remembers_earlier_batches_is_refused(kind, strategy):
    with pytest.raises(MixedRecordsError, match=r"earlier passes|another|alone|changes it"):
        clipped_sum(Remembering(kind), lambda m, x: m(x).square().sum(1), (torch.randn(5, 4),), 1.0, strategy)


def test_a_model_that_only_shows_its_last_batch_is_covered():
    found = clipped_sum(Remembering("shown"), lambda m, x: m(x).square().sum(1), (torch.randn(5, 4),), 1.0)
    assert found.records == 5


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
