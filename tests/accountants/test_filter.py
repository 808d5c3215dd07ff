"""A budget holds against whoever chooses later charges after seeing earlier answers: exact games, and what is refused."""

import math
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import (
    ApproxDP,
    BudgetExceeded,
    Gaussian,
    GNMax,
    Ledger,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    epsilon,
    gaussian_mu,
)
from accountants.budgets.filter import Filter
from accountants.budgets.levels import dominating_gaussian
from accountants.budgets.rules import RenyiRule
from accountants.events import normal_form
from accountants.methods.exact.gaussian import delta_of as gaussian_delta
from accountants.methods.exact.responses import delta_of as response_delta

DELTA = 1e-5


@cache
def losses(plan):
    """Law of the loss of ((k, eps0), ...), by direct convolution: loss -> chance."""
    law = {0.0: 1.0}
    for k, eps0 in plan:
        odds = math.exp(eps0) + k - 1
        step = {eps0: math.exp(eps0) / odds, 0.0: (k - 2) / odds, -eps0: 1 / odds}
        wide = {}
        for loss, chance in law.items():
            for more, share in step.items():
                key = round(loss + more, 9)
                wide[key] = wide.get(key, 0.0) + chance * share
        law = wide
    return law


def event_of(plan):
    return sum((RandomizedResponse(k, eps0) for k, eps0 in plan[1:]), RandomizedResponse(*plan[0]))


def game(first, continuations, budget):
    """Exact delta at the budget of: run the first plan, then the continuation that its outcome makes worst."""
    worst = 0.0
    for loss, chance in losses(first).items():
        values = [max(0.0, 1.0 - math.exp(budget - loss))]
        for plan in continuations:
            law = losses(plan)
            values.append(sum(p * max(0.0, 1.0 - math.exp(budget - loss - more)) for more, p in law.items()))
        worst += chance * max(values)
    return worst


def delta_at(plan, budget):
    return sum(chance * max(0.0, 1.0 - math.exp(budget - loss)) for loss, chance in losses(plan).items())


def ledger_after(first, budget, delta):
    ledger = Ledger(adjacency="replace-one", epsilon=budget, delta=delta)
    ledger.charge(event_of(first))
    return ledger


def is_accepted(first, plan, budget, delta):
    ledger = ledger_after(first, budget, delta)
    try:
        for k, eps0 in plan:
            ledger.charge(RandomizedResponse(k, eps0))
    except BudgetExceeded:
        return False
    return True


def test_alphabets_chosen_after_answers_cannot_break_the_budget():
    first, offered, budget = ((2, 0.5),) * 20, [((100, 0.5),) * 80, ((2, 0.5),) * 3], 9.75
    delta = max(delta_at(first + plan, budget) for plan in offered) * (1 + 1e-9)
    # Either continuation, fixed in advance, is within the budget; the choice between them is not.
    for plan in offered:
        assert epsilon(event_of(first + plan), delta, adjacency="replace-one").upper <= budget
    assert game(first, offered, budget) > 1.29 * delta
    everything = [((k, 0.5),) * count for k in (2, 3, 100) for count in (1, 2, 3, 4, 10, 80)]
    accepted = [plan for plan in everything if is_accepted(first, plan, budget, delta)]
    assert ((2, 0.5),) * 3 in accepted
    assert ((100, 0.5),) * 80 not in accepted
    assert game(first, accepted, budget) <= delta


