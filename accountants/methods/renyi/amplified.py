"""Rényi curves of sampled events: what a random batch is proven to save.

Every bound below is valid by itself; the smallest is taken.

- Convexity: P^a Q^(1-a) is jointly convex, and with probability 1 - q both laws are the same, so the moment is at most
  1 - q + q e^((a-1) rho(a)), in both directions, whatever is sampled.
- Binomial sum (Poisson, integer a): the moment of (1-q) Q + q P over Q is the binomial mean of e^((j-1) rho(j)). It bounds
  the other direction too if a dominating pair of the inner event is symmetric (an involution swaps P and Q). Proof: with
  r = P/Q, m = 1 - q + q r, n = 1 - q + q/r and r >= 1, both directions differ by the mean of m^a - m^(1-a) - r n^(1-a) +
  r n^a = 2 sqrt(m) sinh(b u) - 2 r sqrt(n) sinh(b v) with b = a - 1/2, u = log m, v = -log n. This vanishes at b = 1/2,
  where both terms are q (r - 1), and sinh(b u) / sinh(b v) grows with b because u >= v, i.e. m n >= 1.
- Pure: the level of the sample (`accountants.methods.pure`) is a guarantee that a binary response dominates.
- Fixed size: Wang, Balle, Kasiviswanathan 2019, theorem 9.

Sources: Balle, Barthe, Gaboardi 2018; Zhu, Wang 2019; Mironov, Talwar, Zhang 2019; Zhu, Dong, Wang 2022 (pairs).
"""

import math
import sys

import numpy as np

from accountants.adjacency import Adjacency
from accountants.errors import UnsupportedEvent
from accountants.events import (
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Exponential,
    FixedSizeSampled,
    Gaussian,
    GroupSampledGaussian,
    Laplace,
    PoissonSampled,
    PureDP,
    normal_form,
)
from accountants.methods.pure import pure_epsilon
from accountants.methods.renyi.antipodal import log_moments_replaced
from accountants.methods.renyi.integer_orders import LARGEST, between_integers, log_binomial_sum, log_minus_one
from accountants.methods.renyi.mixture import log_mixture
from accountants.methods.renyi.registry import curve, total_curve
from accountants.methods.renyi.sampled import log_moments
from accountants.numerics.array_kinds import FloatArray

_LARGEST_LEVEL = 0.5 * sys.float_info.max  # nats; curves add to it
_UP_SUM = 1.0 + 1e-10  # rounding of up to a thousand factors
_MOST_RECORDS = 1000
_SYMMETRIC = (Gaussian, Laplace, DiscreteGaussian, DiscreteLaplace, PureDP)  # their dominating pairs are


