"""A plan of several charges is tried out against a budget before the first of them."""

import pytest

from accountants import BudgetExceeded, Gaussian, GNMax, Ledger


@pytest.mark.parametrize("shared", [False, True])
def test_room_is_what_charge_would_find_and_nothing_changes(shared):
    ledger = Ledger(adjacency="replace-one", epsilon=1.0, delta=1e-5, shared=shared)
    ledger.charge(GNMax(sigma=20.0), where="first")
    before = ledger.digest
    ledger.require_room(GNMax(sigma=20.0) * 3)
    for plan in (GNMax(sigma=20.0) * 100, GNMax(sigma=20.0) + Gaussian(sigma=1.0)):
        with pytest.raises(BudgetExceeded):
            ledger.require_room(plan)
        with pytest.raises(BudgetExceeded):
            ledger.charge(plan)
    assert (ledger.digest, len(ledger.charges)) == (before, 1)
    assert ledger.charge(GNMax(sigma=20.0) * 3).index > 0


def test_without_a_budget_there_is_room_for_everything():
    ledger = Ledger(adjacency="replace-one")
    ledger.require_room(GNMax(sigma=0.01) * 10**6)
    assert not ledger.charges


def test_what_others_charged_to_the_file_is_seen(tmp_path):
    path = tmp_path / "records.json"
    mine = Ledger.open(path, adjacency="replace-one", epsilon=1.0, delta=1e-5)
    plan = GNMax(sigma=10.0)
    mine.require_room(plan)
    other = Ledger.open(path)
    other.charge(GNMax(sigma=8.0), where="another program")
    with pytest.raises(BudgetExceeded):
        mine.require_room(plan * 4)
