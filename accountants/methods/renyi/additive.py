"""Rényi curves of additive noise: Gaussian and Laplace, continuous and on the integers."""

import math
import sys

import numpy as np

from accountants.adjacency import Adjacency
from accountants.events import DiscreteGaussian, DiscreteLaplace, Gaussian, Laplace, PureDP
from accountants.methods.renyi.registry import curve
from accountants.methods.renyi.symmetric import symmetric_renyi
from accountants.numerics.array_kinds import FloatArray

_MOST_ATOMS = 4096  # of discrete Laplace noise; beyond, only its pure guarantee is used
_TERMS = 25  # of the series of e^x - 1 - x for |x| <= 1: the rest is below 1e-26 of it


@curve.register
def _(event: Gaussian, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    if event.sigma == 0.0:
        return np.full_like(orders, np.inf)
    with np.errstate(over="ignore"):
        return 0.5 * orders / event.sigma / event.sigma


@curve.register
def _(event: Laplace, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # The moment is (a e^((a-1) e) + (a-1) e^(-a e)) / (2a - 1) with e = 1 / scale. Without its 1 it is a sum of two terms
    # in e^x - 1 - x >= 0: the linear terms cancel on paper.
    eps0 = 1.0 / event.scale if event.scale > 1e-300 else math.inf
    if eps0 == math.inf:
        return np.full_like(orders, np.inf)
    above = orders - 1.0
    share = orders / (orders + above)
    growth = above * eps0
    near = np.minimum(growth, 1.0)
    excess = share * _beyond_linear(near) + (1.0 - share) * _beyond_linear(-near / above * orders)
    with np.errstate(under="ignore"):
        log_moment = np.logaddexp(np.log(share) + growth, np.log1p(-share) - orders * eps0)
    return np.minimum(np.where(growth <= 1.0, np.log1p(excess), log_moment) / above, eps0)


@curve.register
def _(event: DiscreteLaplace, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # x <= 0 has the loss rate * s and the mass 1 / (1 + t), t = e^-rate; 0 < x < s has rate (s - 2x) and t^x (1-t) / (1+t).
    rate, shift = event.rate, event.sensitivity
    log_most = -math.log1p(math.exp(-rate))
    if shift > _MOST_ATOMS or rate * shift == math.inf:
        return curve(PureDP(min(rate * shift, sys.float_info.max)), orders, adjacency)
    inside = np.arange(1, (shift + 1) // 2)
    losses = rate * np.concatenate([[shift], shift - 2 * inside])
    log_masses = np.concatenate([[log_most], math.log(-math.expm1(-rate)) + log_most - rate * inside])
    return symmetric_renyi(losses, log_masses, orders)


@curve.register
def _(event: DiscreteGaussian, orders: FloatArray, adjacency: Adjacency | None) -> FloatArray:
    # Completing the square: a s^2 / (2 sigma^2) + log(theta((a-1) s) / theta(0)) / (a-1), theta(u) being the sum over the
    # integers x of exp(-(x+u)^2 / (2 sigma^2)). It has period 1 and is largest at 0, so the second term is never positive.
    if event.sigma < 1e-150:
        return np.full_like(orders, np.inf)
    scaled = event.sensitivity / event.sigma
    with np.errstate(over="ignore"):
        continuous = 0.5 * orders * scaled * scaled
    above = orders - 1.0
    shift = above * event.sensitivity
    known = shift < 1e6  # further out rounding knows no fraction of the shift, and the correction is nothing
    gain = _log_theta_ratio(np.where(known, shift - np.rint(shift), 0.0), event.sigma)
    return np.where(known, continuous + gain / above, continuous)


def _log_theta_ratio(shift: FloatArray, sigma: float) -> FloatArray:
    """log(theta(u) / theta(0)) for |u| <= 1/2, never positive; by whichever series converges faster."""
    if sigma >= 0.4:
        # Poisson summation: theta(u) is proportional to the sum over k of e^(-2 pi^2 sigma^2 k^2) cos(2 pi k u).
        waves = np.arange(1, 6)
        weights = np.exp(-2.0 * (math.pi * sigma * waves) ** 2)
        loss = (weights * (2.0 * np.sin(math.pi * waves * shift[:, None])) ** 2).sum(axis=1)
        return np.log1p(-loss / (1.0 + 2.0 * weights.sum()))
    scale = 0.5 / sigma / sigma
    integers, away = np.arange(1, 6), np.abs(shift)[:, None]
    with np.errstate(over="ignore", under="ignore"):
        norm = 1.0 + 2.0 * np.exp(-scale * integers**2).sum()
        nearest = -scale * shift**2
        crossed = 2.0 * scale * away * integers  # the terms k and -k together are `beside` times 1 + e^(-2 crossed)
        beside = np.exp(-scale * (integers - away) ** 2)
        # Near theta(0) the difference, over order - 1, decides: without the 1 it keeps its digits.
        missing = -np.expm1(nearest) - (beside * np.expm1(-crossed) ** 2).sum(axis=1) / norm
        rest = 1.0 + (np.exp(-scale * integers * (integers - 2.0 * away)) * (1.0 + np.exp(-2.0 * crossed))).sum(axis=1)
        far = nearest + np.log(rest / norm)
    return np.minimum(np.where(missing < 0.5, np.log1p(-np.minimum(missing, 0.5)), far), 0.0)


def _beyond_linear(x: FloatArray) -> FloatArray:
    """e^x - 1 - x >= 0 without cancellation."""
    small = np.clip(x, -1.0, 1.0)
    series = np.zeros_like(small)
    for term in range(_TERMS, 2, -1):
        series = (series + 1.0) * small / term
    return np.where(np.abs(x) <= 1.0, 0.5 * (series + 1.0) * small**2, np.expm1(x) - x)
