"""Events of groups of records: each against its definition, a chain of changes of single records or the shifted noise."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from accountants import ApproxDP, Composed, Gaussian, GNMax, PureDP, RandomizedResponse, UnsupportedEvent, epsilon
from accountants.events import (
    GDP,
    RDP,
    ZCDP,
    ConfidentGNMax,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Laplace,
    LNMax,
    MatrixFactorization,
    PriorResponse,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    normal_form,
    parallel,
)
from accountants.events.group_privacy import group, group_privacy
from accountants.events.person_groups import GroupSampledGaussian


@pytest.mark.parametrize(
    ("event", "grouped"),
    [
        (Gaussian(4.0), Gaussian(2.0)),
        (Laplace(4.0), Laplace(2.0)),
        (DiscreteGaussian(4.0, 3), DiscreteGaussian(4.0, 6)),
        (DiscreteLaplace(0.25, 3), DiscreteLaplace(0.25, 6)),
        (GNMax(8.0, votes=(3, 4)), GNMax(4.0)),
        (ConfidentGNMax(5.0, 8.0, 4.0, 10, 3), ConfidentGNMax(5.0, 4.0, 2.0, 10, 3)),
        (LNMax(8.0), LNMax(4.0)),
        (TreeAggregation(8.0, 100, 2), TreeAggregation(4.0, 100, 2)),
        (MatrixFactorization(8.0, 1.5), MatrixFactorization(4.0, 1.5)),
        (SparseVector(8.0, 3), SparseVector(4.0, 3)),
        (RandomizedResponse(10, 0.25), PureDP(0.5)),
        (SubsetResponse(10, 2, 0.25), PureDP(0.5)),
        (PriorResponse(10, 0.25), PureDP(0.5)),
        (PriorResponse(1, 0.25), PriorResponse(1, 0.25)),
        (PureDP(0.25), PureDP(0.5)),
        (Exponential(0.25), Exponential(0.5)),
        (Exponential(0.25, "pure"), Exponential(0.5, "pure")),
        (GDP(0.25), GDP(0.5)),
        (ZCDP(0.25), ZCDP(1.0)),
        (ZCDP(0.25, 0.5), ZCDP(1.0, 1.5)),
        (Gaussian(4.0).poisson(0.1) * 7, GroupSampledGaussian(4.0, 0.1, 2) * 7),
        ((Gaussian(4.0) * 4).poisson(0.1), GroupSampledGaussian(2.0, 0.1, 2)),
        (Gaussian(4.0).poisson(0.0), Composed(())),
        (Gaussian(4.0) * 3 + PureDP(0.25), Gaussian(2.0) * 3 + PureDP(0.5)),
    ],
)
def test_events_of_two_records(event, grouped):
    assert group(event, 2) == grouped
    assert group(event, 1) == event


@given(size=st.integers(2, 10**6), sigma=st.floats(1e-3, 1e6), level=st.floats(1e-6, 1e3))
def test_numbers_are_rounded_to_the_private_side(size, sigma, level):
    assert Fraction(group(Gaussian(sigma), size).sigma) * size <= Fraction(sigma)
    assert Fraction(group(PureDP(level), size).epsilon) >= Fraction(level) * size
    assert group(PureDP(level), size).epsilon <= level * size * (1 + 1e-15)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_laplace_noise_shifted_by_the_whole_group(size):
    scale, eps = 4.0, 0.1
    x = np.linspace(-100 * scale, 100 * scale + size, 2_000_001)
    one, other = (np.diff(np.where(y < 0, np.exp(y) / 2, 1 - np.exp(-y) / 2)) for y in ((x - size) / scale, x / scale))
    shifted = np.maximum(one - math.exp(eps) * other, 0.0).sum()
    closed = 1 - math.exp((eps - 1 / group(Laplace(scale), size).scale) / 2)
    assert shifted == pytest.approx(closed, rel=1e-3)


@pytest.mark.parametrize("size", [2, 3])
def test_several_responses_of_a_group_cost_no_more_than_its_pure_guarantee(size):
    for delta in (1e-6, 1e-2):
        together = epsilon(RandomizedResponse(5, 0.5) * size, delta, adjacency="replace-one").lower
        assert together <= epsilon(group(RandomizedResponse(5, 0.5), size), delta, adjacency="replace-one").upper


@given(utilities=st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=3, max_size=5))
def test_ranges_of_exponential_mechanisms_add_up_along_a_chain(utilities):
    log_laws = [np.array(one) - np.logaddexp.reduce(one) for one in utilities]
    ranges = [np.ptp(after - before) for before, after in itertools.pairwise(log_laws)]
    whole = np.ptp(log_laws[-1] - log_laws[0])
    assert whole <= group(Exponential(float(max(ranges))), len(ranges)).epsilon + 1e-12


def triangle(first, second, order, split):
    """Mironov 2017: D_a(P, R) <= (a - 1/p) / (a - 1) D_{p a}(P, Q) + D_{q (a - 1/p)}(Q, R) with 1/p + 1/q = 1."""
    other = split / (split - 1)
    return (order - 1 / split) / (order - 1) * first(split * order) + second(other * (order - 1 / split))


@given(rho=st.floats(1e-3, 2.0), xi=st.floats(0.0, 1.0), size=st.integers(2, 12), order=st.floats(1.001, 50.0))
def test_zcdp_of_a_group_follows_from_a_chain_of_triangles(rho, xi, size, order):
    def one(alpha):
        return xi + rho * alpha

    def chain(records, alpha):
        """One step at k a and k - 1 steps at (k a - 1) / (k - 1), which is what p = k / (k - 1) asks for."""
        if records == 1:
            return one(alpha)
        return triangle(
            lambda longer: chain(records - 1, longer), one, alpha, (alpha * records - 1) / (alpha * records - alpha)
        )

    grouped = group(ZCDP(rho, xi), size)
    slow = chain(size, order)
    assert slow <= (grouped.xi + grouped.rho * order) * (1 + 1e-12)


@pytest.mark.parametrize("size", [2, 3, 4, 7, 8])
def test_rdp_of_a_group_follows_from_halvings(size):
    halvings = math.ceil(math.log2(size))
    orders = tuple(float(order) for order in (2, 3, 5, 8, 16, 20, 33, 64, 100))
    claim = RDP(orders, tuple(order / 50 for order in orders))
    grouped = group(claim, size)
    assert grouped.orders == tuple(order / 2**halvings for order in orders if order >= 2 ** (halvings + 1))

    def chain(order, steps):
        """Divergence over 2^steps records: two halves, each at twice the order or one less, which costs no more."""
        if steps == 0:
            return claim.values[orders.index(order)]
        return triangle(lambda _: chain(2 * order, steps - 1), lambda _: chain(2 * order, steps - 1), order, 2)

    for order, value in zip(grouped.orders, grouped.values, strict=True):
        assert chain(order, halvings) <= value * (1 + 1e-15)
        assert value <= 3**halvings * claim.values[orders.index(order * 2**halvings)]
        assert value >= size**2 * order / 50  # what a Gaussian of this curve really has


def test_a_claim_of_a_group_is_group_privacy_until_nothing_is_left():
    assert group(ApproxDP(0.5, 1e-6), 3) == ApproxDP(*group_privacy(0.5, 1e-6, 3))
    assert group(ApproxDP(10.0, 1e-6), 3) == Gaussian(0.0)
    assert group(PureDP(1e308), 3) == Gaussian(0.0)


def hockey_of_two(q, sigma, angle, gamma, *, added):
    """Two records whose contributions differ by an angle, by a sum over a fine grid of the plane."""
    axis = np.linspace(-9 * sigma, 9 * sigma + 2, 1401)
    x, y = np.meshgrid(axis, axis, indexing="ij")

    def density(mean):
        return np.exp(-((x - mean[0]) ** 2 + (y - mean[1]) ** 2) / (2 * sigma**2)) / (2 * math.pi * sigma**2)

    first, second = np.array([1.0, 0.0]), np.array([math.cos(angle), math.sin(angle)])
    null = density((0.0, 0.0))
    mixed = (1 - q) ** 2 * null + q * (1 - q) * (density(first) + density(second)) + q * q * density(first + second)
    one, other = (mixed, null) if added else (null, mixed)
    return np.maximum(one - gamma * other, 0.0).sum() * (axis[1] - axis[0]) ** 2


def hockey_of_mixture(q, sigma, gamma, *, added):
    """The pair that GroupSampledGaussian(sigma, q, 2) states, from the distribution functions of its mixture."""
    x = np.linspace(-12 * sigma, 12 * sigma + 2, 400_001)
    shares = np.array([(1 - q) ** 2, 2 * q * (1 - q), q * q])
    mixed = np.diff(sum(share * ndtr((x - j) / sigma) for j, share in enumerate(shares)))
    null = np.diff(ndtr(x / sigma))
    one, other = (mixed, null) if added else (null, mixed)
    return np.maximum(one - gamma * other, 0.0).sum()


@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize(("q", "sigma"), [(0.3, 0.8), (0.1, 1.5)])
def test_equal_contributions_are_the_worst_ones_of_a_sampled_group(q, sigma, added):
    for gamma in (1.05, 1.15):
        worst = hockey_of_mixture(q, sigma, gamma, added=added)
        assert hockey_of_two(q, sigma, 0.0, gamma, added=added) == pytest.approx(worst, rel=1e-3)
        others = [hockey_of_two(q, sigma, angle, gamma, added=added) for angle in (0.7, 1.6, math.pi)]
        assert max(others) < worst * (1 - 1e-3)


@pytest.mark.parametrize(
    "event",
    [
        Gaussian(1.0).fixed_size(10, 100),
        parallel(Gaussian(1.0), PureDP(1.0)),
        PureDP(0.1).poisson(0.1),
        Gaussian(1.0).random_allocation(10),
        RDP((2.0, 3.0), (0.1, 0.2)),
    ],
)
def test_where_nothing_is_proven_the_part_is_named(event):
    with pytest.raises(UnsupportedEvent):
        group(Composed((PureDP(0.1), event)), 2)
    assert group(event, 1) == event


@pytest.mark.parametrize("size", [0, -1])
def test_the_size_of_a_group_is_a_count(size):
    with pytest.raises(ValueError, match="size="):
        group(Gaussian(1.0), size)


def test_group_events_keep_their_fields():
    event = GroupSampledGaussian(2, 0.5, 3)
    assert event == GroupSampledGaussian(2.0, 0.5, 3)
    assert event.to_dict() == {"type": "group_poisson_gaussian", "sigma": 2.0, "q": 0.5, "size": 3}
    assert normal_form(event * 2) == {event: 2}
    assert "replace-one" not in event.adjacencies
    for bad in ({"sigma": -1.0}, {"q": 1.5}, {"size": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(bad))}="):
            GroupSampledGaussian(**{"sigma": 1.0, "q": 0.1, "size": 2, **bad})
