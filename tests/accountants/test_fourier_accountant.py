"""Fourier inversion against direct convolution, closed forms, the reference values and its own ablations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events import Gaussian, PureDP, RandomizedResponse
from accountants.methods.exact import gaussian
from accountants.methods.fourier import ends, inversion
from accountants.methods.fourier.accountant import delta_of, epsilon_of, unsupported_part
from accountants.methods.fourier.loss_sum import loss_sum
from accountants.methods.renyi.conversion import rdp_epsilon

ADD_REMOVE = Adjacency.ADD_REMOVE


def run(sigma, q, count):
    return {Gaussian(sigma).poisson(q): count}


def cell_masses(sigma, q, sign, edges):
    """P-mass and Q-mass of the losses between edges, for one release."""
    argument = np.expm1(sign * edges) + q
    x = np.where(argument > 0, sigma**2 * np.log(np.maximum(argument, 1e-300) / q) + 0.5, -40.0 * sigma)
    with_record = (1 - q) * ndtr(x / sigma) + q * ndtr((x - 1) / sigma)
    without = ndtr(x / sigma)
    p, r = (with_record, without) if sign > 0 else (without, with_record)
    return sign * np.diff(p), sign * np.diff(r)


def convolved(sigma, q, count, epsilon, sign, step, upper):
    """delta by plain convolution of laws rounded up (or down) to a grid: slow, first order, obvious."""
    low, high = (math.log1p(-q) * 1.0001, 12.0) if sign > 0 else (-12.0, -math.log1p(-q) * 1.0001)
    first, last = math.floor(low / step), math.ceil(high / step)
    edges = step * np.arange(first, last + 1)
    p, _ = cell_masses(sigma, q, sign, edges)
    law, start = p, first + (1 if upper else 0)
    total = np.array([1.0])
    for _ in range(count):
        total = np.convolve(total, law)
    losses = step * (count * start + np.arange(len(total)))
    missing = count * (1.0 - p.sum()) if upper else 0.0
    return float(np.sum(total * np.maximum(0.0, -np.expm1(np.minimum(epsilon - losses, 0.0))))) + missing


@pytest.mark.parametrize(("sigma", "q", "count", "epsilon"), [(1.0, 0.3, 12, 1.0), (2.0, 0.5, 14, 0.5)])
def test_delta_lies_between_slow_convolutions(sigma, q, count, epsilon):
    # A Gaussian beside the samples lets the spectrum decay, so that a few steps are enough; its loss is split off here.
    found = delta_of({**run(sigma, q, count), Gaussian(1e4): 1}, epsilon, ADD_REMOVE)
    slack = 1e-3  # the noisy extra Gaussian can only shift the loss by a little: N(5e-9, 1e-8)
    lower = max(convolved(sigma, q, count, epsilon + slack, sign, 4e-3, upper=False) for sign in (1, -1))
    upper = max(convolved(sigma, q, count, epsilon - slack, sign, 4e-3, upper=True) for sign in (1, -1))
    assert lower <= found.upper
    assert found.lower <= upper
    assert upper / lower < 1.5


@pytest.mark.parametrize(
    ("sigma", "q", "count", "delta", "lower", "upper"),
    [
        (1.1, 0.01, 1_000, 1e-5, 1.51533, 1.51537),
        (1.1, 0.01, 10_000, 1e-5, 5.19233, 5.19262),
        (1.1, 0.01, 100_000, 1e-5, 21.08948, 21.08952),
        (1.1, 0.01, 1_000_000, 1e-5, 110.78987, 110.78999),
    ],
)
def test_published_training_runs_lie_in_the_certified_intervals(sigma, q, count, delta, lower, upper):
    found = epsilon_of(run(sigma, q, count), delta, ADD_REMOVE)
    assert lower <= found.lower <= found.upper <= upper
    assert found.upper - found.lower < 1e-7 * found.upper


def test_no_sampling_is_the_gaussian_curve():
    for mu in (0.05, 0.5, 3.0):
        for delta in (1e-12, 1e-5, 0.01):
            low, high = gaussian.epsilon_of(mu, delta)
            found = epsilon_of({Gaussian(1.0 / mu): 1}, delta, ADD_REMOVE)
            assert found.lower <= high
            assert low <= found.upper
            assert found.upper - found.lower <= 1e-7 * (1.0 + found.upper)


def test_epsilon_and_delta_are_inverse():
    for parts in (run(1.1, 0.01, 5_000), run(4.0, 0.2, 800), {**run(2.0, 0.05, 2_000), Gaussian(5.0): 1}):
        found = epsilon_of(parts, 1e-6, ADD_REMOVE)
        at_upper, at_lower = delta_of(parts, found.upper, ADD_REMOVE), delta_of(parts, found.lower, ADD_REMOVE)
        assert at_upper.lower <= 1e-6 <= at_lower.upper
        assert math.isclose(at_upper.upper, 1e-6, rel_tol=1e-5)


def test_the_cost_ignores_the_count():
    for count in (10**4, 10**7, 10**10):
        found = epsilon_of(run(20.0, 0.01, count), 1e-6, ADD_REMOVE)
        assert found.settings["lines"] < 200


def test_small_deltas_are_resolved():
    for delta in (1e-10, 1e-15, 1e-30, 1e-100):
        found = epsilon_of(run(1.1, 0.01, 10_000), delta, ADD_REMOVE)
        assert found.upper - found.lower < 1e-6 * found.upper
        assert found.upper < rdp_epsilon(run(1.1, 0.01, 10_000), delta)[0]


def test_a_thousand_different_steps():
    random = np.random.default_rng(0)
    pairs = zip(random.uniform(0.8, 3.0, 1000), random.uniform(0.001, 0.02, 1000), strict=True)
    parts = {Gaussian(round(float(sigma), 4)).poisson(round(float(q), 5)): 1 for sigma, q in pairs}
    found = epsilon_of(parts, 1e-5, ADD_REMOVE)
    assert 1.55216 <= found.lower <= found.upper <= 1.55273
    assert found.upper - found.lower < 1e-6


@settings(max_examples=12, deadline=None)
@given(
    sigma=st.floats(0.6, 8.0),
    q=st.floats(2e-3, 0.5),
    count=st.integers(1_000, 100_000),
    delta=st.sampled_from([1e-3, 1e-5, 1e-9]),
)
def test_rényi_is_never_below_and_more_of_anything_costs_more(sigma, q, count, delta):
    try:
        found = epsilon_of(run(sigma, q, count), delta, ADD_REMOVE)
        more = epsilon_of(run(sigma, q, count + count // 100), delta, ADD_REMOVE)
        noisier = epsilon_of(run(1.01 * sigma, q, count), delta, ADD_REMOVE)
    except ResolutionError:
        return
    assert found.lower <= found.upper
    assert found.lower <= rdp_epsilon(run(sigma, q, count), delta)[0]
    assert more.upper >= found.lower
    assert noisier.lower <= found.upper


def test_few_steps_are_refused_rather_than_guessed():
    with pytest.raises(ResolutionError, match="lattice"):
        epsilon_of(run(0.5, 0.2, 2), 1e-5, ADD_REMOVE, blur=False)


def test_what_does_not_fit_is_named():
    assert unsupported_part(run(1.0, 0.1, 3), ADD_REMOVE) is None
    assert unsupported_part(run(1.0, 0.1, 3), Adjacency.REPLACE_ONE) == Gaussian(1.0).poisson(0.1)
    assert unsupported_part({PureDP(1.0): 1}, ADD_REMOVE) == PureDP(1.0)
    assert unsupported_part({RandomizedResponse(3, 1.0).poisson(0.1): 1}, ADD_REMOVE) is not None


def test_losses_beyond_reach_have_an_upper_bound_only():
    found = delta_of(run(1.1, 0.01, 10_000), 300.0, ADD_REMOVE)
    assert found.lower == 0.0
    assert 0.0 < found.upper < 1e-200


def ends_without(monkeypatch, name, value):
    monkeypatch.setattr(inversion, "_MARGIN", 0.0)  # of lines summed beyond those that seem to be needed
    monkeypatch.setattr(inversion, name, value)
    return epsilon_of(run(1.1, 0.01, 1_000), 1e-5, ADD_REMOVE)


def test_a_short_period_only_widens_the_interval(monkeypatch):
    exact = epsilon_of(run(1.1, 0.01, 1_000), 1e-5, ADD_REMOVE)
    found = ends_without(monkeypatch, "_ALIAS", 1e-3)
    assert found.lower <= exact.upper
    assert found.upper >= exact.lower
    assert found.upper - found.lower > 10 * (exact.upper - exact.lower)


def test_few_lines_only_widen_the_interval(monkeypatch):
    exact = epsilon_of(run(1.1, 0.01, 1_000), 1e-5, ADD_REMOVE)
    found = ends_without(monkeypatch, "_LOG_NOTHING", -7.0)
    assert found.lower <= exact.upper
    assert found.upper >= exact.lower
    assert found.upper - found.lower > 10 * (exact.upper - exact.lower)


def test_lines_left_out_without_being_counted_would_be_noticed(monkeypatch):
    exact = epsilon_of(run(1.1, 0.01, 1_000), 1e-5, ADD_REMOVE)
    monkeypatch.setattr(inversion.Contour, "_far_lines", lambda self, step: 0.0)
    found = ends_without(monkeypatch, "_LOG_NOTHING", -5.0)
    assert found.upper < exact.lower or found.lower > exact.upper


def test_one_direction_alone_can_be_too_low():
    # Where much is sampled and little noise is added, adding a record is not the worse direction; both are computed.
    both = epsilon_of(run(1.1, 0.01, 10_000), 1e-5, ADD_REMOVE)
    totals = [loss_sum(run(1.1, 0.01, 10_000), sign, math.log(1e-15)) for sign in (1, -1)]
    alone = [ends.epsilon_on(inversion.Contour(one, one.aim_at_delta(1e-5)), 1e-5) for one in totals]
    assert both.upper == max(one.upper for one in alone)
    assert both.lower == max(one.lower for one in alone)
    assert alone[1].upper < 0.999 * alone[0].lower
