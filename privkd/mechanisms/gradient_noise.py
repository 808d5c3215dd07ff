"""Gaussian noise for private training: on sums of clipped gradients, and on the counts that move a clipping norm."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from privkd.mechanisms.noise import NoiseSource, coarsen


def noisy_sum(
    total: Tensor,
    *,
    multiplier: float,
    bound: float,
    noise: NoiseSource,
    correlate: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """A sum over records with noise, rounded to a public grid that hides the low-order bits. The caller has charged it.

    Args:
        total: float64, shape (n,), private.
        multiplier: standard deviation of the noise / bound.
        bound: what one record can move the sum by.
        noise: where randomness comes from.
        correlate: turns fresh noise into noise that is correlated with that of earlier steps; None for independent noise.

    Returns:
        float64, shape (n,).
    """
    drawn = noise.normal((total.numel(),), std=multiplier)
    if correlate is not None:
        drawn = correlate(drawn)
    return coarsen(drawn.mul_(bound).add_(total), std=multiplier * bound)
