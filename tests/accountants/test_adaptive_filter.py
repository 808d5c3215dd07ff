"""The filter as an object: what it allows, refuses and says; that no thread, crash, copy or fork gets more out of it."""

import copy
import math
import os
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants import (
    AdjacencyError,
    ApproxDP,
    BudgetExceeded,
    Gaussian,
    Ledger,
    LedgerError,
    PureDP,
    RandomizedResponse,
    UnsupportedEvent,
    epsilon,
    gaussian_mu,
    renyi,
)
from accountants.budgets.filter import Filter
from accountants.budgets.rules import CopiesRule, GaussianRule, RenyiRule, ZCDPRule
from accountants.budgets.standing import Standing

DELTA = 1e-5
STEP = Gaussian(1.1).poisson(0.01)


def accepted(budget, event, *, most=10**6):
    count = 0
    while count < most and budget.try_spend(event):
        count += 1
    return count


def test_gaussians_fit_while_their_squared_mus_do():
    mu = gaussian_mu(1.0, DELTA)
    budget = Filter(1.0, DELTA, rule=GaussianRule())
    spent = 0.0
    for sigma in (10.0, 20.0, 15.0, 30.0, 8.0, 12.0, 40.0):
        fits = spent + 1 / sigma**2 <= mu**2
        assert budget.try_spend(Gaussian(sigma)) == fits
        spent += fits / sigma**2
    left = 1 / math.sqrt(mu**2 - spent)
    assert not budget.try_spend(Gaussian(left * (1 - 1e-9)))
    assert budget.try_spend(Gaussian(left * (1 + 1e-9)))
    assert budget.spent == pytest.approx(1.0, rel=1e-6)


def test_zcdp_fits_while_the_rhos_do():
    # By the textbook conversion rho + 2 sqrt(rho log(1/delta)), which the rule never falls short of.
    rho = (math.sqrt(math.log(1 / DELTA) + 2.0) - math.sqrt(math.log(1 / DELTA))) ** 2
    budget = Filter(2.0, DELTA, rule=ZCDPRule())
    assert budget.try_spend(Gaussian(math.sqrt(1 / rho)))  # half of it
    assert budget.try_spend(PureDP(math.sqrt(rho * (1 - 1e-9))))  # the other half
    ours = accepted(Filter(2.0, DELTA, rule=ZCDPRule()), Gaussian(20.0))
    assert ours > 1.1 * rho * 800.0


@given(levels=st.lists(st.floats(0.001, 0.3), min_size=1, max_size=20), share=st.floats(0.1, 0.9))
@settings(max_examples=20, deadline=None)
def test_claims_of_the_published_filter_are_never_refused(levels, share):
    failure, each = share * DELTA, share * DELTA / 40
    total = sum(level**2 for level in levels)
    # Whitehouse, Ramdas, Rogers, Wu 2023; the failures enter ours as (1 - F) delta' + F <= delta' + F.
    published = math.sqrt(2 * math.log(1 / (DELTA - failure)) * total) + total / 2
    budget = Filter(published * (1 + 1e-9), DELTA, rule=ZCDPRule(), failure=failure)
    assert all(budget.try_spend(ApproxDP(level, each)) for level in levels)


def test_failures_of_claims_may_use_what_was_set_aside_and_no_more():
    budget = Filter(5.0, DELTA, rule=ZCDPRule(), failure=1e-6)
    assert budget.remaining(ApproxDP(0.01, 2.5e-7)) == 4
    assert accepted(budget, ApproxDP(0.01, 2.5e-7)) == 4
    assert not budget.try_spend(ApproxDP(0.01, 1e-12))
    assert budget.try_spend(PureDP(0.01))
    with pytest.raises(UnsupportedEvent, match="cannot be counted"):
        Filter(5.0, DELTA, rule=ZCDPRule()).try_spend(ApproxDP(0.01, 1e-12))


def test_sampled_gaussians_chosen_on_the_way_are_counted_at_the_fixed_order():
    order, budget = 9.0, Filter(2.0, DELTA, rule=RenyiRule((9.0,)))
    room = 2.0 - math.log1p(-1 / order) + math.log(DELTA * order) / (order - 1)
    spent = 0.0
    for step in range(2000):
        event = Gaussian(0.8 + 0.001 * (step % 50)).poisson(0.01 + 0.0001 * (step % 30))
        spent += float(renyi(event, order, adjacency="add-remove"))
        if not budget.try_spend(event):
            assert spent > room * (1 - 1e-9)
            break
        assert spent <= room * (1 + 1e-9)
    else:
        pytest.fail("never full")


def test_the_order_of_spends_does_not_matter_to_the_last_digit():
    events = [Gaussian(10.0 + 0.37 * step) for step in range(50)] + [PureDP(0.01 + 0.001 * step) for step in range(20)]
    forward, backward = (Filter(9.0, DELTA, rule=RenyiRule((5.0, 9.0))) for _ in range(2))
    for one, other in zip(events, reversed(events), strict=True):
        assert forward.try_spend(one)
        assert backward.try_spend(other)
    assert forward.spent == backward.spent


def test_copies_of_a_step_fit_as_often_as_the_plan_costs():
    budget = Filter(1.0, DELTA, rule=CopiesRule(STEP))
    most = budget.remaining(STEP)
    assert epsilon(STEP * most, DELTA).upper <= 1.0 < epsilon(STEP * (most + 1), DELTA).upper
    assert budget.try_spend(STEP, most - 2)
    assert budget.try_spend(Gaussian(1.2).poisson(0.005))  # less revealing, counted as one
    with pytest.raises(UnsupportedEvent, match="exact law of repeated"):
        budget.try_spend(Gaussian(1.0).poisson(0.01))
    assert accepted(budget, STEP) == 1
    assert most > 1.1 * Filter(1.0, DELTA, plan=STEP).remaining(STEP)


