"""Overlaps of boxes, and losses on them.

Boxes are x, y, width, height: the upper left corner and sizes >= 0, in any unit, along the last dimension.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from privkd.losses.rows import Reduction, full_precision, reduced, require_floating, require_same_shape

_TINY = 1e-9  # of an area or a squared length; below, a box is a point


@full_precision
def iou(a: Tensor, b: Tensor) -> Float[Tensor, "..."]:
    """Intersection over union of boxes, in [0, 1]; 0 where both boxes are empty.

    Args:
        a: shape (..., 4).
        b: shape (..., 4); shapes are broadcast, so `iou(a[:, None], b)` has all pairs.

    Example:
        >>> float(iou(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 2.0, 2.0])))
        0.3333...
    """
    overlap, _, _ = _overlaps(a, b)
    return overlap


@full_precision
def giou(a: Tensor, b: Tensor) -> Float[Tensor, "..."]:
    """Generalised intersection over union, in [-1, 1]: less the share of the hull that neither box fills.

    Args:
        a: shape (..., 4).
        b: shape (..., 4), broadcast.

    Source: Rezatofighi et al., arXiv 1902.09630.

    Example:
        >>> float(giou(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([3.0, 0.0, 1.0, 1.0])))
        -0.5
    """
    overlap, union, hull = _overlaps(a, b)
    area = hull[..., 0] * hull[..., 1]
    return overlap - torch.where(area > _TINY, (area - union) / area.clamp(min=_TINY), 0.0)


@full_precision
def ciou(a: Tensor, b: Tensor) -> Float[Tensor, "..."]:
    """Complete intersection over union, at most 1: less the distance of centres, and less the difference of shapes.

    IoU - rho^2 / c^2 - alpha v, where c is the diagonal of the hull, v = (4 / pi^2) (atan(w_b / h_b) - atan(w_a / h_a))^2, 0
    if a height is 0, and alpha = v / (1 - IoU + v) is a weight that gets no gradient.

    Args:
        a: shape (..., 4).
        b: shape (..., 4), broadcast.

    Source: Zheng et al., arXiv 1911.08287, equations 8 to 11.

    Example:
        >>> round(float(ciou(torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 0.0, 2.0, 2.0]))), 4)
        0.2564
    """
    overlap, _, hull = _overlaps(a, b)
    diagonal = hull.square().sum(dim=-1)
    offset = (a[..., :2] + a[..., 2:] / 2 - b[..., :2] - b[..., 2:] / 2).square().sum(dim=-1)
    shape = _atan_ratio(b) - _atan_ratio(a)
    known = (a[..., 3] > 0) & (b[..., 3] > 0)
    v = torch.where(known, 4 / math.pi**2 * shape.square(), 0.0)
    alpha = (v / (1 - overlap + v).clamp(min=_TINY)).detach()
    return overlap - offset / diagonal.clamp(min=_TINY) - alpha * v


@full_precision
def overlap_loss(
    predicted: Tensor,
    target: Tensor,
    *,
    kind: Literal["iou", "giou", "ciou"] = "giou",
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """One minus the overlap of predicted and true boxes, averaged over rows.

    Args:
        predicted: shape (n, 4).
        target: shape (n, 4).
        kind: which overlap; boxes that are apart learn nothing from "iou".
        weights: of the rows, >= 0 or bool, shape (n,); for example whether the target is visible.
        reduction: "mean", "sum" or "none" (shape (n,)).

    Raises:
        ValueError: shapes do not fit, or there is no such kind.

    Example:
        >>> box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
        >>> float(overlap_loss(box, box + torch.tensor([3.0, 0.0, 0.0, 0.0])))
        1.5
    """
    if kind not in _OVERLAPS:
        raise ValueError(f"kind={kind!r} must be one of {', '.join(_OVERLAPS)}")
    _require_boxes(predicted, target)
    return reduced(1 - _OVERLAPS[kind](predicted, target), weights, reduction)


@full_precision
def box_l1(
    predicted: Tensor, target: Tensor, *, weights: Tensor | None = None, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    """The mean absolute difference of the four numbers of a box, averaged over rows.

    Args:
        predicted: shape (n, 4), in shares of the picture, if the loss shall not depend on its size.
        target: shape (n, 4).
        weights: of the rows, >= 0 or bool, shape (n,).
        reduction: "mean", "sum" or "none" (shape (n,)).

    Example:
        >>> float(box_l1(torch.zeros(1, 4), torch.tensor([[1.0, 0.0, 0.0, 3.0]])))
        1.0
    """
    _require_boxes(predicted, target)
    return reduced((predicted - target).abs().mean(dim=1), weights, reduction)


_OVERLAPS = {"iou": iou, "giou": giou, "ciou": ciou}


def _overlaps(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """IoU, shape (...); area of the union, shape (...); sides of the hull, shape (..., 2)."""
    for name, boxes in (("a", a), ("b", b)):
        require_floating(**{name: boxes})
        if not boxes.dim() or boxes.shape[-1] != 4:
            raise ValueError(
                f"{name} has shape {tuple(boxes.shape)}; x, y, width, height are needed along the last dimension"
            )
    ends_a, ends_b = a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]
    sides = (torch.minimum(ends_a, ends_b) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0.0)
    common = sides[..., 0] * sides[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - common
    hull = torch.maximum(ends_a, ends_b) - torch.minimum(a[..., :2], b[..., :2])
    return common / union.clamp(min=_TINY), union, hull


def _atan_ratio(boxes: Tensor) -> Tensor:
    return torch.atan2(boxes[..., 2], boxes[..., 3].clamp(min=_TINY))


def _require_boxes(predicted: Tensor, target: Tensor) -> None:
    require_floating(predicted=predicted, target=target)
    require_same_shape("give one true box per predicted box", predicted=predicted, target=target)
    if predicted.dim() != 2 or predicted.shape[1] != 4:
        raise ValueError(f"predicted has shape {tuple(predicted.shape)}; (rows, 4) is needed: x, y, width, height")
