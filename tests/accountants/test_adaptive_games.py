"""Every rule and the odometer against the best adversary there is: exact values of games, by enumeration of all choices.

A game has a menu of releases whose losses lie on a lattice (exactly, or rounded up). The state is how often each release
was taken and the loss so far; the value is found backwards, over ALL strategies that choose by the loss seen so far.
"""

import itertools
import math
from functools import cache

import numpy as np
import pytest
from scipy.special import ndtr

from accountants import Adjacency, ApproxDP, Gaussian, PureDP, RandomizedResponse, gaussian_mu
from accountants.budgets.budget import BudgetRule
from accountants.budgets.every_kind import EveryKindRule
from accountants.budgets.exact_sums import Spent
from accountants.budgets.failing_gaussian import failing_gaussian_level
from accountants.budgets.odometer import Odometer
from accountants.budgets.rules import CopiesRule, GaussianRule, RenyiRule, ZCDPRule
from accountants.events import distinct
from accountants.methods.exact.gaussian import delta_of as gaussian_delta

# A law is (first step, chances of the steps from there on, chance of an infinite loss).


def response_law(k, eps0, width):
    step = round(eps0 / width)
    odds = math.exp(eps0) + k - 1
    chances = np.zeros(2 * step + 1)
    chances[[0, step, -1]] += 1 / odds, (k - 2) / odds, math.exp(eps0) / odds
    return -step, chances, 0.0


def claim_law(eps, delta, width):
    first, chances, _ = response_law(2, eps, width)
    return first, (1 - delta) * chances, delta


def rounded_law(cumulative, low, high, width):
    """Losses rounded up to the lattice, which is itself the law of a release, a little more revealing."""
    first, last = math.floor(low / width), math.ceil(high / width)
    edges = cumulative(np.arange(first, last + 1) * width)
    return first, np.diff(edges, prepend=0.0), 1.0 - edges[-1]


def gaussian_law(mu, width):
    def cumulative(loss):
        return ndtr((loss - mu * mu / 2) / mu)

    return rounded_law(cumulative, mu * mu / 2 - 9 * mu, mu * mu / 2 + 9 * mu, width)


def sampled_law(q, sigma, width, *, removed):
    """Poisson-sampled Gaussian: x from the mixture (a record is removed) or from N(0, sigma^2)."""

    def cumulative(loss):
        inside = np.maximum(np.exp(loss if removed else -loss) - (1 - q), 1e-300) / q
        x = sigma * sigma * np.log(inside) + 0.5
        mixture = (1 - q) * ndtr(x / sigma) + q * ndtr((x - 1) / sigma)
        return mixture if removed else ndtr(-x / sigma)

    top = math.log1p(q * math.expm1((2 * (1 + 9 * sigma) - 1) / (2 * sigma * sigma)))
    bottom = math.log1p(-q)
    return rounded_law(cumulative, *((bottom, top) if removed else (-top, -bottom)), width)


class Menu:
    """Releases on one lattice, and at most `most` of them in a game."""

    def __init__(self, items, width, most):
        self.events, self.laws, self.most = [event for event, _ in items], [law for _, law in items], most
        self.reach = most * max(max(abs(first), first + len(chances)) for first, chances, _ in self.laws)
        self.losses = np.arange(-self.reach, self.reach + 1) * width
        numbers = itertools.product(range(most + 1), repeat=len(items))
        start = np.zeros(2 * self.reach + 1)
        start[self.reach] = 1.0
        self.plans = {(0,) * len(items): (start, 0.0)}
        self.counts = sorted((one for one in numbers if sum(one) <= most), key=lambda one: -sum(one))

    def value(self, admits, payoff):
        """Most that any strategy gets: after every answer it may stop for the payoff or take what is admitted."""
        values = {}
        for counts in self.counts:
            if not admits(counts):
                continue
            best = payoff(counts, self.losses)
            for place, law in enumerate(self.laws):
                later = values.get((*counts[:place], counts[place] + 1, *counts[place + 1 :]))
                if later is not None:
                    best = np.maximum(best, after(later, law))
            values[counts] = best
        return values[(0,) * len(self.laws)][self.reach]

    def plan(self, counts):
        """Chances of the losses of the counts as a plan, and of an infinite one."""
        if counts not in self.plans:
            place = next(place for place, count in enumerate(counts) if count)
            chances, infinite = self.plan((*counts[:place], counts[place] - 1, *counts[place + 1 :]))
            first, step, failing = self.laws[place]
            longer = np.roll(np.convolve(chances, step), first)[: len(chances)]
            self.plans[counts] = longer, infinite + (1 - infinite) * failing
        return self.plans[counts]

    def in_advance(self, counts, payoff):
        """What the counts as a plan get."""
        chances, infinite = self.plan(counts)
        return chances @ payoff(counts, self.losses) + infinite

    def parts(self, counts):
        return {event: count for event, count in zip(self.events, counts, strict=True) if count}


