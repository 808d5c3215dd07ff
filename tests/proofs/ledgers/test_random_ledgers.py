"""Proof: random ledgers of every event with a known pair lie between two slow convolutions that share no numerics with ours.

The twin cuts the outcomes of one release into cells with a smallest and a largest loss, rounds the losses up (or down) to
a grid and convolves with `numpy.convolve`: first order, positive sums only, obvious. The negative twins plant a fault and
show that the same check finds it.
"""

import math
from dataclasses import replace

import numpy as np
import pytest

from accountants import (
    ApproxDP,
    Gaussian,
    Laplace,
    RandomizedResponse,
    ResolutionError,
    UnsupportedEvent,
    delta,
    epsilon,
)
from accountants.composition import known_parts, prepared
from accountants.methods.fourier import accountant as fourier
from accountants.methods.fourier import delta_curve, inversion
from accountants.methods.lattice import accountant as lattice
from accountants.methods.lattice import directions, targets
from accountants.methods.lattice.law import Tails

ZERO = 1e-9  # relative slack for the rounding of the slow sums
CELLS = 4000  # of a window of 14 standard deviations


class Grid:
    """Masses at multiples of a step, rounded up (sign = 1) or down (sign = -1), and the mass of infinite loss."""

    def __init__(self, step, first, mass, infinity):
        self.step, self.first, self.mass, self.infinity = step, first, mass, infinity

    @classmethod
    def of(cls, cells, step, sign):
        loss, turn = (cells.high, np.ceil) if sign > 0 else (cells.low, np.floor)
        finite = np.isfinite(loss) & (cells.p > 0)
        place = turn(loss[finite] / step).astype(int)
        first = int(place.min())
        infinity = float(cells.p[loss == np.inf].sum())
        return cls(step, first, np.bincount(place - first, cells.p[finite]), infinity)

    def plus(self, other, sign, tail):
        mass, first = np.convolve(self.mass, other.mass), self.first + other.first
        infinity = self.infinity + other.infinity - self.infinity * other.infinity
        last = max(1, len(mass) - int(np.searchsorted(np.cumsum(mass[::-1]), tail)))
        start = min(last - 1, int(np.searchsorted(np.cumsum(mass), 1e-4)))
        infinity += float(mass[last:].sum()) * (sign > 0)
        lost = float(mass[:start].sum())
        mass = mass[start:last].copy()
        mass[0] += lost * (sign > 0)
        return Grid(self.step, first + start, mass, infinity)

    def delta(self, epsilon):
        loss = (self.first + np.arange(len(self.mass))) * self.step
        gain = -np.expm1(np.minimum(epsilon - loss, 0.0))
        return float(gain @ self.mass) + self.infinity

    def epsilon(self, delta):
        low, high = 0.0, max(0.0, (self.first + len(self.mass)) * self.step)
        if self.delta(high) > delta:
            return math.inf
        for _ in range(50):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.delta(middle) > delta else (low, middle)
        return high


def composed(releases, delta, turned, sign):
    """The slow law of everything in one direction."""
    pairs = [(one.above if sign > 0 else one.below, one.count) for one in releases]
    pairs = [(pair, count) for pair, count in pairs if pair is not None]

    def cells(pair, width):
        edges = np.arange(-4000, 4001) * width
        found = pair(edges)
        return found.turned() if turned else found

    tail, steps = 1e-5 * delta, []
    for pair, _ in pairs:
        rough = cells(pair, 0.01)
        middle = np.where(np.isfinite(rough.low) & np.isfinite(rough.high), (rough.low + rough.high) / 2, 0)
        order = np.argsort(-middle)
        heavy = middle[order][np.searchsorted(np.cumsum(rough.p[order]), tail / 100)]
        steps.append((rough.p @ middle**2 - (rough.p @ middle) ** 2, heavy - middle.min()))
    spread = math.sqrt(sum(max(v, 1e-12) * count for (v, _), (_, count) in zip(steps, pairs, strict=True)))
    step = max(14 * spread / CELLS, sum(reach for _, reach in steps) / (2 * CELLS))
    total = Grid(step, 0, np.ones(1), 0.0)
    for (pair, count), (_, reach) in zip(pairs, steps, strict=True):
        number = int(8 * reach / step) + 64
        found = pair(np.arange(-number, number + 1) * step / 4)
        law = Grid.of(found.turned() if turned else found, step, sign)
        for _ in range(count):
            total = total.plus(law, sign, tail)
    return total


