"""Batches of arrays: one index operation each, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from privkd.trainer.seeding import mixed
from privkd.trainer.task import Batch

__all__ = ["ArrayBatches"]


class ArrayBatches:
    """Passes over tensors in a fresh random order; short last batches are dropped.

    Any step can be asked for directly, so that a run goes on in the middle of a pass.

    Args:
        tensors: with a common number of rows, on the device of the run; empty for a task that makes its own batches.
        batch_size: rows per step of all processes together; data with fewer rows are used whole.
        seed: of the orders.
        beside: further data sets, by name; each has passes of its own, in step with nothing.
        process: (rank, world): each process takes every world-th row of a batch.

    Raises:
        ValueError: no rows, or different numbers of rows.
    """

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        batch_size: int,
        seed: int,
        *,
        beside: Mapping[str, tuple[Tensor, ...]] | None = None,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.tensors, self.seed, self.process = tensors, seed, process
        rows = {len(tensor) for tensor in tensors}
        if len(rows) > 1 or 0 in rows:
            raise ValueError(f"data tensors must have one common number of rows >= 1, got {[len(t) for t in tensors]}")
        self.rows = rows.pop() if rows else 0
        self.size = min(batch_size, self.rows)
        if self.size % process[1]:
            raise ValueError(
                f"{self.size} rows per step cannot be shared equally by {process[1]} processes; choose a batch_size that they "
                "divide"
            )
        self.steps_per_epoch = max(1, self.rows // self.size) if self.rows else 1
        self._order: tuple[int, Tensor] | None = None
        self._beside = {
            name: ArrayBatches(one, batch_size, mixed(seed, position), process=process)
            for position, (name, one) in enumerate(sorted((beside or {}).items()), start=1)
        }

    def at(self, step: int) -> Batch:
        """The batch of a step, counted from 0 over all passes."""
        beside = {name: one.at(step) for name, one in self._beside.items()}
        if not self.rows:
            return Batch(torch.empty(0, dtype=torch.int64), (), beside)
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(mixed(self.seed, epoch))
            self._order = epoch, torch.randperm(self.rows, generator=generator)
        rank, world = self.process
        index = self._order[1][place * self.size + rank : (place + 1) * self.size : world]
        return Batch(index, tuple(tensor.index_select(0, index.to(tensor.device)) for tensor in self.tensors), beside)