def after(values, law):
    first, chances, infinite = law
    wide = np.pad(values, max(abs(first), first + len(chances)), mode="edge")
    start = max(abs(first), first + len(chances)) + first
    return np.correlate(wide[start : start + len(values) + len(chances) - 1], chances, mode="valid") + infinite


def hockey(budget):
    return lambda counts, losses: np.where(losses > budget, -np.expm1(np.minimum(budget - losses, 0.0)), 0.0)


def admitted_by(rule, menu, budget, delta, failure=0.0, adjacency="replace-one"):
    bound = BudgetRule(budget, delta, Adjacency(adjacency), rule, failure)
    return cache(lambda counts: bound.admits(bound.weigh(menu.parts(counts))))


def responses(width, most, *kinds):
    return Menu([(RandomizedResponse(k, eps0), response_law(k, eps0, width)) for k, eps0 in kinds], width, most)


RESPONSES = responses(0.25, 14, (2, 0.25), (2, 0.5), (50, 0.75))
BUDGET, DELTA = 2.5, 1e-2


def cheapest_plans(menu, budget, delta):
    """The naive check: whatever would be within the budget had it been fixed in advance, by its exact cost."""
    return cache(lambda counts: menu.in_advance(counts, hockey(budget)) <= delta)


@pytest.mark.parametrize(
    ("rule", "least"),
    [
        (GaussianRule(), 0.05),
        (ZCDPRule(), 0.1),
        (RenyiRule((5.0,)), 0.5),
        (RenyiRule((2.5, 5.0, 10.0)), 0.1),
    ],
    ids=str,
)
def test_no_strategy_of_responses_breaks_a_rule(rule, least):
    value = RESPONSES.value(admitted_by(rule, RESPONSES, BUDGET, DELTA), hockey(BUDGET))
    assert least * DELTA < value <= DELTA


def test_no_strategy_of_alphabets_breaks_the_copies_of_the_smallest():
    menu, budget = responses(0.25, 24, (2, 0.25), (50, 0.25)), 2.6
    delta = menu.in_advance((16, 0), hockey(budget)) * (1 + 1e-9)  # just enough for sixteen copies
    value = menu.value(admitted_by(CopiesRule(menu.events[0]), menu, budget, delta), hockey(budget))
    assert delta * (1 - 1e-6) < value <= delta
    assert menu.value(cheapest_plans(menu, budget, delta), hockey(budget)) > 1.02 * delta


def test_plans_that_are_each_within_the_budget_are_broken_by_choosing_among_them():
    assert RESPONSES.value(cheapest_plans(RESPONSES, BUDGET, DELTA), hockey(BUDGET)) > 1.5 * DELTA


def test_no_strategy_of_gaussians_and_responses_breaks_the_gaussian_rule():
    width, budget = 0.005, 2.0
    mu = math.sqrt(0.25 + 0.25 + 0.5) * (1 + 1e-9)  # room for two of the first and one of the second
    delta = gaussian_delta(mu, budget)[1]
    items = [(Gaussian(1 / one), gaussian_law(one, width)) for one in (0.5, math.sqrt(0.5))]
    menu = Menu([*items, (RandomizedResponse(100, 2.0), response_law(100, 2.0, width))], width, 4)
    value = menu.value(admitted_by(GaussianRule(), menu, budget, delta), hockey(budget))
    # Four losses, each rounded up by at most one step, move epsilon by at most four steps.
    assert 0.99 * delta < value <= gaussian_delta(mu, budget - 4 * width)[1]
    assert menu.value(cheapest_plans(menu, budget, delta), hockey(budget)) > 1.05 * delta


