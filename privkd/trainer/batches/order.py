"""Which rows make a batch: an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from privkd.trainer.seeding import generator_of, mixed


@runtime_checkable
class Rows(Protocol):
    """Which rows make a batch."""

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        ...

    def at(self, step: int) -> Tensor:
        """Rows of a step for this process, int64; the same whenever it is asked for."""
        ...


def require_shared(size: int, process: tuple[int, int]) -> None:
    """Refuse batches that the processes cannot share equally.

    Raises:
        ValueError: they cannot.
    """
    if size % process[1]:
        raise ValueError(
            f"{size} rows per step cannot be shared equally by {process[1]} processes; choose a batch_size that they divide"
        )


class Order:
    """Which rows make the batch of a step: passes in a fresh random order, short last batches dropped.

    Any step can be asked for directly, so that a run goes on in the middle of a pass.

    Args:
        rows: of the data, >= 1.
        batch_size: rows per step of all processes together; data with fewer rows are used whole.
        seed: of the orders.
        process: rank and number of processes; each takes every world-th row of a batch.

    Raises:
        ValueError: the processes cannot share a batch equally.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, *, process: tuple[int, int] = (0, 1)) -> None:
        self.rows, self.size, self.seed, self.process = rows, min(batch_size, rows), seed, process
        require_shared(self.size, process)
        self.steps_per_epoch = rows // self.size
        self._pass: tuple[int, Tensor] | None = None

    def reseed(self, seed: int) -> None:
        """Begin with the orders of another seed."""
        self.seed, self._pass = seed, None

    def at(self, step: int) -> Tensor:
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._pass is None or self._pass[0] != epoch:
            generator = generator_of(mixed(self.seed, epoch))
            self._pass = epoch, torch.randperm(self.rows, generator=generator)
        rank, world = self.process
        return self._pass[1][place * self.size + rank : (place + 1) * self.size : world]
