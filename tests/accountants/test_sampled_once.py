"""One sampled Gaussian release in closed form: against integrals in many digits, both directions."""

import math

import mpmath as mp
import pytest

from accountants import Gaussian, delta, epsilon
from accountants.methods.exact.sampled_once import delta_of, epsilon_of


def integral(q, sigma, eps):
    """The larger hockey-stick divergence of the two directions, by quadrature."""
    with mp.workdps(30):
        q, sigma, factor = mp.mpf(q), mp.mpf(sigma), mp.e ** mp.mpf(eps)

        def with_record(x):
            return (1 - q) * mp.npdf(x, 0, sigma) + q * mp.npdf(x, 1, sigma)

        def without(x):
            return mp.npdf(x, 0, sigma)

        def crossing(ratio):
            return None if ratio <= 1 - q else sigma**2 * mp.log((ratio - 1 + q) / q) + mp.mpf(1) / 2

        right, left = crossing(factor), crossing(1 / factor)
        cuts = [right + k * sigma for k in (0, 1, 3, 7, 15)]
        removed = mp.quad(lambda x: with_record(x) - factor * without(x), cuts)
        added = mp.mpf(0)
        if left is not None:
            cuts = [left - k * sigma for k in (15, 7, 3, 1, 0)]
            added = mp.quad(lambda x: without(x) - factor * with_record(x), cuts)
        return max(removed, added)


@pytest.mark.parametrize(
    ("q", "sigma", "eps"), [(0.2, 0.5, 1.0), (0.01, 1.1, 0.0), (0.01, 1.1, 0.3), (0.9, 3.0, 0.05), (1e-6, 0.3, 2.0)]
)
def test_delta_is_the_integral(q, sigma, eps):
    lower, upper = delta_of(q, sigma, eps)
    truth = integral(q, sigma, eps)
    assert lower <= truth <= upper
    assert upper - lower <= 1e-9 * upper


@pytest.mark.parametrize(("q", "sigma", "target"), [(0.2, 0.5, 1e-5), (0.01, 1.1, 1e-9), (0.9, 3.0, 1e-3)])
def test_epsilon_solves_for_delta(q, sigma, target):
    lower, upper = epsilon_of(q, sigma, target)
    assert delta_of(q, sigma, upper)[1] <= target <= delta_of(q, sigma, lower)[1]
    assert upper - lower <= 1e-8 * upper
    by_lattice = epsilon(Gaussian(sigma).poisson(q), target, method="lattice")
    assert by_lattice.lower <= upper
    assert lower <= by_lattice.upper


def test_a_record_that_is_hardly_ever_drawn_costs_nothing():
    assert epsilon(Gaussian(0.3).poisson(1e-5), 1e-5).upper == 0.0
    assert epsilon(Gaussian(0.3).poisson(1e-7) * 99, 1e-5).upper == 0.0
    assert epsilon(Gaussian(0.3).poisson(1e-7) * 101, 1e-5).upper > 0.0


def test_delta_never_exceeds_the_chance_of_being_drawn():
    for count in (1, 2, 50):
        drawn = -math.expm1(count * math.log1p(-0.001))
        assert delta(Gaussian(0.05).poisson(0.001) * count, 0.0).upper <= drawn * (1 + 1e-12)


@pytest.mark.parametrize("eps", [709.0, 709.8, 800.0, 1e4, 1e300])
@pytest.mark.parametrize("q", [1e-300, 1e-3, 0.5, 1.0 - 2.0**-53])
def test_no_epsilon_is_too_large_for_any_rate(q, eps):
    lower, upper = delta_of(q, 0.02, eps)
    assert 0.0 <= lower <= upper <= q * (1.0 + 1e-13) + 2.0**-46


def test_a_release_with_hardly_any_noise_is_resolved():
    bound = epsilon(Gaussian(0.02).poisson(1e-3), 1e-5)
    assert 1358.0 < bound.lower <= bound.upper < bound.lower + 1e-6
    assert delta_of(1e-3, 0.02, bound.upper)[1] <= 1e-5
    assert delta(Gaussian(1.0).poisson(1e-3), 800.0).upper < 1e-300


@pytest.mark.parametrize("q", [0.9, 0.99, 1.0 - 1e-6])
def test_both_directions_count_as_long_as_they_are_there(q):
    eps = 0.5 * (1.0 / q - math.log1p(-q))  # adding a record ends at -log(1 - q), which is beyond 1 / q here
    lower, upper = delta_of(q, 1.0, eps)
    assert lower <= integral(q, 1.0, eps) <= upper
