"""Every kind of event checks its fields, reads back from text and JSON, and says what it is stated for."""

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Adjacency, from_dict, parse
from accountants.events import (
    GDP,
    KINDS,
    RDP,
    ZCDP,
    ApproxDP,
    Composed,
    ConfidentGNMax,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    FixedSizeSampled,
    Gaussian,
    GNMax,
    Laplace,
    LNMax,
    MatrixFactorization,
    Parallel,
    PoissonSampled,
    PriorResponse,
    PureDP,
    RandomAllocation,
    RandomizedResponse,
    Repeat,
    Shuffled,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    parallel,
)
from accountants.events.event import MAX_COUNT
from accountants.events.person_groups import GroupSampledGaussian

INNER = Gaussian(2.0)
# One row per real or whole parameter of every event: (make from the value, name, least allowed, is it allowed itself).
REALS = [
    (Laplace, "scale", 0, False),
    (DiscreteGaussian, "sigma", 0, True),
    (DiscreteLaplace, "rate", 0, False),
    (lambda x: RandomizedResponse(3, x), "eps0", 0, True),
    (lambda x: PriorResponse(3, x), "eps0", 0, True),
    (lambda x: SubsetResponse(5, 2, x), "eps0", 0, True),
    (Exponential, "epsilon", 0, True),
    (lambda x: SparseVector(x, 2), "scale", 0, False),
    (GNMax, "sigma", 0, True),
    (LNMax, "scale", 0, False),
    (lambda x: ConfidentGNMax(1.0, x, 1.0, 2, 1), "sigma1", 0, True),
    (lambda x: ConfidentGNMax(1.0, 1.0, x, 2, 1), "sigma2", 0, True),
    (lambda x: TreeAggregation(x, 8), "sigma", 0, True),
    (lambda x: MatrixFactorization(x, 1.0), "sigma", 0, True),
    (lambda x: MatrixFactorization(1.0, x), "sensitivity", 0, False),
    (PureDP, "epsilon", 0, True),
    (lambda x: ApproxDP(x, 0.0), "epsilon", 0, True),
    (ZCDP, "rho", 0, True),
    (lambda x: ZCDP(1.0, x), "xi", 0, True),
    (GDP, "mu", 0, True),
    (lambda x: RDP((2.0,), (x,)), "values", 0, True),
    (lambda x: RDP((x,), (1.0,)), "orders", 1, False),
]
WHOLES = [
    (lambda x: DiscreteGaussian(1.0, x), "sensitivity", 1),
    (lambda x: DiscreteLaplace(1.0, x), "sensitivity", 1),
    (lambda x: SubsetResponse(x, 1, 1.0), "k", 2),
    (lambda x: SubsetResponse(5, x, 1.0), "d", 1),
    (lambda x: SparseVector(1.0, x), "cutoff", 1),
    (lambda x: SparseVector(1.0, 1, x), "queries", 1),
    (lambda x: ConfidentGNMax(1.0, 1.0, 1.0, x, 0), "checked", 0),
    (lambda x: ConfidentGNMax(1.0, 1.0, 1.0, 5, x), "answered", 0),
    (lambda x: TreeAggregation(1.0, x), "steps", 1),
    (lambda x: TreeAggregation(1.0, 8, x), "restarts", 0),
    (lambda x: FixedSizeSampled(x, 9, INNER), "m", 0),
    (lambda x: FixedSizeSampled(0, x, INNER), "n", 1),
    (lambda x: Shuffled(x, 9, 1, INNER), "batch", 1),
    (lambda x: Shuffled(1, x, 1, INNER), "n", 1),
    (lambda x: Shuffled(1, 9, x, INNER), "epochs", 0),
    (lambda x: RandomAllocation(x, 1, 1, INNER), "steps", 1),
    (lambda x: RandomAllocation(9, x, 1, INNER), "selected", 0),
    (lambda x: RandomAllocation(9, 1, x, INNER), "epochs", 0),
]
EXAMPLES = [
    Laplace(3), DiscreteGaussian(2, 3), DiscreteLaplace(0.1, 2), SubsetResponse(5, 2, 1), Exponential(1),
    Exponential(1, "pure"), SparseVector(3, 2), SparseVector(3, 2, queries=10), GNMax(2),
    ConfidentGNMax(-10, 1, 2, 5, 3), LNMax(3), TreeAggregation(2, 100, 3), MatrixFactorization(3, 2), ZCDP(1, 0.5),
    GDP(3), RDP((2, 3), (1, 2.5)), RDP((2,), (1,)), INNER.fixed_size(2, 10), INNER.shuffled(3, 10, epochs=2),
    (INNER + Laplace(2)).random_allocation(10, 2, epochs=3), parallel(INNER, INNER * 2, Laplace(2) + INNER), Parallel(()),
    parallel(INNER.poisson(0.1) * 5).fixed_size(1, 3) + GDP(1), GroupSampledGaussian(1.5, 0.01, 3),
]  # fmt: skip


