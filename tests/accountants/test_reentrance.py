"""A charge within a charge, as a signal handler of the same thread can ask for, is refused and loses nothing."""

import pytest

from accountants import Filter, Gaussian, Ledger, LedgerError, Odometer, epsilon
from accountants.budgets.standing import Standing
from accountants.ledger.charging import Account

EVENT = Gaussian(1.3)


def interrupted(monkeypatch, charged, kind, name, inner):
    """Calls `inner` once in the middle of a method, while something is charged; gives what was refused."""
    refused, whole = [], getattr(kind, name)

    def during(self, *args):
        if not refused and charged._is_changing:
            refused.append(None)
            with pytest.raises(LedgerError, match="asked for another charge meanwhile") as error:
                inner()
            refused[0] = error
        return whole(self, *args)

    monkeypatch.setattr(kind, name, during)
    return refused


def test_a_filter_refuses_a_spend_within_a_spend(monkeypatch):
    budget = Filter(4.0, 1e-5, adjacency="replace-one")
    refused = interrupted(monkeypatch, budget, Standing, "is_within", lambda: budget.try_spend(EVENT))
    assert budget.try_spend(EVENT)
    assert refused
    assert not budget.try_spend(EVENT)
    assert budget.spent >= epsilon(EVENT, 1e-5, adjacency="replace-one").lower


@pytest.mark.parametrize("in_a_file", [False, True])
def test_a_ledger_refuses_a_charge_within_a_charge(monkeypatch, tmp_path, in_a_file):
    settings = {"adjacency": "replace-one", "epsilon": 4.0, "delta": 1e-5}
    ledger = Ledger.open(tmp_path / "ledger.json", **settings) if in_a_file else Ledger(**settings)
    refused = interrupted(monkeypatch, ledger, Account, "admitted", lambda: ledger.charge(EVENT))
    ledger.charge(EVENT)
    assert refused
    assert ledger.events == (EVENT,)
    assert ledger.epsilon().upper <= 4.0


def test_an_odometer_refuses_a_spend_within_a_spend(monkeypatch):
    odometer = Odometer(1e-5, adjacency="replace-one")
    one = Odometer(1e-5, adjacency="replace-one")
    one.spend(EVENT)
    refused = interrupted(monkeypatch, odometer, type(odometer._spent), "__add__", lambda: odometer.spend(EVENT))
    odometer.spend(EVENT)
    assert refused
    assert odometer.read() == one.read() > 0.0
