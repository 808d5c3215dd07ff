"""How often something fits: the exact count, with few questions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Filter, Gaussian, Laplace, Ledger, PureDP, epsilon
from accountants.budgets.largest_count import largest_count
from accountants.budgets.rules import RenyiRule
from accountants.errors import BudgetExceeded
from accountants.events.event import MAX_COUNT


@given(limit=st.integers(0, MAX_COUNT), power=st.floats(0.3, 3.0), most=st.integers(0, MAX_COUNT))
def test_the_largest_count_is_found_whatever_the_cost_looks_like(limit, power, most):
    asked = []

    def fits(count):
        asked.append(count)
        return count <= limit

    budget = (limit + 0.5) ** power
    assert largest_count(fits, lambda count: float(count) ** power, budget, most) == min(limit, most)
    assert len(asked) <= 60 + 3 * 55  # doubling, then at worst a bisection with two secants between its steps
    assert all(1 <= count <= most for count in asked)


@pytest.mark.parametrize("cost", [lambda count: math.inf, lambda count: 0.0, lambda count: 5.0, lambda count: -count])
def test_costs_only_show_the_way(cost):
    assert largest_count(lambda count: count <= 123_456, cost, 1.0, 10**9) == 123_456


def test_few_questions_are_asked_where_one_is_dear():
    asked = []

    def fits(count):
        asked.append(count)
        return 0.001 * math.sqrt(count) <= 3.0

    assert largest_count(fits, lambda count: 0.001 * math.sqrt(count), 3.0, MAX_COUNT) == 9_000_000
    after_doubling = [count for count in asked if count & (count - 1)]
    assert len(after_doubling) <= 6  # a bisection needs 23


@pytest.mark.parametrize("before", [None, Gaussian(10.0)])
@pytest.mark.parametrize("event", [Gaussian(20.0), Laplace(30.0), Gaussian(2.0).poisson(0.05), PureDP(0.01)], ids=str)
def test_remaining_is_what_try_spend_allows(event, before):
    def opened():
        budget = Filter(1.0, 1e-5, rule=None if before is None else RenyiRule((20.0,)))
        if before is not None:
            assert budget.try_spend(before)
        return budget

    most = opened().remaining(event)
    assert opened().try_spend(event, most)
    assert not opened().try_spend(event, most + 1)


def test_a_first_charge_that_is_too_large_is_told_the_largest_first_charge():
    step = Laplace(30.0) + Gaussian(1.0).poisson(0.01)
    with pytest.raises(BudgetExceeded) as refused:
        Ledger(adjacency="add-remove", epsilon=3.0, delta=1e-5).charge(step, count=10**6)
    most = int(str(refused.value).split("to <= ")[1].split()[0])
    Ledger(adjacency="add-remove", epsilon=3.0, delta=1e-5).charge(step, count=most)
    with pytest.raises(BudgetExceeded):
        Ledger(adjacency="add-remove", epsilon=3.0, delta=1e-5).charge(step, count=most + 1)


def test_a_plan_that_is_charged_in_pieces_is_told_to_charge_it_at_once():
    step, pieces = Gaussian(1.1).poisson(0.01) * 47, 4
    assert epsilon(step * pieces, 1e-5).upper <= 1.0
    ledger = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
    for _ in range(3):
        ledger.charge(step)
    with pytest.raises(BudgetExceeded, match="charge a whole plan at once"):
        ledger.charge(step)
    at_once = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
    at_once.charge(step * pieces)
    with pytest.raises(BudgetExceeded) as refused:
        at_once.charge(Gaussian(0.1))
    assert "at once" not in str(refused.value)  # no way of charging makes that fit