def dearest_single_answers(fits):
    """For a row of levels, the most revealing alphabet that `fits` lets through."""
    found = []
    for eps0 in (2.5, 2.75, 3.0, 3.25, 4.0, 5.0, 6.0, 7.0, 8.0):
        low, high = 1, 10**9  # one of them fits, or none
        while high - low > max(1, low // 30):
            middle = math.isqrt(low * high) if high > 4 * low else (low + high) // 2
            low, high = (low, middle) if fits(middle, eps0) else (middle, high)
        if high < 10**9:
            found.append(((high, eps0),))
    return found


def test_rényi_orders_chosen_after_answers_cannot_break_the_budget():
    # Two levels in the first charge: no exact law, so the budget is checked by Rényi curves.
    first, budget = (*((2, 0.5),) * 9, (2, 0.4)), 8.0

    def fits_at_some_order(k, eps0):
        total = event_of((*first, (k, eps0)))
        return epsilon(total, DELTA, adjacency="replace-one", method="renyi").upper <= budget

    assert game(first, dearest_single_answers(fits_at_some_order), budget) > 1.2 * DELTA
    accepted = dearest_single_answers(lambda k, eps0: is_accepted(first, ((k, eps0),), budget, DELTA))
    assert len(accepted) >= 4
    played = game(first, accepted, budget)
    assert 0.0 < played <= DELTA

    # Orders may be chosen late if each has its own share of delta.
    def fits_at_a_share(k, eps0):
        shares = Filter(budget, DELTA, adjacency="replace-one", rule=RenyiRule((2.0, 2.5, 3.0, 4.0, 6.0)))
        return shares.try_spend(event_of(first)) and shares.try_spend(RandomizedResponse(k, eps0))

    accepted = dearest_single_answers(fits_at_a_share)
    assert len(accepted) >= 4
    assert 0.0 < game(first, accepted, budget) <= DELTA


@given(k=st.sampled_from([2, 3, 10, 1000, 10**9]), eps0=st.floats(0.01, 30.0), share=st.floats(0.0, 0.999))
def test_the_dominating_gaussian_reveals_more_at_every_epsilon(k, eps0, share):
    sigma = dominating_gaussian(RandomizedResponse(k, eps0)).sigma
    eps = share * eps0
    assert gaussian_delta(1.0 / sigma, eps)[1] >= response_delta({k: 1}, eps0, eps)[0]


@pytest.mark.parametrize(("k", "eps0"), [(2, 0.1), (2, 3.0), (10, 1.0), (1000, 8.0)])
def test_a_little_more_noise_would_not_dominate(k, eps0):
    mu = 1.0 / dominating_gaussian(RandomizedResponse(k, eps0)).sigma
    places = [eps0 * step / 200 for step in range(200)]
    assert any(gaussian_delta(0.999 * mu, eps)[1] < response_delta({k: 1}, eps0, eps)[0] for eps in places)
    assert dominating_gaussian(RandomizedResponse(2, 1000.0)).sigma == pytest.approx(0.0, abs=0.02)


def test_after_gaussians_a_pure_release_counts_as_a_gaussian():
    ledger = Ledger(adjacency="replace-one", epsilon=3.0, delta=DELTA)
    ledger.charge(GNMax(30.0), count=10)
    ledger.charge(RandomizedResponse(10, 0.1), count=3)
    ledger.charge(PureDP(0.2))
    counted = GNMax(30.0) * 10 + dominating_gaussian(RandomizedResponse(10, 0.1)) * 3
    counted += dominating_gaussian(RandomizedResponse(2, 0.2))
    spent = sum(count / part.sigma**2 for part, count in normal_form(counted).items())
    left = 1.0 / math.sqrt(gaussian_mu(3.0, DELTA) ** 2 - spent)
    with pytest.raises(BudgetExceeded):
        ledger.charge(Gaussian(left * (1 - 1e-6)))
    ledger.charge(Gaussian(left * (1 + 1e-6)))


@pytest.mark.parametrize(
    ("first", "later", "named"),
    [
        (Gaussian(30.0), ApproxDP(0.01, 1e-9), "exact Gaussian curve"),
        (RandomizedResponse(10, 0.1), Gaussian(100.0), r"krr\(k=10, eps0=0.1\)"),
        (RandomizedResponse(10, 0.1), RandomizedResponse(9, 0.1), "exact law"),
        (RandomizedResponse(10, 0.1), RandomizedResponse(10, 0.11), "exact law"),
        (RandomizedResponse(10, 0.1), PureDP(0.1), "pure_dp"),
        (ApproxDP(0.01, 1e-9), ApproxDP(0.01, 1e-8), "approx_dp"),
        (ApproxDP(0.01, 1e-9), PureDP(0.02), "pure_dp"),
    ],
)
def test_what_the_first_check_cannot_count_is_refused_with_a_way_out(first, later, named):
    ledger = Ledger(adjacency="replace-one", epsilon=1.0, delta=DELTA)
    ledger.charge(first, count=20)
    for _ in range(20):  # a few may fit by the plain sum of pure guarantees
        try:
            ledger.charge(later)
        except BudgetExceeded as refusal:
            text = str(refusal)
            break
    else:
        pytest.fail("never refused")
    before = ledger.digest
    with pytest.raises(BudgetExceeded, match=named):
        ledger.charge(later)
    assert "FIRST" in text
    assert "a + b" in text
    assert ledger.digest == before
    ledger.charge(first)  # more of the first kind still fits
    free = Ledger(adjacency="replace-one")
    free.charge(first)
    free.charge(later)  # without a budget nothing is refused


def test_dominated_responses_count_as_the_first():
    ledger = Ledger(adjacency="replace-one", epsilon=2.0, delta=DELTA)
    ledger.charge(RandomizedResponse(3, 0.05), count=5)
    ledger.charge(PriorResponse(7, 0.04), count=5)
    most = 10
    while epsilon(RandomizedResponse(3, 0.05) * (most + 1), DELTA, adjacency="replace-one").upper <= 2.0:
        most += 1
    ledger.charge(RandomizedResponse(50, 0.05), count=most - 10)
    with pytest.raises(BudgetExceeded):
        ledger.charge(RandomizedResponse(50, 0.05))


def test_pure_guarantees_that_add_up_to_the_budget_always_fit():
    ledger = Ledger(adjacency="replace-one", epsilon=1.0, delta=DELTA)
    ledger.charge(RandomizedResponse(10, 0.25))
    ledger.charge(PureDP(0.5))
    ledger.charge(RandomizedResponse(2, 0.25))
    with pytest.raises(BudgetExceeded):
        ledger.charge(PureDP(0.001))


def test_a_plan_of_several_kinds_is_one_charge_at_its_own_exact_cost():
    plan = RandomizedResponse(10, 0.5) * 20 + RandomizedResponse(3, 0.5) * 4
    cost = epsilon(plan, DELTA, adjacency="replace-one").upper
    ledger = Ledger(adjacency="replace-one", epsilon=cost, delta=DELTA)
    ledger.charge(plan)
    with pytest.raises(BudgetExceeded):
        Ledger(adjacency="replace-one", epsilon=cost * (1 - 1e-9), delta=DELTA).charge(plan)
    mixed = Ledger(adjacency="replace-one", epsilon=3.0, delta=DELTA)
    mixed.charge(Gaussian(30.0) + RandomizedResponse(10, 0.1))
    mixed.charge(RandomizedResponse(2, 0.3))
    mixed.charge(Gaussian(25.0))
    assert mixed.epsilon().upper <= 3.0


@pytest.mark.parametrize(
    "step", [Gaussian(1.1).poisson(0.01), Gaussian(9.0), RandomizedResponse(4, 0.1), ApproxDP(0.02, 1e-8)]
)
def test_steps_charged_one_by_one_fit_as_often_as_the_repeated_step(step):
    adjacency, budget = ("add-remove" if "poisson" in str(step) else "replace-one"), 1.0
    low, high = 1, 10**6
    while high - low > 1:
        middle = (low + high) // 2
        method = "renyi" if "poisson" in str(step) else "auto"
        fits = epsilon(step * middle, DELTA, adjacency=adjacency, method=method).upper <= budget
        low, high = (middle, high) if fits else (low, middle)
    ledger = Ledger(adjacency=adjacency, epsilon=budget, delta=DELTA)
    ledger.charge(step)
    ledger.charge(step, count=low - 2)
    ledger.charge(step)
    with pytest.raises(BudgetExceeded):
        ledger.charge(step)


def test_free_and_refused_charges_fix_nothing():
    ledger = Ledger(adjacency="replace-one", epsilon=1.0, delta=DELTA)
    ledger.charge(PureDP(0.0))
    ledger.charge(RandomizedResponse(3, 1.0), count=0)
    with pytest.raises(BudgetExceeded):
        ledger.charge(RandomizedResponse(3, 5.0))
    ledger.charge(Gaussian(50.0))
    ledger.charge(Gaussian(60.0))
    with pytest.raises(BudgetExceeded, match="exact Gaussian curve"):
        ledger.charge(ApproxDP(0.01, 1e-9))


def test_a_ledger_read_from_a_file_keeps_its_check(tmp_path):
    ledger = Ledger(adjacency="replace-one", epsilon=1.0, delta=DELTA)
    ledger.charge(RandomizedResponse(10, 0.2), count=5)
    ledger.save(tmp_path / "ledger.json")
    again = Ledger.read(tmp_path / "ledger.json")
    with pytest.raises(BudgetExceeded, match="exact law"):
        again.charge(Gaussian(100.0))
    again.charge(RandomizedResponse(10, 0.2))


def test_claims_in_a_first_charge_set_half_of_delta_aside_for_more_of_them():
    ledger = Ledger(adjacency="add-remove", epsilon=2.0, delta=DELTA)
    ledger.charge(Gaussian(1.1).poisson(0.01) * 10 + ApproxDP(0.05, 1e-7))
    for _ in range(10):
        ledger.charge(ApproxDP(0.02, 4e-7))
        ledger.charge(Gaussian(1.2).poisson(0.01))
    with pytest.raises(BudgetExceeded):
        ledger.charge(ApproxDP(0.02, 1e-6))  # 1e-7 + 10 * 4e-7 + 1e-6 is above half of delta
    without = Ledger(adjacency="add-remove", epsilon=2.0, delta=DELTA)
    without.charge(Gaussian(1.1).poisson(0.01) * 10)
    with pytest.raises(BudgetExceeded, match="cannot be counted"):
        without.charge(ApproxDP(0.02, 4e-7))
