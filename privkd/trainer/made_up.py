"""Made-up rows of the shapes and dtypes of the data: what can be tried out before anything is charged."""

from __future__ import annotations

import torch
from torch import Tensor

from privkd.errors import TaskError
from privkd.trainer.batch import Data
from privkd.trainer.batches.arrays import require_common_rows
from privkd.trainer.batches.datasets import columns_of, row_of, rows_of
from privkd.trainer.guards import translated

_ROWS = 3  # as many as checks look at


def rehearsal_rows(data: Data, device: torch.device, *, is_private: bool) -> tuple[tuple[Tensor, ...], ...]:
    """Made-up rows to try in turn: with whole numbers that are all 0, and that are all 1; none for data without rows.

    Args:
        data: of the run.
        device: where the rows are wanted.
        is_private: whether errors keep quiet about the rows.

    Raises:
        ValueError: tensors have different numbers of rows.
        TaskError: the first row of a private data set cannot be read.
    """
    if isinstance(data, tuple):
        require_common_rows(data)
    if not rows_of(data):
        return ()

    def made() -> tuple[tuple[Tensor, ...], ...]:
        kinds = [made_up_rows(data, _ROWS, whole=whole) for whole in (0, 1)]
        return tuple(tuple(part.to(device) for part in rows) for rows in kinds)

    return translated(made, lambda error: _unreadable(error) if is_private else None, is_private=is_private)


def _unreadable(error: Exception) -> TaskError:
    return TaskError(
        f"the first row of the data cannot be read: {type(error).__name__}, whose text may quote it and is kept back; nothing was "
        "charged. Read it outside of a private run to see the cause"
    )


def made_up_rows(data: Data, count: int, *, whole: int = 0) -> tuple[Tensor, ...]:
    """Rows that hold nothing of the data but their form.

    Args:
        data: of a run; of a torch `Dataset` the first row is read, for its shapes.
        count: how many rows to make.
        whole: what whole numbers are; truth values are whether it is not 0.

    Returns:
        One tensor per tensor of a batch, on the CPU: floating numbers lie in [0, 1) and are the same at every call, so that
        they will do as images, probabilities and positive numbers.

    Example:
        >>> x, y = made_up_rows((torch.randn(9, 2), torch.randint(3, (9,))), 2)
        >>> x.shape, y.tolist()
        (torch.Size([2, 2]), [0, 0])
    """
    columns = columns_of(data)
    forms = columns if isinstance(columns, tuple) else row_of(columns)
    generator = torch.Generator().manual_seed(0)
    made = []
    for form in forms:
        shape = (count, *form.shape[1:])
        if form.is_floating_point() or form.is_complex():
            made.append(torch.rand(shape, generator=generator, dtype=torch.float32).to(form.dtype))
        else:
            made.append(torch.full(shape, whole, dtype=form.dtype))
    return tuple(made)
