"""Every method is asked through one row, in one order, and loads when it is asked."""

import subprocess
import sys

import pytest

from accountants import Gaussian, Laplace, PureDP, epsilon, parallel
from accountants.adjacency import Adjacency
from accountants.composition.epsilon import epsilon_of_parts
from accountants.composition.prepared import prepared, prepared_parts
from accountants.composition.table import METHODS, tight_methods
from accountants.events import SparseVector, normal_form
from accountants.methods.method import Method
from accountants.methods.renyi.conversion import RENYI


def test_the_names_that_may_be_passed_are_those_of_the_methods():
    rows = [*tight_methods(), RENYI]
    assert ("auto", *(row.name for row in rows)) == METHODS
    assert all(isinstance(row, Method) for row in rows)


@pytest.mark.parametrize("releases", [1, 499, 500, 10**6])
def test_few_and_many_releases_are_offered_to_the_same_methods(releases):
    assert {row.name for row in tight_methods(releases)} == {*METHODS} - {"auto", "renyi"}


def test_what_answers_first_spares_the_others():
    program = "import sys, accountants as a; a.epsilon(a.Gaussian(1), 1e-5); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = done.stdout.split()
    assert "accountants.methods.exact.methods" in loaded
    assert "accountants.methods.fourier.accountant" not in loaded
    assert "accountants.methods.lattice.accountant" not in loaded


def test_one_bound_serves_both_ends_unless_something_tells_them_apart():
    plain = prepared(Gaussian(2.0) + Laplace(3.0), "add-remove")
    assert plain.below is plain.above
    assert len(plain.above) == 1
    certain = prepared(Gaussian(2.0) + SparseVector(10.0, 1), "add-remove")
    assert certain.below[0].parts == prepared(Gaussian(2.0), "add-remove").above[0].parts
    moved = prepared(parallel(Gaussian(2.0), Laplace(3.0), PureDP(1.0)), "replace-one")
    assert (len(moved.below), len(moved.above)) == (3, 3)


def test_disjoint_parts_inside_disjoint_parts_are_places_of_their_own():
    nested = parallel(Gaussian(3.0), parallel(Gaussian(1.0), Laplace(9.0)) + PureDP(0.1))
    found = prepared(nested, "add-remove")
    assert len(found.above) == 3
    costliest = epsilon(Gaussian(1.0) + PureDP(0.1), 1e-5)
    assert epsilon(nested, 1e-5).upper == costliest.upper
    assert epsilon(nested, 1e-5).lower == costliest.lower


def test_a_caller_that_needs_no_lower_end_gets_the_same_upper_end():
    parts = normal_form(Gaussian(2.0) + SparseVector(10.0, 1), adjacency=Adjacency.ADD_REMOVE)
    certain = normal_form(Gaussian(2.0), adjacency=Adjacency.ADD_REMOVE)
    whole = epsilon_of_parts(parts, 1e-5, Adjacency.ADD_REMOVE, certain=certain)
    assert whole.upper == epsilon_of_parts(parts, 1e-5, Adjacency.ADD_REMOVE, needs_lower=False).upper
    assert whole.lower == epsilon(Gaussian(2.0), 1e-5).lower


def test_the_order_of_charges_changes_no_digit():
    events = [Gaussian(1.0 + index / 7).poisson(0.01 + index / 1000) for index in range(12)]
    forwards = dict.fromkeys(events, 3)
    backwards = dict(reversed(forwards.items()))
    first, second = (prepared_parts(parts, Adjacency.ADD_REMOVE).above[0] for parts in (forwards, backwards))
    assert list(first.parts) == list(second.parts)