class Twin:
    """Both ends of the truth: `delta(epsilon)` and `epsilon(delta)` are (lower, upper)."""

    def __init__(self, releases, delta):
        turns = (False, True)
        self.above = [composed(releases, delta, turned, 1) for turned in turns]
        self.below = [composed(releases, delta, turned, -1) for turned in turns]

    def delta(self, epsilon):
        return max(one.delta(epsilon) for one in self.below), max(one.delta(epsilon) for one in self.above)

    def epsilon(self, delta):
        return max(one.epsilon(delta) for one in self.below), max(one.epsilon(delta) for one in self.above)


def contradictions(event, twin, adjacency, target, methods=("auto", "fourier", "lattice", "renyi"), width=None):
    """What our accountants say that the slow twin, or another of them, disproves."""
    found, bounds = [], []
    for method in methods:
        if method in [bound.method for _, bound in bounds]:  # "auto" asked it
            continue
        try:
            bound = epsilon(event, target, adjacency=adjacency, method=method, width=width)
        except (UnsupportedEvent, ResolutionError) as error:
            if method == "auto" or "exceeds upper" in str(error):
                found.append(f"{method}: {error}")
            continue
        bounds.append((method, bound))
        if bound.lower > 0 and twin.delta(bound.lower * (1 - ZERO) - ZERO)[1] < target * (1 - ZERO):
            found.append(f"{method}: lower={bound.lower!r}, but delta is smaller there")
        if bound.upper < math.inf and twin.delta(bound.upper * (1 + ZERO) + ZERO)[0] > target * (1 + ZERO):
            found.append(f"{method}: upper={bound.upper!r}, but delta is larger there")
    for one, first in bounds:
        for other, second in bounds:
            if first.lower > second.upper * (1 + ZERO) + ZERO:
                found.append(f"{one}: lower={first.lower!r} > {other}: upper={second.upper!r}")
    return found


def contradictions_of_delta(event, twin, adjacency, target):
    """The same at an epsilon that the twin chooses."""
    low, high = twin.epsilon(target)
    at = 0.5 * (low + min(high, low + 0.5)) if low < math.inf else 1.0
    ours, (low, high) = delta(event, at, adjacency=adjacency), twin.delta(at)
    if ours.lower <= high * (1 + ZERO) and ours.upper >= low * (1 - ZERO):
        return []
    return [f"delta({at!r}): {ours!r}, but it is in [{low!r}, {high!r}]"]


def faults_of_seeds(slow, seeds):
    """Contradictions by seed, and the relative widths of the slow intervals."""
    faults, widths = {}, []
    for seed in seeds:
        event, releases, adjacency, target = slow.random_ledger(seed)
        twin = Twin(releases, target)
        found = contradictions(event, twin, adjacency, target, width=None if seed % 3 else 0.3)
        found += contradictions_of_delta(event, twin, adjacency, target) if seed % 4 == 1 else []
        if found:
            faults[seed, str(event), adjacency, target] = found
        low, high = twin.epsilon(target)
        if all(one.above is one.below for one in releases) and high < math.inf:
            widths.append((high - low) / (high + 1e-3))
    return faults, widths


def test_random_ledgers_are_not_contradicted(slow):
    faults, widths = faults_of_seeds(slow, range(60))
    assert not faults
    assert np.median(widths) < 0.02  # the twin is sharp enough to see something


@pytest.mark.proof
@pytest.mark.parametrize("batch", range(20))
def test_two_thousand_random_ledgers_are_not_contradicted(batch, slow):
    faults, widths = faults_of_seeds(slow, range(1000 + 100 * batch, 1100 + 100 * batch))
    assert not faults
    assert np.median(widths) < 0.02


def test_the_twin_agrees_with_closed_forms(slow):
    exact = epsilon(Gaussian(1.0) * 3, 1e-5)
    low, high = Twin(slow.same(slow.normal(1.0), 3), 1e-5).epsilon(1e-5)
    assert low <= exact.lower <= exact.upper <= high <= 1.01 * low
    exact = epsilon(RandomizedResponse(5, 0.3) * 4, 1e-3, adjacency="replace-one")
    low, high = Twin(slow.same(slow.response(5, 0.3), 4), 1e-3).epsilon(1e-3)
    assert low <= exact.lower <= exact.upper <= high <= 1.01 * low
    # Sampled Laplace: q (1 - e^((x - 1/b) / 2)) at the base epsilon x = log(1 + (e^eps - 1) / q).
    low, high = Twin(slow.same(slow.sampled(slow.laplace(0.5), 0.3)), 1e-3).delta(0.1)
    true = 0.3 * -math.expm1((math.log1p(math.expm1(0.1) / 0.3) - 0.5) / 2)
    ours = delta(Laplace(2.0).poisson(0.3), 0.1)
    assert low <= true <= high <= 1.02 * low
    assert ours.lower <= true <= ours.upper


