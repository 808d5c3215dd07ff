"""Balanced passes: every class equally often, however many rows it has."""

from __future__ import annotations

import torch
from torch import Tensor

from privkd.trainer.batches.order import Rows, require_shared
from privkd.trainer.batches.ordering import Ordering, Passes, cycled, shuffles


def balanced(column: str | Tensor) -> Ordering:
    """An order in which every class comes equally often, within one row in any stretch of a pass.

    A pass is as long as one over all rows that have a class. Rows of small classes are repeated as evenly as possible, and of
    large ones a pass shows a part, which is another one in the next pass.

    Args:
        column: see `Ordering`.
    """
    return Balanced(column)


class Balanced(Ordering):
    """See `balanced`."""

    def rows_per_step(self, given: int | None, default: int) -> int:
        return given or default

    def over(self, groups: list[Tensor], size: int, seed: int, process: tuple[int, int]) -> Rows:
        rows = sum(map(len, groups))
        size = min(size, rows)
        require_shared(size, process)
        return _BalancedPasses(groups, size, rows // size, seed, process)


class _BalancedPasses(Passes):
    def __init__(self, groups: list[Tensor], size: int, steps: int, seed: int, process: tuple[int, int]) -> None:
        super().__init__(size, steps, seed, process)
        self._groups = groups

    def planned(self, generator: torch.Generator) -> Tensor:
        total, count = self.steps_per_epoch * self.size, len(self._groups)
        # Classes take turns: all of them in a random order, then in another one.
        turns = shuffles(-(-total // count), count, generator).flatten()[:total]
        places = turns.argsort(stable=True).split(turns.bincount(minlength=count).tolist())
        rows = torch.empty(total, dtype=torch.int64)
        for group, place in zip(self._groups, places, strict=True):
            rows[place] = cycled(group, len(place), generator)
        return rows
