"""What a step is given: rows drawn together, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor
from torch.utils.data import Dataset

from privkd.data.records import Records
from privkd.errors import TaskError


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows drawn together.

    Attributes:
        index: position of each row in the data, int64, shape (b,).
        tensors: the same rows of every data tensor, on the device of the run.
        beside: batches of the data sets beside the main one, by name, for example unlabelled rows.
    """

    index: Tensor
    tensors: tuple[Tensor, ...]
    beside: Mapping[str, Batch] = field(default_factory=dict)


Data: TypeAlias = "tuple[Tensor, ...] | Records | Dataset[Any]"
"""Tensors with a common number of rows, checked records, or a data set with a length."""


def parts_of(batch: Batch, count: int) -> list[Batch]:
    """Equal parts of a batch and of the batches beside it, in the order of their rows.

    Raises:
        TaskError: the number of parts does not divide the rows.
    """
    size, left_over = divmod(len(batch.index), count)
    if left_over:
        raise TaskError(
            f"accumulate={count} does not divide the {len(batch.index)} rows of a batch; choose a batch size that it divides"
        )
    beside = {name: parts_of(other, count) for name, other in batch.beside.items()}
    parts = []
    for place in range(count):
        rows = slice(place * size, (place + 1) * size)
        tensors = tuple(tensor[rows] for tensor in batch.tensors)
        parts.append(Batch(batch.index[rows], tensors, {name: others[place] for name, others in beside.items()}))
    return parts