@pytest.mark.parametrize("removed", [True, False])
def test_no_strategy_of_sampled_gaussians_breaks_the_rényi_rule(removed):
    width, budget, delta = 0.01, 1.5, 1e-3
    kinds = [(0.1, 1.0), (0.05, 0.8), (0.3, 2.0)]
    items = [(Gaussian(sigma).poisson(q), sampled_law(q, sigma, width, removed=removed)) for q, sigma in kinds]
    menu = Menu(items, width, 11)
    for rule in (RenyiRule((6.0,)), RenyiRule((5.0, 8.0)), CopiesRule(menu.events[0])):
        admits = admitted_by(rule, menu, budget, delta, adjacency="add-remove")
        value = menu.value(admits, hockey(budget))
        assert (0.05 * delta if removed else 0.0) <= value <= delta
    if removed:
        assert menu.value(cheapest_plans(menu, budget, delta), hockey(budget)) > 1.2 * delta


def test_no_strategy_with_failing_claims_breaks_a_budget_with_mass_set_aside():
    width, budget, delta, failure = 0.25, 2.5, 1e-2, 4e-3
    items = [(ApproxDP(0.25, 2e-3), claim_law(0.25, 2e-3, width)), (PureDP(0.5), response_law(2, 0.5, width))]
    menu = Menu([*items, (RandomizedResponse(50, 0.75), response_law(50, 0.75, width))], width, 16)
    for rule in (ZCDPRule(), GaussianRule(), RenyiRule((4.0,))):
        value = menu.value(admitted_by(rule, menu, budget, delta, failure), hockey(budget))
        assert 0.99 * failure < value <= delta
    # Ablated: the mass is set aside, but the pure game may still use all of delta.
    pure = BudgetRule(budget, (delta - failure) / (1 - failure), Adjacency("replace-one"), RenyiRule((4.0,)))
    wide = BudgetRule(budget, delta, Adjacency("replace-one"), RenyiRule((4.0,)))

    def admits(bound, counts):
        return counts[0] * 2e-3 <= failure and bound.admits(
            bound.weigh({PureDP(0.25): counts[0], PureDP(0.5): counts[1], menu.events[2]: counts[2]})
        )

    assert menu.value(lambda counts: admits(pure, counts), hockey(budget)) <= delta
    assert menu.value(lambda counts: admits(wide, counts), hockey(budget)) > delta


def test_no_strategy_of_claims_breaks_the_copies_of_a_claim():
    width, budget, delta = 0.25, 2.5, 1e-2
    items = [(ApproxDP(0.25, 1e-5), claim_law(0.25, 1e-5, width)), (PureDP(0.5), response_law(2, 0.5, width))]
    menu = Menu([*items, (RandomizedResponse(50, 0.25), response_law(50, 0.25, width))], width, 20)
    value = menu.value(admitted_by(CopiesRule(ApproxDP(0.25, 1e-5)), menu, budget, delta), hockey(budget))
    assert 0.2 * delta < value <= delta
    assert menu.value(cheapest_plans(menu, budget, delta), hockey(budget)) > 1.2 * delta


# ---- a budget that is shared by all kinds


def repeated(law, count):
    """The law of several releases in one charge."""
    first, chances, infinite = law
    found = first, chances, infinite
    for _ in range(count - 1):
        found = found[0] + first, np.convolve(found[1], chances), found[2] + infinite - found[2] * infinite
    return found


def admits_in_any_order(menu, budget, mass, adjacency):
    """Whether a rule that counts charges one by one admits these counts; an order that was not taken may only be refused."""
    rule = EveryKindRule.fixed_for(epsilon=budget, delta=mass, adjacency=Adjacency(adjacency))

    def admits(counts):
        spent = Spent.nothing(1)
        for place, count in enumerate(counts):
            for _ in range(count):
                spent = rule.added(spent, distinct(menu.events[place]))
        return rule.admits(spent)

    return admits


def test_no_strategy_of_mixed_kinds_breaks_a_shared_budget():
    width, budget, mass = 0.02, 2.0, 1e-2
    run = Gaussian(1.5).poisson(0.2) * 4
    menu = Menu(
        [
            (Gaussian(1 / 0.45), gaussian_law(0.45, width)),
            (run, repeated(sampled_law(0.2, 1.5, width, removed=True), 4)),
            (Gaussian(1 / 0.25), gaussian_law(0.25, width)),
        ],
        width,
        5,
    )
    admits = admits_in_any_order(menu, budget, mass, "add-remove")
    value = menu.value(admits, hockey(budget))
    assert 0.3 * mass < value <= mass
    assert admits((1, 1, 1))  # so that strategies do mix the kinds


