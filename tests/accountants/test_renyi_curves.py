"""Rényi curves against sums and integrals in 50 digits."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import (
    ApproxDP,
    Composed,
    Event,
    Gaussian,
    GNMax,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    UnsupportedEvent,
    renyi,
)
from accountants.methods.renyi.sampled import log_moments


def log_moment(q, sigma, alpha):
    return float(log_moments(q, sigma, np.array([float(alpha)]))[0])


def slow_response(k, eps0, alpha):
    with mp.workdps(50):
        grown, alpha = mp.exp(mp.mpf(eps0)), mp.mpf(alpha)
        p, q = grown / (grown + k - 1), 1 / (grown + k - 1)
        return mp.log(p**alpha * q ** (1 - alpha) + q**alpha * p ** (1 - alpha) + (k - 2) * q) / (alpha - 1)


def slow_sampled(q, sigma, alpha):
    """Binomial sum, exact for integer orders."""
    with mp.workdps(60):
        q, sigma = mp.mpf(q), mp.mpf(sigma)
        terms = (
            mp.binomial(alpha, i) * (1 - q) ** (alpha - i) * q**i * mp.exp((i * i - i) / (2 * sigma**2))
            for i in range(alpha + 1)
        )
        return mp.log(mp.fsum(terms))


@given(k=st.integers(2, 50), eps0=st.floats(1e-9, 50), alpha=st.floats(1.0001, 500))
def test_renyi_of_response_agrees_with_direct_sum(k, eps0, alpha):
    assert math.isclose(renyi(RandomizedResponse(k, eps0), alpha), slow_response(k, eps0, alpha), rel_tol=1e-12)


def test_renyi_of_response_example_values():
    curve = renyi(RandomizedResponse(k=10, eps0=1), [2, 8, 64])
    assert np.round(curve, 6).tolist() == [0.296130, 0.791647, 0.976807]


def test_renyi_of_response_cannot_overflow():
    curve = renyi(RandomizedResponse(k=10, eps0=5000), np.array([1.001, 2, 1e6]))
    assert np.all(np.isfinite(curve))
    assert np.all(curve <= 5000)


@given(log_q=st.floats(-20, -0.01), log_sigma=st.floats(-1.5, 6), alpha=st.integers(2, 80))
def test_renyi_of_a_poisson_sample_is_never_below_the_binomial_sum(log_q, log_sigma, alpha):
    q, sigma = math.exp(log_q), math.exp(log_sigma)
    truth = slow_sampled(q, sigma, alpha)
    value = log_moment(q, sigma, alpha)
    assert value >= truth
    # Rounding of the subtracted mean weighs 1e-15 of alpha q E|ratio - 1|.
    noise = 1e-15 * alpha * q * min(2.0, 2.0 / sigma) + 1e-17 * alpha * q
    assert value <= truth * (1 + 1e-9) + noise


def test_renyi_of_a_poisson_sample_at_any_order_matches_quadrature():
    for q, sigma, alpha in [(0.01, 1.1, 1.25), (0.2, 2.0, 2.7), (0.004, 0.8, 31.5), (0.5, 0.5, 1.01)]:
        with mp.workdps(40):
            ratio = lambda x, s=sigma: mp.exp((2 * x - 1) / (2 * s * s))  # noqa: E731
            moment = mp.quad(
                lambda x: mp.npdf(x, 0, sigma) * (1 - q + q * ratio(x)) ** alpha,  # noqa: B023
                [-12 * sigma, 0, 1, alpha / 2, alpha, alpha + 12 * sigma],
            )
            truth = mp.log(moment)
        value = log_moment(q, sigma, alpha)
        assert truth <= value <= truth * (1 + 1e-10)


def test_orders_do_not_disturb_each_other():
    orders = np.concatenate([1 + np.geomspace(1e-4, 1e8, 50), [2.0, 300.0, 1.5]])
    for q, sigma in [(0.01, 1.1), (1e-5, 20.0), (0.5, 0.1)]:
        together = log_moments(q, sigma, orders)
        assert np.allclose(together, [log_moment(q, sigma, alpha) for alpha in orders], rtol=1e-11, atol=1e-18)


@pytest.mark.parametrize("sigma", [1e-3, 1e-2, 0.05])
@pytest.mark.parametrize("alpha", [1.5, 20.0, 1e5, 1e8])
def test_tiny_noise_and_huge_orders_take_a_valid_shortcut(sigma, alpha):
    value = log_moment(0.01, sigma, alpha)
    assert value <= alpha * (alpha - 1) / (2 * sigma**2) * (1 + 1e-12)  # never worse than no sampling
    # Never below the largest single term of the binomial sum: everything sampled.
    assert value >= alpha * math.log(0.01) + alpha * (alpha - 1) / (2 * sigma**2) - 1e-9 * alpha**2 / sigma**2


def test_other_curves():
    orders = np.array([1.5, 2.0, 32.0])
    assert np.allclose(renyi(Gaussian(2.0), orders), orders / 8, rtol=1e-15)
    assert np.allclose(renyi(GNMax(40.0), orders), orders / 1600, rtol=1e-14)
    assert np.array_equal(renyi(PureDP(1.0), orders), renyi(RandomizedResponse(2, 1.0), orders))
    assert np.array_equal(renyi(PriorResponse(4, 1.0), orders), renyi(RandomizedResponse(4, 1.0), orders))
    assert np.all(renyi(PriorResponse(1, 1.0), orders) == 0)
    assert np.all(np.isinf(renyi(ApproxDP(1.0, 1e-9), orders)))
    assert np.array_equal(renyi(ApproxDP(1.0, 0.0), orders), renyi(PureDP(1.0), orders))
    assert np.all(np.isinf(renyi(Gaussian(0.0), orders)))
    assert np.all(np.isinf(renyi(Gaussian(0.0).poisson(0.1), orders)))
    assert np.all(renyi(Composed(()), orders) == 0)


def test_shape_of_the_orders_is_kept():
    for alpha in (2.0, [2.0], np.full((2, 3), 2.0)):
        for event in (
            Gaussian(1.0),
            PureDP(1.0),
            Gaussian(1.0).poisson(0.1),
            Gaussian(1.0) * 2,
            Composed(()),
        ):
            assert np.shape(renyi(event, alpha)) == np.shape(alpha)


def test_counts_scale_the_curve():
    event = Gaussian(1.1).poisson(0.01)
    assert math.isclose(renyi(event * 1000, 4.0), 1000 * renyi(event, 4.0), rel_tol=1e-14)
    both = event * 3 + RandomizedResponse(3, 1.0) * 2
    assert math.isclose(renyi(both, 4.0), 3 * renyi(event, 4.0) + 2 * renyi(RandomizedResponse(3, 1.0), 4.0))


@pytest.mark.parametrize("bad", [1.0, 0.5, -2.0, math.nan])
def test_orders_must_be_above_one(bad):
    with pytest.raises(ValueError, match="alpha="):
        renyi(Gaussian(1.0), bad)


def test_events_without_a_curve_are_named():
    class Unheard(Event):
        type_name = "unheard"

        def __repr__(self):
            return "unheard()"

    with pytest.raises(UnsupportedEvent, match="Unheard"):
        renyi(Unheard(), 2.0)
    with pytest.raises(UnsupportedEvent, match="krr"):
        renyi(RandomizedResponse(3, 1.0).poisson(0.1) * 4, 2.0)
