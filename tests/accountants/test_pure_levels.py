"""Pure guarantees: both ends, for everything that a normal form can hold, against laws on finitely many outputs."""

import math

import mpmath as mp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Adjacency, delta, epsilon
from accountants.events import (
    RDP,
    ZCDP,
    ApproxDP,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    PureDP,
    RandomizedResponse,
    normal_form,
    parallel,
)
from accountants.methods.pure import pure_epsilon
from accountants.methods.renyi.renyi import renyi


def slow_sampled(q, level):
    """Largest loss of a Poisson sample of a binary response, 700 digits: the level may be 1e-300."""
    with mp.workdps(700):
        return mp.log(1 - mp.mpf(q) + mp.mpf(q) * mp.e ** mp.mpf(level))


def slow_replaced(q, level):
    """The same between the two opposite contributions."""
    with mp.workdps(700):
        q, level = mp.mpf(q), mp.mpf(level)
        return mp.log((1 - q + q * mp.e**level) / (1 - q + q * mp.e**-level))


@given(q=st.floats(1e-300, 1.0, exclude_max=True), level=st.floats(1e-12, 1e5))
def test_the_level_of_a_sample_lies_between_the_ends_and_they_are_close(q, level):
    event = PureDP(level).poisson(q)
    for truth, relation in ((slow_sampled, Adjacency.ADD_REMOVE), (slow_replaced, Adjacency.REPLACE_ONE)):
        low, high = pure_epsilon(normal_form(event, adjacency=relation), relation)
        assert low <= truth(q, level) <= high
        assert high - low <= 3e-14 * high * (1.0 + (abs(math.log(q)) if level > 700.0 else 0.0)) + 1e-322


@pytest.mark.parametrize(
    ("event", "relation", "truth"),
    [
        (Laplace(1.0).poisson(0.1), "add-remove", slow_sampled(0.1, 1)),
        (Laplace(1.0).poisson(0.1), "replace-one", slow_replaced(0.1, 1)),
        (Laplace(1.0).poisson(1.0), "replace-one", 2.0),
        (PureDP(50.0).poisson(1.0), "replace-one", 100.0),
        ((Laplace(1.0) + PureDP(0.5)).poisson(0.1) * 3, "add-remove", 3 * slow_sampled(0.1, 1.5)),
        (
            (Laplace(1.0).poisson(0.1) + PureDP(0.5)).poisson(0.2),
            "zero-out",
            slow_sampled(0.2, slow_sampled(0.1, 1) + 0.5),
        ),
        (Laplace(1.0).fixed_size(1, 10), "replace-one", slow_sampled(0.1, 1)),
        (RandomizedResponse(4, 2.0).fixed_size(1, 10), "replace-one", slow_sampled(0.1, 2)),
        (Laplace(1.0).random_allocation(10, selected=2, epochs=3), "add-remove", 6.0),
        (Exponential(1.0) * 2 + PureDP(1.0), "add-remove", 3.0),
        (DiscreteLaplace(0.25, 3), "add-remove", 0.75),
        (ZCDP(0.0, 0.5), "add-remove", 0.5),
        (parallel(Laplace(1.0), PureDP(0.5)) * 2, "add-remove", 2.0),
        (ApproxDP(0.0, 1e-5) * 0 + Laplace(2.0), "add-remove", 0.5),
    ],
)
def test_delta_0_has_ends_around_the_truth(event, relation, truth):
    bound = epsilon(event, 0.0, adjacency=relation)
    assert bound.lower <= truth <= bound.upper
    assert bound.upper - bound.lower <= 1e-12 * bound.upper
    # Just above the level nothing is left, and just below it something is.
    assert delta(event, float(truth) * (1 + 1e-9), adjacency=relation).upper == 0.0
    assert epsilon(event, 1e-9, adjacency=relation).upper <= bound.upper


@pytest.mark.parametrize(
    "event",
    [
        Gaussian(1e6),
        Gaussian(1.0).poisson(1e-6) + PureDP(1.0),
        (Gaussian(1.0) + Laplace(1.0)).poisson(0.5),
        Gaussian(2.0).random_allocation(10),
        DiscreteGaussian(3.0),
        ZCDP(1e-9),
        RDP((2.0, 8.0), (0.1, 0.5)),
        ApproxDP(1.0, 1e-9),
        ApproxDP(1.0, 1e-9).poisson(0.5),
    ],
)
def test_endless_losses_have_no_pure_guarantee(event):
    assert epsilon(event, 0.0).lower == math.inf


def test_what_is_not_known_has_no_lower_end():
    assert pure_epsilon({RDP((2.0,), (0.0,)): 1}, Adjacency.ADD_REMOVE) == (0.0, math.inf)
    nested = normal_form((PureDP(1.0).poisson(0.5) + PureDP(1.0)).poisson(0.5), adjacency=Adjacency.REPLACE_ONE)
    low, high = pure_epsilon(nested, Adjacency.REPLACE_ONE)
    assert 0.0 < low < high < 4.0
    parts = normal_form(parallel(PureDP(1.0), PureDP(0.5)), adjacency=Adjacency.REPLACE_ONE)
    assert pure_epsilon(parts, Adjacency.REPLACE_ONE) == (1.0, 1.5)


def test_the_curve_of_a_sampled_pure_release_ends_at_its_level():
    # A difference of large numbers used to stand here: at q = 1e-300 nothing of the level was left.
    tiny = renyi(PureDP(600.0).poisson(1e-300), 1e300)
    assert math.isclose(tiny, slow_sampled(1e-300, 600), rel_tol=1e-9)
    assert renyi(PureDP(50.0).poisson(1.0), 1e9, adjacency="replace-one") == pytest.approx(100.0, rel=1e-6)
