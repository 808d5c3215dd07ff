"""Positions of rows, as whoever takes rows may give them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def row_index(index: Tensor | np.ndarray | Sequence[int], *, n: int) -> Tensor:
    """Positions of rows, checked.

    Args:
        index: integers in [0, n), shape (m,), m >= 1, or a boolean mask of shape (n,).
        n: how many rows there are.

    Returns:
        int64, shape (m,); of a mask the positions where it is true.

    Raises:
        TypeError: index holds neither integers nor booleans.
        ValueError: index is empty, not one-dimensional, or a mask of another length.
        IndexError: an index lies outside [0, n); negative ones do not count from the end.
    """
    rows = index.detach() if isinstance(index, Tensor) else torch.as_tensor(np.array(index))
    if rows.ndim != 1 or rows.numel() == 0:
        raise ValueError(f"index.shape={tuple(rows.shape)} must be (m,) with m >= 1")
    if rows.dtype == torch.bool:
        if len(rows) != n:
            raise ValueError(f"index is a mask of length {len(rows)}, but there are {n} records")
        return rows.nonzero().squeeze(1)
    if rows.is_floating_point() or rows.is_complex():
        raise TypeError(f"index.dtype={rows.dtype} must be an integer or boolean type")
    rows = rows.to(torch.int64)  # torch reads uint8 as a mask
    outside = rows[(rows < 0) | (rows >= n)]
    if outside.numel():
        raise IndexError(f"index has {int(outside[0])}, allowed are 0 to {n - 1}")
    return rows
