"""Rules: no contribution is longer than the bound, in whatever precision; groups; sums of sums."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from privkd.private_training import Automatic, ClippedSum, Flat, PerLayer, clipped_sum
from privkd.private_training.clipping.clipped_sum import clip_samples
from privkd.private_training.clipping.precision import row_norms

SIZES = st.floats(1e-12, 1e12)
DTYPES = st.sampled_from([torch.float32, torch.float64])


@given(bound=st.floats(1e-6, 1e6), norm=SIZES, dtype=DTYPES)
def test_flat_scales_down_to_just_below_the_bound_and_leaves_short_ones_alone(bound, norm, dtype):
    norms = torch.tensor([[norm]], dtype=dtype)
    [[factor]] = Flat(bound).factors(norms).tolist()
    length = factor * float(norms)
    ulps = 40 * torch.finfo(dtype).eps
    assert length <= bound
    assert length >= min(float(norms), bound) * (1 - ulps)
    if float(norms) <= bound * (1 - ulps):
        assert factor == 1.0


@given(bound=st.floats(1e-6, 1e6), stability=st.floats(1e-6, 10.0), norm=st.floats(0.0, 1e12), dtype=DTYPES)
def test_automatic_normalises_below_the_bound(bound, stability, norm, dtype):
    norms = torch.tensor([[norm]], dtype=dtype)
    [[factor]] = Automatic(bound, stability).factors(norms).tolist()
    assert factor * float(norms) <= bound
    assert math.isclose(factor, bound / (float(norms) + stability), rel_tol=50 * torch.finfo(dtype).eps)


@given(norms=st.lists(st.floats(0.0, 1e12), min_size=2, max_size=2), first=st.floats(1e-3, 1e3), dtype=DTYPES)
def test_per_layer_bounds_every_group_and_all_together(norms, first, dtype):
    rule = PerLayer({"a": first, "": 1.0})
    values = torch.tensor([norms], dtype=dtype)
    parts = [f * n for f, n in zip(rule.factors(values)[0].tolist(), values[0].tolist(), strict=True)]
    assert parts[0] <= first
    assert parts[1] <= 1.0
    assert math.hypot(*parts) <= rule.bound
    assert math.isclose(rule.bound, math.sqrt(first**2 + 1))


def test_groups_are_whole_names_and_the_longest_wins():
    rule = PerLayer({"conv": 1.0, "conv.bias": 2.0, "": 3.0})
    assert rule.groups(["conv.weight", "conv.bias", "conv2.weight"]) == (0, 1, 2)
    with pytest.raises(ValueError, match=r"no group takes conv2\.weight, head\.bias"):
        PerLayer({"conv": 1.0}).groups(["conv.weight", "conv2.weight", "head.bias"])
    assert hash(rule) == hash(PerLayer({"conv": 1.0, "conv.bias": 2.0, "": 3.0}))
    assert rule != PerLayer({"": 1.0})


@pytest.mark.parametrize("strategy", ["ghost", "vmap", "loop"])
def test_per_layer_clips_each_layer_by_its_own_norm(strategy):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double(), torch.randn(6, 5).double()

    def loss(model, x):
        return model(x).square().sum(1)

    rule = PerLayer({"0": 0.3, "2.weight": 0.2, "": 0.1})
    groups = {"0.weight": ("0", 0.3), "0.bias": ("0", 0.3), "2.weight": ("2w", 0.2), "2.bias": ("", 0.1)}
    sums = dict.fromkeys(groups, 0.0)
    for row in x:
        gradients = dict(
            zip(groups, torch.autograd.grad(loss(model, row[None]).sum(), list(model.parameters())), strict=True)
        )
        for name, (group, bound) in groups.items():
            norm = math.sqrt(sum(float(gradients[n].square().sum()) for n, (g, _) in groups.items() if g == group))
            sums[name] = sums[name] + gradients[name] * min(1.0, bound / norm)
    found = clipped_sum(model, loss, (x,), rule, strategy)
    for name, value in sums.items():
        torch.testing.assert_close(found.gradients[name], value, rtol=1e-12, atol=1e-14)
    assert found.sensitivity("add-remove") == rule.bound


@pytest.mark.parametrize("bad", [0.0, -1.0, math.inf, math.nan])
def test_bounds_that_bound_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="bound"):
        Flat(bad)
    with pytest.raises(ValueError, match="bound"):
        Automatic(bad)
    with pytest.raises(ValueError, match="stability"):
        Automatic(1.0, bad)
    with pytest.raises(ValueError, match="head"):
        PerLayer({"head": bad})


def test_no_group_at_all_is_refused():
    with pytest.raises(ValueError, match="empty"):
        PerLayer({})


def total(values, rule):
    return clip_samples({"w": values}, torch.zeros(len(values)), {"w": torch.zeros(values.shape[1:])}, rule)


def test_sums_add_and_tell_their_sensitivity_and_nothing_else():
    torch.manual_seed(0)
    values = torch.randn(8, 5)
    both = total(values[:3], Flat(1.0)) + total(values[3:], Flat(1.0))
    whole = total(values, Flat(1.0))
    torch.testing.assert_close(both.gradients["w"], whole.gradients["w"])
    assert torch.equal(both.norms, whole.norms)
    assert both.records == 8
    assert whole.sensitivity("add-remove") == whole.sensitivity("zero-out") == 1.0
    assert whole.sensitivity("replace-one") == 2.0
    assert repr(whole) == "ClippedSum(rule=Flat(bound=1.0))"
    with pytest.raises(ValueError, match="swap"):
        whole.sensitivity("swap")
    with pytest.raises(ValueError, match="different rules"):
        whole + total(values, Flat(2.0))
    with pytest.raises(TypeError):
        whole + 1
    assert isinstance(whole, ClippedSum)


def test_norms_of_long_rows_lose_no_digits_where_one_pass_does():
    torch.manual_seed(0)
    values = torch.rand(2, 4_000_000)
    exact = values.double().square().sum(1).sqrt()
    ulps = 8 * 2.0**-23
    assert ((row_norms(values).double() - exact) / exact).abs().max() < ulps
    assert ((torch.linalg.vector_norm(values, dim=1).double() - exact) / exact).abs().max() > ulps


@given(rows=st.integers(0, 3), columns=st.sampled_from([0, 1, 7, 1023, 1024, 1025, 2048, 3000]))
def test_block_norms_are_plain_norms(rows, columns):
    values = torch.linspace(-1, 1, rows * columns, dtype=torch.float64).reshape(rows, columns)
    torch.testing.assert_close(row_norms(values), values.square().sum(1).sqrt())


def test_half_precision_parameters_get_full_sums_and_float32_norms():
    model = nn.Linear(3, 2).to(torch.bfloat16)
    x = torch.randn(4, 3).to(torch.bfloat16)
    for strategy in ("ghost", "vmap", "loop"):
        found = clipped_sum(model, lambda m, x: m(x).float().sum(1), (x,), 0.1, strategy)
        assert {g.dtype for g in found.gradients.values()} == {torch.float64}
        assert found.norms.dtype == torch.float32
        assert float(row_norms(found.gradients["weight"][None])) <= 0.4
