"""Made-up rows of the shapes and dtypes of the data: what can be tried out before anything is charged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from privkd.errors import TaskError
from privkd.trainer.batch import Data
from privkd.trainer.batches.arrays import require_common_rows
from privkd.trainer.batches.datasets import columns_of, row_of, rows_of
from privkd.trainer.guards import translated

_ROWS = 3  # as many as checks look at


def rehearsal_rows(data: Data, device: torch.device, *, is_private: bool) -> tuple[dict[str, Tensor], ...]:
    """Made-up rows to try in turn: with whole numbers that are all 0, and that are all 1; none for data without rows.

    Args:
        data: of the run.
        device: where the rows are wanted.
        is_private: whether errors keep quiet about the rows.

    Raises:
        ValueError: columns have different numbers of rows.
        TaskError: the first row of a private data set cannot be read.
    """
    columns = translated(
        lambda: columns_of(data), lambda error: _unreadable(error) if is_private else None, is_private=is_private
    )
    if isinstance(columns, dict):
        require_common_rows(columns)
    if not rows_of(data):
        return ()

    forms = translated(
        lambda: columns if isinstance(columns, dict) else row_of(columns),
        lambda error: _unreadable(error) if is_private else None,
        is_private=is_private,
    )
    kinds = [made_up_rows(cast("dict[str, Tensor]", forms), _ROWS, whole=whole) for whole in (0, 1)]
    return tuple({name: part.to(device) for name, part in rows.items()} for rows in kinds)


def _unreadable(error: Exception) -> TaskError:
    return TaskError(
        f"the first row of the data cannot be read: {type(error).__name__}, whose text may quote it and is kept back; nothing was "
        "charged. Read it outside of a private run to see the cause"
    )


def made_up_rows(forms: Mapping[str, Tensor], count: int, *, whole: int = 0) -> dict[str, Tensor]:
    """Rows that hold nothing of the data but their form.

    Args:
        forms: columns of the data by name, with any number of rows.
        count: how many rows to make.
        whole: what whole numbers are; truth values are whether it is not 0.

    Returns:
        The columns, on the CPU: floating numbers lie in [0, 1) and are the same at every call, so that they will do as images,
        probabilities and positive numbers.

    Example:
        >>> rows = made_up_rows({"input": torch.randn(9, 2), "label": torch.randint(3, (9,))}, 2)
        >>> rows["input"].shape, rows["label"].tolist()
        (torch.Size([2, 2]), [0, 0])
    """
    generator = torch.Generator().manual_seed(0)
    made = {}
    for name, form in forms.items():
        shape = (count, *form.shape[1:])
        if form.is_floating_point() or form.is_complex():
            made[name] = torch.rand(shape, generator=generator, dtype=torch.float32).to(form.dtype)
        else:
            made[name] = torch.full(shape, whole, dtype=form.dtype)
    return made