@pytest.mark.parametrize(("make", "name", "least", "allowed"), REALS)
def test_reals_out_of_range_are_refused_by_name(make, name, least, allowed):
    for bad in (math.nan, math.inf, -math.inf, least - 0.5, -1e-300, 10**400):
        with pytest.raises(ValueError, match=f"{name}="):
            make(bad)
    for bad in ("1", True, None, 1j, [1.0]):
        with pytest.raises(TypeError, match=name):
            make(bad)
    if allowed:
        make(least)
    else:
        with pytest.raises(ValueError, match=f"{name}="):
            make(least)


@pytest.mark.parametrize(("make", "name", "least"), WHOLES)
def test_whole_numbers_out_of_range_are_refused_by_name(make, name, least):
    make(least)
    for bad in (least - 1, -(10**30)):
        with pytest.raises(ValueError, match=f"{name}="):
            make(bad)
    for bad in (1.0, True, "1", math.nan, [1]):
        with pytest.raises(TypeError, match=name):
            make(bad)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: SubsetResponse(5, 6, 1.0), "d="),
        (lambda: ConfidentGNMax(1.0, 1.0, 1.0, 5, 6), "answered="),
        (lambda: ConfidentGNMax(math.nan, 1.0, 1.0, 5, 4), "threshold="),
        (lambda: FixedSizeSampled(10, 9, INNER), "m="),
        (lambda: Shuffled(10, 9, 1, INNER), "batch="),
        (lambda: RandomAllocation(9, 10, 1, INNER), "selected="),
        (lambda: Exponential(1.0, "bounded_range"), "bounded-range"),
        (lambda: RDP((), ()), "orders"),
        (lambda: RDP((2.0, 3.0), (1.0,)), "as long as"),
        (lambda: RDP((3.0, 2.0), (1.0, 1.0)), "increasing"),
        (lambda: RDP((2.0, 2.0), (1.0, 1.0)), "increasing"),
        (lambda: TreeAggregation(1.0, MAX_COUNT + 1), "steps="),
        (lambda: ApproxDP(1.0, 1.0), "delta="),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(make, name):
    with pytest.raises(ValueError, match=name):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: PoissonSampled(0.1, "gaussian"), lambda: FixedSizeSampled(1, 2, None), lambda: Shuffled(1, 2, 1, 3),
        lambda: RandomAllocation(2, 1, 1, object()), lambda: Parallel((INNER, 3)), lambda: Parallel(INNER),
        lambda: parallel(INNER, 3), lambda: RDP(2.0, (1.0,)), lambda: RDP("23", (1.0, 1.0)),
    ],
)  # fmt: skip
def test_values_of_the_wrong_type_are_refused(make):
    with pytest.raises(TypeError):
        make()


