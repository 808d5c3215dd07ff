"""How much Gaussian noise epsilon and delta buy, for releases of counts in which one record moves two by one."""

from __future__ import annotations

import math
import warnings

from accountants import gaussian_mu
from privkd.errors import BudgetExceeded, WeakSignalWarning
from privkd.transcription.request import Request

FOR_FAILURES = 0.1
"""Share of mu^2, which adds up over Gaussian releases, that a count of failed teachers takes where it is asked for."""

_DROWNING = 0.5  # noise of this share of what is counted hides most answers
_LEAST_DELTA = 1e-14


def affordable_mu(request: Request, *, what: str, largest: int) -> float:
    """The Gaussian-DP parameter that epsilon and delta buy, less what the count of failed teachers takes; inf without privacy.

    Raises:
        BudgetExceeded: noise on a single answer is above the largest count that there can be.
        ValueError: delta is too small for Gaussian noise.
    """
    if math.isinf(request.epsilon):
        return math.inf
    if request.delta == 0:
        raise ValueError("delta=0 cannot be reached with Gaussian noise; leave delta=None, or give 0 < delta < 1/n")
    if request.delta < _LEAST_DELTA:
        raise ValueError(
            f"delta={request.delta:g} is below {_LEAST_DELTA:g}, which noise in floating point cannot honour (its tails "
            "end); give a larger delta"
        )
    mu = gaussian_mu(request.epsilon, request.delta)
    if request.count_failures:
        mu *= math.sqrt(1 - FOR_FAILURES)
    sigma = noise_of(rows=1, mu=mu)
    if sigma > largest:
        raise BudgetExceeded(
            f"epsilon={request.epsilon:g} cannot buy one query: a single noisy histogram needs noise of std {sigma:.3g}, but there "
            f"are only {largest} {what}. Raise epsilon or delta, or bring more {what}"
        )
    return mu


def noise_of(*, rows: int, mu: float) -> float:
    """Noise std per count: sqrt(2 rows)/mu, a hair up so that rounding cannot cost more than was asked."""
    return 0.0 if math.isinf(mu) else math.sqrt(2 * rows) / mu * (1 + 1e-10)


def warn_of_noise(sigma: float, *, against: float, what: str) -> None:
    """Say before anything is charged that the noise drowns most answers; all from public numbers."""
    if sigma > _DROWNING * against:
        warnings.warn(
            f"noise of standard deviation {sigma:.3g} stands against {against:.3g} {what}: expect a student not far from "
            "chance. Raise epsilon, bring more data or teachers, or ask less",
            WeakSignalWarning,
            stacklevel=6,
        )
