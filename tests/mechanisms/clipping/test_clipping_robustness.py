"""Broken records contribute nothing and disturb nobody; half precision keeps its norms in float32."""

import pytest
import torch
from torch import nn

from privkd.mechanisms.clipping import Automatic, Clipper, PerLayer, clipped_sum

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


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "rule", [0.5, Automatic(0.5), PerLayer({"0": 0.1, "": 0.5})], ids=["flat", "automatic", "layers"]
)
@pytest.mark.parametrize(
    ("place", "broken"),
    [("input", torch.nan), ("input", torch.inf), ("loss", torch.nan), ("loss", -torch.inf), ("loss", 1e38)],
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
        assert {g.dtype for g in total.gradients.values()} == {torch.float32}
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
