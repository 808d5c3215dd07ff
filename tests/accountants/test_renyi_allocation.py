"""Rényi curve of random allocation against enumeration and direct integrals."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from accountants.events import Gaussian, Laplace
from accountants.methods.renyi.allocation import _addition, _removal
from accountants.methods.renyi.renyi import renyi


def slow_removal(steps, selected, sigma, alpha):
    """Mean over all tuples of choices of e^(sum of (c^2 - c) / (2 sigma^2)), c counting how often a round was chosen."""
    choices = list(itertools.combinations(range(steps), selected))
    with mp.workdps(40):
        total = mp.mpf(0)
        for tuple_of_choices in itertools.product(choices, repeat=alpha):
            counts = [sum(step in choice for choice in tuple_of_choices) for step in range(steps)]
            total += mp.exp(sum(c * c - c for c in counts) / (2 * mp.mpf(sigma) ** 2))
        return float(mp.log(total / len(choices) ** alpha))


def slow_addition(sigma, alpha, steps):
    """Trapezoid sum over the noise of all rounds."""
    noise = np.linspace(-12, 12, {2: 1201, 3: 161}[steps])
    weights = np.exp(-(noise**2) / 2)
    weights /= weights.sum()
    ratio = np.exp(noise / sigma - 1 / (2 * sigma * sigma))
    mean, mass = ratio, weights
    for _ in range(steps - 1):
        mean, mass = np.add.outer(mean, ratio), np.multiply.outer(mass, weights)
    return math.log(float((mass * (mean / steps) ** (1 - alpha)).sum()))


@pytest.mark.parametrize(("steps", "alpha"), [(1, 3), (2, 5), (3, 4), (5, 3), (7, 2), (6, 4)])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 30.0])
def test_removal_is_the_mean_over_all_choices(steps, alpha, sigma):
    truth = slow_removal(steps, 1, sigma, alpha)
    assert truth <= _removal(steps, sigma)[alpha] <= truth * (1 + 2e-11)


@pytest.mark.parametrize(("steps", "sigma"), [(2, 0.5), (2, 1.0), (2, 5.0), (3, 0.8), (3, 2.0)])
@pytest.mark.parametrize("alpha", [2, 3, 7])
def test_addition_is_the_integral_over_all_noise(steps, sigma, alpha):
    truth = slow_addition(sigma, alpha, steps)
    assert truth - 1e-12 <= _addition(steps, sigma)[alpha] <= truth + 1e-11 * alpha + 1e-8 * truth


@pytest.mark.parametrize(("steps", "sigma"), [(2, 1.0), (30, 1.0), (1000, 2.0), (10**6, 0.7)])
def test_removal_is_the_worse_direction_wherever_both_are_known(steps, sigma):
    added, removed = _addition(steps, sigma), _removal(steps, sigma)
    known = np.isfinite(added)
    assert known[:12].all()
    assert np.all(added[known] <= removed[known] * (1 + 1e-9) + 1e-11 * np.arange(257)[known])


@pytest.mark.parametrize(("steps", "selected", "alpha"), [(4, 2, 2), (4, 2, 3), (5, 2, 3), (5, 3, 2), (6, 4, 2)])
@pytest.mark.parametrize("sigma", [1.0, 4.0])
def test_several_rounds_never_cost_less_than_the_mean_over_all_choices(steps, selected, alpha, sigma):
    truth = slow_removal(steps, selected, sigma, alpha) / (alpha - 1)
    value = float(renyi(Gaussian(sigma).random_allocation(steps, selected), alpha))
    assert truth <= value <= selected * alpha / (2 * sigma**2)


def test_in_between_the_chord_of_two_integer_orders_is_used():
    event = Gaussian(1.0).random_allocation(100)
    low, middle, high = (float(renyi(event, alpha)) * (alpha - 1) for alpha in (4.0, 4.25, 5.0))
    assert math.isclose(middle, 0.75 * low + 0.25 * high, rel_tol=1e-12)
    assert math.isclose(renyi(event, 1.001), renyi(event, 2.0), rel_tol=1e-12)


def test_amplification_is_real_and_grows_with_the_rounds():
    orders = np.array([2.0, 5.0, 8.0])
    curves = np.array([renyi(Gaussian(1.0).random_allocation(steps), orders) for steps in (1, 10, 100, 1000)])
    assert np.all(np.diff(curves, axis=0) < 0)
    assert np.allclose(curves[0], orders / 2, rtol=1e-12)
    assert np.all(curves[3] < curves[0] / 1.5)
    # Poisson sampling at the same mean rate is cheaper for one round, but there are a thousand of them.
    assert curves[3][0] < 1000 * renyi(Gaussian(1.0).poisson(1e-3), 2.0) * 1.001


def test_epochs_add_up_and_other_noise_is_not_amplified():
    orders = np.array([1.5, 4.0, 400.0])
    event = Gaussian(1.0).random_allocation(50, 2)
    assert np.array_equal(renyi(Gaussian(1.0).random_allocation(50, 2, epochs=3), orders), 3 * renyi(event, orders))
    assert np.array_equal(renyi(Laplace(2.0).random_allocation(50, 2), orders), 2 * renyi(Laplace(2.0), orders))
    assert np.allclose(
        renyi(Gaussian(1.0).random_allocation(5, 5), orders), 5 * renyi(Gaussian(1.0), orders), rtol=1e-14
    )
    assert np.all(renyi(Gaussian(1.0).random_allocation(5, 0), orders) == 0)
    assert renyi(event, 400.0) == 2 * renyi(Gaussian(1.0), 400.0)  # beyond the largest order: no amplification


def test_a_shuffled_epoch_is_never_cheaper_than_its_event():
    orders = np.array([1.5, 4.0, 400.0])
    event = Gaussian(1.0).shuffled(batch=10, n=10_000, epochs=4)
    assert np.allclose(renyi(event, orders), 4 * renyi(Gaussian(1.0), orders), rtol=1e-14)
    assert np.all(renyi(event, orders[:2]) > 4000 * renyi(Gaussian(1.0).poisson(1e-3), orders[:2]))


@pytest.mark.parametrize("sigma", [1e-200, 1e-3, 0.21, 1e3])
def test_extreme_noise_neither_fails_nor_undercuts(sigma):
    value = renyi(Gaussian(sigma).random_allocation(10), [1.01, 2.0, 100.0])
    assert not np.any(np.isnan(value))
    assert np.all(value <= renyi(Gaussian(sigma), [1.01, 2.0, 100.0]))
    assert np.all(value > 0)
