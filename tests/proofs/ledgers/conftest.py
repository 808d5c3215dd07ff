"""Random ledgers, and the pairs of their releases as plain cells: formulas written down again, nothing of ours."""

import math
from dataclasses import dataclass, replace
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import ndtr

from accountants import (
    GDP,
    ApproxDP,
    Composed,
    ConfidentGNMax,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    GNMax,
    Laplace,
    LNMax,
    MatrixFactorization,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    group,
    parallel,
)

ADJACENCIES = ("add-remove", "zero-out", "replace-one")


@dataclass(frozen=True)
class Cells:
    """Outcomes of one release: masses under P and Q, smallest and largest loss."""

    p: np.ndarray
    q: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def turned(self):
        return Cells(self.q, self.p, -self.high, -self.low)

    def sampled(self, rate):
        return Cells((1 - rate) * self.q + rate * self.p, self.q, at_rate(self.low, rate), at_rate(self.high, rate))

    def mirrored(self):
        """Losses above 0, their mirror images, and the rest at 0."""
        kept = self.high > 0
        p, q, low, high = self.p[kept], self.q[kept], np.maximum(self.low[kept], 0), self.high[kept]
        rest, zero = np.array([max(0.0, 1 - p.sum() - q.sum())]), np.zeros(1)
        parts = ((p, q, rest), (q, p, rest), (low, -high, zero), (high, -low, zero))
        return Cells(*map(np.concatenate, parts))


def at_rate(loss, rate):
    """log(1 - q + q e^loss)."""
    with np.errstate(over="ignore"):
        near = np.log1p(rate * np.expm1(np.minimum(loss, 30.0)))
        return np.where(loss > 30.0, np.logaddexp(np.log1p(-rate), math.log(rate) + loss), near)


