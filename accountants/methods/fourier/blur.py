"""A little Gaussian noise on top, so that spectra decay however few and large the jumps of the loss are."""

import math
from dataclasses import dataclass

from scipy.special import log_ndtr, ndtri_exp

_MISSED = 1e-4  # of delta, which the noise may carry further than the shift
_ROUNDING = 1.0 + 1e-12


@dataclass(frozen=True, slots=True)
class Blur:
    """An independent Gaussian release beside all others; its loss g is N(mu^2 / 2, mu^2).

    Whoever sees it too can ignore it: delta is at most delta_blurred. As delta_blurred(eps) = E delta(eps - g), and delta
    falls and is at most 1, delta(eps) >= delta_blurred(eps + shift) - P(g > shift).

    Attributes:
        mu: distance of its two means in standard deviations.
        shift: nats.
        missed: bound on P(g > shift).
    """

    mu: float
    shift: float
    missed: float

    @classmethod
    def of(cls, shift: float, log_delta: float) -> "Blur":
        """The widest noise that stays within about a shift but for a small share of delta.

        Args:
            shift: nats, > 0.
            log_delta: log of the delta that is looked for.
        """
        score = -float(ndtri_exp(min(log_delta + math.log(_MISSED), -1.0)))
        mu = shift / score
        reach = shift + 0.5 * mu * mu
        return cls(mu, reach, _ROUNDING * math.exp(float(log_ndtr(-shift / mu * (1.0 - 1e-15)))))

    @staticmethod
    def shift_for(omega: float, log_delta: float, log_decay: float) -> float:
        """The shift at which the noise's characteristic function has decayed at a frequency.

        Args:
            omega: per nat, > 0.
            log_delta: as for `of`.
            log_decay: log of the modulus wanted there, < 0.
        """
        score = -float(ndtri_exp(min(log_delta + math.log(_MISSED), -1.0)))
        return score * math.sqrt(-2.0 * log_decay) / omega
