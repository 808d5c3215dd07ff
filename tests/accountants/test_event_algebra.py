"""Events are checked data with an algebra; equal costs have equal normal forms."""

import math
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import (
    Adjacency,
    ApproxDP,
    Composed,
    Event,
    Gaussian,
    GNMax,
    PoissonSampled,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    Repeat,
)
from accountants.events import normal_form
from accountants.events.event import MAX_COUNT
from accountants.events.serialization import MAX_DEPTH

small = st.floats(0.01, 100.0)
leaves = st.one_of(
    st.builds(Gaussian, small),
    st.builds(GNMax, small),
    st.builds(PureDP, small),
    st.builds(ApproxDP, small, st.floats(0.0, 0.01)),
    st.builds(RandomizedResponse, st.integers(2, 9), small),
    st.builds(PriorResponse, st.integers(1, 9), small),
)
events = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Repeat, st.integers(0, 50), inner),
        st.builds(PoissonSampled, st.floats(0.0, 1.0), inner),
        st.builds(lambda parts: Composed(tuple(parts)), st.lists(inner, max_size=3)),
    ),
    max_leaves=6,
)

BAD_FIELDS = [
    (lambda: Gaussian(-1.0), "sigma"),
    (lambda: Gaussian(math.nan), "sigma"),
    (lambda: Gaussian(math.inf), "sigma"),
    (lambda: Gaussian(10**400), "sigma"),
    (lambda: GNMax(-0.1), "sigma"),
    (lambda: RandomizedResponse(1, 1.0), "k"),
    (lambda: RandomizedResponse(2, -1.0), "eps0"),
    (lambda: PriorResponse(0, 1.0), "k"),
    (lambda: PureDP(math.inf), "epsilon"),
    (lambda: ApproxDP(1.0, 1.0), "delta"),
    (lambda: ApproxDP(1.0, -1e-9), "delta"),
    (lambda: Gaussian(1.0) * -1, "count"),
    (lambda: Gaussian(1.0) * (MAX_COUNT + 1), "count"),
    (lambda: Gaussian(1.0).poisson(1.5), "q"),
    (lambda: Gaussian(1.0).poisson(-0.1), "q"),
]
BAD_TYPES = [
    (lambda: Gaussian("1"), "sigma"),
    (lambda: Gaussian(True), "sigma"),
    (lambda: Gaussian(None), "sigma"),
    (lambda: RandomizedResponse(2.0, 1.0), "k"),
    (lambda: Gaussian(1.0) * 2.0, "count"),
    (lambda: Gaussian(1.0) * True, "count"),
    (lambda: Repeat(2, "gaussian"), "event"),
    (lambda: Composed((Gaussian(1.0), 3)), "event"),
    (lambda: Composed(Gaussian(1.0)), "events"),
]


@pytest.mark.parametrize(("make", "field"), BAD_FIELDS)
def test_values_out_of_range_are_refused_by_name(make, field):
    with pytest.raises(ValueError, match=f"{field}="):
        make()


@pytest.mark.parametrize(("make", "field"), BAD_TYPES)
def test_values_of_the_wrong_type_are_refused_by_name(make, field):
    with pytest.raises(TypeError, match=f"{field}"):
        make()


@pytest.mark.parametrize("value", [3, 3.0])
def test_int_and_float_make_the_same_event(value):
    assert Gaussian(value) == Gaussian(3.0)
    assert hash(Gaussian(value)) == hash(Gaussian(3.0))
    assert repr(Gaussian(value)) == "gaussian(3)"
    assert Gaussian(value).to_dict() == {"type": "gaussian", "sigma": 3.0}
    assert type(Gaussian(value).sigma) is float


