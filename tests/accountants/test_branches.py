"""Disjoint parts of the records: the dearest counts, tight at both ends; exchanging a record touches two."""

import math

import pytest

from accountants import (
    Gaussian,
    Laplace,
    Ledger,
    PureDP,
    RandomizedResponse,
    delta,
    epsilon,
    parallel,
)
from accountants.adjacency import Adjacency
from accountants.composition.disjoint_parts import taken_apart
from accountants.events import normal_form


def test_the_dearest_part_counts_at_both_ends():
    both = epsilon(parallel(Gaussian(2.0), Laplace(3.0)), 1e-5)
    alone = [epsilon(event, 1e-5) for event in (Gaussian(2.0), Laplace(3.0))]
    assert both.upper == max(one.upper for one in alone)
    assert both.lower == max(one.lower for one in alone)


def test_what_comes_on_top_is_composed_with_each_part():
    rest = Gaussian(5.0) * 3
    both = delta(parallel(Gaussian(2.0) * 4, PureDP(0.5)) + rest, 1.0)
    alone = [delta(event + rest, 1.0) for event in (Gaussian(2.0) * 4, PureDP(0.5))]
    assert both.upper == max(one.upper for one in alone)
    assert both.upper < delta(Gaussian(2.0) * 4 + PureDP(0.5) + rest, 1.0).lower


def test_an_exchanged_record_costs_two_parts_from_above_and_one_from_below():
    events = RandomizedResponse(3, 1.0), RandomizedResponse(3, 0.5), Gaussian(40.0)
    both = epsilon(parallel(*events), 1e-5, adjacency="replace-one")
    assert both.upper == epsilon(events[0] + events[1], 1e-5, adjacency="replace-one").upper
    assert both.lower == epsilon(events[0], 1e-5, adjacency="replace-one").lower


def test_parts_may_be_nested():
    nested = parallel(Gaussian(3.0), parallel(Gaussian(1.0), Laplace(9.0)))
    assert math.isclose(epsilon(nested, 1e-5).upper, epsilon(Gaussian(1.0), 1e-5).upper, rel_tol=1e-12)


def test_repeated_parallel_events_are_left_to_rényi():
    # Another partition may be used every time, so that no single part need be the dearest throughout.
    repeated = normal_form(parallel(Gaussian(2.0), Laplace(3.0)) * 2, adjacency=Adjacency.ADD_REMOVE)
    assert taken_apart(repeated, Adjacency.ADD_REMOVE) == ([repeated], [repeated])
    assert epsilon(parallel(Gaussian(2.0), Laplace(3.0)) * 2, 1e-5).method == "renyi"


@pytest.mark.parametrize("adjacency", ["add-remove", "replace-one"])
def test_a_ledger_takes_parallel_events(adjacency):
    ledger = Ledger(adjacency=adjacency, epsilon=10.0, delta=1e-5)
    ledger.charge(parallel(Gaussian(2.0), Laplace(3.0)))
    assert ledger.epsilon().upper <= 10.0
