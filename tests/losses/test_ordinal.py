"""Losses of ordered bins against loops over cumulative sums, and against the transport of scipy."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kurtosis, wasserstein_distance

from privkd.losses import cumulative_js, emd, jensen_shannon, kurtosis_weights

LOSSES = {"emd": emd, "cumulative_js": cumulative_js, "jensen_shannon": jensen_shannon}
histograms = st.lists(st.integers(0, 9), min_size=5, max_size=5).filter(any).map(lambda c: [n / sum(c) for n in c])


def row(shares):
    return torch.tensor([shares], dtype=torch.float64)


def slow_js(p, q):
    total = 0.0
    for u, v in zip(p, q, strict=True):
        v = max(v, 1e-8)
        middle = (u + v) / 2
        total += (u * math.log(u / middle) if u else 0.0) + v * math.log(v / middle)
    return total / 2


def cumulative(p):
    return [sum(p[: k + 1]) for k in range(len(p))]


@settings(max_examples=25)
@given(p=histograms, q=histograms, order=st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_divergences_agree_with_loops(p, q, order):
    steps = [abs(u - v) ** order for u, v in zip(cumulative(p), cumulative(q), strict=True)]
    # Differences of cumulative sums are right to some 1e-16; the root of a mean of their squares to 1e-8 of nothing.
    assert math.isclose(emd(row(q), row(p), order=order), (sum(steps) / 5) ** (1 / order), rel_tol=1e-9, abs_tol=1e-15)
    assert math.isclose(jensen_shannon(row(q), row(p)), slow_js(p, q), rel_tol=1e-12, abs_tol=1e-15)
    slow = slow_js(cumulative(p), cumulative(q))
    assert math.isclose(cumulative_js(row(q), row(p)), slow, rel_tol=1e-12, abs_tol=1e-15)


@settings(max_examples=25)
@given(p=histograms, q=histograms)
def test_order_one_is_the_transport_of_scipy_over_the_number_of_bins(p, q):
    bins = range(5)
    theirs = wasserstein_distance(bins, bins, p, q) / 5
    assert math.isclose(emd(row(q), row(p), order=1.0), theirs, rel_tol=1e-12, abs_tol=1e-14)


def softmax_rows(n=6, z=5, seed=0):
    return torch.randn(n, z, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).softmax(1)


@pytest.mark.parametrize("name", LOSSES)
def test_equal_histograms_cost_nothing_with_finite_gradients_and_others_cost_more(name):
    logits = softmax_rows().log().requires_grad_()
    loss = LOSSES[name](logits.softmax(1), logits.detach().softmax(1))
    loss.backward()
    assert abs(float(loss.detach())) < 1e-15
    assert torch.isfinite(logits.grad).all()
    assert LOSSES[name](softmax_rows(), softmax_rows(seed=1)) > 1e-3


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_right_and_the_target_gets_none(name):
    predicted, target = softmax_rows(3).requires_grad_(), softmax_rows(3, seed=1).requires_grad_()
    LOSSES[name](predicted, target).backward()
    assert target.grad is None
    assert torch.autograd.gradcheck(lambda p: LOSSES[name](p, target.detach()), predicted)


@pytest.mark.parametrize("name", LOSSES)
def test_a_sure_and_wrong_prediction_has_finite_gradients(name):
    logits = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    loss = LOSSES[name](logits.softmax(1), torch.tensor([[0.0, 0.0, 1.0]]))
    loss.backward()
    assert loss > 0.5
    assert torch.isfinite(logits.grad).all()
    assert loss.dtype == torch.float32


def test_cumulative_losses_know_the_order_of_bins_and_the_plain_one_does_not():
    bins = torch.eye(5, dtype=torch.float64)
    for name, knows in (("emd", True), ("cumulative_js", True), ("jensen_shannon", False)):
        near, far = LOSSES[name](bins[:1], bins[1:2]), LOSSES[name](bins[:1], bins[4:])
        assert bool(far > near + 0.1) == knows
    order = [3, 0, 4, 1, 2]
    p, q = softmax_rows(), softmax_rows(seed=1)
    assert torch.isclose(jensen_shannon(p[:, order], q[:, order]), jensen_shannon(p, q), rtol=1e-12)
    assert not torch.isclose(cumulative_js(p[:, order], q[:, order]), cumulative_js(p, q), rtol=1e-2)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_choose_rows(name):
    p, q = softmax_rows(), softmax_rows(seed=1)
    each = LOSSES[name](p, q, reduction="none")
    weights = torch.tensor([0.0, 1.0, 0.0, 0.0, 3.0, 0.0])
    assert torch.isclose(LOSSES[name](p, q, weights=weights), (each[1] + 3 * each[4]) / 4)


def test_weights_by_kurtosis_are_those_of_raters_drawn_one_by_one():
    counts = [[1, 4, 9, 4, 1], [9, 1, 1, 1, 9], [0, 0, 7, 3, 0]]
    target = torch.tensor([[c / sum(row) for c in row] for row in counts], dtype=torch.float64)
    kappas = [kurtosis([z for z, c in enumerate(row) for _ in range(c)], fisher=False) for row in counts]
    slow = [math.exp(-abs(kappa - 3) / 2) for kappa in kappas]
    mean = sum(slow) / 3
    assert torch.allclose(
        kurtosis_weights(target), torch.tensor([w / mean for w in slow], dtype=torch.float64), rtol=1e-12
    )


def test_a_histogram_of_one_bin_gets_the_smallest_weight():
    target = torch.tensor([[0.1, 0.4, 0.4, 0.1], [0.5, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0, 0.0]])
    weights = kurtosis_weights(target)
    assert weights[2] == weights[:2].min()
    assert math.isclose(weights.mean(), 1.0, rel_tol=1e-6)
    assert kurtosis_weights(torch.eye(3)).tolist() == [1.0, 1.0, 1.0]


def test_what_is_no_distribution_is_refused():
    good = softmax_rows()
    for bad in (2 * good, good - good.mean(), torch.full_like(good, torch.nan)):
        for loss in LOSSES.values():
            with pytest.raises(ValueError, match=r"negative or do not sum to 1; give probabilities, for counts"):
                loss(good, bad)
        with pytest.raises(ValueError, match="do not sum to 1"):
            kurtosis_weights(bad)
    with pytest.raises(ValueError, match="over the same bins"):
        emd(good, good[:, :4])
    with pytest.raises(ValueError, match=r"order=0\.5"):
        emd(good, good, order=0.5)
    with pytest.raises(ValueError, match="0 rows"):
        kurtosis_weights(good[:0])
