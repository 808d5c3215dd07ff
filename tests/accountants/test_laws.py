"""Laws that every privacy cost obeys, whichever accountant answers, and the input that none of them accepts."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from accountants import (
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
    Laplace,
    LNMax,
    MatrixFactorization,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    UnsupportedEvent,
    delta,
    epsilon,
    from_dict,
    group,
    parallel,
    parse,
    renyi,
)

ROUNDING = 1e-9  # relative; two certified ends may cross by rounding
AT_TOP = 1e-6  # relative; at the largest loss of all, delta falls by more than floats resolve

sigmas = st.sampled_from([0.4, 0.8, 1.5, 5.0, 40.0])
levels = st.sampled_from([0.02, 0.3, 1.0, 2.5])
rates = st.sampled_from([0.003, 0.05, 0.3, 0.9])
counts = st.integers(1, 12)
deltas = st.floats(-22.0, -1.0).map(math.exp)
noises = st.one_of(
    st.builds(Gaussian, sigmas),
    st.builds(Laplace, levels.map(lambda eps0: 1 / eps0)),
    st.builds(PureDP, levels),
    st.builds(DiscreteGaussian, st.sampled_from([0.8, 3.0]), st.integers(1, 3)),
    st.builds(DiscreteLaplace, st.sampled_from([0.1, 0.7]), st.integers(1, 3)),
)
claims = st.one_of(
    st.builds(ZCDP, levels.map(lambda eps0: eps0 * eps0 / 8)),
    st.builds(ApproxDP, levels, st.just(1e-12)),
    st.builds(TreeAggregation, sigmas, st.integers(1, 100)),
    st.builds(MatrixFactorization, sigmas, levels),
    st.builds(SparseVector, levels.map(lambda eps0: 1 / eps0), st.integers(1, 3)),
    st.builds(Exponential, levels),
    st.builds(lambda value: RDP((2.0, 8.0, 64.0), (value, 4 * value, 32 * value)), levels),
    st.builds(GNMax, sigmas),
    st.builds(LNMax, levels.map(lambda eps0: 1 / eps0)),
    st.builds(ConfidentGNMax, st.just(9.0), sigmas, sigmas, st.just(5), st.integers(0, 5)),
)
samples = st.builds(lambda event, q: event.poisson(q), noises, rates)
allocated = st.builds(lambda sigma, steps: Gaussian(sigma).random_allocation(steps), sigmas, st.integers(1, 9))
present = st.one_of(noises, samples, claims, allocated)
replaced = st.one_of(
    noises,
    claims,
    st.builds(RandomizedResponse, st.integers(2, 9), levels),
    st.builds(PriorResponse, st.integers(1, 9), levels),
    st.builds(lambda d, extra, eps0: SubsetResponse(d + extra, d, eps0), st.integers(1, 5), st.integers(1, 4), levels),
    st.builds(lambda event, m: event.fixed_size(m, 40), noises, st.integers(1, 40)),
    st.builds(lambda sigma, q: Gaussian(sigma).poisson(q), sigmas, rates),
)
cases = st.one_of(st.tuples(present, st.just("add-remove")), st.tuples(replaced, st.just("replace-one")))
pairs = st.one_of(
    st.tuples(present, present, st.just("add-remove")), st.tuples(replaced, replaced, st.just("replace-one"))
)


def costs_at_most(cheap, dear):
    """Whether two intervals allow that the first costs no more than the second."""
    return cheap.lower <= dear.upper * (1 + ROUNDING) + ROUNDING


def same_truth(first, second):
    return costs_at_most(first, second) and costs_at_most(second, first)


@settings(max_examples=15)
@given(pair=pairs, third=noises, target=deltas)
def test_composition_is_associative_and_commutative(pair, third, target):
    first, second, adjacency = pair
    left = epsilon((first + second) + third, target, adjacency=adjacency)
    assert left == epsilon(first + (second + third), target, adjacency=adjacency)
    assert left == epsilon(third + (second + first), target, adjacency=adjacency)


@settings(max_examples=25)
@given(case=cases, count=counts, target=deltas)
def test_a_count_is_that_many_adds_and_costs_more_than_fewer(case, count, target):
    event, adjacency = case
    whole = epsilon(event * count, target, adjacency=adjacency)
    assert whole == epsilon(Composed((event,) * count), target, adjacency=adjacency)
    assert costs_at_most(epsilon(event * (count - 1), target, adjacency=adjacency), whole)
    assert epsilon(event * 0, target, adjacency=adjacency).upper == 0.0


@settings(max_examples=20)
@given(event=noises, count=counts, target=deltas)
def test_a_full_sample_is_no_sample(event, count, target):
    assert epsilon(event.poisson(1) * count, target) == epsilon(event * count, target)
    whole = epsilon(event.fixed_size(7, 7) * count, target, adjacency="replace-one")
    assert whole == epsilon(event * count, target, adjacency="replace-one")


@settings(max_examples=4)
@given(sigma=sigmas, more=st.floats(1.0, 3.0), q=rates, rarer=st.floats(0.1, 1.0), count=counts, target=deltas)
def test_more_noise_and_rarer_sampling_never_cost_more(sigma, more, q, rarer, count, target):
    for make in (Gaussian, Laplace, GNMax, lambda s: DiscreteGaussian(s, 2), lambda s: DiscreteLaplace(1 / s)):
        adjacency = "replace-one" if make is GNMax else "add-remove"
        noisy, bare = (epsilon(make(s) * count, target, adjacency=adjacency) for s in (sigma * more, sigma))
        assert costs_at_most(noisy, bare)
    for adjacency in ("add-remove", "replace-one"):
        sampled = epsilon(Gaussian(sigma).poisson(q) * count, target, adjacency=adjacency)
        for cheaper in (Gaussian(sigma * more).poisson(q), Gaussian(sigma).poisson(q * rarer)):
            assert costs_at_most(epsilon(cheaper * count, target, adjacency=adjacency), sampled)


@settings(max_examples=25)
@given(case=cases, count=counts, target=deltas)
def test_delta_is_the_inverse_of_epsilon(case, count, target):
    event, adjacency = case
    bound = epsilon(event * count, target, adjacency=adjacency)
    if bound.upper < math.inf:
        above = delta(event * count, bound.upper * (1 + AT_TOP), adjacency=adjacency)
        assert above.lower <= target * (1 + ROUNDING)
    if 0.0 < bound.lower < math.inf:
        below = delta(event * count, bound.lower * (1 - AT_TOP), adjacency=adjacency)
        assert below.upper >= target * (1 - ROUNDING)
    lax = epsilon(event * count, min(0.9, 2 * target), adjacency=adjacency)
    assert costs_at_most(lax, bound)


@settings(max_examples=30)
@given(pair=pairs, count=counts, target=deltas)
def test_no_lower_end_exceeds_what_renyi_proves(pair, count, target):
    first, second, adjacency = pair
    event = first * count + second
    exact, loose = (epsilon(event, target, adjacency=adjacency, method=method) for method in ("auto", "renyi"))
    assert exact.lower <= loose.upper * (1 + ROUNDING)
    assert exact.upper <= loose.upper * (1 + 1e-3) + 1e-3  # "auto" stops at an interval that is narrow enough


@settings(max_examples=6)
@given(sigma=sigmas, q=rates, count=counts, target=deltas)
def test_replacing_a_record_costs_at_least_as_much_as_removing_it(sigma, q, count, target):
    event = Gaussian(sigma).poisson(q) * count
    removed, zeroed, exchanged = (
        epsilon(event, target, adjacency=adjacency) for adjacency in ("add-remove", "zero-out", "replace-one")
    )
    assert removed.lower == zeroed.lower
    assert removed.upper == zeroed.upper
    assert costs_at_most(removed, exchanged)
    # Remove one, add the other: two steps of the group bound.
    if removed.upper < 100.0:
        twice = delta(event, 2 * removed.upper, adjacency="replace-one")
        assert twice.lower <= (1 + math.exp(removed.upper)) * target * (1 + ROUNDING)


@settings(max_examples=25)
@given(case=cases, count=counts, size=st.integers(2, 4), target=deltas)
def test_a_group_of_one_is_a_record_and_a_larger_one_costs_more(case, count, size, target):
    event, adjacency = case
    assert group(event * count, 1) == event * count
    try:
        many = group(event * count, size)
    except UnsupportedEvent:
        assume(False)
    assert costs_at_most(
        epsilon(event * count, target, adjacency=adjacency), epsilon(many, target, adjacency=adjacency)
    )


@settings(max_examples=25)
@given(pair=pairs, target=deltas)
def test_parallel_parts_cost_between_the_dearest_and_the_sum(pair, target):
    first, second, adjacency = pair
    together = epsilon(first + second, target, adjacency=adjacency)
    try:
        apart = epsilon(parallel(first, second), target, adjacency=adjacency)
    except UnsupportedEvent:
        assume(False)
    assert costs_at_most(apart, together)
    for one in (first, second):
        assert costs_at_most(epsilon(one, target, adjacency=adjacency), apart)


@settings(max_examples=30)
@given(case=cases, count=counts, target=deltas)
def test_written_events_cost_the_same(case, count, target):
    event, adjacency = case
    whole = event * count
    cost = epsilon(whole, target, adjacency=adjacency)
    assert epsilon(from_dict(whole.to_dict()), target, adjacency=adjacency) == cost
    assert epsilon(parse(str(whole)), target, adjacency=adjacency) == cost


NAN, INF = math.nan, math.inf
BAD = [
    (Gaussian, [(-1.0,), (NAN,), (INF,), ("1",), (True,), (None,)], "sigma="),
    (Laplace, [(0.0,), (-1.0,), (NAN,), (INF,)], "scale="),
    (DiscreteGaussian, [(-1.0,), (NAN,)], "sigma="),
    (DiscreteGaussian, [(1.0, 0), (1.0, 1.5), (1.0, True)], "sensitivity="),
    (DiscreteLaplace, [(0.0,), (-0.1,), (NAN,)], "rate="),
    (RandomizedResponse, [(1, 0.5), (2.5, 0.5), (-3, 0.5)], "k="),
    (RandomizedResponse, [(3, -0.1), (3, NAN), (3, INF)], "eps0="),
    (PriorResponse, [(0, 0.5), (2, -1.0)], "(k|eps0)="),
    (SubsetResponse, [(3, 0, 0.5), (3, 4, 0.5), (3, 1, NAN)], "(d|eps0)="),
    (PureDP, [(-1e-9,), (NAN,)], "epsilon="),
    (ApproxDP, [(1.0, 1.0), (1.0, -1e-9), (1.0, NAN), (-1.0, 0.0)], "(delta|epsilon)="),
    (ZCDP, [(-1.0,), (1.0, -1.0), (NAN,)], "(rho|xi)="),
    (RDP, [((1.0,), (0.1,)), ((0.5, 2.0), (0.1, 0.2)), ((2.0,), (-0.1,)), ((2.0, 2.0), (1, 1))], "(orders|values)="),
    (Exponential, [(-1.0,), (1.0, "gumbel")], "(epsilon|kind)="),
    (SparseVector, [(0.0, 1), (1.0, 0), (1.0, 1, 0)], "(scale|cutoff|queries)="),
    (Gaussian(1.0).poisson, [(-0.1,), (1.1,), (NAN,), ("0.1",), (True,)], "q="),
    (Gaussian(1.0).fixed_size, [(-1, 5), (6, 5), (1.5, 5), (0, 0)], "(m|n)="),
    (Gaussian(1.0).shuffled, [(0, 5), (6, 5), (1, 5, -1)], "(batch|n|epochs)="),
    (Gaussian(1.0).random_allocation, [(0,), (3, 4), (3, -1), (3, 1, -1)], "(steps|selected|epochs)="),
    (Gaussian(1.0).__mul__, [(-1,), (1.5,), (2.0,), (True,), (10**16,)], "count="),
    (lambda target: epsilon(Gaussian(1.0), target), [(1.0,), (1.5,), (-1e-9,), (NAN,), ("1e-5",)], "delta="),
    (lambda at: delta(Gaussian(1.0), at), [(-0.1,), (NAN,), (INF,), ("1",)], "epsilon="),
    (lambda order: renyi(Gaussian(1.0), order), [(1.0,), (0.5,), (NAN,), (-2.0,)], "alpha="),
    (lambda size: group(Gaussian(1.0), size), [(0,), (-1,), (1.5,)], "size="),
]


@pytest.mark.parametrize(
    ("make", "arguments", "named"), [(make, one, named) for make, many, named in BAD for one in many]
)
def test_what_lies_outside_a_domain_is_refused_by_name(make, arguments, named):
    with pytest.raises((ValueError, TypeError), match=f"{named}|Type-check error"):  # the latter in test runs only
        make(*arguments)


def test_the_edges_of_the_domain_are_accepted():
    assert epsilon(Gaussian(0.0) * 3, 1e-5).lower == INF
    assert epsilon(Gaussian(0.0).poisson(0.5), 1e-5).lower == INF
    for free in (
        Gaussian(0.0) * 0,
        Gaussian(0.0).poisson(0),
        Gaussian(0.0).poisson(0.0) * 9,
        Gaussian(0.0).shuffled(1, 5, 0),
    ):
        adjacency = "zero-out"
        assert epsilon(free, 1e-5, adjacency=adjacency).upper == 0.0
