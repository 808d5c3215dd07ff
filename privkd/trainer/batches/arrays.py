"""Batches of arrays: one index operation each, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from privkd.trainer.batch import Batch
from privkd.trainer.batches.order import Order, Rows


@runtime_checkable
class Batches(Protocol):
    """The batches of every step of a stage."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        ...

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0 over all passes."""
        ...

    def close(self) -> None:
        """Let go of what reads ahead; no batch is asked for any more."""
        ...


def require_common_rows(columns: Mapping[str, Tensor]) -> None:
    """Refuse columns that do not belong together.

    Raises:
        ValueError: no rows, or different numbers of rows.
    """
    rows = {name: len(column) if column.dim() else 0 for name, column in columns.items()}
    if len(set(rows.values())) > 1 or 0 in rows.values():
        raise ValueError(f"columns of the data must have one common number of rows >= 1, got {rows}")


class ArrayBatches:
    """Batches of tensors that lie on the device of the run.

    Args:
        columns: by name, with a common number of rows; empty for a task that makes its own batches.
        order: which rows make a batch; None without columns.
    """

    def __init__(self, columns: Mapping[str, Tensor], order: Rows | None) -> None:
        self._columns, self._order = dict(columns), order
        self._empty = Batch(torch.empty(0, dtype=torch.int64), {})
        self.steps_per_epoch = 1 if order is None else order.steps_per_epoch

    def at(self, step: int) -> Batch:
        if self._order is None:
            return self._empty
        index = self._order.at(step)
        return Batch(
            index, {name: column.index_select(0, index.to(column.device)) for name, column in self._columns.items()}
        )

    def reseed(self, seed: int) -> bool:
        """Begin again with the random orders of another seed; whether the order of the rows can."""
        if isinstance(self._order, Order):
            self._order.reseed(seed)
        return self._order is None or isinstance(self._order, Order)

    def close(self) -> None:
        """Nothing is read ahead."""


class BatchesBeside:
    """Batches of a main data set with those of further ones, each of which has passes of its own, in step with nothing.

    Args:
        main: how long an epoch is.
        beside: by name.
    """

    def __init__(self, main: Batches, beside: Mapping[str, Batches]) -> None:
        self._main, self._beside = main, dict(beside)
        self.steps_per_epoch = main.steps_per_epoch

    def at(self, step: int) -> Batch:
        beside = {name: batches.at(step) for name, batches in self._beside.items()}
        return replace(self._main.at(step), beside=beside)

    def close(self) -> None:
        for batches in (self._main, *self._beside.values()):
            batches.close()
