"""Normal forms of samples, trees, votes, claims and parallel parts keep the cost or round it up."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Adjacency
from accountants.events import (
    GDP,
    RDP,
    ZCDP,
    ApproxDP,
    Composed,
    ConfidentGNMax,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    GNMax,
    GroupSampledGaussian,
    Laplace,
    LNMax,
    MatrixFactorization,
    Parallel,
    PureDP,
    RandomizedResponse,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    distinct,
    normal_form,
    parallel,
)

ADD, ONE, ZERO = Adjacency("add-remove"), Adjacency("replace-one"), Adjacency("zero-out")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (MatrixFactorization(3, 2), {Gaussian(1.5): 1}),
        (GDP(0.5) * 4, {Gaussian(1.0): 1}),
        (GDP(0), {}),
        (ZCDP(0) + ZCDP(1, 2) * 3, {ZCDP(1, 2): 3}),
        (SubsetResponse(5, 5, 1) + SubsetResponse(5, 2, 0), {}),
        (SubsetResponse(5, 1, 1), {RandomizedResponse(5, 1): 1}),
        (Exponential(0) + Exponential(1, "pure") * 2, {PureDP(1): 2}),
        (Exponential(1), {Exponential(1): 1}),
        (SparseVector(2, 3) * 2, {PureDP(3.5): 2}),
        (LNMax(3, (5, 6)) * 4, {Laplace(3): 8}),
        (DiscreteGaussian(0, 3), {Gaussian(0): 1}),
        (DiscreteLaplace(1, 3), {DiscreteLaplace(1, 3): 1}),
        (RDP((2,), (0,)), {RDP((2,), (0,)): 1}),
        (Gaussian(2).shuffled(10, 100, epochs=4), {Gaussian(1): 1}),
        (Gaussian(2).shuffled(10, 100, epochs=0), {}),
        ((Gaussian(2) * 4).random_allocation(10, 2, epochs=3), {Gaussian(1).random_allocation(10, 2): 3}),
        (Gaussian(2).random_allocation(4, 4, epochs=1), {Gaussian(1): 1}),
        (Gaussian(2).random_allocation(4, 0, epochs=5), {}),
        (Gaussian(0).random_allocation(4, 1, epochs=5), {Gaussian(0): 1}),
        ((Gaussian(2) * 4).fixed_size(3, 10) * 2, {Gaussian(1).fixed_size(3, 10): 2}),
        (Laplace(2).fixed_size(10, 10), {Laplace(2): 1}),
        (Laplace(2).fixed_size(0, 10), {}),
        (PureDP(0).fixed_size(1, 10) + PureDP(0).random_allocation(4) + PureDP(0).poisson(1), {}),
        (Laplace(2).poisson(0.5), {Laplace(2).poisson(0.5): 1}),
        ((Gaussian(2) * 4).poisson(0.25).poisson(1), {Gaussian(1).poisson(0.25): 1}),
        (Gaussian(2).poisson(1).poisson(0.25), {Gaussian(2).poisson(0.25): 1}),
        (ConfidentGNMax(9, 1, 1, 0, 0), {}),
        (GroupSampledGaussian(6, 1, 3), {Gaussian(2): 1}),
        (GroupSampledGaussian(6, 0, 3), {}),
        (GroupSampledGaussian(6, 0.5, 1), {Gaussian(6).poisson(0.5): 1}),
        (GroupSampledGaussian(6, 0.5, 3), {GroupSampledGaussian(6, 0.5, 3): 1}),
    ],
)
def test_normal_form_examples(event, expected):
    for adjacency in (None, ADD, ONE, ZERO):
        assert normal_form(event, adjacency=adjacency) == expected


def test_a_full_poisson_sample_depends_on_the_adjacency():
    event = Gaussian(2).poisson(1)
    assert normal_form(event, adjacency=ADD) == normal_form(event, adjacency=ZERO) == {Gaussian(2): 1}
    assert normal_form(event, adjacency=ONE) == {Gaussian(1): 1}  # sigma is relative to adding or removing a record
    assert normal_form(event) == {event: 1}  # undecided, not guessed
    assert normal_form(Laplace(1).poisson(1), adjacency=ONE) == {Laplace(1).poisson(1): 1}


@pytest.mark.parametrize(
    ("event", "added", "replaced"),
    [
        (Parallel(()), {}, {}),
        (parallel(Laplace(1)), {Laplace(1): 1}, {Laplace(1): 1}),
        (parallel(Laplace(1), PureDP(0)), {Laplace(1): 1}, {Laplace(1): 1}),
        (parallel(Laplace(1), Laplace(1), Laplace(1)), {Laplace(1): 1}, {Laplace(1): 2}),
        (parallel(Gaussian(3), Gaussian(1), Gaussian(2) * 2), {Gaussian(1): 1}, {Gaussian(1 / math.sqrt(1.5)): 1}),
        (parallel(Laplace(1) * 2, Laplace(1) + Laplace(1)) * 5, {Laplace(1): 10}, {Laplace(1): 20}),
    ],
)
def test_parallel_parts_become_the_dearest_or_the_two_dearest(event, added, replaced):
    assert normal_form(event, adjacency=ADD) == normal_form(event, adjacency=ZERO) == added
    found = normal_form(event, adjacency=ONE)
    assert [type(part) for part in found] == [type(part) for part in replaced]
    for (part, count), (expected, times) in zip(found.items(), replaced.items(), strict=True):
        assert count == times
        assert math.isclose(*(getattr(one, "sigma", 1.0) for one in (part, expected)), rel_tol=1e-15)


def test_parallel_parts_of_different_kinds_stay_and_ignore_their_order():
    event, other = parallel(Laplace(1), Gaussian(1) * 4), parallel(Gaussian(0.5), Laplace(1))
    for adjacency in (None, ADD, ONE):
        assert normal_form(event, adjacency=adjacency) == normal_form(other, adjacency=adjacency)
        ((part, count),) = normal_form(event, adjacency=adjacency).items()
        assert isinstance(part, Parallel)
        assert count == 1
    assert normal_form(parallel(Gaussian(1), Gaussian(2))) == {parallel(Gaussian(1), Gaussian(2)): 1}  # undecided


def nodes_of_leaves(steps):
    """All dyadic nodes that a tree over `steps` leaves completes, counted per leaf."""
    touched = dict.fromkeys(range(1, steps + 1), 0)
    size = 1
    while size <= steps:
        for start in range(1, steps - size + 2, size):
            for leaf in range(start, start + size):
                touched[leaf] += 1
        size *= 2
    return touched


def test_a_record_touches_as_many_nodes_as_the_fullest_path_of_its_tree():
    for steps in range(1, 300):
        most = max(nodes_of_leaves(steps).values())
        tree = TreeAggregation(2.0, steps, restarts=3)
        assert tree.nodes_per_leaf == most == math.ceil(math.log2(steps + 1))
        assert distinct(tree) == {Gaussian(2.0): 3 * most}


def test_votes_with_a_threshold_are_tests_and_answers():
    event = ConfidentGNMax(300, 50, 40, checked=100, answered=7, votes=[[1, 2]] * 100)
    assert distinct(event) == {Gaussian(50): 100, GNMax(40): 7}


def test_moving_one_vote_changes_the_largest_count_by_at_most_one():
    for votes in itertools.product(range(4), repeat=3):
        for public in ((0, 0, 0), (2, -1, 0)):
            largest = max(v - m for v, m in zip(votes, public, strict=True))
            for lost, won in itertools.permutations(range(3), 2):
                moved = [v - (i == lost) + (i == won) - m for i, (v, m) in enumerate(zip(votes, public, strict=True))]
                assert abs(max(moved) - largest) <= 1


@given(mu=st.floats(1e-310, 1e308), sigma=st.floats(0, 1e308), sensitivity=st.floats(1e-300, 1e300))
def test_quotients_are_rounded_towards_more_cost(mu, sigma, sensitivity):
    ((gaussian, _),) = normal_form(GDP(mu)).items()
    assert Fraction(gaussian.sigma) <= 1 / Fraction(mu)
    assert gaussian.sigma > 0
    ((gaussian, _),) = normal_form(MatrixFactorization(sigma, sensitivity)).items()
    assert Fraction(gaussian.sigma) <= Fraction(sigma) / Fraction(sensitivity)


@given(scale=st.floats(1e-310, 1e308), cutoff=st.integers(1, 10**6))
def test_sparse_vector_is_rounded_towards_more_cost_or_is_no_privacy(scale, cutoff):
    ((part, _),) = normal_form(SparseVector(scale, cutoff)).items()
    if part == Gaussian(0.0):
        assert (1 + 2 * cutoff) / Fraction(scale) > Fraction(1.79e308)
    else:
        assert Fraction(part.epsilon) >= (1 + 2 * cutoff) / Fraction(scale)


def test_counts_beyond_exact_floats_are_refused_in_samples_too():
    for event in (
        TreeAggregation(1.0, 10**9, restarts=10**15),
        Gaussian(1.0).shuffled(1, 9, epochs=10**9) * 10**9,
        Laplace(1.0).random_allocation(10, epochs=10**9) * 10**9,
        ConfidentGNMax(1, 1, 1, 10**15, 1) * 10,
        LNMax(1.0) * 10**15,
    ):
        with pytest.raises(ValueError, match="count"):
            normal_form(event)


parts = st.sampled_from(
    [Gaussian(1), GNMax(3), Laplace(2), LNMax(4), ZCDP(1), ApproxDP(1, 1e-9), TreeAggregation(2, 5), Exponential(1)]
)
trees = st.recursive(
    parts,
    lambda inner: st.one_of(
        st.builds(lambda event: event.poisson(0.5), inner),
        st.builds(lambda event: event.random_allocation(5, 2, 3), inner),
        st.builds(lambda event: event.fixed_size(2, 5), inner),
        st.builds(lambda events: Parallel(tuple(events)), st.lists(inner, max_size=3)),
        st.builds(lambda events: Composed(tuple(events)), st.lists(inner, max_size=3)),
    ),
    max_leaves=5,
)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the run-time type checks do
@given(event=trees, others=trees, adjacency=st.sampled_from([None, ADD, ONE, ZERO]))
def test_normal_form_ignores_order_and_grouping_and_is_final(event, others, adjacency):
    first = normal_form(event + others, adjacency=adjacency)
    assert first == normal_form(others + event, adjacency=adjacency)
    again = normal_form(Composed(tuple(part * count for part, count in first.items())), adjacency=adjacency)
    assert again == first
