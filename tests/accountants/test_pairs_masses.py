"""Masses of cells of the privacy loss against laws in 60 digits."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from accountants.methods.lattice.pairs.atomic import (
    DiscreteGaussianPair,
    DiscreteLaplacePair,
    response_pair,
    subset_pair,
)
from accountants.methods.lattice.pairs.gaussian_pairs import AntipodalPair, GaussianPair, GroupPair
from accountants.methods.lattice.pairs.laplace import LaplacePair
from accountants.methods.lattice.pairs.normal_cells import normal_cells
from accountants.methods.lattice.pairs.pair import MASS_ERROR, ReversedPair
from accountants.methods.lattice.pairs.sampled import SampledPair, SymmetrizedPair

DIGITS = 60


def gaussian_loss(pair):
    sigma, q, size = mp.mpf(pair.sigma), mp.mpf(getattr(pair, "q", 1)), getattr(pair, "size", 1)
    if isinstance(pair, AntipodalPair):
        return lambda x: mp.log(
            (1 - q + q * mp.exp((x - 0.5) / sigma**2)) / (1 - q + q * mp.exp((-x - 0.5) / sigma**2))
        )
    weights = [mp.binomial(size, j) * q**j * (1 - q) ** (size - j) for j in range(size + 1)]
    return lambda x: mp.log(mp.fsum(w * mp.exp((2 * j * x - j * j) / (2 * sigma**2)) for j, w in enumerate(weights)))


def gaussian_cdfs(pair, x):
    """P and Q of noise <= x, for pairs of mixtures of Gaussians."""
    sigma, q, size = mp.mpf(pair.sigma), mp.mpf(getattr(pair, "q", 1)), getattr(pair, "size", 1)
    if isinstance(pair, AntipodalPair):
        center = (1 - q) * mp.ncdf(x / sigma)
        return center + q * mp.ncdf((x - 1) / sigma), center + q * mp.ncdf((x + 1) / sigma)
    weights = [mp.binomial(size, j) * q**j * (1 - q) ** (size - j) for j in range(size + 1)]
    return mp.fsum(w * mp.ncdf((x - j) / sigma) for j, w in enumerate(weights)), mp.ncdf(x / sigma)


def solved(function, target, low, high):
    for _ in range(220):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return low


GAUSSIANS = [
    GaussianPair(1.3),
    GaussianPair(0.2),
    GaussianPair(50.0),
    AntipodalPair(1.1, 0.01),
    AntipodalPair(0.5, 0.7),
    GroupPair(1.0, 0.05, 5),
    GroupPair(3.0, 0.6, 7),
]


@pytest.mark.parametrize("pair", GAUSSIANS, ids=repr)
@pytest.mark.parametrize("step", [2e-2, 1e-5])
def test_gaussian_masses_have_full_relative_accuracy(pair, step):
    low, high = pair.range_under_p(1e-20, 1e-20)
    with mp.workdps(DIGITS):
        loss = gaussian_loss(pair)
        for place in (0.02, 0.5, 0.95):
            edges = low + place * (high - low) + step * (high - low) * np.arange(3.0)
            masses = pair.masses(edges)
            x = [solved(loss, mp.mpf(float(t)), mp.mpf(-60 * pair.sigma), mp.mpf(60 * pair.sigma + 20)) for t in edges]
            for side, computed in enumerate(masses):
                for i in range(2):
                    # The edges may be off by edge_error; the density changes by that much times its slope at most.
                    true = gaussian_cdfs(pair, x[i + 1])[side] - gaussian_cdfs(pair, x[i])[side]
                    room = MASS_ERROR + 4 * pair.edge_error / float(edges[1] - edges[0])
                    assert abs(float(computed[i + 1] / true - 1)) <= room


@pytest.mark.parametrize("pair", GAUSSIANS, ids=repr)
def test_edges_are_within_the_promised_error(pair):
    """P and Q masses up to an edge belong to one set whose loss edge is where it was asked for."""
    low, high = pair.range_under_p(1e-12, 1e-12)
    edges = np.linspace(low, high, 7)
    cumulated = np.cumsum(pair.masses(edges)[1])[:-1]
    with mp.workdps(DIGITS):
        loss = gaussian_loss(pair)
        for edge, mass in zip(edges, cumulated, strict=True):
            if not 1e-6 < mass < 1 - 1e-6:
                continue
            x = solved(
                lambda x: gaussian_cdfs(pair, x)[1],
                mp.mpf(float(mass)),
                mp.mpf(-60 * pair.sigma),
                mp.mpf(60 * pair.sigma + 20),
            )
            slope = 1 / float(mp.diff(lambda x: gaussian_cdfs(pair, x)[1], x))
            room = 64 * pair.edge_error + 1e-14 * (1 + slope * float(mp.diff(loss, x)))
            assert abs(float(loss(x)) - edge) <= room


@given(start=st.floats(-37.0, 36.0), log_width=st.floats(-12.0, 1.0))
def test_normal_cells_keep_relative_accuracy_anywhere(start, log_width):
    width = 10.0**log_width
    edges = start + width * np.arange(5.0)
    with mp.workdps(60):
        for mass, left, right in zip(normal_cells(edges)[1:-1], edges[:-1], edges[1:], strict=True):
            true = (
                mp.ncdf(mp.mpf(right)) - mp.ncdf(mp.mpf(left))
                if left < 0
                else mp.ncdf(-mp.mpf(left)) - mp.ncdf(-mp.mpf(right))
            )
            if true > 1e-300:
                assert abs(float(mass / true - 1)) <= 2e-13


def test_differences_of_the_distribution_function_lose_that_accuracy():
    edges = 3.0 + 1e-7 * np.arange(3.0)
    naive = np.diff(ndtr(edges))[0]
    assert abs(naive / normal_cells(edges)[1] - 1) > 100 * MASS_ERROR


@given(eps0=st.floats(1e-6, 50.0), start=st.floats(-1.2, 1.1), width=st.floats(1e-9, 0.5))
def test_laplace_masses_have_the_closed_form(eps0, start, width):
    edges = eps0 * (start + width * np.arange(3.0))
    with mp.workdps(60):
        scale = mp.mpf(eps0)

        def at_most(t):
            if t >= scale:
                return mp.mpf(1), mp.mpf(1)
            if t < -scale:
                return mp.mpf(0), mp.mpf(0)
            return mp.exp((t - scale) / 2) / 2, 1 - mp.exp(-(t + scale) / 2) / 2

        ends = [at_most(mp.mpf(float(t))) for t in edges]
        for side, computed in enumerate(LaplacePair(eps0).masses(edges)):
            for i in range(2):
                true = ends[i + 1][side] - ends[i][side]
                assert abs(float(computed[i + 1] - true)) <= MASS_ERROR * float(true)


def atoms_of(pair):
    with mp.workdps(DIGITS):
        if isinstance(pair, DiscreteLaplacePair):
            rate, shift = mp.mpf(pair.rate), pair.sensitivity
            p = {x: mp.exp(-rate * abs(x)) for x in range(-4000, 4001)}
            loss = {x: rate * (abs(x - shift) - abs(x)) for x in p}
        else:
            sigma, shift = mp.mpf(pair.sigma), pair.sensitivity
            reach = int(30 * pair.sigma) + 3
            p = {x: mp.exp(-(x**2) / (2 * sigma**2)) for x in range(-reach, reach + 1)}
            loss = {x: ((x - shift) ** 2 - x**2) / (2 * sigma**2) for x in p}
        total = mp.fsum(p.values())
        law = {}
        for x, mass in p.items():
            key = float(mp.nstr(loss[x], 20))
            law[round(key, 9)] = law.get(round(key, 9), mp.mpf(0)) + mass / total
        return law


@pytest.mark.parametrize(
    "pair",
    [
        DiscreteLaplacePair(0.3, 1),
        DiscreteLaplacePair(0.2, 4),
        DiscreteLaplacePair(0.1, 7),
        DiscreteGaussianPair(2.0, 1),
        DiscreteGaussianPair(0.7, 3),
        DiscreteGaussianPair(11.0, 2),
    ],
    ids=repr,
)
def test_integer_noise_has_the_law_of_the_definition(pair):
    slow = atoms_of(pair)
    atoms = pair.atoms(1e-25)
    assert len(atoms.p) > 1
    found = 0.0
    for loss, mass in zip(atoms.losses, atoms.p, strict=True):
        true = slow.get(round(float(loss), 9))
        if true is not None and true > 1e-60:
            assert abs(float(mass / true - 1)) <= MASS_ERROR
            found += float(true)
    assert abs(found - 1) < 1e-14
    missing = sum(float(mass) for loss, mass in slow.items() if loss > atoms.losses[-1] + 1e-6)
    assert missing <= atoms.beyond


@pytest.mark.parametrize("k", [2, 5, 9])
def test_subset_selection_has_the_law_of_all_subsets(k):
    from itertools import combinations

    eps0, first, second = 0.8, 0, 1
    for d in range(1, k):
        weights = {
            subset: (math.exp(eps0 * (first in subset)), math.exp(eps0 * (second in subset)))
            for subset in combinations(range(k), d)
        }
        total = sum(p for p, _ in weights.values())
        law = {-1: 0.0, 0: 0.0, 1: 0.0}
        for p, q in weights.values():
            law[round(math.log(p / q) / eps0)] += p / total
        assert np.allclose(subset_pair(k, d, eps0).atoms(0.0).p, [law[-1], law[0], law[1]], rtol=1e-13)
    assert subset_pair(k, 1, eps0) == response_pair(k, eps0)


def slow_curve(pair, gammas, cells=100_000):
    """Hockey-stick divergences from very fine cells: a lower bound that is off by the square of the cell width."""
    low, high = pair.range_under_p(1e-14, 1e-14)
    edges = np.linspace(low - 1e-6, high + 1e-6, cells)
    p, q = pair.masses(edges)
    return np.array([np.maximum(p - gamma * q, 0.0).sum() for gamma in gammas])


BASES = [GaussianPair(1.2), LaplacePair(0.7), response_pair(2, 0.6), DiscreteGaussianPair(1.5, 1)]


@pytest.mark.parametrize("base", BASES, ids=repr)
@pytest.mark.parametrize("q", [0.02, 0.4])
def test_sampling_amplifies_by_the_known_formula(base, q):
    """H_gamma(P, Q) = q H_g(P0, Q0) with g = 1 + (gamma - 1) / q, and the formula of the other direction."""
    gammas = np.array([1.0, 1.01, 1.1, 1.3])
    pair = SampledPair(base, q)
    expected = q * slow_curve(base, 1 + (gammas - 1) / q)
    assert np.allclose(slow_curve(pair, gammas), expected, atol=1e-8)
    inside = 1 - (1 - q) * gammas
    kept = inside > 0
    inner = q * gammas[kept] / inside[kept]
    other = np.zeros(len(gammas))
    other[kept] = inside[kept] * slow_curve(base.reverse(), inner)
    assert np.allclose(slow_curve(pair.reverse(), gammas), other, atol=1e-8)


@pytest.mark.parametrize("base", BASES, ids=repr)
def test_symmetrized_curve_is_the_larger_of_both_directions(base):
    pair = SampledPair(base, 0.1)
    gammas = np.array([0.5, 0.9, 0.99, 1.0, 1.02, 1.2])
    larger = np.maximum(slow_curve(pair, gammas), slow_curve(pair.reverse(), gammas))
    found = slow_curve(SymmetrizedPair(pair), gammas)
    assert np.allclose(found, larger, atol=1e-8)
    assert np.all(found >= larger - 1e-8)
    # Neither direction alone is enough: each is beaten by the other somewhere.
    assert np.any(slow_curve(pair, gammas) < larger - 1e-6)


@pytest.mark.parametrize(
    "pair",
    [*GAUSSIANS, *BASES, SampledPair(GaussianPair(0.8), 0.03), SymmetrizedPair(SampledPair(LaplacePair(1.0), 0.2))],
    ids=repr,
)
def test_reversing_exchanges_the_laws_and_ranges_keep_their_promise(pair):
    low, high = pair.range_under_p(1e-9, 1e-6)
    edges = np.linspace(low, high, 9)
    p, q = pair.masses(edges)
    assert p[0] <= 1e-9 * (1 + 1e-9) + p[0] * (pair.spacing is not None or pair.anchor is not None)
    assert p[-1] <= 1e-6 * (1 + 1e-9)
    assert math.isclose(p.sum(), 1, rel_tol=1e-12)
    assert math.isclose(q.sum(), 1, rel_tol=1e-12)
    turned_p, turned_q = ReversedPair(pair).masses(-edges[::-1])
    assert np.array_equal(turned_p[::-1], q)
    assert np.array_equal(turned_q[::-1], p)
    back = ReversedPair(pair).range_under_p(1e-6, 1e-9)
    assert (-back[1], -back[0]) == pair.range_under_q(1e-9, 1e-6)
    if pair.is_symmetric:
        # No edge near an atom: which side it falls on is free.
        shifted = np.linspace(low, high, 9) + 0.013 * (high - low)
        mirrored = pair.masses(-shifted[::-1])
        assert np.allclose(mirrored[1][::-1], pair.masses(shifted)[0], rtol=1e-9, atol=1e-14)
        assert pair.reverse() == pair
    else:
        assert pair.reverse().reverse() == pair