def test_no_strategy_with_failing_claims_and_responses_breaks_a_shared_budget():
    width, budget, mass = 0.25, 2.5, 1e-2
    menu = Menu(
        [
            (ApproxDP(0.25, 4e-4), claim_law(0.25, 4e-4, width)),
            (RandomizedResponse(2, 0.5), response_law(2, 0.5, width)),
            (RandomizedResponse(50, 0.75), response_law(50, 0.75, width)),
        ],
        width,
        10,
    )
    admits = admits_in_any_order(menu, budget, mass, "replace-one")
    value = menu.value(admits, hockey(budget))
    assert 0.1 * mass < value <= mass
    assert not admits((7, 0, 0))  # claims fail with at most a quarter of delta
    assert admits((5, 0, 0))


def test_ablated_failures_that_nobody_sets_aside_break_the_budget():
    # One charge whose failure is as large as all of delta, and a Gaussian that uses delta once more.
    width, budget, mass = 0.02, 1.5, 1e-2
    run, law = Gaussian(0.8).poisson(0.05), sampled_law(0.05, 0.8, width, removed=True)
    level = failing_gaussian_level(frozenset(distinct(run).items()), mass, Adjacency.ADD_REMOVE)
    left = math.sqrt(gaussian_mu(budget, mass) ** 2 - level)  # as if the charge had counted its level and nothing else
    menu = Menu([(run, law), (Gaussian(1 / left), gaussian_law(left, width))], width, 2)
    assert menu.in_advance((1, 1), hockey(budget)) > 1.05 * mass
    assert not admits_in_any_order(menu, budget, mass, "add-remove")((1, 1))


# ---- the odometer


ANSWERS = responses(0.25, 10, (2, 0.25), (2, 0.5), (50, 0.75))


def readings_of(read, **options):
    def reading(counts):
        odometer = Odometer(DELTA, adjacency="replace-one", **options)
        for event, count in ANSWERS.parts(counts).items():
            odometer.spend(event, count)
        return read(odometer)

    return {counts: reading(counts) for counts in ANSWERS.counts}


def crossed(readings):
    """1 once the loss is above the reading: the value is the chance that this EVER happens, for the worst strategy."""
    return lambda counts, losses: (losses > readings[counts] * (1 + 1e-12)).astype(float)


def stopped(readings):
    """What stopping now gets against (reading, delta)."""
    return lambda counts, losses: hockey(readings[counts])(counts, losses)


def anything(counts):
    return True


def true_at_each_time(payoff, delta):
    """The naive reading: the smallest epsilon for which the payoff of the same releases as a plan is at most delta."""

    def reading(counts):
        low, high = 0.0, 12.0
        for _ in range(30):
            middle = (low + high) / 2
            exceeds = ANSWERS.in_advance(counts, payoff({counts: middle})) > delta
            low, high = (middle, high) if exceeds else (low, middle)
        return high

    return {counts: reading(counts) for counts in ANSWERS.counts}


ORDERS = [{}, {"orders": (4.0,)}, {"orders": (2.0, 4.0, 8.0)}]


@pytest.mark.parametrize("options", ORDERS, ids=str)
def test_no_strategy_makes_the_loss_pass_the_reading_at_any_time(options):
    readings = readings_of(Odometer.read, **options)
    assert 0.1 * DELTA < ANSWERS.value(anything, crossed(readings)) <= DELTA


@pytest.mark.parametrize("options", ORDERS, ids=str)
def test_no_strategy_gains_from_when_it_stops(options):
    readings = readings_of(Odometer.epsilon_if_stopped, **options)
    assert 0.1 * DELTA < ANSWERS.value(anything, stopped(readings)) <= DELTA


def test_a_reading_that_is_true_at_each_time_is_not_true_at_all_times():
    naive = true_at_each_time(crossed, DELTA)
    assert ANSWERS.value(anything, crossed(naive)) > 3 * DELTA
    naive = true_at_each_time(stopped, DELTA)
    assert ANSWERS.value(anything, stopped(naive)) > 2 * DELTA
