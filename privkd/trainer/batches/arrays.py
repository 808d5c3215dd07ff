"""Batches of arrays: one index operation each, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from privkd.trainer.batch import Batch
from privkd.trainer.batches.order import Rows

__all__ = ["ArrayBatches", "Batches", "require_common_rows"]


@runtime_checkable
class Batches(Protocol):
    """What the loop asks of a data set."""

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


def require_common_rows(tensors: tuple[Tensor, ...]) -> None:
    """Refuse tensors that do not belong together.

    Raises:
        ValueError: no rows, or different numbers of rows.
    """
    rows = [len(tensor) if tensor.dim() else 0 for tensor in tensors]
    if len(set(rows)) > 1 or 0 in rows:
        raise ValueError(f"data tensors must have one common number of rows >= 1, got {rows}")


class ArrayBatches:
    """Batches of tensors that lie on the device of the run.

    Args:
        tensors: with a common number of rows; empty for a task that makes its own batches.
        order: from the number of rows to which of them make a batch.
        beside: further data sets, by name; each has passes of its own, in step with nothing.

    Raises:
        ValueError: no rows, or different numbers of rows.
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        order: Callable[[int], Rows],
        *,
        beside: Mapping[str, Batches] | None = None,
    ) -> None:
        require_common_rows(tensors)
        self.tensors, self._beside = tensors, dict(beside or {})
        self._order = order(len(tensors[0])) if tensors else None
        self.steps_per_epoch = self._order.steps_per_epoch if self._order else 1

    def close(self) -> None:
        for one in self._beside.values():
            one.close()

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0 over all passes."""
        beside = {name: one.at(step) for name, one in self._beside.items()}
        if self._order is None:
            return Batch(torch.empty(0, dtype=torch.int64), (), beside)
        index = self._order.at(step)
        return Batch(index, tuple(tensor.index_select(0, index.to(tensor.device)) for tensor in self.tensors), beside)
