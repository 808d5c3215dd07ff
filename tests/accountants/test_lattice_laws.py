"""One-step lattice laws: from above they dominate, from below they are dominated, and both err by the square of the step."""

import math
from itertools import pairwise

import mpmath as mp
import numpy as np
import pytest

from accountants.methods.lattice.law import Tails, exact_law, lattice_points, upper_law
from accountants.methods.lattice.lower import lower_law
from accountants.methods.lattice.pairs.atomic import (
    DiscreteGaussianPair,
    DiscreteLaplacePair,
    response_pair,
    subset_pair,
)
from accountants.methods.lattice.pairs.gaussian_pairs import AntipodalPair, GaussianPair, GroupPair
from accountants.methods.lattice.pairs.laplace import LaplacePair
from accountants.methods.lattice.pairs.sampled import SampledPair, SymmetrizedPair

TAILS = Tails(1e-13, 1e-16)

PAIRS = [
    GaussianPair(1.0),
    GaussianPair(7.0),
    GaussianPair(0.1),
    GaussianPair(0.03),  # losses beyond 700, where masses under Q underflow
    LaplacePair(0.4),
    LaplacePair(3.0),
    response_pair(2, 0.5),
    response_pair(9, 1.3),
    subset_pair(10, 3, 0.7),
    DiscreteLaplacePair(0.3, 4),
    DiscreteGaussianPair(2.0, 1),
    DiscreteGaussianPair(30.0, 3),
    AntipodalPair(1.1, 0.05),
    GroupPair(1.3, 0.1, 4),
    SampledPair(GaussianPair(1.1), 0.01),
    SampledPair(GaussianPair(0.5), 0.01),
    SampledPair(GaussianPair(2.0), 0.9),
    SampledPair(LaplacePair(1.0), 0.1),
    SampledPair(DiscreteGaussianPair(1.5, 1), 0.2),
    SampledPair(response_pair(2, 1.0), 0.3),
    SymmetrizedPair(SampledPair(GaussianPair(1.0), 0.05)),
    SymmetrizedPair(SampledPair(LaplacePair(1.0), 0.2)),
]
BOTH = [turned for pair in PAIRS for turned in dict.fromkeys((pair, pair.reverse()))]


def fine_cells(pair, cells=60_001):
    """Cells so narrow that their curve is the true one up to about 1e-8: (P, Q)."""
    low, high = pair.range_under_p(1e-15, 1e-17)
    span = max(high - low, 1e-9)
    return pair.masses(np.linspace(low - 0.01 * span, high + 0.01 * span, cells))


def true_curve(cells, epsilons):
    p, q = cells
    return np.array([np.maximum(p - math.exp(epsilon) * q, 0.0).sum() for epsilon in epsilons])


def law_curve(law, epsilons, *, sign):
    points = law.points + sign * law.shift
    finite = np.maximum(-np.expm1(np.subtract.outer(epsilons, points)), 0.0) @ law.mass
    return finite * (1 + sign * law.mass_error) + (law.infinity if sign > 0 else 0.0)


def questions(pair, law):
    """Epsilons on the lattice, between its points, and outside."""
    low, high = np.minimum(pair.range_under_p(1e-9, 1e-9), 600.0)
    rng = np.random.default_rng(3)
    points = np.minimum(law.points[rng.integers(0, len(law.mass), 15)], 600.0)
    return np.concatenate([points, rng.uniform(low, high, 15), [low - 1.0, 0.0, high + 0.1]])


def steps_for(pair):
    low, high = pair.range_under_p(1e-9, 1e-9)
    return [(high - low) / 7.3, (high - low) / 61, (high - low) / 1009]


@pytest.mark.parametrize("pair", BOTH, ids=repr)
def test_laws_enclose_the_curve_on_and_between_lattice_points(pair):
    cells = fine_cells(pair)
    for step in steps_for(pair):
        for build, sign in ((upper_law, 1), (lower_law, -1)):
            law = build(pair, step, TAILS)
            asked = questions(pair, law)
            excess = sign * (law_curve(law, asked, sign=sign) - true_curve(cells, asked))
            assert excess.min() >= -2e-8  # what the fine cells leave out
            assert law.mass.min() >= 0.0


@pytest.mark.parametrize("pair", BOTH, ids=repr)
def test_laws_come_as_close_as_the_step_allows(pair):
    """Not vacuous: the enclosure closes as the step shrinks."""
    gaps = []
    for step in steps_for(pair):
        above, below = upper_law(pair, step, TAILS), lower_law(pair, step, TAILS)
        low, high = pair.range_under_p(1e-3, 1e-3)
        asked = np.linspace(low, high, 41)
        gaps.append(float((law_curve(above, asked, sign=1) - law_curve(below, asked, sign=-1)).max()))
    assert gaps[2] < 0.4 * gaps[0]
    assert gaps[2] < 3e-3


def mean_of(law, sign):
    return float(law.mass @ (law.points + sign * law.shift))


