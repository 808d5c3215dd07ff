"""The odometer as an object: its readings against their definition, and what it refuses."""

import copy
import math
import threading

import mpmath as mp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants import (
    AdjacencyError,
    ApproxDP,
    Gaussian,
    PureDP,
    RandomizedResponse,
    UnsupportedEvent,
    epsilon,
    renyi,
)
from accountants.budgets.odometer import Odometer

DELTA = 1e-5
STEP = Gaussian(1.1).poisson(0.01)


def mean(orders, curve, point):
    return mp.fsum(mp.exp((order - 1) * (point - one)) for order, one in zip(orders, curve, strict=True)) / len(orders)


def slow_reading(orders, curve, delta):
    """By bisection of the definition, 40 digits."""
    low, high = mp.mpf(-100), mp.mpf(10) ** 4
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (middle, high) if mean(orders, curve, middle) < 1 / mp.mpf(delta) else (low, middle)
    return high


def slow_stop(orders, curve, delta, found):
    """The largest 1 - e^(found - x) over what is allowed at x, on a grid: at most 1 where `found` is large enough."""
    points = [found + mp.mpf(step) / 200 for step in range(1, 4000)]
    return max((1 - mp.exp(found - x)) / (mp.mpf(delta) * mean(orders, curve, x)) for x in points)


@given(
    sigma=st.floats(0.3, 200.0),
    orders=st.lists(st.floats(1.01, 300.0), min_size=1, max_size=6, unique=True),
    delta=st.floats(1e-12, 0.5),
)
@settings(max_examples=30, deadline=None)
def test_the_reading_is_where_the_mean_of_the_martingales_is_one_over_delta(sigma, orders, delta):
    odometer = Odometer(delta, orders=orders)
    odometer.spend(Gaussian(sigma), 3)
    with mp.workdps(40):
        curve = [mp.mpf(3) * order / 2 / mp.mpf(sigma) ** 2 for order in orders]
        slow = max(mp.mpf(0), slow_reading(orders, curve, delta))
        assert slow <= odometer.read() <= slow * (1 + 1e-10) + 1e-9


@pytest.mark.parametrize("orders", [(4.0,), (2.0, 9.0), (1.5, 3.0, 12.0, 40.0)])
@pytest.mark.parametrize("sigma", [1.0, 5.0, 30.0])
def test_the_epsilon_if_stopped_is_the_smallest_that_the_martingale_pays_for(orders, sigma):
    odometer = Odometer(DELTA, orders=orders)
    odometer.spend(Gaussian(sigma))
    found = odometer.epsilon_if_stopped()
    with mp.workdps(30):
        curve = [mp.mpf(order) / 2 / mp.mpf(sigma) ** 2 for order in orders]
        assert slow_stop(orders, curve, DELTA, mp.mpf(found)) <= 1
        assert slow_stop(orders, curve, DELTA, mp.mpf(found) * (1 - mp.mpf("1e-3"))) > 1
    assert found < odometer.read()


def test_one_order_gives_the_best_conversion_of_that_order():
    odometer = Odometer(DELTA, orders=(12.0,))
    odometer.spend(STEP, 1000)
    curve = float(renyi(STEP * 1000, 12.0))
    best = curve + math.log1p(-1 / 12) - (math.log(DELTA) + math.log(12)) / 11
    assert odometer.epsilon_if_stopped() == pytest.approx(best, rel=1e-9)
    assert odometer.read() == pytest.approx(curve - math.log(DELTA) / 11, rel=1e-9)


@pytest.mark.parametrize(("event", "count"), [(Gaussian(20.0), 10), (Gaussian(20.0), 10_000), (STEP, 1000)])
def test_the_reading_lies_between_the_plan_and_the_doubling_budgets(event, count):
    odometer = Odometer(DELTA)
    odometer.spend(event, count)
    orders = odometer._orders.orders
    doubling = math.inf
    for order in orders:
        total, phase = count * float(renyi(event, order, adjacency="add-remove")), 0
        while total > 2**phase * math.log(2 * len(orders) * (phase + 1) ** 2 / DELTA) / (order - 1):
            phase += 1
        log_share = math.log(2 * len(orders) * (phase + 1) ** 2 / DELTA)
        doubling = min(doubling, (2**phase + 1) * log_share / (order - 1))
    plan = epsilon(event * count, DELTA).upper
    assert plan < odometer.epsilon_if_stopped() < odometer.read() < doubling
    assert odometer.read() < 1.8 * plan


@given(events=st.lists(st.sampled_from([Gaussian(3.0), Gaussian(40.0), PureDP(0.1), STEP]), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_readings_never_fall_and_do_not_depend_on_the_order_of_spends(events):
    forward, backward, last = Odometer(DELTA), Odometer(DELTA), (0.0, 0.0)
    for event, other in zip(events, reversed(events), strict=True):
        forward.spend(event)
        backward.spend(other)
        now = forward.epsilon_if_stopped(), forward.read()
        assert last[0] <= now[0] * (1 + 1e-11)
        assert last[1] <= now[1] * (1 + 1e-11)
        last = now
    assert forward.read() == backward.read()


def test_pure_guarantees_never_read_more_than_their_sum():
    odometer = Odometer(DELTA)
    assert odometer.read() == odometer.epsilon_if_stopped() == 0.0
    odometer.spend(PureDP(0.25), 2)
    assert odometer.read() == odometer.epsilon_if_stopped() == 0.5
    odometer.spend(PureDP(0.25), 10_000)
    assert odometer.read() < 2500.0


def test_claims_need_mass_set_aside_and_beyond_it_nothing_is_known():
    with pytest.raises(UnsupportedEvent, match="failure="):
        Odometer(DELTA).spend(ApproxDP(0.1, 1e-7))
    odometer = Odometer(DELTA, failure=2.5e-7)
    odometer.spend(ApproxDP(0.1, 1e-7), 2)
    assert 0.2 <= odometer.read() < 2.0
    odometer.spend(ApproxDP(0.1, 1e-7))
    assert odometer.read() == odometer.epsilon_if_stopped() == math.inf


def test_no_noise_reads_infinite_and_a_refused_spend_changes_nothing():
    odometer = Odometer(DELTA)
    odometer.spend(PureDP(0.1))
    with pytest.raises(AdjacencyError):
        odometer.spend(RandomizedResponse(3, 0.1))
    with pytest.raises(ValueError, match="count"):
        odometer.spend(PureDP(0.1), -1)
    assert odometer.read() == 0.1
    odometer.spend(Gaussian(0.0))
    assert odometer.read() == math.inf


def test_threads_lose_no_spend_and_there_are_no_copies():
    odometer, alone = Odometer(DELTA), Odometer(DELTA)
    threads = [threading.Thread(target=lambda: [odometer.spend(Gaussian(50.0)) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone.spend(Gaussian(50.0), 400)
    assert odometer.read() == alone.read()
    with pytest.raises(TypeError, match="an Odometer cannot be"):
        copy.copy(odometer)


@pytest.mark.parametrize(
    "options", [{"delta": 0.0}, {"delta": 1.0}, {"failure": DELTA}, {"orders": (1.0,)}, {"orders": ()}]
)
def test_bad_arguments_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options)).removesuffix("s")):
        Odometer(**{"delta": DELTA, **options})