def test_numpy_scalars_are_numbers_too():
    # In a process of its own: the run-time type checks of this test run know Python's own numbers only.
    program = """
import numpy as np
from accountants import Gaussian, RandomizedResponse
for number in (np.float64(3), np.float32(3), np.int64(3), np.uint8(3)):
    assert Gaussian(number) == Gaussian(3.0) and type(Gaussian(number).sigma) is float
assert Gaussian(1.0) * np.int64(3) == Gaussian(1.0) * 3
assert RandomizedResponse(np.int32(3), np.float32(0.5)).to_dict() == {"type": "krr", "k": 3, "eps0": 0.5}
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_events_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Gaussian(1.0).sigma = 2.0


def test_operators_build_the_combinators():
    event = Gaussian(1.0)
    assert event * 3 == 3 * event == Repeat(3, event)
    assert event + PureDP(1.0) == Composed((event, PureDP(1.0)))
    assert event.poisson(0.5) == PoissonSampled(0.5, event)
    with pytest.raises(TypeError):
        event + 1


def test_nested_combinators_of_the_same_kind_become_one():
    event = Gaussian(1.0)
    assert (event * 3) * 4 == event * 12
    assert (event + event) + (event + event) == Composed((event,) * 4)


@pytest.mark.parametrize(
    ("event", "stated"),
    [
        (Gaussian(1.0), {"add-remove", "replace-one", "zero-out"}),
        (GNMax(1.0), {"add-remove", "replace-one"}),
        (RandomizedResponse(3, 1.0), {"replace-one"}),
        (PriorResponse(3, 1.0), {"replace-one"}),
        (PureDP(1.0), {"add-remove", "replace-one", "zero-out"}),
        (GNMax(1.0) + RandomizedResponse(3, 1.0) * 2, {"replace-one"}),
        (Composed(()), {"add-remove", "replace-one", "zero-out"}),
    ],
)
def test_events_say_which_adjacencies_they_are_stated_for(event, stated):
    assert event.adjacencies == {Adjacency(one) for one in stated}


def test_adjacency_is_read_from_text_or_refused_with_the_choices():
    assert Adjacency("zero-out") is Adjacency.ZERO_OUT
    with pytest.raises(ValueError, match=r"add-remove.*replace-one.*zero-out"):
        Adjacency("add_remove")


def test_deep_nesting_is_refused_before_it_can_overflow_the_stack():
    event: Event = Gaussian(1.0)
    for _ in range(MAX_DEPTH // 2):
        event = (event + PureDP(1.0)) * 2
    assert event.depth == MAX_DEPTH
    with pytest.raises(ValueError, match="depth"):
        event + PureDP(1.0)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Composed(()), {}),
        (Gaussian(1.0) * 0, {}),
        (Gaussian(1.0).poisson(0), {}),
        (PriorResponse(1, 5.0), {}),
        (RandomizedResponse(4, 0.0) + PureDP(0) + ApproxDP(0, 0), {}),
        (Gaussian(2.0) * 4, {Gaussian(1.0): 1}),
        ((Gaussian(2.0) * 4).poisson(0.5) * 3, {Gaussian(1.0).poisson(0.5): 3}),
        ((Gaussian(1.0) * 2 + PureDP(1.0)) * 0, {}),
        (PriorResponse(3, 1.0) * 2 + RandomizedResponse(3, 1.0), {RandomizedResponse(3, 1.0): 3}),
        (ApproxDP(1.0, 0.0) + PureDP(1.0), {PureDP(1.0): 2}),
        (Gaussian(0.0) + Gaussian(1.0), {Gaussian(0.0): 1}),
        ((PureDP(1.0) * 3 + PureDP(2.0)) * 5, {PureDP(1.0): 15, PureDP(2.0): 5}),
    ],
)
def test_normal_form_examples(event, expected):
    assert normal_form(event) == expected


def test_gnmax_is_a_gaussian_of_sensitivity_sqrt_two():
    ((gaussian, count),) = normal_form(GNMax(40.0) * 100).items()
    assert count == 1
    assert math.isclose(gaussian.sigma, 40.0 / math.sqrt(200.0), rel_tol=1e-14)


def test_merging_gaussians_survives_extreme_scales():
    for scale in (1e-300, 1e-160, 1.0, 1e160, 1e300):
        ((gaussian, _),) = normal_form(Gaussian(scale) * 4).items()
        assert math.isclose(gaussian.sigma, scale / 2, rel_tol=1e-14)


def test_a_sample_of_a_sample_never_gets_a_smaller_rate():
    ((event, _),) = normal_form(Gaussian(1.0).poisson(0.3).poisson(0.7)).items()
    assert isinstance(event, PoissonSampled)
    assert 0.3 * 0.7 <= event.q <= 0.3 * 0.7 * (1 + 1e-15)


def test_counts_beyond_exact_floats_are_refused():
    with pytest.raises(ValueError, match="count"):
        normal_form((Gaussian(1.0) * 10**9 + PureDP(1.0)) * 10**9)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the run-time type checks do
@given(event=events, others=events)
def test_normal_form_ignores_order_and_grouping(event, others):
    assert normal_form(event + others) == normal_form(others + event)
    assert normal_form((event + others) * 2) == normal_form(event * 2 + others + others)


def test_sum_takes_events():
    assert sum([Gaussian(1.0), Gaussian(2.0)]) == Gaussian(1.0) + Gaussian(2.0)
    with pytest.raises(TypeError):
        1 + Gaussian(1.0)
