"""Rényi curve of random allocation: every record enters some of the rounds, chosen by itself.

With r_i the likelihood ratio of round i, removing a record has the ratio r = (r_1 + ... + r_t) / t, the r_i independent
lognormals of mean 1 under the law without the record. Both directions are computed at integer orders:

- removal, E[r^a]: the rounds are t boxes into which a balls are thrown; the moment is the mean of the product of
  e^((c^2 - c) / (2 sigma^2)) over the counts c of the boxes, built up by doubling the number of boxes.
- addition, E[r^(1-a)]: by 1 / r^l = (1 / Gamma(l)) times the integral of z^(l-1) e^(-z r), with l = a - 1, it is an integral
  of the t-th power of the Laplace transform of one lognormal.

A uniform choice of k rounds is a uniform choice of one round from each of k groups, for groups drawn at random first, so it
costs at most k choices of one; the law of r does not depend on how gradients answer to earlier rounds.
Every bound is compared to the rounds that a record enters, without any amplification (joint convexity).

Source: Feldman and Shenfeld 2025, arXiv 2502.08202; both formulas derived here.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.special import gammaln

from accountants.adjacency import Adjacency
from accountants.events import Gaussian, RandomAllocation, normal_form
from accountants.methods.renyi.integer_orders import LARGEST, between_integers, log_binomials, log_minus_one
from accountants.methods.renyi.registry import curve, total_curve
from accountants.numerics.array_kinds import FloatArray

_LEAST_SIGMA = 0.2  # with less noise nothing is amplified at any order of use
_SLACK = 1e-11  # relative, covers the rounding of up to a hundred positive sums
_ROUNDING = 1e-12  # of a log moment that is a difference of larger terms, per unit of order
_DEEP = 45.0  # nats below the peak at which an integral is cut
_LEFT, _RIGHT = 40.0, 10.0  # standard deviations of the noise kept on either side
_FURTHEST = 200.0  # log of the largest argument of the transform
_STEP = 0.03  # of the log of that argument; the integrand is at least 1 / sqrt(LARGEST) wide
_TOGETHER = 512  # arguments computed at the same time


@curve.register
def _(event: RandomAllocation, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    inner = normal_form(event.event, adjacency=adjacency)
    plain = event.selected * total_curve(inner, orders, adjacency)
    part = next(iter(inner))  # a lone Gaussian has the count 1 in a normal form
    if len(inner) > 1 or not isinstance(part, Gaussian) or part.sigma < _LEAST_SIGMA:
        return plain
    size, larger = divmod(event.steps, event.selected)
    removed, added = np.zeros(LARGEST + 1), np.zeros(LARGEST + 1)
    for rounds, count in ((size, event.selected - larger), (size + 1, larger)):
        if count:
            removed = removed + count * _removal(rounds, part.sigma)
            added = added + count * _addition(rounds, part.sigma)
    worse = np.maximum(removed, added)
    return np.minimum(plain, between_integers(orders, lambda whole: worse[whole.astype(int)]))


@lru_cache(maxsize=256)
def _removal(rounds: int, sigma: float) -> FloatArray:
    """Log of E[r^a] for a = 0 ... LARGEST, rounded up."""
    balls = np.arange(LARGEST + 1.0)
    with np.errstate(over="ignore"):
        one_box = log_minus_one(balls * (balls - 1.0) / (2.0 * sigma * sigma))
    boxes, log_excess = 1, one_box
    for digit in bin(rounds)[3:]:
        boxes, log_excess = 2 * boxes, _joined(boxes, log_excess, boxes, log_excess)
        if digit == "1":
            boxes, log_excess = boxes + 1, _joined(boxes, log_excess, 1, one_box)
    return np.logaddexp(0.0, log_excess) * (1.0 + _SLACK)


def _joined(left: int, log_left: FloatArray, right: int, log_right: FloatArray) -> FloatArray:
    """log(moment - 1) of left + right boxes; the number of balls on the left is binomial. All terms are positive."""
    balls = np.arange(LARGEST + 1)
    other = balls[:, None] - balls
    log_chances = (
        log_binomials()
        + balls * math.log(left / (left + right))
        + np.maximum(other, 0) * math.log(right / (left + right))
    )
    beside = log_right[np.maximum(other, 0)]
    with np.errstate(invalid="ignore"):
        log_terms = np.logaddexp(np.logaddexp(log_left, beside), log_left + beside)  # (1 + d) (1 + d') - 1
        return np.logaddexp.reduce(np.where(other >= 0, log_chances + log_terms, -np.inf), axis=1)


@lru_cache(maxsize=256)
def _addition(rounds: int, sigma: float) -> FloatArray:
    """Log of E[r^(1 - a)] for a = 0 ... LARGEST, rounded up; infinite where the integral would be too wide."""
    spread = 1.0 / sigma
    orders = np.arange(LARGEST + 1.0)
    if rounds == 1:
        return orders * (orders - 1.0) * (0.5 * spread * spread)
    logs, log_powers = _log_powers(rounds, spread)
    fine, coarse = (_negative_moments(logs, log_power) for log_power in log_powers)
    with np.errstate(invalid="ignore"):
        found = np.maximum(fine, 0.0) + np.abs(fine - coarse) + _ROUNDING * orders
    return np.where(np.isnan(found), np.inf, found)


def _negative_moments(logs: FloatArray, log_power: FloatArray) -> FloatArray:
    """Logs of the means of r^(1 - a), a = 0 ... LARGEST, by trapezoid sums over the log of the argument."""
    moments = np.zeros(LARGEST + 1)
    for above in range(1, LARGEST):
        integrand = above * logs + log_power
        peak = integrand.max()
        total = peak + math.log(np.exp(integrand - peak).sum() * _STEP) - float(gammaln(above))
        moments[above + 1] = total if integrand[-1] < peak - 0.8 * _DEEP else math.inf
    return moments


def _log_powers(rounds: int, spread: float) -> tuple[FloatArray, FloatArray]:
    """Logs y of arguments, and log of E[exp(-e^y x / rounds)]^rounds by a fine and a coarse sum, shape (2, n).

    The log of the integrand is concave in y (lognormals are generalized gamma convolutions, Thorin 1977), so what lies
    beyond a point far below the peak is less still.
    """
    logs, log_powers = np.empty(0), np.empty((2, 0))
    furthest = LARGEST - 1.0
    while not logs.size or (
        logs[-1] < _FURTHEST
        and (furthest * logs + log_powers[0]).max() - _DEEP < furthest * logs[-1] + log_powers[0, -1]
    ):
        more = _STEP * np.arange(float(logs.size), float(logs.size + _TOGETHER)) - _DEEP - 1.0
        logs = np.concatenate([logs, more])
        log_powers = np.hstack([log_powers, rounds * _log_transform(more - math.log(rounds), spread)])
    return logs, log_powers


def _log_transform(log_arguments: FloatArray, spread: float) -> FloatArray:
    """Log of E[exp(-z x)], x lognormal of mean 1, at z = e^log_arguments: with a step, and with twice the step."""
    step = min(0.25, 0.08 / spread)
    normal = np.arange(-_LEFT, _RIGHT + spread, step)
    log_weights = -0.5 * normal**2 + math.log(step / math.sqrt(2.0 * math.pi))
    found = []
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        products = np.exp(log_arguments[:, None] + spread * normal - 0.5 * spread * spread)
        absent = -np.expm1(-products) * np.exp(log_weights)
        present = log_weights - products
        for every in (1, 2):
            missing = every * absent[:, ::every].sum(axis=1)
            direct = np.logaddexp.reduce(present[:, ::every], axis=1) + math.log(every)
            found.append(np.where(missing < 0.5, np.log1p(-np.minimum(missing, 0.5)), direct))
    return np.array(found)
