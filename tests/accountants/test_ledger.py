"""The ledger refuses what does not fit, atomically, and adds up what does."""

import math
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants import (
    ZCDP,
    AdjacencyError,
    ApproxDP,
    BudgetExceeded,
    Gaussian,
    GNMax,
    Ledger,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    UnsupportedEvent,
    epsilon,
)


def new(**kwargs):
    return Ledger(**{"adjacency": "replace-one", "epsilon": 1.0, "delta": 1e-5, **kwargs})


def test_charges_add_up_to_the_total():
    ledger = new(epsilon=None)
    ledger.charge(GNMax(40), where="votes", count=10)
    ledger.charge(RandomizedResponse(10, 0.01), count=3)
    ledger.charge(GNMax(40) * 5)
    assert ledger.events == (GNMax(40) * 10, RandomizedResponse(10, 0.01) * 3, GNMax(40) * 5)
    assert [charge.where for charge in ledger.charges] == ["votes", "", ""]
    assert str(ledger.total) == "gnmax(40) * 15 + krr(k=10, eps0=0.01) * 3"
    assert ledger.epsilon() == epsilon(ledger.total, 1e-5, adjacency="replace-one")
    assert ledger.epsilon(1e-3).upper < ledger.epsilon().upper


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    event=st.sampled_from([Gaussian(30.0), PureDP(0.01), RandomizedResponse(3, 0.02), ApproxDP(0.01, 1e-8)]),
)
@settings(max_examples=15)
def test_the_budget_is_never_exceeded_and_a_refusal_changes_nothing(counts, event):
    ledger = new()
    for count in counts:
        before = ledger.to_dict(), ledger.digest, ledger.events, ledger.remaining()
        try:
            ledger.charge(event, count=count)
        except BudgetExceeded:
            assert before == (ledger.to_dict(), ledger.digest, ledger.events, ledger.remaining())
            would = sum(part.count if hasattr(part, "count") else 1 for part in ledger.events) + count
            assert epsilon(event * would, 1e-5, adjacency="replace-one").upper > 1.0
        assert ledger.epsilon().upper <= 1.0
        assert ledger.remaining() == 1.0 - ledger.epsilon().upper


def test_the_refusal_says_what_was_asked_what_is_spent_and_what_fits():
    ledger = new()
    ledger.charge(GNMax(50), where="votes", count=20)
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.charge(GNMax(50), count=800)
    text = str(refusal.value)
    cost = epsilon(GNMax(50) * 820, 1e-5, adjacency="replace-one").upper
    assert f"would cost epsilon={math.ceil(cost * 1e4) / 1e4:g}" in text
    assert "of 1 at delta=1e-05, adjacency replace-one" in text
    assert "in 1 events; largest: gnmax(50) * 20" in text
    fits = int(text.split("to <= ")[1].split()[0])
    ledger.charge(GNMax(50), count=fits)
    with pytest.raises(BudgetExceeded):
        ledger.charge(GNMax(50))


def test_infinite_costs_are_refused_with_a_budget_and_recorded_without():
    with pytest.raises(BudgetExceeded, match="epsilon=inf"):
        new().charge(Gaussian(0.0))
    free = new(epsilon=None)
    free.charge(Gaussian(0.0))
    assert free.epsilon().lower == math.inf
    assert free.remaining() == math.inf


def test_pure_budgets():
    ledger = new(delta=0.0)
    ledger.charge(PureDP(0.25), count=4)
    assert ledger.epsilon().lower == ledger.epsilon().upper == 1.0  # the sum is exact
    with pytest.raises(BudgetExceeded):
        ledger.charge(PureDP(0.01))
    with pytest.raises(BudgetExceeded, match="inf"):
        new(delta=0.0).charge(Gaussian(100.0))


def test_free_events_fit_even_into_a_spent_budget():
    ledger = new(epsilon=0.0)
    ledger.charge(PriorResponse(1, 5.0), count=100)
    ledger.charge(PureDP(1.0), count=0)
    assert len(ledger.events) == 2
    with pytest.raises(BudgetExceeded):
        ledger.charge(PureDP(0.001))


def test_mixed_adjacencies_are_refused_at_the_charge():
    ledger = new(adjacency="add-remove")
    ledger.charge(Gaussian(100.0))
    before = ledger.digest
    with pytest.raises(AdjacencyError, match="pass adjacency='replace-one'"):
        ledger.charge(Gaussian(100.0) + RandomizedResponse(3, 0.01))
    assert ledger.digest == before


@pytest.mark.parametrize("event", [ZCDP(0.01).poisson(0.1), (ZCDP(0.01) + Gaussian(90.0)).poisson(0.1) * 3])
def test_what_no_accountant_can_bound_is_refused_at_the_charge(event):
    ledger = Ledger(adjacency="replace-one")
    with pytest.raises(UnsupportedEvent, match="zcdp"):
        ledger.charge(event)
    assert ledger.events == ()


def test_many_threads_never_overdraw():
    old = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # change threads at nearly every instruction
    ledger = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
    event, accepted = Gaussian(40.0), []
    start = threading.Barrier(8)

    def spend():
        start.wait()
        for _ in range(20):
            try:
                ledger.charge(event)
                accepted.append(1)
            except BudgetExceeded:
                return

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(old)
    assert len(ledger.events) == len(accepted)
    assert ledger.epsilon().upper <= 1.0
    assert epsilon(event * (len(accepted) + 1), 1e-5).upper > 1.0  # and nothing that fits was refused
    assert [record["index"] for record in ledger.to_dict()["events"]] == list(range(len(accepted)))


def test_stepwise_training_costs_what_the_repeated_event_costs():
    ledger = Ledger(adjacency="add-remove", epsilon=3.0, delta=1e-5)
    for _ in range(300):
        ledger.charge(Gaussian(1.1).poisson(0.01))
    assert ledger.epsilon() == epsilon(Gaussian(1.1).poisson(0.01) * 300, 1e-5)


@pytest.mark.parametrize(
    ("kwargs", "named"),
    [
        ({"adjacency": "both"}, "adjacency="),
        ({"epsilon": -1.0}, "epsilon="),
        ({"epsilon": math.inf}, "epsilon="),
        ({"delta": 1.0}, "delta="),
        ({"delta": None}, "epsilon=1.0 without delta"),
        ({"n": 0}, "n=0"),
    ],
)
def test_bad_settings_are_named(kwargs, named):
    with pytest.raises(ValueError, match=named):
        new(**kwargs)


def test_bad_charges_are_named():
    ledger = new()
    with pytest.raises(ValueError, match="count="):
        ledger.charge(Gaussian(50.0), count=-1)
    with pytest.raises(TypeError, match="where"):
        ledger.charge(Gaussian(50.0), where=3)
    with pytest.raises(TypeError, match="event"):
        ledger.charge("gaussian(50)")
    with pytest.raises(ValueError, match="delta=None"):
        Ledger(adjacency="add-remove").epsilon()
    assert ledger.events == ()


def test_claims_and_disclosures_are_kept_in_order():
    ledger = new()
    before = ledger.digest
    ledger.claim(1.0, 1e-5, "exact")
    ledger.claim(math.inf, 0.0, "none")
    ledger.disclose("seeded noise")
    assert [(claim.epsilon, claim.delta, claim.accountant) for claim in ledger.claims] == [
        (1.0, 1e-5, "exact"),
        (math.inf, 0.0, "none"),
    ]
    assert ledger.disclosed == ("seeded noise",)
    assert ledger.digest != before
    for bad in (-1.0, math.nan):
        with pytest.raises(ValueError, match="epsilon="):
            ledger.claim(bad, 1e-5, "x")
