"""Rényi curves of sampled events against the sampled laws themselves."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import UnsupportedEvent
from accountants.events import (
    RDP,
    ZCDP,
    ApproxDP,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    GroupSampledGaussian,
    Laplace,
    PureDP,
    RandomizedResponse,
)
from accountants.methods.renyi.antipodal import log_moments_replaced
from accountants.methods.renyi.integer_orders import LARGEST
from accountants.methods.renyi.renyi import renyi


def both_directions(p, q, alpha):
    """Divergences of two finite laws, by definition, in floats with exactly known masses."""
    p, q = np.asarray(p, dtype=np.longdouble), np.asarray(q, dtype=np.longdouble)
    return tuple(float(np.log((y * (x / y) ** alpha).sum()) / (alpha - 1)) for x, y in ((p, q), (q, p)))


def coin(eps0):
    kept = 1 / (1 + math.exp(-eps0))
    return np.array([kept, 1 - kept]), np.array([1 - kept, kept])


def discrete_laplace(rate, shift, reach=200):
    x = np.arange(-reach, reach + shift + 1)
    laws = [np.exp(-rate * np.abs(x - centre)) for centre in (shift, 0)]
    return [law / law.sum() for law in laws]


@pytest.mark.parametrize("q", [0.001, 0.1, 0.7])
@pytest.mark.parametrize("alpha", [1.01, 1.5, 2.0, 3.0, 8.5, 40.0])
@pytest.mark.parametrize("rate", [0.3, 1.0, 3.0])
def test_a_poisson_sample_of_pure_noise_is_bounded_in_both_directions(q, alpha, rate):
    pairs = [(DiscreteLaplace(rate, 2), discrete_laplace(rate, 2)), (PureDP(rate), coin(rate))]
    for event, (present, absent) in pairs:
        removed, added = both_directions((1 - q) * absent + q * present, absent, alpha)
        value = float(renyi(event.poisson(q), alpha))
        assert added <= removed * (1 + 1e-9) + 1e-16  # a symmetric pair: the proof in the module
        assert removed <= value * (1 + 1e-9) + 1e-16
        if alpha == int(alpha):
            assert math.isclose(value, removed, rel_tol=1e-6)  # the binomial sum is exact
        assert value < renyi(event, alpha)


@pytest.mark.parametrize(("scale", "q", "alpha"), [(1.0, 0.01, 2), (1.0, 0.3, 5), (0.4, 0.05, 12), (10.0, 0.5, 3)])
def test_a_poisson_sample_of_laplace_noise_is_the_integral_at_integer_orders(scale, q, alpha):
    with mp.workdps(30):
        noise = lambda x: mp.exp(-abs(x) / scale) / (2 * scale)  # noqa: E731
        integrand = lambda x: ((1 - q) * noise(x) + q * noise(x - 1)) ** alpha * noise(x) ** (1 - alpha)  # noqa: E731
        moment = mp.quad(integrand, [-mp.inf, -10 * scale, 0, 0.5, 1, 1 + 10 * scale, mp.inf])
        truth = float(mp.log(moment) / (alpha - 1))
    assert math.isclose(renyi(Laplace(scale).poisson(q), alpha), truth, rel_tol=1e-9)


def test_a_poisson_sample_of_several_kinds_is_the_sum_over_products():
    q, alpha = 0.2, 4.0
    lefts, rights = discrete_laplace(0.5, 1, reach=60), coin(0.7)
    present, absent = (np.multiply.outer(a, b).ravel() for a, b in zip(lefts, rights, strict=True))
    removed, _ = both_directions((1 - q) * absent + q * present, absent, alpha)
    value = float(renyi((DiscreteLaplace(0.5) + PureDP(0.7)).poisson(q), alpha))
    assert math.isclose(value, removed, rel_tol=1e-9)
    apart = renyi(DiscreteLaplace(0.5).poisson(q), alpha) + renyi(PureDP(0.7).poisson(q), alpha)
    assert value > apart  # both see the same batch, which costs more than two batches


@given(q=st.floats(1e-6, 1 - 1e-6), log_ratio=st.floats(-20, 20), b=st.floats(0.5, 60))
def test_the_inequality_behind_symmetric_pairs_holds_pointwise(q, log_ratio, b):
    with mp.workdps(60):
        ratio, q = mp.exp(abs(log_ratio)), mp.mpf(q)
        m, n = 1 - q + q * ratio, 1 - q + q / ratio
        left, right = mp.sqrt(m) * mp.sinh(b * mp.log(m)), ratio * mp.sqrt(n) * mp.sinh(-b * mp.log(n))
        assert left >= right * (1 - mp.mpf(10) ** -30)


@pytest.mark.parametrize(
    "inner", [ZCDP(0.2), RDP((2.0, 64.0), (0.1, 3.0)), Gaussian(2.0) + ZCDP(0.1), Exponential(2.0)]
)
def test_what_has_no_symmetric_pair_is_bounded_by_convexity(inner):
    orders = np.array([1.5, 2.0, 5.0])
    sampled, whole = renyi(inner.poisson(0.1), orders), renyi(inner, orders)
    convex = np.log1p(0.1 * np.expm1((orders - 1) * whole)) / (orders - 1)
    assert np.all(sampled <= convex * (1 + 1e-12))
    assert np.all(sampled < whole)
    # A Gaussian has exactly the curve of ZCDP(rho) but is one pair, and a sample of it costs less.
    assert np.all(renyi(Gaussian(1.0).poisson(0.1), orders) < renyi(ZCDP(0.5).poisson(0.1), orders))


def test_convexity_is_needed_because_a_zcdp_event_may_be_all_in_one_direction():
    """Two laws whose sample costs more than the binomial sum of their own curve, in the direction of adding a record."""
    absent, present = np.array([0.9, 0.1 - 1e-9, 1e-9]), np.array([0.899, 0.1, 0.001])
    q, alpha = 0.5, 3.0
    _, added = both_directions((1 - q) * present + q * absent, present, alpha)
    whole = max(both_directions(present, absent, alpha))
    assert added <= renyi(RDP((alpha,), (whole,)).poisson(q), alpha)


@pytest.mark.parametrize("q", [0.01, 0.4])
@pytest.mark.parametrize("level", [0.2, 2.0, 800.0])
def test_a_sample_of_a_pure_event_never_exceeds_its_amplified_level(q, level):
    amplified = math.log1p(q * math.expm1(level)) if level < 700 else level + math.log(q)
    for event in (PureDP(level), Laplace(1 / level), Exponential(level), PureDP(level / 2) + PureDP(level / 2)):
        assert renyi(event.poisson(q), 1e7) <= amplified * (1 + 1e-12)
        assert renyi(event.fixed_size(round(100 * q), 100), 1e7) <= amplified * (1 + 1e-12)


@pytest.mark.parametrize(("sigma", "q", "size"), [(3.0, 0.05, 4), (10.0, 0.3, 20), (500.0, 0.01, 3000)])
def test_a_sampled_group_is_bounded_in_both_directions(sigma, q, size):
    x = np.linspace(-12 * sigma, size + 12 * sigma, 4001)
    counts = np.arange(min(size, 120) + 1)
    logs = np.array([math.lgamma(size + 1) - math.lgamma(j + 1) - math.lgamma(size - j + 1) for j in counts])
    chances = np.exp(logs + counts * math.log(q) + (size - counts) * math.log1p(-q))
    absent = np.exp(-(x**2) / (2 * sigma**2)) * 1.0
    present = chances @ np.exp(-((x - counts[:, None]) ** 2) / (2 * sigma**2))
    for alpha in (1.5, 3.0):
        true = max(both_directions(present / absent.sum(), absent / absent.sum(), alpha))
        value = renyi(GroupSampledGaussian(sigma, q, size), alpha)
        assert true <= value <= renyi(Gaussian(sigma / size), alpha) * (1 + 1e-8)


def test_a_huge_group_is_charged_whole_and_a_rare_one_hardly():
    whole = float(renyi(GroupSampledGaussian(1e16, 0.5, 10**15), 2.0))
    assert math.isclose(whole, float(renyi(Gaussian(10.0), 2.0)), rel_tol=1e-8)
    one = 20 * 1e-6 * math.expm1(1 / 50**2)  # almost surely none of the records, seldom one
    assert one < renyi(GroupSampledGaussian(50.0, 1e-6, 20), 2.0) < one * 1.001


def slow_antipodal(q, sigma, alpha):
    with mp.workdps(30):
        law = lambda x, c: (1 - q) * mp.npdf(x, 0, sigma) + q * mp.npdf(x, c, sigma)  # noqa: E731
        cuts = [-40 * sigma, -12 * sigma, 0, 1, alpha, 2 * alpha, 2 * alpha + 12 * sigma]
        moment = mp.quad(lambda x: law(x, 1) ** alpha * law(x, -1) ** (1 - alpha), sorted(set(cuts)))
        return float(mp.log(moment))


@pytest.mark.parametrize(
    ("q", "sigma", "alpha"),
    [(0.01, 1.1, 1.25), (0.05, 1.0, 4.0), (0.5, 2.0, 2.7), (0.001, 0.8, 16.0), (0.9, 0.7, 5.0), (0.3, 10.0, 60.0)],
)
def test_replacing_a_record_of_a_poisson_sample_is_the_integral_of_the_antipodal_pair(q, sigma, alpha):
    truth, value = slow_antipodal(q, sigma, alpha), float(log_moments_replaced(q, sigma, np.array([alpha]))[0])
    assert truth * (1 - 1e-13) <= value <= truth * (1 + 1e-9)
    curve = renyi(Gaussian(sigma).poisson(q), alpha, adjacency="replace-one")
    assert math.isclose(curve, value / (alpha - 1), rel_tol=1e-12)
    assert curve > renyi(Gaussian(sigma).poisson(q), alpha)


def test_no_pair_of_gradients_in_the_unit_ball_costs_more_than_the_antipodal_one():
    q, sigma, rng = 0.2, 1.0, np.random.default_rng(3)
    grid = np.linspace(-8, 8, 321)
    x, y = np.meshgrid(grid, grid)
    density = lambda g: np.exp(-((x - g[0]) ** 2 + (y - g[1]) ** 2) / (2 * sigma**2))  # noqa: E731
    for _ in range(20):
        pair = rng.normal(size=(2, 2))
        pair *= (rng.uniform(0.2, 1, size=2) / np.linalg.norm(pair, axis=1))[:, None]
        first, second = ((1 - q) * density((0, 0)) + q * density(g) for g in pair)
        for alpha in (1.5, 3.0, 6.0):
            one = math.log((first**alpha * second ** (1 - alpha)).sum() / first.sum()) / (alpha - 1)
            assert one <= renyi(Gaussian(sigma).poisson(q), alpha, adjacency="replace-one") * (1 + 1e-9)


@pytest.mark.parametrize("sigma", [1e-3, 0.02, 0.2])
@pytest.mark.parametrize("alpha", [1.5, 20.0, 1e5, 1e7])
def test_tiny_noise_and_huge_orders_of_replacement_take_a_valid_shortcut(sigma, alpha):
    value = float(log_moments_replaced(0.01, sigma, np.array([alpha]))[0])
    assert value <= 2 * alpha * (alpha - 1) / sigma**2 * (1 + 1e-12)
    # Never below the removal of a record, which is the special case of a replacement by one that contributes nothing.
    assert value / (alpha - 1) >= float(renyi(Gaussian(sigma).poisson(0.01), alpha)) * (1 - 1e-11)


def test_a_full_sample_moves_from_one_end_of_the_ball_to_the_other():
    orders = np.array([1.5, 8.0])
    assert np.allclose(renyi(Gaussian(2.0).poisson(1), orders, adjacency="replace-one"), renyi(Gaussian(1.0), orders))
    assert np.allclose(renyi(Gaussian(2.0).poisson(1), orders), renyi(Gaussian(2.0), orders))
    near = renyi(Gaussian(2.0).poisson(1 - 1e-9), orders, adjacency="replace-one")
    assert np.allclose(near, renyi(Gaussian(1.0), orders), rtol=1e-6)


@pytest.mark.parametrize(("q", "eps0"), [(0.1, 1.0), (0.5, 3.0), (0.01, 60.0)])
def test_replacing_a_record_of_a_pure_sample_stays_within_the_ratio_of_extremes(q, eps0):
    absent = np.array([0.5, 0.5])
    kept = 1 / (1 + math.exp(-eps0))
    up, down = np.array([kept, 1 - kept]), np.array([1 - kept, kept])  # each at most eps0 from `absent`
    tiny = PureDP(2e-12 * math.sinh(1.0))  # a tiny rate keeps its digits
    assert math.isclose(renyi(PureDP(1.0).poisson(1e-12), 2.0, adjacency="replace-one"), renyi(tiny, 2.0), rel_tol=1e-9)
    for alpha in (2.0, 20.0):
        true = max(both_directions((1 - q) * absent + q * up, (1 - q) * absent + q * down, alpha))
        assert true <= renyi(PureDP(eps0).poisson(q), alpha, adjacency="replace-one")
    level = math.log1p(q * math.expm1(eps0)) - math.log1p(q * math.expm1(-eps0))
    assert math.isclose(renyi(PureDP(eps0).poisson(q), 1e7, adjacency="replace-one"), level, rel_tol=1e-5)


@pytest.mark.parametrize("inner", [Laplace(1.0) + Gaussian(1.0), ZCDP(0.1), DiscreteGaussian(2.0)])
def test_other_replacements_are_refused_and_named(inner):
    with pytest.raises(UnsupportedEvent, match="replace-one"):
        renyi(inner.poisson(0.1), 2.0, adjacency="replace-one")


def test_a_sample_of_what_is_only_stated_for_replacement_is_refused():
    with pytest.raises(UnsupportedEvent, match="krr"):
        renyi(RandomizedResponse(3, 1.0).poisson(0.1), 2.0)


def slow_wang(q, alpha, rho):
    with mp.workdps(40):
        two = mp.exp(rho(2))
        total = 1 + mp.mpf(q) ** 2 * mp.binomial(alpha, 2) * min(4 * (two - 1), 2 * two)
        for j in range(3, alpha + 1):
            total += 2 * mp.mpf(q) ** j * mp.binomial(alpha, j) * mp.exp((j - 1) * rho(j))
        return float(mp.log(total) / (alpha - 1))


@pytest.mark.parametrize(("m", "n", "sigma"), [(10, 1000, 2.0), (100, 1000, 4.0), (1, 3, 1.0)])
@pytest.mark.parametrize("alpha", [2, 3, 17, LARGEST])
def test_a_sample_of_fixed_size_has_the_published_bound_or_a_smaller_one(m, n, sigma, alpha):
    published = slow_wang(m / n, alpha, lambda j: mp.mpf(j) / (2 * mp.mpf(sigma) ** 2))
    convex = float(np.logaddexp(math.log1p(-m / n), math.log(m / n) + (alpha - 1) * alpha / (2 * sigma**2))) / (
        alpha - 1
    )
    assert math.isclose(renyi(Gaussian(sigma).fixed_size(m, n), alpha), min(published, convex), rel_tol=1e-11)


def test_inside_a_sample_of_fixed_size_everything_is_replaced():
    nested = Gaussian(2.0).poisson(0.3).fixed_size(1, 4)
    replaced = renyi(Gaussian(2.0).poisson(0.3), 3.0, adjacency="replace-one")
    assert renyi(nested, 3.0) == renyi(nested, 3.0, adjacency="replace-one")
    # Two draws at rate 0.3 and 1/4 cost at least one at their product, and at most the first.
    assert renyi(Gaussian(2.0).poisson(0.075), 3.0, adjacency="replace-one") <= renyi(nested, 3.0) <= replaced


def test_a_sample_of_fixed_size_costs_at_least_its_attained_case():
    # All other records contribute nothing: the pair of a replaced record in a Poisson sample of the same rate.
    for m, n, sigma in ((10, 1000, 1.0), (50, 100, 3.0), (1, 10_000, 0.5)):
        for alpha in (1.5, 2.0, 6.0, 30.0):
            attained = renyi(Gaussian(2 * sigma).poisson(m / n), alpha, adjacency="replace-one")
            value = renyi(Gaussian(sigma).fixed_size(m, n), alpha)
            assert attained <= value * (1 + 1e-9)
            assert value <= renyi(Gaussian(sigma), alpha)


def test_a_tiny_sample_of_fixed_size_is_bounded_by_brute_force_over_all_data():
    # One of three bits is drawn and answered by randomized response, which is symmetric under replacement.
    for eps0, alpha in itertools.product((0.5, 2.0), (2.0, 3.5, 20.0)):
        one, zero = coin(eps0)
        laws = {ones: (ones * one + (3 - ones) * zero) / 3 for ones in range(4)}
        worst = max(max(both_directions(laws[a], laws[a + 1], alpha)) for a in range(3))
        for event in (RandomizedResponse(2, eps0), PureDP(eps0)):
            assert worst <= renyi(event.fixed_size(1, 3), alpha) < renyi(event, alpha)


def test_samples_without_noise_or_with_failures_are_infinite():
    for event in (Gaussian(0.0).fixed_size(1, 9), ApproxDP(1.0, 1e-9).poisson(0.1), DiscreteGaussian(0.0).poisson(0.1)):
        assert np.all(np.isinf(renyi(event, [1.5, 300.0])))


def test_shape_and_warnings_at_extreme_orders():
    orders = 1 + np.geomspace(1e-4, 1e7, 30)
    for event in (Laplace(1e-3).poisson(0.01), Gaussian(0.3).fixed_size(1, 50), (PureDP(1) * 1000).poisson(1e-9)):
        curve = renyi(event, orders)
        assert np.all(np.isfinite(curve))
        assert np.all(np.diff(curve * (orders - 1)) > 0)
