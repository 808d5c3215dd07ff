"""How epsilon grew: the same numbers as recomputing every prefix of the ledger."""

import pytest

from accountants.composition.epsilon import epsilon
from accountants.events import Composed, Gaussian, PureDP
from accountants.ledger.ledger import Ledger
from accountants.ledger.spending import spending


def made(charges, **kwargs):
    ledger = Ledger(adjacency="add-remove", **kwargs)
    for place in range(charges):
        ledger.charge(Gaussian(10.0 + place % 3) * 2 if place % 2 else PureDP(0.01))
    return ledger


def test_every_prefix_costs_what_it_costs_alone():
    ledger = made(6)
    found = spending(ledger, 1e-5)
    assert [charges for charges, _ in found] == list(range(7))
    for charges, bound in found:
        alone = epsilon(Composed(ledger.events[:charges]), 1e-5)
        assert (bound.lower, bound.upper) == (alone.lower, alone.upper)
    assert found[-1][1].upper == ledger.epsilon(1e-5).upper


def test_long_ledgers_are_thinned_and_keep_both_ends():
    found = spending(made(100), 1e-5, points=8)
    assert len(found) == 8
    assert (found[0][0], found[-1][0]) == (0, 100)
    assert [charges for charges, _ in found] == sorted({charges for charges, _ in found})


def test_delta_is_the_ledgers_own_unless_given():
    ledger = made(3, delta=1e-3)
    assert spending(ledger)[-1][1].upper == ledger.epsilon(1e-3).upper
    with pytest.raises(ValueError, match="delta=None"):
        spending(made(3))
    with pytest.raises(ValueError, match="points"):
        spending(ledger, points=1)


def test_nothing_was_spent_on_an_empty_ledger():
    assert [(charges, bound.upper) for charges, bound in spending(made(0), 1e-5)] == [(0, 0.0)]


def test_the_history_of_a_shuffled_ledger_has_the_lower_end_of_the_ledger():
    ledger = Ledger(adjacency="zero-out", delta=1e-5)
    ledger.charge(Gaussian(2.0).shuffled(10, 1000, epochs=2))
    ledger.charge(Gaussian(5.0))
    bound, whole = spending(ledger)[-1][1], ledger.epsilon(1e-5)
    assert bound.upper == whole.upper
    assert bound.lower == pytest.approx(whole.lower, rel=1e-9)
    assert 0.0 < bound.lower < bound.upper