@pytest.mark.parametrize("first", [STEP, Gaussian(9.0), RandomizedResponse(4, 0.1), ApproxDP(0.02, 1e-8), PureDP(0.3)])
def test_without_a_rule_the_filter_is_a_ledger_with_a_budget(first):
    adjacency = "replace-one" if isinstance(first, RandomizedResponse) else "add-remove"
    budget, ledger = Filter(1.0, DELTA, adjacency=adjacency), Ledger(adjacency=adjacency, epsilon=1.0, delta=DELTA)
    for event in [first, first * 3, PureDP(0.05), first * 40, Gaussian(50.0), first * 10, PureDP(0.01)] * 3:
        try:
            ledger.charge(event)
            charged = True
        except BudgetExceeded:
            charged = False
        try:
            spent = budget.try_spend(event)
        except UnsupportedEvent:
            spent = False
        assert spent == charged


def test_a_plan_chooses_the_rule_and_spends_nothing():
    budget = Filter(1.0, DELTA, plan=STEP * 1000 + Gaussian(30.0))
    assert "order" in budget.rule
    assert budget.spent == 0.0
    assert budget.try_spend(PureDP(0.01))
    assert budget.try_spend(STEP, 10)
    assert Filter(1.0, DELTA, plan=Gaussian(3.0)).rule == "the exact Gaussian curve"
    assert "by the first spend" in Filter(1.0, DELTA).rule


def test_a_refused_spend_changes_nothing_and_a_smaller_one_may_fit():
    budget = Filter(1.0, DELTA)
    assert budget.try_spend(Gaussian(6.0))
    before = budget.spent, budget.remaining(Gaussian(30.0))
    assert not budget.try_spend(Gaussian(4.0))
    with pytest.raises(UnsupportedEvent, match="nothing was spent"):
        budget.try_spend(STEP)
    with pytest.raises(AdjacencyError):
        budget.try_spend(RandomizedResponse(3, 0.1))
    with pytest.raises(ValueError, match="count"):
        budget.try_spend(Gaussian(30.0), -1)
    assert (budget.spent, budget.remaining(Gaussian(30.0))) == before
    assert budget.try_spend(Gaussian(30.0), before[1])
    assert not budget.try_spend(Gaussian(30.0))


def test_a_refused_first_spend_fixes_nothing():
    budget = Filter(1.0, DELTA)
    assert not budget.try_spend(Gaussian(1.0))
    assert budget.try_spend(PureDP(0.0))  # free
    assert budget.try_spend(STEP)
    assert "order" in budget.rule


def test_an_error_in_the_middle_of_a_spend_changes_nothing(monkeypatch):
    budget = Filter(1.0, DELTA, rule=RenyiRule((20.0,)))
    budget.try_spend(Gaussian(20.0))
    before = budget.spent

    def broken(_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Standing, "is_within", broken)
        with pytest.raises(MemoryError):
            budget.try_spend(Gaussian(20.0))
    assert budget.spent == before
    assert budget.try_spend(Gaussian(20.0))  # and the lock is free


def test_many_threads_together_never_exceed_the_budget():
    allowed = Filter(1.0, DELTA).remaining(Gaussian(60.0))
    budget, counts = Filter(1.0, DELTA), []

    def spend():
        counts.append(accepted(budget, Gaussian(60.0)))

    threads = [threading.Thread(target=spend) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == allowed
    assert len(counts) == 16


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_filter_cannot_be_copied(make):
    with pytest.raises(TypeError, match=r"a Filter cannot be"):
        make(Filter(1.0, DELTA))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_cannot_spend():
    budget = Filter(1.0, DELTA)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            budget.try_spend(Gaussian(30.0))
        except LedgerError:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert budget.spent == 0.0


def test_remaining_is_what_one_spend_allows():
    for event in (Gaussian(9.0), STEP, PureDP(0.1), PureDP(0.1) * 7, Gaussian(0.5)):
        most = Filter(1.0, DELTA).remaining(event)
        assert Filter(1.0, DELTA).try_spend(event, most)
        assert not Filter(1.0, DELTA).try_spend(event, most + 1)
    assert Filter(1.0, DELTA).remaining(PureDP(0.0)) == 10**15


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epsilon": -1.0}, "epsilon="),
        ({"delta": 1.0}, "delta="),
        ({"adjacency": "same"}, "adjacency="),
        ({"plan": PureDP(0.0)}, "costs nothing"),
        ({"plan": STEP, "rule": ZCDPRule()}, "both"),
        ({"failure": 1e-6}, "rule="),
        ({"failure": DELTA, "rule": ZCDPRule()}, "failure="),
    ],
)
def test_bad_arguments_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        Filter(**{"epsilon": 1.0, "delta": DELTA, **options})


@pytest.mark.parametrize("orders", [(), (1.0,), (2.0, 2.0), (math.nan,)])
def test_bad_orders_are_named(orders):
    with pytest.raises(ValueError, match="order"):
        RenyiRule(orders)


def test_without_delta_only_pure_guarantees_fit():
    budget = Filter(1.0, 0.0)
    assert accepted(budget, PureDP(0.25)) == 4
    assert not Filter(1.0, 0.0, rule=GaussianRule()).try_spend(Gaussian(100.0))
