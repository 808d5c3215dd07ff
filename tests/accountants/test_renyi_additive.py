"""Rényi curves of additive noise against integrals and sums in 40 digits, by the definition of the divergence."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants.events import (
    GDP,
    ConfidentGNMax,
    DiscreteGaussian,
    DiscreteLaplace,
    Gaussian,
    GNMax,
    Laplace,
    LNMax,
    MatrixFactorization,
    TreeAggregation,
)
from accountants.methods.renyi.renyi import renyi

ORDERS = [1.001, 1.5, 2.0, 3.7, 16.0]


def slow_sum(log_p, shift, alpha, reach):
    """log of the sum of P^a Q^(1-a) / (a - 1) for noise on the integers and its shifted copy."""
    with mp.workdps(40):
        masses = {x: mp.exp(log_p(x)) for x in range(-reach - shift, reach + shift + 1)}
        total = mp.fsum(masses.values())
        moment = mp.fsum(
            masses[x] ** alpha * masses[x - shift] ** (1 - alpha) for x in range(-reach, reach + shift + 1)
        )
        return float(mp.log(moment / total) / (alpha - 1))


def between_centres(x, eps0, order):
    """P^a Q^(1-a) for centres 0 and 1."""
    return eps0 / 2 * mp.exp(-order * eps0 * x - (1 - order) * eps0 * (1 - x))


@pytest.mark.parametrize("scale", [1e-2, 0.3, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("alpha", ORDERS)
def test_renyi_of_laplace_noise_is_the_integral(scale, alpha):
    with mp.workdps(60):
        eps0, order = 1 / mp.mpf(scale), mp.mpf(alpha)
        outside = (mp.exp((order - 1) * eps0) + mp.exp(-order * eps0)) / 2
        inside = mp.quad(lambda x: between_centres(x, eps0, order), mp.linspace(0, 1, 33))
        truth = float(mp.log(outside + inside) / (order - 1))
    assert math.isclose(renyi(Laplace(scale), alpha), truth, rel_tol=1e-12)


@given(log_scale=st.floats(-5, 12), log_above=st.floats(-9, 15))
def test_renyi_of_laplace_noise_keeps_its_digits(log_scale, log_above):
    scale, alpha = math.exp(log_scale), 1.0 + math.exp(log_above)
    with mp.workdps(80):
        eps0, order = 1 / mp.mpf(scale), mp.mpf(alpha)
        moment = order * mp.exp((order - 1) * eps0) + (order - 1) * mp.exp(-order * eps0)
        truth = float(mp.log(moment / (2 * order - 1)) / (order - 1))
    value = float(renyi(Laplace(scale), alpha))
    assert math.isclose(value, truth, rel_tol=1e-12)
    assert value <= 1 / scale


@pytest.mark.parametrize(("rate", "shift"), [(0.2, 1), (1.0, 2), (0.7, 3), (0.05, 8), (30.0, 1)])
@pytest.mark.parametrize("alpha", ORDERS)
def test_renyi_of_discrete_laplace_noise_is_the_sum(rate, shift, alpha):
    truth = slow_sum(lambda x: -mp.mpf(rate) * abs(x), shift, alpha, reach=int(100 / rate) + 40)
    assert math.isclose(renyi(DiscreteLaplace(rate, shift), alpha), truth, rel_tol=1e-11)


def test_discrete_laplace_noise_of_huge_sensitivity_falls_back_to_its_pure_guarantee():
    value = float(renyi(DiscreteLaplace(1e-6, 10**6), 4.0))
    assert float(renyi(DiscreteLaplace(1e-3, 10**3), 4.0)) < value <= 1.0
    # It is not the curve of small sensitivities, which would be too low: one atom instead of a million.
    assert value > float(renyi(DiscreteLaplace(1e-6, 1), 4.0))


@pytest.mark.parametrize(("sigma", "shift"), [(0.3, 1), (0.39, 2), (0.41, 1), (1.0, 1), (2.0, 3), (7.5, 2)])
@pytest.mark.parametrize("alpha", ORDERS)
def test_renyi_of_discrete_gaussian_noise_is_the_sum(sigma, shift, alpha):
    reach = int(14 * sigma + alpha * shift) + 12
    truth = slow_sum(lambda x: -(mp.mpf(x) ** 2) / (2 * mp.mpf(sigma) ** 2), shift, alpha, reach)
    assert math.isclose(renyi(DiscreteGaussian(sigma, shift), alpha), truth, rel_tol=1e-12)


def test_discrete_gaussian_noise_costs_at_most_what_continuous_noise_does():
    orders = 1 + np.geomspace(1e-4, 1e7, 40)
    for sigma in (1e-3, 0.2, 0.4, 1.0, 50.0):
        discrete, continuous = renyi(DiscreteGaussian(sigma, 2), orders), renyi(Gaussian(sigma / 2), orders)
        assert np.all(discrete <= continuous * (1 + 1e-15))
        assert np.all(discrete > 0)
    # Small noise on integers is visibly cheaper in between: the sum is not replaced by its bound.
    # At the order 1.5 two integers are equally near: 2 e^(-1 / (8 sigma^2)) instead of 1.
    saved = (1 / (8 * 0.2**2) - math.log(2)) / 0.5
    assert math.isclose(renyi(Gaussian(0.2), 1.5) - renyi(DiscreteGaussian(0.2), 1.5), saved, rel_tol=1e-4)


def test_a_larger_sensitivity_never_costs_less():
    orders = 1 + np.geomspace(1e-3, 100, 30)
    for make in (
        lambda s: DiscreteGaussian(0.3, s),
        lambda s: DiscreteGaussian(3.0, s),
        lambda s: DiscreteLaplace(0.5, s),
    ):
        curves = np.array([renyi(make(shift), orders) for shift in range(1, 7)])
        assert np.all(np.diff(curves, axis=0) > 0)


def test_events_that_are_gaussians_have_their_curves():
    orders = np.array([1.5, 2.0, 32.0])
    assert np.allclose(renyi(GDP(0.5), orders), orders / 8, rtol=1e-14)
    assert np.allclose(renyi(MatrixFactorization(3.0, 1.5), orders), orders / 8, rtol=1e-14)
    assert np.allclose(renyi(TreeAggregation(4.0, 7, restarts=5), orders), 15 * orders / 32, rtol=1e-14)
    confident = ConfidentGNMax(300, 50.0, 20.0, checked=100, answered=30)
    assert np.allclose(renyi(confident, orders), 100 * orders / 5000 + 30 * orders / 400, rtol=1e-13)


def test_votes_under_laplace_noise_move_two_counts():
    orders = np.array([1.5, 2.0, 32.0])
    assert np.array_equal(renyi(LNMax(20.0), orders), 2 * renyi(Laplace(20.0), orders))
    pure = 2 / 20
    published = np.minimum(0.5 * orders * pure**2, pure)  # Papernot et al. 2017
    assert np.all(renyi(LNMax(20.0), orders) <= published)
    assert np.all(renyi(LNMax(20.0), orders) > renyi(Laplace(20.0), orders))


@pytest.mark.parametrize("event", [Laplace(1e-310), DiscreteGaussian(0.0), DiscreteGaussian(1e-200), GNMax(0.0)])
def test_no_noise_is_infinite_and_no_error(event):
    assert np.all(np.isinf(renyi(event, [1.5, 100.0])))


@pytest.mark.parametrize("above", [1e-14, 1e-12, 1e-9, 1e-6, 1e-3, 0.3, 0.5, 0.7, 1.0, 3.5])
@pytest.mark.parametrize("sigma", [0.05, 0.2, 0.39, 0.4, 1.0])
@pytest.mark.parametrize("shift", [1, 2, 7])
def test_discrete_gaussian_keeps_its_digits_also_near_order_1(sigma, shift, above):
    order = 1.0 + above
    with mp.workdps(60):
        exact, scale = mp.mpf(order), 2 * mp.mpf(sigma) ** 2
        centre = round(order * shift)
        whole = range(centre - 25, centre + 26)  # 25 > 8 sigma + 1 standard deviations: the rest is below 1e-80
        mass = mp.fsum(mp.exp(-(mp.mpf(x) ** 2) / scale) for x in range(-40, 41))
        moment = mp.fsum(mp.exp(-(exact * (x - shift) ** 2 + (1 - exact) * x**2) / scale) for x in whole)
        truth = mp.log(moment / mass) / (exact - 1)
    assert math.isclose(renyi(DiscreteGaussian(sigma, shift), order), truth, rel_tol=2e-15)