def case(slow, name):
    """(event, releases, delta, options) in which a planted fault shows."""
    small, noise = slow.laplace(0.5), slow.normal(1.0)
    match name:
        case "lattice":
            return Laplace(2.0).poisson(0.5) * 2, slow.same(slow.sampled(small, 0.5), 2), 0.1, {}
        case "fourier":
            event = Gaussian(0.8).poisson(0.1) * 6 + Gaussian(4.0)
            releases = slow.same(slow.sampled(slow.normal(1.25), 0.1), 6) + slow.same(slow.normal(0.25))
            return event, releases, 1e-5, {"methods": ("fourier",)}
        case "coarse":
            releases = slow.same(noise, 2) + slow.same(small, 4)
            return Gaussian(1.0) * 2 + Laplace(2.0) * 4, releases, 1e-6, {"width": 1.0}
        case _:
            releases = slow.same(slow.failing(1e-6, 0.5), 3) + slow.same(noise)
            return ApproxDP(0.5, 1e-6) * 3 + Gaussian(1.0), releases, 1e-5, {}


@pytest.fixture
def found_in(slow):
    """The check, on one of these cases."""

    def found(name):
        event, releases, target, options = case(slow, name)
        return contradictions(event, Twin(releases, target), "add-remove", target, **options)

    return found


@pytest.mark.parametrize("name", ["lattice", "fourier", "coarse", "claim"])
def test_nothing_is_found_without_a_fault(name, found_in):
    assert found_in(name) == []


def test_a_dropped_direction_is_found(monkeypatch, found_in):
    both = lattice.directions_of
    monkeypatch.setattr(lattice, "directions_of", lambda parts, adjacency: both(parts, adjacency)[:1])
    assert any("upper=" in text for text in found_in("lattice"))
    for module in (fourier, delta_curve):
        monkeypatch.setattr(module, "directions", lambda parts: (-1,))
    assert any("upper=" in text for text in found_in("fourier"))


def test_mass_moved_down_is_found(monkeypatch, found_in):
    law = directions._law

    def one_step_down(*arguments):
        found = law(*arguments)
        return replace(found, first=found.first - 1)

    monkeypatch.setattr(directions, "_law", one_step_down)
    assert any("upper=" in text for text in found_in("coarse"))


def test_a_tail_that_is_cut_but_not_counted_is_found(monkeypatch, found_in):
    law, pilot = directions._law, targets.upper_law
    monkeypatch.setattr(directions, "_law", lambda *arguments: replace(law(*arguments), infinity=0.0))
    monkeypatch.setattr(targets, "upper_law", lambda *arguments: replace(pilot(*arguments), infinity=0.0))
    monkeypatch.setattr(targets, "tails_for", lambda *arguments: Tails(1e-3, 1e-6))
    assert found_in("coarse")


def test_a_failure_of_a_claim_that_is_not_paid_is_found(monkeypatch, found_in):
    split = known_parts.split_failures
    monkeypatch.setattr(known_parts, "split_failures", lambda parts: (split(parts)[0], (0.0, 0.0)))
    assert any("upper=" in text for text in found_in("claim"))


def test_a_count_that_is_ignored_is_found(monkeypatch, found_in):
    form = prepared.normal_form
    monkeypatch.setattr(prepared, "normal_form", lambda *event, **options: dict.fromkeys(form(*event, **options), 1))
    assert any("upper=" in text for text in found_in("lattice"))


def test_spectral_lines_that_are_forgotten_are_found(monkeypatch, found_in):
    monkeypatch.setattr(inversion.Contour, "_lines_needed", lambda self, step: 2)
    assert found_in("fourier") == []  # what is not summed is bounded, or the accountant refuses
    monkeypatch.setattr(inversion.Contour, "_far_lines", lambda self, step: 0.0)
    assert any("upper=" in text for text in found_in("fourier"))