def rounded_up(pair, step):
    """The first-order twin: every cell's mass goes to its upper end."""
    low, high = pair.range_under_p(TAILS.below, TAILS.above)
    first, last = math.floor(low / step), math.ceil(high / step) + 1
    points = lattice_points(0.0, step, first, last - first + 1)
    return float(pair.masses(points)[0][:-1] @ points)


SMOOTH = [GaussianPair(1.0), SampledPair(GaussianPair(1.1), 0.1), SampledPair(GaussianPair(1.1), 0.1).reverse()]
SMOOTH += [AntipodalPair(1.0, 0.1), GroupPair(2.0, 0.2, 3), LaplacePair(1.0), SampledPair(LaplacePair(1.0), 0.3)]


@pytest.mark.parametrize("pair", SMOOTH, ids=repr)
def test_halving_the_step_divides_the_gap_by_four(pair):
    base = 1.0 / 512
    if pair.anchor is not None:
        base = (pair.anchor[1] - pair.anchor[0]) / 128
    gaps, twins = [], []
    for step in (base, base / 2, base / 4):
        gaps.append(mean_of(upper_law(pair, step, TAILS), 1) - mean_of(lower_law(pair, step, TAILS), -1))
        twins.append(rounded_up(pair, step) - mean_of(lower_law(pair, step, TAILS), -1))
    for coarse, fine in pairwise(gaps):
        assert 2.9 < coarse / fine < 5.5
    # The twin, which rounds every loss up, gains only a factor of two.
    for coarse, fine in pairwise(twins):
        assert 1.6 < coarse / fine < 2.4


def test_smooth_densities_reach_the_smallest_possible_gap():
    """Chord splitting adds h^2/6 of variance and merging takes h^2/12, so that means differ by h^2/8."""
    for pair in (
        GaussianPair(3.0),
        SampledPair(GaussianPair(1.1), 0.01).reverse(),
        SampledPair(GaussianPair(1.1), 0.01),
    ):
        low, high = pair.range_under_p(1e-3, 1e-3)
        step = min(0.05, (high - low) / 2000)
        gap = mean_of(upper_law(pair, step, TAILS), 1) - mean_of(lower_law(pair, step, TAILS), -1)
        assert gap == pytest.approx(step * step / 8, rel=0.25)


def test_upper_laws_keep_both_masses_of_every_cell():
    pair, step = SampledPair(GaussianPair(1.3), 0.2), 0.01
    law = upper_law(pair, step, TAILS)
    p, q = pair.masses(law.points)
    assert law.mass.sum() == pytest.approx(p[:-1].sum(), abs=1e-14)
    above = np.cumsum(law.mass[::-1])[::-1] + p[-1]
    # The hockey stick at a lattice point is that of the cells above it.
    for index in range(5, len(p) - 3, 17):
        gamma = math.exp(law.points[index])
        cells = (p[index + 1 :] - gamma * q[index + 1 :]).sum() + gamma * q[-1]
        stick = (law.mass * np.maximum(-np.expm1(law.points[index] - law.points), 0.0)).sum() + p[-1]
        assert stick == pytest.approx(cells, rel=1e-9, abs=1e-13)
        assert above[index] <= 1.0 + 1e-12


@pytest.mark.parametrize("pair", [p for p in PAIRS if p.spacing is not None], ids=repr)
def test_exact_laws_sit_on_integer_indices(pair):
    for divisor in (1, 3, 10):
        law = exact_law(pair, pair.spacing / divisor, 1e-20)
        atoms = pair.atoms(1e-20)
        held = np.flatnonzero(law.mass)
        assert np.allclose(law.points[held], atoms.losses[atoms.p > 0], rtol=1e-14, atol=1e-16)
        assert law.mass.sum() == pytest.approx(1.0, abs=1e-13)
    # A ceil of floats would push atoms up by a step: 0.3 / 0.1 is 2.9999999999999996 and 0.7 / 0.1 is 6.999999999999999.
    law = exact_law(response_pair(3, 0.3), 0.1, 1e-20)
    assert (law.first, len(law.mass)) == (-3, 7)


def test_lower_law_of_laplace_is_dominated_in_forty_digits():
    """The atoms at the ends, in exact arithmetic and including the shift."""
    eps0, step = 0.8, 0.1
    law = lower_law(LaplacePair(eps0), step, TAILS)
    with mp.workdps(40):
        for epsilon in (-0.75, -0.31, 0.0, 0.2, 0.55, 0.7999, 0.8):
            stick = mp.fsum(
                mp.mpf(float(mass)) * (1 - mp.exp(mp.mpf(epsilon) - mp.mpf(float(point)) + mp.mpf(law.shift)))
                for mass, point in zip(law.mass, law.points, strict=True)
                if point - law.shift > epsilon
            )
            assert stick * (1 - law.mass_error) <= 1 - mp.exp((mp.mpf(epsilon) - mp.mpf(eps0)) / 2)
