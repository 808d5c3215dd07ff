"""The precision in which norms and sums are computed: at least float32, in blocks that lose no digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

BLOCK = 64
"""Records whose contributions are added in the models' own precision; blocks of them are added in float64."""

_ROW_BLOCK = 1024  # values whose squares are added in one pass


def in_blocks(records: int, block: Callable[[slice], Tensor]) -> Tensor:
    """Sum over records, float64 where the device has it: one over many would round away what single records add.

    Args:
        records: how many, >= 1.
        block: sum over a few of them, in the models' own precision.
    """
    total: Tensor | None = None
    for start in range(0, records, BLOCK):
        part = block(slice(start, min(start + BLOCK, records)))
        if total is None:
            total = part if part.device.type == "mps" else part.double()
        else:
            total += part
    assert total is not None
    return total


def working_dtype(*values: Tensor) -> torch.dtype:
    """In which dtype norms and sums of these parameters are computed: theirs, and at least float32."""
    dtype = torch.float32
    for value in values:
        dtype = torch.promote_types(dtype, value.dtype)
    return dtype


def row_norms(values: Tensor) -> Tensor:
    """L2 norm of every row over all other dimensions, shape (rows,), in blocks.

    One pass over a long row loses digits in float32 (relative error 6e-4 for 9 million values, and too small a norm
    would clip too little); blocks of 1024 keep the error at a few ulps.

    Example:
        >>> row_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist()
        [5.0, 2.0]
    """
    flat = values.flatten(1)
    while flat.shape[1] > _ROW_BLOCK:
        whole = flat.shape[1] // _ROW_BLOCK * _ROW_BLOCK
        blocks = torch.linalg.vector_norm(flat[:, :whole].unflatten(1, (-1, _ROW_BLOCK)), dim=2)
        flat = torch.cat([blocks, flat[:, whole:]], dim=1) if whole < flat.shape[1] else blocks
    return torch.linalg.vector_norm(flat, dim=1)


@contextmanager
def full_precision(like: Tensor) -> Iterator[None]:
    """Norms and sums on the device of a tensor run neither in half precision nor with the ten bits of TensorFloat-32."""
    kind = like.device.type
    with torch.autocast(kind, enabled=False), without_tf32() if kind == "cuda" else nullcontext():
        yield


@contextmanager
def without_tf32() -> Iterator[None]:
    """Matrix products and convolutions of CUDA devices with all digits of float32."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # pyright: ignore[reportAttributeAccessIssue]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
