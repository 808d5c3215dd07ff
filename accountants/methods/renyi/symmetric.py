"""Rényi divergence of a pair of laws that a relabelling of the outcomes swaps, from its atoms."""

import numpy as np

from accountants.numerics.array_kinds import FloatArray


def symmetric_renyi(losses: FloatArray, log_masses: FloatArray, orders: FloatArray) -> FloatArray:
    """Rényi divergence of (P, Q) where the loss l = log(P / Q) of an outcome is -l at its mirror image.

    The mirror image of an outcome of P-mass p has P-mass p e^-l, so both together add p (e^((a-1) l) - 1)(1 - e^(-a l)) to
    E[(P / Q)^(a-1)] - 1: only positive terms, hence no cancellation.

    Args:
        losses: the POSITIVE losses, nats, shape (m,).
        log_masses: log of their masses under P, shape (m,).
        orders: > 1, shape (n,).

    Returns:
        Nats, shape (n,); the same in both directions.

    Example:
        >>> eps0 = 1.0  # coin that shows the truth with odds e : 1
        >>> symmetric_renyi(np.array([eps0]), np.array([-np.log1p(np.exp(-eps0))]), np.array([2.0, 50.0])).round(6)
        array([0.735326, 0.993607])
    """
    above = orders[:, None] - 1.0
    # Far out the terms overflow to infinity or underflow to minus infinity, both of which are meant.
    with np.errstate(over="ignore", under="ignore", divide="ignore", invalid="ignore"):
        growth = above * losses
        log_growth = growth + np.log(-np.expm1(-growth))
        log_excess = log_masses + log_growth + np.log(-np.expm1(-growth - losses))
        excess = np.logaddexp.reduce(log_excess, axis=1) if losses.size else np.full(len(orders), -np.inf)
        return np.minimum(np.logaddexp(0.0, excess) / above[:, 0], np.max(losses, initial=0.0))