@curve.register
def _(event: PoissonSampled, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    if Adjacency.ADD_REMOVE not in event.event.adjacencies:
        raise UnsupportedEvent(
            f"no Rényi curve for a Poisson sample of {event.event!r} ({type(event.event).__name__}), which is not stated "
            "for adding or removing a record of the batch; drop .poisson(q), which only costs more"
        )
    if adjacency is Adjacency.REPLACE_ONE:
        return _replaced(event, orders)
    if event.q == 1.0:
        return total_curve(normal_form(event.event, adjacency=adjacency), orders, adjacency)
    if isinstance(event.event, Gaussian):
        if event.event.sigma == 0.0:
            return np.full_like(orders, np.inf)
        return log_moments(event.q, event.event.sigma, orders) / (orders - 1.0)
    # Bounded range is no single pair, but it implies the pure guarantee, which is.
    inner = normal_form(event.event, adjacency=adjacency)
    pairs = {PureDP(part.epsilon) if isinstance(part, Exponential) else part: count for part, count in inner.items()}
    best = np.minimum(_convexity(event.q, inner, orders, adjacency), _pure(event, orders, adjacency))
    if len(pairs) == len(inner) and all(isinstance(part, _SYMMETRIC) for part in pairs):
        best = np.minimum(best, _binomial(event.q, pairs, orders, adjacency))
    return best


@curve.register
def _(event: FixedSizeSampled, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    q, replaced = event.m / event.n, Adjacency.REPLACE_ONE  # the only one that such a sample is stated for
    inner = normal_form(event.event, adjacency=replaced)
    best = np.minimum(_convexity(q, inner, orders, replaced), _pure(event, orders, replaced))
    return np.minimum(best, _without_replacement(q, inner, orders, replaced))


@curve.register
def _(event: GroupSampledGaussian, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # Joint convexity again, over the number of the person's records in the batch.
    if event.sigma == 0.0:
        return np.full_like(orders, np.inf)
    sizes = np.arange(min(event.size, _MOST_RECORDS) + 1.0)
    log_choices = np.append(0.0, np.cumsum(np.log((event.size - sizes[:-1]) / sizes[1:])))
    log_chances = log_choices + sizes * math.log(event.q) + (event.size - sizes) * math.log1p(-event.q)
    if event.size > _MOST_RECORDS:  # all larger numbers count as the largest
        sizes, log_chances = np.append(sizes, event.size), np.append(log_chances, 0.0)
    above = (orders - 1.0)[:, None]
    with np.errstate(over="ignore", under="ignore"):
        excess = log_minus_one(above * orders[:, None] * 0.5 * (sizes / event.sigma) ** 2)
        log_excess = np.logaddexp.reduce(log_chances + excess, axis=1)
        return np.logaddexp(0.0, log_excess) / above[:, 0] * _UP_SUM


def _replaced(event: PoissonSampled, orders: FloatArray) -> FloatArray:
    """Replace-one, with everything inside stated for adding or removing a record of the batch."""
    inside = event.event
    if isinstance(inside, Gaussian):
        if inside.sigma == 0.0:
            return np.full_like(orders, np.inf)
        if event.q == 1.0:
            return curve(Gaussian(0.5 * inside.sigma), orders, Adjacency.REPLACE_ONE)
        return log_moments_replaced(event.q, inside.sigma, orders) / (orders - 1.0)
    level = pure_epsilon({event: 1}, Adjacency.REPLACE_ONE)[1]
    if level > _LARGEST_LEVEL:
        raise UnsupportedEvent(
            f"no Rényi curve for {event!r} under adjacency='replace-one'; supported inside .poisson(q): Gaussian events "
            "and pure ones; state the ledger for 'add-remove', or drop .poisson(q), which only costs more"
        )
    return curve(PureDP(level), orders, None)


def _convexity(q: float, inner: dict[Event, int], orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    above = orders - 1.0
    with np.errstate(over="ignore"):
        return log_mixture(q, above * total_curve(inner, orders, adjacency)) / above


def _pure(event: Event, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    level = pure_epsilon({event: 1}, adjacency)[1]
    return curve(PureDP(level), orders, adjacency) if level <= _LARGEST_LEVEL else np.full_like(orders, np.inf)


def _at_integers(inner: dict[Event, int], adjacency: Adjacency | None) -> FloatArray:
    """(j - 1) rho(j) for j = 0 ... LARGEST; 0 for j < 2."""
    above = np.arange(1.0, LARGEST)
    with np.errstate(over="ignore"):
        return np.concatenate([[0.0, 0.0], above * total_curve(inner, above + 1.0, adjacency)])


def _binomial(q: float, inner: dict[Event, int], orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # The binomial weights sum to 1, so only the excess over 1 is summed.
    log_terms = log_minus_one(_at_integers(inner, adjacency))
    return between_integers(orders, lambda whole: log_binomial_sum(whole, log_terms, q=q, rest=1.0 - q))


def _without_replacement(
    q: float, inner: dict[Event, int], orders: FloatArray, adjacency: Adjacency | None
) -> FloatArray:
    # 1 + q^2 C(a,2) min{4 (e^r2 - 1), e^r2 min{2, (e^eps - 1)^2}} + sum_(j>=3) q^j C(a,j) e^((j-1) rj) min{2, (e^eps - 1)^j}
    powers = _at_integers(inner, adjacency)
    log_spread = float(log_minus_one(np.array([pure_epsilon(inner, adjacency)[1]]))[0])
    log_terms = powers + np.minimum(math.log(2.0), np.arange(LARGEST + 1.0).clip(1.0) * log_spread)
    log_terms[2] = min(log_terms[2], math.log(4.0) + float(log_minus_one(powers[2:3])[0]))
    log_terms[:2] = -np.inf
    return between_integers(orders, lambda whole: log_binomial_sum(whole, log_terms, q=q, rest=1.0))
