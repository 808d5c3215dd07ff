"""The loss that makes a generator cover what a classifier can tell apart."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def coverage_loss(
    logits: Float[Tensor, "b K"],
    coarse: Float[Tensor, "b d"],
    *,
    balance: float = 1.0,
    confidence: float = 0.1,
    spread: float = 50.0,
    std: float = 0.4,
) -> dict[str, Float[Tensor, ""]]:
    """Three terms that ask for balanced, decided and diverse inputs.

    Args:
        logits: of the classifier on generated inputs, shape (b, K).
        coarse: the generated grid values in [0, 1], shape (b, d).
        balance: weight of sum_j p_j log p_j, p = batch mean of the class probabilities (every class equally often).
        confidence: weight of the cross-entropy to the classifier's own argmax (one-hot term).
        spread: weight of |Cov(coarse) - std^2 I|_F^2 / d: values near 0 and 1, independent, no collapse.
        std: wanted standard deviation of a value; 0.5 is the largest possible in [0, 1].

    Returns:
        The weighted terms, to be minimised together.

    Source: balance and one-hot terms as in data-free distillation (DAFL); the spread term and the weights are ours.
    """
    mean = logits.softmax(dim=1).mean(dim=0)
    centred = coarse - coarse.mean(dim=0)
    covariance = centred.T @ centred / (len(coarse) - 1)
    wanted = std**2 * torch.eye(coarse.shape[1], device=coarse.device)
    return {
        "balance": balance * (mean * mean.clamp_min(1e-8).log()).sum(),
        "confidence": confidence * functional.cross_entropy(logits, logits.argmax(dim=1)),
        "spread": spread * (covariance - wanted).square().sum() / coarse.shape[1],
    }
