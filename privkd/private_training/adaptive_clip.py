"""A clipping norm that follows a quantile of the gradients' norms, and pays for what it learns about them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from accountants import check
from privkd.mechanisms.gradient_noise import noisy_sum
from privkd.mechanisms.noise import NoiseSource
from privkd.plain import make_plain

_LEAST = 1e-6  # of the first norm; gradients that are all zero would drive it to nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """Adaptive flat clipping: the norm moves until a share of the gradients is shorter.

    In every step the number of records below the norm is released with noise, from the same batch as the gradients. A
    record moves it, centred, by 1/2 at most, so both together are one Gaussian release of noise multiplier m with
    m^-2 = g^-2 + (2 b)^-2, where g is that of the gradients and b the noise on the count: g is a little larger than m.

    Attributes:
        start: first norm, > 0.
        target: share of gradients that shall be shorter, in (0, 1).
        rate: speed of the norm, > 0: it is multiplied by exp(-rate (share - target)).
        count_share: share of the privacy that the count may take, in (0, 1): (2 b)^-2 = count_share m^-2.

    Source: Andrew et al., arXiv 1905.03871, Theorem 1 and Algorithm 1 (there b is given instead of the share).

    Example:
        >>> rule = Quantile(start=1.0)
        >>> round(rule.gradient_multiplier(1.0), 6), round(rule.count_noise(1.0), 3)
        (1.005038, 5.0)
    """

    start: float = 1.0
    target: float = 0.5
    rate: float = 0.2
    count_share: float = 0.01

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(start=self.start, above=0.0, below=math.inf)
        check.real(target=self.target, above=0.0, below=1.0)
        check.real(rate=self.rate, above=0.0, below=math.inf)
        check.real(count_share=self.count_share, above=0.0, below=1.0)

    def gradient_multiplier(self, multiplier: float) -> float:
        """Noise on the gradients / clipping norm, so that both releases together have this multiplier; rounded up."""
        return multiplier / math.sqrt(1.0 - self.count_share) * (1.0 + 1e-12)

    def count_noise(self, multiplier: float) -> float:
        """Standard deviation of the noise on the count; rounded up."""
        return multiplier / (2.0 * math.sqrt(self.count_share)) * (1.0 + 1e-12)

    @staticmethod
    def centred(norms: Tensor, bound: float) -> Tensor:
        """Records below the norm minus half of all, float64, PRIVATE; one record moves it by 1/2."""
        return (norms <= bound).double().sum() - 0.5 * len(norms)

    def next(self, bound: float, centred: float, *, multiplier: float, divisor: float, noise: NoiseSource) -> float:
        """Release the count and move the norm.

        Args:
            bound: the norm at which this step clipped.
            centred: of the whole batch, private.
            multiplier: of both releases together.
            divisor: expected number of records.
            noise: where randomness comes from; the caller has charged.

        Returns:
            The norm of the next step; post-processing of the noisy count.
        """
        count = torch.tensor([centred], dtype=torch.float64)
        noisy = noisy_sum(count, multiplier=self.count_noise(multiplier), bound=1.0, noise=noise)
        share = min(1.0, max(0.0, float(noisy) / divisor + 0.5))
        moved = bound * math.exp(-self.rate * (share - self.target))
        return min(max(moved, self.start * _LEAST), self.start / _LEAST)
