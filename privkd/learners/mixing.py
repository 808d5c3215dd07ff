"""Mixup: rows are blended with partners (Zhang et al., arXiv 1710.09412); `privkd.losses.mixup_loss` is the loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from scipy.special import betaincinv
from torch import Tensor

from accountants import check


@dataclass(frozen=True, slots=True, eq=False)
class Mixed:
    """Blended rows and what they are made of.

    Attributes:
        inputs: weight x + (1 - weight) x[partner], of the shape of the inputs.
        partner: row of the other part, int64, shape (b,).
        weight: of the first part, in [0, 1].
    """

    inputs: Tensor
    partner: Int[Tensor, " b"]
    weight: float


def mixup(inputs: Float[Tensor, "b ..."], alpha: float, *, generator: torch.Generator, dominant: bool = True) -> Mixed:
    """A batch in which every row is blended with one other row of it, all by the same weight drawn from Beta(alpha, alpha).

    Args:
        inputs: rows, at least one.
        alpha: > 0; 1 draws the weight uniformly, small ones hardly mix.
        generator: on the CPU, of partners and weight.
        dominant: take the larger of weight and 1 - weight, so that a blend is mostly the row itself.

    Raises:
        ValueError: alpha is not > 0, or there is no row.
    """
    check.real(alpha=alpha, above=0.0)
    if not len(inputs):
        raise ValueError(f"inputs.shape={tuple(inputs.shape)} has no rows to mix")
    chance = float(torch.rand((), generator=generator, dtype=torch.float64))
    drawn = float(betaincinv(alpha, alpha, chance))
    weight = max(drawn, 1.0 - drawn) if dominant else drawn
    partner = torch.randperm(len(inputs), generator=generator).to(inputs.device)
    return Mixed(weight * inputs + (1.0 - weight) * inputs[partner], partner, weight)
