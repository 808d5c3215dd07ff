"""Maximum mean discrepancy: how far two samples of features are apart, as distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from privkd.losses.rows import full_precision, require_rows

Kernel = Literal["gaussian", "linear", "polynomial", "laplace"]
"""Kernels of `mmd`."""

_BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
_LAPLACE = (0.1, 1.0, 5.0)


@full_precision
def mmd(x: Tensor, y: Tensor, *, kernel: Kernel = "gaussian") -> Float[Tensor, ""]:
    """The squared maximum mean discrepancy of two samples, with every pair counted, so that it is >= 0.

    (1/m^2) sum K(x_i, x_j) + (1/n^2) sum K(y_i, y_j) - (2/mn) sum K(x_i, y_j). Nothing of x and y is detached; give real
    data without gradients.

    Args:
        x: shape (m, d), m >= 1.
        y: shape (n, d), n >= 1.
        kernel: "gaussian": sum over q = -2..2 of exp(-|x - y|^2 / (b 2^q)), where b is the mean squared distance of two
            different rows of both samples, detached. "linear": x.y, the squared distance of the means. "polynomial":
            (x.y + 1)^2. "laplace", as published under this name: sum over g in {0.1, 1, 5} of exp(-g |x - y|^2).

    Returns:
        A scalar >= 0, up to rounding. 0 for equal samples.

    Raises:
        ValueError: widths differ, a sample is empty, or there is no such kernel.

    Source: Gretton et al., JMLR 13 (2012), equation 5; kernels as in the code of M3D, arXiv 2312.15927.

    Example:
        >>> x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
        >>> round(float(mmd(x, y)), 4), float(mmd(x, y, kernel="linear")), float(mmd(x, y, kernel="polynomial"))
        (3.3507, 0.0, 1.0)
    """
    require_rows(1, x=x, y=y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x has rows of {x.shape[1]} numbers and y of {y.shape[1]}; give features of one kind")
    if kernel == "linear":
        # The same number as with all pairs, without their cancellation.
        return (x.mean(dim=0) - y.mean(dim=0)).square().sum()
    if kernel not in _KERNELS:
        raise ValueError(f"kernel={kernel!r} must be one of {', '.join(('linear', *_KERNELS))}")
    joint = torch.cat([x, y])
    values, m = _KERNELS[kernel](joint), len(x)
    return values[:m, :m].mean() + values[m:, m:].mean() - 2 * values[:m, m:].mean()


def mean_match(x: Tensor, y: Tensor) -> Float[Tensor, ""]:
    """The squared distance of the means of two samples: `mmd` with the linear kernel.

    Args:
        x: shape (m, d), m >= 1.
        y: shape (n, d), n >= 1.

    Example:
        >>> float(mean_match(torch.tensor([[0.0], [4.0]]), torch.tensor([[5.0]])))
        9.0
    """
    return mmd(x, y, kernel="linear")


def _gaussian(rows: Tensor) -> Tensor:
    squares = _squared_distances(rows)
    count = len(rows)
    bandwidth = squares.detach().sum() / max(count * count - count, 1)
    # Where all rows coincide every kernel is 1, whatever the bandwidth.
    scaled = squares / torch.where(bandwidth > 0, bandwidth, 1.0)
    return torch.stack([torch.exp(-scaled / factor) for factor in _BANDWIDTHS]).sum(dim=0)


def _polynomial(rows: Tensor) -> Tensor:
    return (rows @ rows.T + 1).square()


def _laplace(rows: Tensor) -> Tensor:
    squares = _squared_distances(rows)
    return torch.stack([torch.exp(-rate * squares) for rate in _LAPLACE]).sum(dim=0)


_KERNELS: dict[str, Callable[[Tensor], Tensor]] = {
    "gaussian": _gaussian,
    "polynomial": _polynomial,
    "laplace": _laplace,
}


def _squared_distances(rows: Tensor) -> Tensor:
    """All squared distances, shape (n, n), by one product of matrices; the diagonal is 0."""
    # About their mean: products of far-away rows would cancel digits.
    centred = rows - rows.detach().mean(dim=0)
    lengths = centred.square().sum(dim=1)
    squares = lengths[:, None] + lengths - 2 * centred @ centred.T
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    return squares.clamp(min=0.0).masked_fill(itself, 0.0)
