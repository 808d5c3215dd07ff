"""Epsilon and delta: never too low, monotone, associative, and honest about what they cannot do."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants import (
    ZCDP,
    Adjacency,
    AdjacencyError,
    ApproxDP,
    Composed,
    Gaussian,
    GNMax,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    UnsupportedEvent,
    delta,
    epsilon,
)
from accountants.bound import Bound, round_down, round_up

deltas = st.floats(-40.0, -1.0).map(math.exp)
replace_one = st.one_of(
    st.builds(Gaussian, st.floats(0.5, 50.0)),
    st.builds(GNMax, st.floats(0.5, 50.0)),
    st.builds(PureDP, st.sampled_from([0.1, 0.5])),
    st.builds(RandomizedResponse, st.integers(2, 9), st.sampled_from([0.1, 0.5])),
    st.builds(PriorResponse, st.integers(1, 9), st.sampled_from([0.1, 0.5])),
    st.builds(ApproxDP, st.sampled_from([0.1, 0.5]), st.sampled_from([0.0, 1e-9])),
)
ledgers = st.lists(st.tuples(replace_one, st.integers(1, 40)), min_size=1, max_size=4)


def total(parts):
    return Composed(tuple(event * count for event, count in parts))


@given(parts=ledgers, target=deltas)
def test_bounds_are_ordered_and_json_able(parts, target):
    bound = epsilon(total(parts), target, adjacency="replace-one")
    assert 0.0 <= bound.lower <= bound.upper
    json.dumps(bound.to_dict(), allow_nan=False)


@given(parts=ledgers, target=deltas)
def test_more_events_never_cost_less(parts, target):
    whole = epsilon(total(parts), target, adjacency="replace-one")
    part = epsilon(total(parts[1:]), target, adjacency="replace-one")
    assert whole.upper >= part.lower
    assert whole.lower >= part.lower * (1 - 1e-9) or whole.method == "renyi"


@given(parts=ledgers, target=deltas)
def test_every_accountant_agrees_with_every_other(parts, target):
    event = total(parts)
    exact = epsilon(event, target, adjacency="replace-one")
    loose = epsilon(event, target, adjacency="replace-one", method="renyi")
    assert exact.lower <= loose.upper
    assert exact.upper <= loose.upper * (1 + 1e-9)


@given(parts=ledgers, target=deltas)
def test_order_and_grouping_do_not_matter(parts, target):
    event = total(parts)
    turned = total(parts[::-1])
    assert epsilon(event, target, adjacency="replace-one") == epsilon(turned, target, adjacency="replace-one")


@given(event=replace_one, count=st.integers(1, 30), target=deltas)
def test_a_count_equals_separate_adds(event, count, target):
    one_by_one = Composed((event,) * count)
    assert epsilon(event * count, target, adjacency="replace-one") == epsilon(
        one_by_one, target, adjacency="replace-one"
    )


@given(parts=ledgers, target=deltas)
def test_delta_at_epsilon_is_consistent(parts, target):
    event = total(parts)
    bound = epsilon(event, target, adjacency="replace-one")
    if bound.upper < math.inf:
        assert delta(event, bound.upper, adjacency="replace-one").lower <= target
    if 0.0 < bound.lower < math.inf:
        below = delta(event, bound.lower * (1 - 1e-6), adjacency="replace-one")
        assert below.upper >= target * (1 - 1e-9)


def test_count_is_not_ignored():
    # A public accountant reports .5009 here.
    bound = epsilon(RandomizedResponse(10, 0.5) * 100, 1e-5, adjacency="replace-one")
    assert round(bound.upper, 3) == 13.169


@pytest.mark.parametrize("one", [1, 1.0])
def test_int_and_float_parameters_give_identical_results(one):
    # A public accountant reports 2.133 for int and 88.63 for float here; the truth is 84.04.
    event = (Gaussian(one) * 100).poisson(0.1)
    found = epsilon(event, 1e-5)
    assert found == epsilon((Gaussian(1.0) * 100).poisson(0.1), 1e-5)
    assert 2.133 < 84.03 <= found.lower <= found.upper <= 84.05


def test_no_noise_inside_a_sampled_composition_is_infinite():
    # A public accountant raises ZeroDivisionError here.
    event = (Gaussian(1.0) + Gaussian(0.0)).poisson(0.1)
    assert epsilon(event, 1e-5) == epsilon(Gaussian(0.0).poisson(0.1), 1e-5)
    assert epsilon(event, 1e-5).lower == epsilon(event, 1e-5).upper == math.inf
    assert delta(event, 1.0).lower == 0.1


def test_randomized_response_has_no_discretisation_error():
    # A lattice with rounded-up atoms reports 13.3233 here.
    bound = epsilon(RandomizedResponse(10, 0.5) * 100, 1e-5, adjacency="replace-one")
    assert bound.upper - bound.lower < 1e-9


@pytest.mark.parametrize("event", [Gaussian(0.0), Gaussian(0) * 5 + PureDP(1), GNMax(0.0)])
def test_no_noise_means_infinite_epsilon(event):
    assert epsilon(event, 0.5).lower == math.inf
    assert delta(event, 100.0).lower == delta(event, 100.0).upper == 1.0


def test_a_rarely_sampled_noiseless_release_is_bounded_from_both_sides():
    event = Gaussian(0.0).poisson(1e-7)
    assert epsilon(event, 1e-5).upper == math.inf
    assert epsilon(event, 1e-5).lower == 0.0  # nothing is shown with probability above delta
    assert epsilon(event, 1e-8).lower == math.inf


@pytest.mark.parametrize(
    "event",
    [Composed(()), Gaussian(1.0) * 0, Gaussian(1.0).poisson(0.0), PureDP(0.0), PriorResponse(1, 5.0)],
)
def test_nothing_costs_nothing(event):
    for target in (0.0, 1e-5):
        bound = epsilon(event, target, adjacency="replace-one")
        assert bound.lower == bound.upper == 0.0
    assert delta(event, 0.0, adjacency="replace-one").upper == 0.0


def test_pure_guarantees_add_up_at_delta_zero():
    event = PureDP(1.0) + RandomizedResponse(3, 0.5) * 4
    bound = epsilon(event, 0, adjacency="replace-one")
    assert bound.lower <= 3.0 <= bound.upper
    assert math.isclose(bound.lower, bound.upper, rel_tol=1e-14)
    assert epsilon(event + Gaussian(5.0), 0, adjacency="replace-one").upper == math.inf
    assert delta(event, 3.1, adjacency="replace-one").upper == 0.0
    assert delta(event, 2.9, adjacency="replace-one").upper > 0.0


def test_failure_mass_of_claims_is_paid_first():
    assert epsilon(ApproxDP(1.0, 1e-6), 1e-6).upper == 1.0
    assert epsilon(ApproxDP(1.0, 1e-6), 0.9e-6).lower == math.inf
    assert epsilon(ApproxDP(1.0, 1e-6) * 20, 1e-5).lower == math.inf
    mixed = ApproxDP(1.0, 1e-6) + Gaussian(1.0)
    assert epsilon(mixed, 1e-5).lower >= epsilon(Gaussian(1.0), 1e-5).lower
    twice = delta(ApproxDP(0.0, 1e-3) * 2, 0.0)
    assert twice.lower <= 1.999e-3 <= twice.upper


def test_optimal_composition_of_claims_by_the_murtagh_vadhan_sum():
    # Binary response with failures, summed directly over the number of losses that are +eps0.
    eps0, delta0, count, eps = 0.2, 1e-8, 50, 6.0
    grown = math.exp(eps0)
    rest = 0.0
    for plus in range(count + 1):
        loss = (2 * plus - count) * eps0
        if loss > eps:
            mass = math.comb(count, plus) * grown**plus / (1 + grown) ** count
            rest += mass * (1 - math.exp(eps - loss))
    truth = 1 - (1 - delta0) ** count * (1 - rest)
    bound = delta(ApproxDP(eps0, delta0) * count, eps)
    assert math.isclose(bound.lower, truth, rel_tol=1e-6)
    assert math.isclose(bound.upper, truth, rel_tol=1e-6)


@pytest.mark.parametrize("make", [lambda s: Gaussian(s) * 10, lambda s: Gaussian(s).poisson(0.05) * 50])
def test_more_noise_costs_less(make):
    costs = [epsilon(make(sigma), 1e-6).upper for sigma in (0.5, 1.0, 2.0, 8.0, 100.0)]
    assert costs == sorted(costs, reverse=True)


def test_sampling_rate_and_count_raise_the_cost():
    by_rate = [epsilon(Gaussian(1.0).poisson(q) * 100, 1e-6).upper for q in (1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.999)]
    assert by_rate == sorted(by_rate)
    by_count = [epsilon(Gaussian(1.0).poisson(0.01) * n, 1e-6).upper for n in (1, 10, 100, 1000, 10**6)]
    assert by_count == sorted(by_count)


def test_a_full_sample_is_no_sample():
    assert epsilon(Gaussian(2.0).poisson(1) * 7, 1e-5) == epsilon(Gaussian(2.0) * 7, 1e-5)


def test_an_event_under_the_wrong_adjacency_names_the_right_one():
    with pytest.raises(AdjacencyError, match=r"krr\(k=3, eps0=1\).*pass adjacency='replace-one'"):
        epsilon(Gaussian(1.0) + RandomizedResponse(3, 1.0) * 5, 1e-5)
    with pytest.raises(AdjacencyError, match="gnmax"):
        epsilon(GNMax(4.0), 1e-5, adjacency="zero-out")
    assert epsilon(RandomizedResponse(3, 1.0), 1e-5, adjacency="replace-one").upper > 0


def test_poisson_sampling_costs_more_where_records_are_exchanged():
    exchanged = epsilon(Gaussian(1.0).poisson(0.1), 1e-5, adjacency="replace-one")
    for adjacency in ("add-remove", "zero-out"):
        assert epsilon(Gaussian(1.0).poisson(0.1), 1e-5, adjacency=adjacency).upper < exchanged.lower


def test_what_nothing_can_bound_is_refused_by_name():
    with pytest.raises(UnsupportedEvent, match="zcdp"):
        epsilon(ZCDP(0.1).poisson(0.1) * 3, 1e-5, adjacency="replace-one")


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"delta": 1.0}, "delta="),
        ({"delta": -1e-9}, "delta="),
        ({"delta": math.nan}, "delta="),
        ({"delta": 1e-5, "method": "magic"}, "method="),
        ({"delta": 1e-5, "adjacency": "neighbours"}, "adjacency="),
    ],
)
def test_bad_arguments_are_named(kwargs, named):
    with pytest.raises(ValueError, match=named):
        epsilon(Gaussian(1.0), **kwargs)


@pytest.mark.parametrize("bad", [-0.1, math.inf, math.nan])
def test_bad_epsilons_are_named(bad):
    with pytest.raises(ValueError, match="epsilon="):
        delta(Gaussian(1.0), bad)


def test_a_method_that_does_not_apply_names_the_event():
    with pytest.raises(UnsupportedEvent, match="pure_dp"):
        epsilon(PureDP(1.0), 1e-5, method="gaussian")
    with pytest.raises(UnsupportedEvent, match="gaussian"):
        epsilon(Gaussian(1.0), 1e-5, method="response")
    assert epsilon(PureDP(1.0), 1e-5, method="response").upper <= 1.0


def test_huge_counts_do_not_hang():
    for event in (Gaussian(1e6), Gaussian(10.0).poisson(1e-6), PureDP(1e-9)):
        bound = epsilon(event * 10**12, 1e-5)
        assert 0.0 < bound.upper < math.inf


extremes = st.sampled_from([5e-324, 1e-310, 1e-150, 1e-30, 1e-9, 1e-3, 1.0, 30.0, 700.0, 1e9, 1e150, 1.7e308])
extreme_leaves = st.one_of(
    st.builds(Gaussian, extremes),
    st.builds(GNMax, extremes),
    st.builds(RandomizedResponse, st.sampled_from([2, 3, 10**15]), extremes),
    st.builds(ApproxDP, extremes, st.sampled_from([0.0, 5e-324, 1e-15, 0.5])),
    st.builds(lambda sigma, q: Gaussian(sigma).poisson(q), extremes, st.sampled_from([5e-324, 1e-20, 0.5, 1 - 1e-16])),
)


# The run-time type checker looks at a random item of every container, which hypothesis notices.
@pytest.mark.filterwarnings("error", "ignore::hypothesis.errors.HypothesisDeprecationWarning")
@given(
    parts=st.lists(st.tuples(extreme_leaves, st.sampled_from([0, 1, 17, 10**6, 10**14])), min_size=1, max_size=3),
    target=st.sampled_from([0.0, 5e-324, 1e-15, 1e-5, 0.5, 1 - 1e-16]),
    at=extremes,
)
@settings(max_examples=150)
def test_extreme_parameters_neither_fail_nor_contradict(parts, target, at):
    event = total(parts)
    adjacency = "replace-one" if Adjacency.ADD_REMOVE not in event.adjacencies else "add-remove"
    try:
        exact = epsilon(event, target, adjacency=adjacency)
    except UnsupportedEvent:  # a Poisson sample beside a randomized response
        return
    loose = epsilon(event, target, adjacency=adjacency, method="renyi")
    assert 0.0 <= exact.lower <= exact.upper
    assert exact.lower <= loose.upper
    assert 0.0 <= delta(event, at, adjacency=adjacency).lower <= delta(event, at, adjacency=adjacency).upper <= 1.0


@given(low=st.floats(0.0, 1e6), width=st.floats(0.0, 1e6))
def test_printed_bounds_are_rounded_outward(low, width):
    bound = Bound(low, low + width, "test")
    assert float(round_down(low)) <= low
    assert float(round_up(low + width)) >= low + width
    assert str(bound) == f"[{round_down(low)}, {round_up(low + width)}] (test)"


def test_printing_of_bounds():
    assert str(Bound(5.19231, 5.19262, "lattice")) == "[5.1923, 5.1927] (lattice)"
    assert str(Bound(0.0, math.inf, "none")) == "[0, inf] (none)"
    assert Bound(0.0, math.inf, "none").to_dict()["upper"] == "inf"
    with pytest.raises(ValueError, match="lower"):
        Bound(2.0, 1.0, "wrong")
