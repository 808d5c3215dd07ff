"""Trade-off functions against closed forms, and against every single guarantee they are made of."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from accountants.bound import Bound
from accountants.composition import epsilon as composition
from accountants.events import ApproxDP, Gaussian, PureDP, RandomizedResponse
from accountants.guarantees.profile import curve
from accountants.guarantees.tradeoff import Tradeoff, tradeoff

RATES = (0.0, 1e-9, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.5, 0.9, 1.0)


def gaussian_tradeoff(mu, rates):
    """G_mu of Dong, Roth and Su."""
    return ndtr(ndtri(1.0 - np.asarray(rates)) - mu)


def contains(found: Tradeoff, truth, tolerance=1e-12):
    return all(
        bound.lower - tolerance <= value <= bound.upper + tolerance
        for bound, value in zip(found.fnrs, truth, strict=True)
    )


@settings(max_examples=25, deadline=None)
@given(sigma=st.floats(0.15, 30.0))
def test_gaussians_lie_between_the_two_curves_and_give_back_their_mu(sigma):
    rates = RATES[2:]
    found = tradeoff(Gaussian(sigma), rates)
    assert contains(found, gaussian_tradeoff(1.0 / sigma, rates))
    for bound in found.fnrs:  # as tight as promised, with room for the rounding of rates near 1
        assert bound.upper - bound.lower <= 1.1e-3 * (1.0 - bound.lower) + 1e-12
    assert found.mu == pytest.approx(1.0 / sigma, rel=1e-8)
    truth = 2.0 * ndtr(0.5 / sigma) - 1.0
    assert found.advantage.lower - 1e-12 <= truth <= found.advantage.upper + 1e-12


def test_another_mu_does_not_lie_between_the_curves():
    found = tradeoff(Gaussian(1.0), RATES[2:8])
    assert not contains(found, gaussian_tradeoff(1.01, RATES[2:8]))
    assert not contains(found, gaussian_tradeoff(0.99, RATES[2:8]))


@pytest.mark.parametrize("k", [2, 5])
def test_one_randomized_response_is_two_straight_lines_and_a_flat_piece(k):
    eps0 = 1.2
    odds = math.exp(eps0)
    keep = odds / (odds + k - 1)
    other = keep / odds
    # The likelihood ratio takes three values, e^eps0, 1 and e^-eps0; the best tests reject them in that order.
    corners = [(0.0, 1.0), (other, 1.0 - keep), (1.0 - keep, other), (1.0, 0.0)]
    truth = np.interp(RATES, [x for x, _ in corners], [y for _, y in corners])
    found = tradeoff(RandomizedResponse(k, eps0), RATES, adjacency="replace-one")
    assert contains(found, truth)
    assert all(bound.upper - bound.lower < 2e-3 for bound in found.fnrs)


def test_failure_mass_is_seen_at_a_rate_of_zero():
    epsilon, failure = 1.0, 0.01
    found = tradeoff(ApproxDP(epsilon, failure), RATES)
    rates = np.asarray(RATES)
    truth = np.maximum(
        0.0, np.maximum(1.0 - failure - math.exp(epsilon) * rates, math.exp(-epsilon) * (1.0 - failure - rates))
    )
    assert contains(found, truth, tolerance=1e-9)
    assert found.tprs[0].upper >= failure


@pytest.mark.parametrize("event", [Gaussian(2.0) * 3, PureDP(0.3) * 5, ApproxDP(0.5, 1e-4)])
def test_every_single_guarantee_lies_below_the_upper_curve(event):
    found = tradeoff(event, RATES)
    for epsilon in np.linspace(0.0, 6.0, 37):
        (bound,) = curve(event, [float(epsilon)])
        for rate, fnr in zip(RATES, found.fnrs, strict=True):
            line = max(1.0 - bound.upper - math.exp(epsilon) * rate, math.exp(-epsilon) * (1.0 - bound.upper - rate))
            assert line <= fnr.upper + 1e-12


def test_no_noise_and_no_release():
    nothing = tradeoff(PureDP(0.0), RATES)
    assert contains(nothing, [1.0 - rate for rate in RATES])
    assert nothing.mu == 0.0
    assert nothing.advantage.upper == 0.0
    everything = tradeoff(Gaussian(0.0), RATES)
    assert contains(everything, [0.0] * len(RATES))
    assert everything.mu == math.inf
    assert everything.to_dict()["mu"] == "inf"


def test_without_lower_ends_only_the_ceiling_is_known(monkeypatch):
    honest = composition.profile

    def from_above(event, **_):
        return lambda point: Bound(0.0, honest(event)(point).upper, "renyi")

    monkeypatch.setattr(composition, "profile", from_above)
    found = tradeoff(Gaussian(1.0), RATES)
    assert contains(found, gaussian_tradeoff(1.0, RATES))
    for rate, bound, truth in zip(RATES, found.fnrs, gaussian_tradeoff(1.0, RATES), strict=True):
        assert bound.upper >= 1.0 - rate - 1e-12  # a blind guess is all that is certain
        assert truth - bound.lower < 0.002


def test_deltas_known_to_a_width_never_exclude_the_truth(monkeypatch):
    honest = composition.profile

    def coarse(event, **_):
        def delta_at(point):
            bound = honest(event)(point)
            return Bound(0.98 * bound.lower, min(1.0, 1.02 * bound.upper), "coarse")

        return delta_at

    monkeypatch.setattr(composition, "profile", coarse)
    for sigma in (0.3, 1.0, 7.0):
        assert contains(tradeoff(Gaussian(sigma), RATES), gaussian_tradeoff(1.0 / sigma, RATES))


def test_true_positive_rates_are_one_minus_false_negative_rates_rounded_outwards():
    found = tradeoff(Gaussian(1.0))
    assert found.fprs == (1e-3, 1e-2, 0.1)
    for tpr, fnr in zip(found.tprs, found.fnrs, strict=True):
        assert tpr.lower <= 1.0 - fnr.upper <= 1.0 - fnr.lower <= tpr.upper
    assert found.to_dict()["fprs"] == [1e-3, 1e-2, 0.1]


@pytest.mark.parametrize("event", [ApproxDP(8252.0, 1e-4), RandomizedResponse(10, 3.0) * 4000, Gaussian(0.01)])
def test_releases_that_protect_nothing_are_told_without_a_warning(event):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tradeoff(event, [0.01], adjacency="replace-one").tprs[0].upper == 1.0


@pytest.mark.parametrize("rates", [[], [-0.1], [1.1], [math.nan], [True]])
def test_rates_out_of_range_are_refused(rates):
    with pytest.raises((ValueError, TypeError), match="fpr"):
        tradeoff(Gaussian(1.0), rates)