def before_rate(loss, rate):
    """Its inverse; -inf below the smallest loss."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        near = np.log(np.maximum(np.expm1(np.minimum(loss, 30.0)) + rate, 0.0) / rate)
    return np.where(loss > 30.0, loss + np.log1p(-(1 - rate) * np.exp(-np.abs(loss))) - math.log(rate), near)


def between(x):
    """Normal mass between neighbouring points, from the side where it keeps its digits."""
    return np.where(x[1:] <= 0, np.diff(ndtr(x)), -np.diff(ndtr(-x)))


def normal(mu):
    """N(mu, 1) against N(0, 1), by the edges of the loss."""

    def cells(edges):
        edges = np.concatenate([[-np.inf], edges[(edges > -11 * mu - mu * mu) & (edges < 11 * mu + mu * mu)], [np.inf]])
        return Cells(between(edges / mu - mu / 2), between(edges / mu + mu / 2), edges[:-1], edges[1:])

    return cells


def laplace(eps0):
    def cells(edges):
        edges = np.concatenate([[-eps0], edges[(edges > -eps0) & (edges < eps0)], [eps0]])
        up, down = 0.5 * np.diff(np.exp((edges - eps0) / 2)), -0.5 * np.diff(np.exp(-(edges + eps0) / 2))
        small = 0.5 * math.exp(-eps0)
        ends = np.array([-eps0, eps0])
        parts = ((up, [small, 0.5]), (down, [0.5, small]), (edges[:-1], ends), (edges[1:], ends))
        return Cells(*map(np.concatenate, parts))

    return cells


def atoms(p, q):
    """Outcomes listed one by one."""
    p, q = np.asarray(p, float), np.asarray(q, float)
    p, q = p[(p > 0) | (q > 0)], q[(p > 0) | (q > 0)]
    with np.errstate(divide="ignore"):
        loss = np.log(p) - np.log(q)
    return lambda edges: Cells(p, q, loss, loss)


def failing(chance, eps0):
    """The worst (epsilon, delta)-mechanism."""
    keep = (1 - chance) / (1 + math.exp(-eps0))
    rest = (1 - chance) / (1 + math.exp(eps0))
    return atoms([chance, 0, keep, rest], [0, chance, rest, keep])


def response(k, eps0, d=1):
    """All answers of subset selection; d = 1 is randomized response."""
    weight = [(math.exp(eps0 * (0 in s)), math.exp(eps0 * (1 in s))) for s in combinations(range(k), d)]
    p, q = np.array(weight).T
    return atoms(p / p.sum(), q / q.sum())


def integers(law, shift, reach):
    x = np.arange(-reach, reach + 1)
    p, q = law(x - shift), law(x)
    return atoms(p / law(np.arange(-4 * reach, 4 * reach)).sum(), q / law(np.arange(-4 * reach, 4 * reach)).sum())


def mixture(sigma, weights_p, weights_q, places_p, places_q):
    """Mixtures of Gaussians on a line whose loss rises from left to right."""
    reach = 11 * sigma + max(map(abs, (*places_p, *places_q)))
    x = np.linspace(-reach, reach, 40_001)

    def logs(weights, places):
        # Relative to the density at 0, so that the quadratic term drops out of the ratio.
        terms = [math.log(w) + (2 * c * x - c * c) / (2 * sigma**2) for w, c in zip(weights, places, strict=True) if w]
        return np.logaddexp.reduce(terms)

    def mass(weights, places):
        ends = np.concatenate([[-np.inf], x, [np.inf]])
        return sum(w * between((ends - c) / sigma) for w, c in zip(weights, places, strict=True))

    loss = logs(weights_p, places_p) - logs(weights_q, places_q)
    loss = np.concatenate([[-np.inf], loss, [np.inf]])
    cells = Cells(mass(weights_p, places_p), mass(weights_q, places_q), loss[:-1], loss[1:])
    return lambda edges: cells


def sampled(base, rate):
    return lambda edges: base(before_rate(edges, rate)).sampled(rate)


def mirrored(base):
    return lambda edges: base(edges).mirrored()


@dataclass(frozen=True)
class Release:
    """Pairs of one release: one that dominates, one that is attained (None if none is known), and how many."""

    above: object
    below: object
    count: int


def same(pair, count=1):
    return [Release(pair, pair, count)]


def leaf(rng):
    """Primitives under any adjacency: (event, releases)."""
    sigma, eps0 = 10 ** float(rng.uniform(-0.5, 1.2)), 10 ** float(rng.uniform(-2.0, 0.5))
    shift, count = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    rate = eps0 / shift
    return [
        lambda: (Gaussian(sigma), same(normal(1 / sigma))),
        lambda: (GDP(1 / sigma), same(normal(1 / sigma))),
        lambda: (Laplace(1 / eps0), same(laplace(eps0))),
        lambda: (PureDP(eps0), same(response(2, eps0))),
        lambda: (Exponential(eps0, "pure"), same(response(2, eps0))),
        lambda: (Exponential(eps0), [Release(response(2, eps0), response(2, eps0 / 2), 1)]),
        lambda: (
            DiscreteGaussian(sigma, shift),
            same(integers(lambda x: np.exp(-(x**2) / (2 * sigma**2)), shift, int(12 * sigma) + 9)),
        ),
        lambda: (
            DiscreteLaplace(rate, shift),
            same(integers(lambda x: np.exp(-rate * abs(x)), shift, int(40 / rate) + 9)),
        ),
        lambda: (TreeAggregation(sigma, 2**count - 1), same(normal(1 / sigma), count)),
        lambda: (MatrixFactorization(sigma, count / 2), same(normal(count / 2 / sigma))),
        lambda: (ApproxDP(eps0, 1e-7), same(failing(1e-7, eps0))),
        lambda: (SparseVector(3 / eps0, 1), [Release(response(2, eps0), None, 1)]),
    ][rng.integers(12)]()


def voting(rng):
    sigma, eps0, count = float(rng.uniform(1.0, 9.0)), float(rng.uniform(0.05, 0.8)), int(rng.integers(1, 4))
    checked = ConfidentGNMax(200.0, 2 * sigma, sigma, 3, count)
    return [
        lambda: (GNMax(sigma), same(normal(math.sqrt(2) / sigma))),
        lambda: (LNMax(1 / eps0), same(laplace(eps0), 2)),
        lambda: (checked, same(normal(1 / (2 * sigma)), 3) + same(normal(math.sqrt(2) / sigma), count)),
    ][rng.integers(3)]()


def present_or_not(rng):
    """Samples under add-remove and zero-out."""
    rate, sigma = float(rng.uniform(0.03, 0.9)), float(rng.uniform(0.7, 3.0))
    kind = rng.integers(8)
    if kind < 4:
        event, releases = leaf(rng)
        while (
            len(releases) > 1
            or releases[0].count > 1
            or not isinstance(event, (Gaussian, GDP, Laplace, PureDP, Exponential, DiscreteGaussian, DiscreteLaplace))
        ):
            event, releases = leaf(rng)
        (one,) = releases
        return event.poisson(rate), [Release(sampled(one.above, rate), sampled(one.below, rate), 1)]
    if kind == 4:
        return Gaussian(0.0).poisson(1e-3 * rate), same(sampled(failing(1.0, 1.0), 1e-3 * rate))
    if kind == 5:
        return (Gaussian(sigma) * 3).poisson(rate), same(sampled(normal(math.sqrt(3) / sigma), rate))
    if kind == 6:
        size = int(rng.integers(2, 5))
        weights = [math.comb(size, j) * rate**j * (1 - rate) ** (size - j) for j in range(size + 1)]
        pair = mixture(sigma + 1, weights, [1.0], range(size + 1), [0])
        return group(Gaussian(sigma + 1).poisson(rate), size), same(pair)
    return parallel(*[Laplace(2.0).poisson(rate)] * 3), same(sampled(laplace(0.5), rate))


def replaced(rng):
    """Responses, and samples under replace-one."""
    rate, sigma = float(rng.uniform(0.03, 0.9)), float(rng.uniform(0.7, 3.0))
    k, eps0 = int(rng.integers(2, 9)), 10 ** float(rng.uniform(-2.0, 0.5))
    d, m = int(rng.integers(1, k)), int(rng.integers(1, 20))
    kind = rng.integers(7)
    if kind < 3:
        base, inner = [
            (normal(1 / sigma), Gaussian(sigma)),
            (laplace(eps0), Laplace(1 / eps0)),
            (response(k, eps0), None),
        ][kind]
        event = (RandomizedResponse(k, eps0) if inner is None else inner).fixed_size(m, 20)
        return event, [Release(mirrored(sampled(base, m / 20)), sampled(base, m / 20), 1)]
    if kind == 3:
        weights = [1 - rate, rate]
        return Gaussian(sigma).poisson(rate), same(mixture(sigma, weights, weights, [0, 1], [0, -1]))
    if kind == 4:
        return SubsetResponse(k, d, eps0), same(response(k, eps0, d))
    if kind == 5:
        return parallel(*[PriorResponse(k, eps0)] * 3), same(response(k, eps0), 2)
    return RandomizedResponse(k, eps0), same(response(k, eps0))


def random_ledger(seed):
    """(event, releases, adjacency, delta)."""
    rng = np.random.default_rng(seed)
    adjacency = str(rng.choice(ADJACENCIES, p=[0.45, 0.15, 0.4]))
    kinds = [leaf, replaced, voting] if adjacency == "replace-one" else [leaf, present_or_not, present_or_not]
    if adjacency == "add-remove":
        kinds.append(voting)
    parts, releases = [], []
    for _ in range(rng.integers(1, 4)):
        event, found = kinds[rng.integers(len(kinds))](rng)
        count = int(rng.choice([1, 1, 2, 3, 5, 8]))
        if adjacency == "zero-out" and rng.random() < 0.2:
            event, found = event.shuffled(10, 100), [replace(one, below=None) for one in found]
        parts.append(event * count)
        releases += [replace(one, count=one.count * count) for one in found]
    return Composed(tuple(parts)), releases, adjacency, float(10 ** rng.uniform(-9, -1))


@pytest.fixture(scope="session")
def slow():
    """The pairs above, and random ledgers of them."""
    return SimpleNamespace(
        same=same,
        normal=normal,
        laplace=laplace,
        response=response,
        failing=failing,
        sampled=sampled,
        random_ledger=random_ledger,
    )
