"""Focal losses: binary cross-entropies of maps with few ones and many easy zeros."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.losses.rows import Reduction, full_precision, reduced, require_floating, require_same_shape


@full_precision
def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The binary cross-entropy of each element, less of it for those that are right already.

    -a (1 - p)^gamma log p, where p is the probability given to the truth, and a is alpha for 1 and 1 - alpha for 0.

    Args:
        logits: of any shape.
        targets: 0 or 1, of the same shape, of floating numbers.
        alpha: weight of the ones, in [0, 1].
        gamma: >= 0; 0 gives the weighted binary cross-entropy.
        weights: of the elements, >= 0, of the same shape.
        reduction: "mean", "sum" or "none".

    Source: Lin et al., arXiv 1708.02002, equation 5.

    Example:
        >>> round(float(focal(torch.zeros(2), torch.tensor([1.0, 0.0]))), 4)  # log 2 / 8
        0.0866
    """
    check.real(alpha=alpha, at_least=0.0, at_most=1.0)
    check.real(gamma=gamma, at_least=0.0)
    require_floating(logits=logits, targets=targets)
    require_same_shape("give one target per logit", logits=logits, targets=targets)
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    wrong = torch.sigmoid(logits * (1 - 2 * targets))
    share = alpha * targets + (1 - alpha) * (1 - targets)
    return reduced(share * wrong**gamma * entropy, weights, reduction)


@full_precision
def heatmap_focal(logits: Tensor, heat: Tensor, *, alpha: float = 2.0, beta: float = 4.0) -> Float[Tensor, ""]:
    """The focal loss of score maps whose truth is a peak of 1 with a slope around it, over the number of peaks.

    -(1 - p)^alpha log p at peaks, and -(1 - heat)^beta p^alpha log(1 - p) elsewhere, p = sigmoid(logits).

    Args:
        logits: shape (n, ...).
        heat: in [0, 1], of the same shape; exactly 1 at the centre of an object.
        alpha: >= 0.
        beta: >= 0; how much of the slope is forgiven.

    Returns:
        A scalar >= 0: the sum over elements / max(number of peaks, 1).

    Source: CornerNet, Law and Deng, arXiv 1808.01244, equation 1.

    Example:
        >>> round(float(heatmap_focal(torch.zeros(1, 3), torch.tensor([[1.0, 0.5, 0.0]]))), 4)
        0.3574
    """
    check.real(alpha=alpha, beta=beta, at_least=0.0)
    require_floating(logits=logits, heat=heat)
    require_same_shape("give one target per logit", logits=logits, heat=heat)
    peak = heat == 1
    at_peaks = torch.sigmoid(-logits) ** alpha * functional.softplus(-logits)
    elsewhere = (1 - heat) ** beta * torch.sigmoid(logits) ** alpha * functional.softplus(logits)
    return torch.where(peak, at_peaks, elsewhere).sum() / peak.sum().clamp(min=1)
