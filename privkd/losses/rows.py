"""What losses ask of the rows that they are given, and how they make a mean: over valid rows, in float32 at least."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]
"""What becomes of the losses of the rows: their weighted mean, their weighted sum, or all of them times their weights."""

SHORTEST = 1e-8  # a vector below this length has no direction
_P = ParamSpec("_P")
_R = TypeVar("_R")


def full_precision(loss: Callable[_P, _R]) -> Callable[_P, _R]:
    """The same loss, computed outside of autocast, with half-precision arguments made float32; float64 stays float64.

    Squared distances of long vectors overflow in float16, and bfloat16 rounds a cosine by up to 1/512.
    """

    @wraps(loss)
    def computed(*args: _P.args, **named: _P.kwargs) -> _R:
        device = next((value.device.type for value in (*args, *named.values()) if isinstance(value, Tensor)), "cpu")
        mixed = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
        with torch.autocast(device, enabled=False) if mixed else nullcontext():
            return loss(*map(_widened, args), **{name: _widened(value) for name, value in named.items()})  # pyright: ignore[reportCallIssue]

    return computed


def _widened(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16) else value


def reduced(values: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
    """The losses of n rows, shape (n,), under their weights.

    Args:
        values: one loss per row.
        weights: >= 0, bool or numbers, of the shape of `values`; None for 1 each.
        reduction: "mean" divides by the sum of the weights, and is 0 with zero gradients when no row counts.

    Raises:
        ValueError: `weights` has another shape, or the reduction is none of the three words.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction={reduction!r} must be 'mean', 'sum' or 'none'")
    if weights is None:
        weights = torch.ones_like(values)
    elif weights.shape != values.shape:
        raise ValueError(
            f"weights has shape {tuple(weights.shape)} for losses of shape {tuple(values.shape)}; give one weight per row"
        )
    weighted = values * weights.to(values.dtype)
    if reduction == "none":
        return weighted
    if reduction == "sum":
        return weighted.sum()
    total = weights.to(values.dtype).sum()
    return weighted.sum() / torch.where(total > 0, total, 1.0)


def unit(vectors: Tensor) -> Tensor:
    """Vectors of length 1 along the last dimension; those shorter than 1e-8 become 0 and get no gradient.

    A division by max(length, 1e-8) would multiply the gradient of a zero vector by 10^8: one repeated row in a batch would
    outweigh all others.
    """
    squares = vectors.square().sum(dim=-1, keepdim=True)
    known = squares > SHORTEST**2
    return torch.where(known, vectors * torch.where(known, squares, 1.0).rsqrt(), 0.0)


def require_rows(at_least: int = 0, **named: Tensor) -> None:
    """Refuse anything but floating tensors of shape (n, d) with enough rows and d >= 1.

    Raises:
        TypeError: a tensor is not of floating numbers.
        ValueError: a tensor has another number of dimensions, or too few rows.
    """
    for name, rows in named.items():
        require_floating(**{name: rows})
        if rows.dim() != 2 or rows.shape[1] < 1:
            raise ValueError(f"{name} has shape {tuple(rows.shape)}; shape (rows, width >= 1) is needed")
        if len(rows) < at_least:
            raise ValueError(
                f"{name} has {len(rows)} rows, and this loss compares at least {at_least}; use larger batches, or drop the "
                "last one"
            )


def require_floating(**named: Tensor) -> None:
    """Refuse tensors of whole numbers, booleans or complex numbers.

    Raises:
        TypeError: of the first of them.
    """
    for name, tensor in named.items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} is of {tensor.dtype}; real floating numbers are needed")


def require_same_shape(hint: str = "both must have one shape", **named: Tensor) -> None:
    """Refuse tensors of different shapes.

    Raises:
        ValueError: with all shapes and the hint.
    """
    if len({tuple(tensor.shape) for tensor in named.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in named.items())
        raise ValueError(f"{shapes}: {hint}")
