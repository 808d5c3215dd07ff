"""What a step is given: rows drawn together, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from torch import Tensor
from torch.utils.data import Dataset

from privkd.data.columns import Columns
from privkd.errors import TaskError, UnknownColumn


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows drawn together, in named columns.

    `batch["label"]` is a column; columns that were given without names are "0", "1", ...

    Attributes:
        index: position of each row in the data, int64, shape (b,).
        columns: the same rows of every column of the data, by name: tensors on the device of the run, or, of ragged columns, lists.
        beside: batches of the data sets beside the main one, by name, for example unlabelled rows.
    """

    index: Tensor
    columns: Mapping[str, Tensor | list[Any]]
    beside: Mapping[str, Batch] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """The column of that name.

        Raises:
            UnknownColumn: there is none; the message says which ones there are.
        """
        try:
            return self.columns[name]
        except KeyError:
            there = ", ".join(map(repr, self.columns)) or "none, as the task has no data"
            hint = f"; a data set beside the main one is batch.beside[{name!r}]" if name in self.beside else ""
            raise UnknownColumn(f"a batch has no column {name!r}; its columns are {there}{hint}") from None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The columns without their names, in their order."""
        return cast("tuple[Tensor, ...]", tuple(self.columns.values()))


Data: TypeAlias = "tuple[Tensor, ...] | Mapping[str, Tensor] | Columns | Dataset[Any]"
"""Tensors with a common number of rows, with or without names; a data kind such as `Records`; or a data set with a length."""


def numbered(values: Sequence[Any]) -> dict[str, Any]:
    """Columns without names under the names "0", "1", ..."""
    return {str(place): value for place, value in enumerate(values)}


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
        columns = {name: column[rows] for name, column in batch.columns.items()}
        parts.append(Batch(batch.index[rows], columns, {name: others[place] for name, others in beside.items()}))
    return parts
