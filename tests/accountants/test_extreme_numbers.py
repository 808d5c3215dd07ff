"""The largest and smallest floats and counts: an answer that is right, or an error of the family, without a warning."""

import math
import random
import sys
import time
import warnings

import pytest

from accountants import (
    GDP,
    ZCDP,
    ApproxDP,
    Filter,
    Gaussian,
    Laplace,
    Ledger,
    Odometer,
    PureDP,
    RandomizedResponse,
    audit,
    calibrate,
    curve,
    delta,
    epsilon,
    tradeoff,
)
from accountants.errors import PrivkdError
from accountants.methods.exact.gaussian import delta_of, gaussian_mu
from accountants.methods.fourier.loss_sum import loss_sum

LARGEST = sys.float_info.max
LIMIT = 5.0  # CPU seconds of one question; nearly all take milliseconds


@pytest.mark.parametrize("budget", [1e153, 1e155, 1e300, 1e308, LARGEST])
@pytest.mark.parametrize("target", [1e-300, 1e-5, 0.5])
def test_gaussian_mu_of_an_enormous_budget_is_its_square_root(budget, target):
    # The square of such a mu, and 2 epsilon, overflow.
    mu = gaussian_mu(budget, target)
    assert math.isclose(mu, math.sqrt(2.0) * math.sqrt(budget), rel_tol=1e-12)
    assert delta_of(mu, budget)[1] <= target
    assert delta_of(mu * (1.0 + 1e-9), budget)[0] > 0.5


@pytest.mark.parametrize("budget", [1e5, 1e100, 1e308, LARGEST])
def test_ledgers_filters_and_calibration_take_enormous_budgets(budget):
    ledger = Ledger(adjacency="add-remove", epsilon=budget, delta=1e-5)
    ledger.charge(Gaussian(1.0).poisson(0.01) * 1000, where="training")
    ledger.claim(budget, delta=1e-5, accountant="privkd")
    assert audit(ledger).verdicts[0].status.startswith("PASS")
    filtered = Filter(budget, 1e-5)
    assert filtered.try_spend(Gaussian(1.0))
    assert filtered.remaining(Gaussian(1.0)) > 1000
    found = calibrate(lambda sigma: Gaussian(sigma), budget, 1e-5)
    assert 0.0 < found.bound.upper <= budget


@pytest.mark.parametrize("target", [5e-324, 1e-308, 1e-307, 1e-300])
@pytest.mark.parametrize("event", [Gaussian(2.0) * 3, Gaussian(1.0).poisson(0.3) * 100], ids=str)
def test_an_odometer_of_a_tiny_delta_never_reads_less_than_the_plan_costs(target, event):
    # Where the number of orders divided by delta overflowed, it read 0.
    odometer = Odometer(target)
    odometer.spend(event)
    planned = epsilon(event, target)
    assert planned.lower <= odometer.epsilon_if_stopped() <= odometer.read() < 3.0 * planned.upper
    assert odometer.read() > 1.0


def test_an_odometer_of_an_enormous_cost_reads_it():
    odometer = Odometer(1e-200)
    odometer.spend(Gaussian(1000.0).poisson(0.9))
    odometer.spend(ZCDP(1e300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert 1e300 < odometer.epsilon_if_stopped() <= odometer.read() < 1e301


@pytest.mark.parametrize("event", [GDP(1e-30), GDP(1e30), PureDP(745.0), Laplace(1e300), Gaussian(1e-100)], ids=str)
def test_trade_offs_where_odds_leave_the_floats(event):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tradeoff(event, [0.0, 1e-300, 0.01, 1.0])
    for rate, bound in zip(found.fprs, found.fnrs, strict=True):
        assert 0.0 <= bound.lower <= bound.upper <= 1.0 - rate + 1e-12


def test_noise_whose_square_vanishes_beside_nothing_is_refused_and_beside_samples_is_not():
    with pytest.raises(PrivkdError, match="out of reach"):
        loss_sum({Gaussian(1e300): 1}, 1, -math.inf)
    beside = epsilon(Gaussian(1e300) + Gaussian(1.0).poisson(0.01) * 1000, 1e-5)
    alone = epsilon(Gaussian(1.0).poisson(0.01) * 1000, 1e-5)
    assert beside.method == alone.method == "fourier"
    assert math.isclose(beside.upper, alone.upper, rel_tol=1e-9)


SIZES = (5e-324, 1e-300, 1e-30, 1e-6, 0.5, 1.0, 40.0, 700.0, 745.0, 1e8, 1e100, 1e300, 1e308, LARGEST)
MASSES = (0.0, 5e-324, 1e-300, 1e-30, 1e-9, 0.1, 1.0 - 2**-53)
COUNTS = (1, 3, 10**6, 10**15, 2**53, 2**60)
EVENTS = (
    Gaussian,
    Laplace,
    PureDP,
    ZCDP,
    GDP,
    lambda size: ApproxDP(size, 1e-5),
    lambda size: RandomizedResponse(10, size),
    lambda size: Gaussian(size).poisson(1e-9),
    lambda size: Gaussian(size).poisson(0.3),
)


def audited(event, budget, mass):
    ledger = Ledger(adjacency="replace-one")
    ledger.charge(event, where="somewhere")
    ledger.claim(budget, delta=mass, accountant="privkd")
    return audit(ledger)


QUESTIONS = {
    "epsilon": lambda event, size, mass: epsilon(event, mass, adjacency="zero-out"),
    "delta": lambda event, size, mass: delta(event, size, adjacency="add-remove"),
    "curve": lambda event, size, mass: curve(event, [0.0, size], adjacency="add-remove"),
    "audit": audited,
    "filter": lambda event, size, mass: Filter(size, mass).try_spend(event),
}


def answered(name, event, size, mass):
    """The answer, or None where it is refused in words; fails if that takes long or is an error of another kind."""
    start = time.process_time()
    try:
        return QUESTIONS[name](event, size, mass)
    except PrivkdError:
        return None
    except ValueError as refusal:
        if "must be" not in str(refusal):
            raise
        return None
    finally:
        assert time.process_time() - start < LIMIT


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("seed", range(2))
def test_drawn_extremes_are_answered_or_refused_in_time(name, seed):
    draw = random.Random(seed)
    for _ in range(25):
        size, mass, make, count = (draw.choice(some) for some in (SIZES, MASSES, EVENTS, COUNTS))
        try:
            event = make(draw.choice(SIZES)) * count
        except ValueError:
            continue
        found = answered(name, event, size, mass)
        for bound in found if isinstance(found, tuple) else [found] if name in ("epsilon", "delta") else []:
            assert bound is None or 0.0 <= bound.lower <= bound.upper