@pytest.mark.parametrize(("make", "name", "least", "allowed"), REALS)
def test_int_and_float_make_the_same_event(make, name, least, allowed):
    whole, real = make(3), make(3.0)
    assert whole == real
    assert hash(whole) == hash(real)
    assert repr(whole) == repr(real)
    assert json.dumps(whole.to_dict()) == json.dumps(real.to_dict())


def test_minus_zero_is_zero():
    for make, _, least, allowed in REALS:
        if allowed and least == 0:
            assert repr(make(-0.0)) == repr(make(0.0))


@pytest.mark.parametrize("event", EXAMPLES, ids=repr)
def test_text_and_json_give_the_same_event_back(event):
    assert parse(repr(event)) == event
    again = from_dict(json.loads(json.dumps(event.to_dict(), allow_nan=False)))
    assert again == event
    assert hash(again) == hash(event)
    assert repr(again) == repr(event)
    assert KINDS[event.type_name] is type(event)


@given(
    scale=st.floats(1e-300, 1e300),
    rho=st.floats(0, 1e300),
    orders=st.lists(st.floats(1.0, 1e300, exclude_min=True), min_size=1, max_size=4, unique=True),
)
def test_every_float_survives_text_and_json(scale, rho, orders):
    claim = RDP(tuple(sorted(orders)), tuple(rho for _ in orders))
    for event in (Laplace(scale), ZCDP(rho, scale), claim, TreeAggregation(rho, 3) + MatrixFactorization(rho, scale)):
        assert parse(repr(event)) == event
        assert from_dict(json.loads(json.dumps(event.to_dict()))) == event


@pytest.mark.parametrize(
    ("event", "stated"),
    [
        (Laplace(1.0), "add-remove replace-one zero-out"),
        (DiscreteGaussian(1.0), "add-remove replace-one zero-out"),
        (SubsetResponse(5, 2, 1.0), "replace-one"),
        (ConfidentGNMax(1.0, 1.0, 1.0, 2, 1), "add-remove replace-one"),
        (LNMax(1.0), "add-remove replace-one"),
        (INNER.fixed_size(1, 2), "replace-one"),
        (INNER.shuffled(1, 2), "zero-out"),
        (INNER.random_allocation(2), "add-remove zero-out"),
        (GNMax(1.0).random_allocation(2), "add-remove"),
        (SubsetResponse(5, 2, 1.0).shuffled(1, 2), ""),
        (parallel(INNER, LNMax(1.0)), "add-remove replace-one"),
        (Composed((INNER.shuffled(1, 2), INNER.fixed_size(1, 2))), ""),
        (Parallel(()), "add-remove replace-one zero-out"),
    ],
)
def test_events_say_which_adjacencies_they_are_stated_for(event, stated):
    assert event.adjacencies == {Adjacency(one) for one in stated.split()}


def test_methods_build_the_samples():
    assert INNER.fixed_size(2, 10) == FixedSizeSampled(2, 10, INNER)
    assert INNER.shuffled(2, 10) == Shuffled(2, 10, 1, INNER)
    assert INNER.random_allocation(10) == RandomAllocation(10, 1, 1, INNER)
    assert parallel(INNER, GDP(1)) == Parallel((INNER, GDP(1)))
    assert repr((INNER * 3).shuffled(2, 10)) == "(gaussian(2) * 3).shuffled(batch=2, n=10, epochs=1)"


def test_a_nested_sample_counts_as_depth():
    event = Repeat(2, INNER)
    for _ in range(99):
        event = event.random_allocation(3)
    assert event.depth == 100
    for deeper in (lambda: event.shuffled(1, 2), lambda: event.fixed_size(1, 2), lambda: parallel(event)):
        with pytest.raises(ValueError, match="depth"):
            deeper()


def test_events_need_no_numpy():
    program = (
        "import sys, accountants.events as e; e.GNMax(1, [1, 2]); e.RDP((2,), (1,)); print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
