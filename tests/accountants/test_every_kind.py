"""A shared budget takes releases of every kind, holds against whoever chooses them after seeing answers, and costs little more."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from accountants import (
    ZCDP,
    Adjacency,
    AdjacencyError,
    ApproxDP,
    BudgetExceeded,
    ConfidentGNMax,
    DiscreteGaussian,
    Exponential,
    Gaussian,
    GNMax,
    Laplace,
    Ledger,
    PureDP,
    RandomizedResponse,
    epsilon,
)
from accountants.budgets.every_kind import EveryKindRule
from accountants.budgets.exact_sums import exact
from accountants.budgets.failing_gaussian import failing_gaussian_level
from accountants.composition.epsilon import profile
from accountants.events import distinct
from accountants.methods.exact.gaussian import delta_of as gaussian_delta

ADD, REPLACE = Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE


def level_of(event, failure, adjacency=ADD):
    return failing_gaussian_level(frozenset(distinct(event, adjacency=adjacency).items()), failure, adjacency)


PLANS = [
    (Gaussian(1.0).poisson(0.01) * 1000, ADD),
    (Gaussian(0.9).poisson(0.02) * 200, ADD),
    (Gaussian(1.5).poisson(0.02) * 300, REPLACE),
    (Laplace(10.0) * 60 + Gaussian(1.1).poisson(0.01) * 100, ADD),
    (RandomizedResponse(10, 0.5) * 50, REPLACE),
    (ZCDP(0.05), REPLACE),
    (Exponential(0.3) * 10, REPLACE),
]


@pytest.mark.parametrize(("event", "adjacency"), PLANS, ids=lambda one: str(one)[:40])
def test_the_failing_gaussian_reveals_at_least_as_much_at_every_epsilon(event, adjacency):
    failure = 1e-6
    mu = math.sqrt(level_of(event, failure, adjacency))
    top = 1.2 * epsilon(event, failure, adjacency=str(adjacency)).upper
    delta_at = profile(event, adjacency=str(adjacency))
    for at in np.linspace(top, 0.0, 29).tolist():  # these fall between the points at which the level was found
        assert delta_at(at).lower <= failure + (1 - failure) * gaussian_delta(mu, at)[1]


@pytest.mark.parametrize(("event", "adjacency"), PLANS[:3], ids=lambda one: str(one)[:40])
def test_a_gaussian_with_a_little_more_noise_does_not_dominate(event, adjacency):
    failure = 1e-6
    mu = 0.97 * math.sqrt(level_of(event, failure, adjacency))
    delta_at = profile(event, adjacency=str(adjacency))
    points = np.linspace(epsilon(event, failure, adjacency=str(adjacency)).upper, 0.0, 40).tolist()
    assert any(delta_at(at).lower > failure + gaussian_delta(mu, at)[1] for at in points)


@pytest.mark.parametrize("event", [GNMax(1.0) * 10_000, Laplace(1e-3), Gaussian(0.0).poisson(0.5)])
def test_what_no_finite_gaussian_dominates_has_an_infinite_level(event):
    assert level_of(event, 1e-9) == math.inf


def test_failures_of_any_number_of_conversions_stay_within_half_of_what_is_set_aside():
    rule = EveryKindRule.fixed_for(epsilon=1.0, delta=1e-5, adjacency=ADD)
    failures = [rule._failure_of(number) for number in range(6000)]
    assert sum(exact(one) for one in failures) <= exact(1e-5 / 8)
    assert failures[0] == failures[15] == 1e-5 / 256
    assert failures[16] == failures[79] == 1e-5 / 2048
    assert failures == sorted(failures, reverse=True)
    assert min(failures) > 0.0


EVERY_KIND = [
    GNMax(60.0) * 200,
    Gaussian(40.0),
    DiscreteGaussian(80.0, 1),
    Laplace(200.0),
    ConfidentGNMax(threshold=200, sigma1=150, sigma2=80, checked=50, answered=20),
    Gaussian(1.5).poisson(0.005) * 200,
    Gaussian(2.0).fixed_size(10, 60_000) * 2,
    RandomizedResponse(10, 0.05) * 2,
    Exponential(0.02),
    ZCDP(1e-4),
    ApproxDP(0.01, 1e-9),
    PureDP(0.01),
]


def test_a_shared_budget_takes_every_kind_after_any_first_charge_and_another_budget_does_not():
    shared = Ledger(adjacency="replace-one", epsilon=3.0, delta=1e-6, shared=True)
    for event in EVERY_KIND:
        shared.charge(event)
    assert len(shared.charges) == len(EVERY_KIND)
    assert shared.epsilon().upper <= 3.0
    own = Ledger(adjacency="replace-one", epsilon=3.0, delta=1e-6)
    own.charge(EVERY_KIND[0])
    with pytest.raises(BudgetExceeded, match="shared=True"):
        own.charge(Gaussian(1.5).poisson(0.005) * 200)


def test_a_shared_budget_costs_at_most_three_percent_more_than_the_same_plan_charged_at_once():
    kinds = [GNMax(60.0) * 500, Gaussian(1.2).poisson(0.005) * 2000, Gaussian(30.0)]
    plan = epsilon(sum(kinds[1:], kinds[0]), 1e-6, adjacency="replace-one").upper
    fits = Ledger(adjacency="replace-one", epsilon=1.03 * plan, delta=1e-6, shared=True)
    for event in kinds:
        fits.charge(event)
    tight = Ledger(adjacency="replace-one", epsilon=plan, delta=1e-6, shared=True)
    tight.charge(kinds[0])
    with pytest.raises(BudgetExceeded, match="As ONE charge"):
        tight.charge(kinds[1])


def test_a_first_charge_may_use_all_of_a_shared_budget_by_its_exact_price():
    run = Gaussian(1.1).poisson(0.01) * 1000
    exact_price = epsilon(run, 1e-5).upper
    ledger = Ledger(adjacency="add-remove", epsilon=exact_price, delta=1e-5, shared=True)
    ledger.charge(run)
    with pytest.raises(BudgetExceeded, match=r"Spent 1\.51"):
        ledger.charge(Gaussian(500.0))
    with pytest.raises(BudgetExceeded, match="Nothing is spent yet"):
        Ledger(adjacency="add-remove", epsilon=0.99 * exact_price, delta=1e-5, shared=True).charge(run)


def test_pure_releases_share_a_pure_budget():
    ledger = Ledger(adjacency="replace-one", epsilon=1.0, delta=0.0, shared=True)
    ledger.charge(PureDP(0.5))
    ledger.charge(RandomizedResponse(10, 0.5))
    for event in (PureDP(0.01), Gaussian(1000.0)):
        with pytest.raises(BudgetExceeded):
            ledger.charge(event)


def test_what_a_file_holds_counts_the_same_when_it_is_read(tmp_path):
    ledger = Ledger(adjacency="replace-one", epsilon=3.0, delta=1e-6, shared=True)
    for event in EVERY_KIND[:8]:
        ledger.charge(event)
    ledger.save(tmp_path / "ledger.json")
    again = Ledger.read(tmp_path / "ledger.json")
    last = GNMax(60.0) * 20
    most = 0
    for one in (ledger, again):
        count = 0
        while count < 400:
            try:
                one.charge(last)
            except BudgetExceeded:
                break
            count += 1
        most = most or count
        assert count == most > 0


def test_a_budget_that_nobody_could_check_is_refused():
    with pytest.raises(ValueError, match="needs a budget to share"):
        Ledger(adjacency="replace-one", shared=True)
    assert "filter" not in Ledger(adjacency="replace-one", epsilon=1.0, delta=1e-5).to_dict()
    assert Ledger(adjacency="replace-one", epsilon=1.0, delta=1e-5, shared=True).to_dict()["filter"] == "every-kind/1"


def test_a_number_for_choices_on_the_way_lies_between_the_plan_and_infinity():
    ledger = Ledger(adjacency="replace-one", delta=1e-6)
    for event in EVERY_KIND[:6]:
        ledger.charge(event)
    assert ledger.epsilon().upper < ledger.adaptive_epsilon() < 2.0 * ledger.epsilon().upper
    assert ledger.adaptive_epsilon(1e-9) > ledger.adaptive_epsilon()
    ledger.charge(ApproxDP(0.01, 1e-5))  # fails more often than delta allows
    assert ledger.adaptive_epsilon() == math.inf
    pure = Ledger(adjacency="replace-one", delta=0.0)
    pure.charge(PureDP(0.25), count=4)
    assert pure.adaptive_epsilon() == 1.0
    with pytest.raises(ValueError, match="delta=None"):
        Ledger(adjacency="replace-one").adaptive_epsilon()


def test_the_slow_twin_of_a_level_agrees():
    """Bisection on the definition, at many points, without chords and lines."""
    failure, event = 1e-5, Laplace(4.0) * 8
    delta_at = profile(event)
    points = np.linspace(0.0, 2.0, 120)  # up to the largest loss
    curve = np.array([delta_at(at).upper for at in points[::-1].tolist()])[::-1]

    def dominates(mu):
        gaussian = ndtr(mu / 2 - points / mu) - np.exp(points) * ndtr(-mu / 2 - points / mu)
        return np.all(curve <= failure + (1 - failure) * gaussian)

    low, high = 0.01, 10.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if dominates(middle) else (middle, high)
    assert high <= math.sqrt(level_of(event, failure)) <= 1.02 * high


@pytest.mark.parametrize(
    "run", [Gaussian(1.1).shuffled(100, 1000), Gaussian(1.1).random_allocation(10), Gaussian(1.1).poisson(0.01) * 10]
)
def test_a_run_that_is_not_stated_for_the_ledger_is_told_what_is(run):
    ledger = Ledger(adjacency="replace-one", epsilon=9.0, delta=1e-6, shared=True)
    if run.adjacencies >= {REPLACE}:
        ledger.charge(run)
        assert ledger.epsilon().upper > epsilon(run, 1e-6).upper  # at its replace-one cost, which is larger
        return
    with pytest.raises(AdjacencyError, match="Poisson sampling are stated for every adjacency"):
        ledger.charge(run)
    assert ledger.charges == ()
