"""Passes over rows that a task chooses anew before each of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from privkd.errors import TaskError
from privkd.trainer.batches.order import require_shared
from privkd.trainer.batches.ordering import Passes, cycled


class ChosenRows(Passes):
    """Passes over the rows that were chosen last: random orders of them one after another, until the pass is over.

    A pass has as many steps as one over all rows, so that the length of a stage depends on no choice. A choice of all rows gives
    the passes of `Order`.

    Args:
        rows: of the data, >= 1.
        batch_size: rows per step of all processes together; data with fewer rows are used whole.
        seed: of the orders.
        process: rank and number of processes.

    Attributes:
        rows: of the data.
        chosen: positions for the present pass, int64; None for all rows.

    Raises:
        ValueError: the processes cannot share a batch equally.
    """

    def __init__(self, rows: int, batch_size: int, seed: int, process: tuple[int, int]) -> None:
        size = min(batch_size, rows)
        require_shared(size, process)
        super().__init__(size, rows // size, seed, process)
        self.rows = rows
        self.chosen: Tensor | None = None

    def choose(self, chosen: Tensor | None) -> None:
        """Take these rows (see `positions`) for the pass that is asked for next."""
        self.chosen, self._pass = chosen, None

    def planned(self, generator: torch.Generator) -> Tensor:
        rows = torch.arange(self.rows) if self.chosen is None else self.chosen
        return cycled(rows, self.steps_per_epoch * self.size, generator)


def positions(chosen: Any, rows: int, task: str) -> Tensor | None:
    """The choice of a task as positions on the CPU, int64; None for all rows.

    Args:
        chosen: what `Task.rows` gave.
        rows: of the data.
        task: its name, for messages; they quote no position, since a choice may tell something of private rows.

    Raises:
        TaskError: it is no choice, holds nothing, or goes beyond the data.
    """
    if chosen is None:
        return None
    wanted = f"give int64 positions in [0, {rows}), a mask of {rows} truth values, or None for all rows"
    if not isinstance(chosen, Tensor) or chosen.dim() != 1 or chosen.dtype not in (torch.int64, torch.bool):
        kind = type(chosen).__name__
        if isinstance(chosen, Tensor):
            kind = f"a tensor of {chosen.dim()} dimensions and dtype {str(chosen.dtype)[6:]}"
        raise TaskError(f"{task}.rows gave {kind}; {wanted}")
    chosen = chosen.detach().cpu()
    if chosen.dtype == torch.bool:
        if len(chosen) != rows:
            raise TaskError(f"{task}.rows gave a mask of another length than the {rows} rows of the data; {wanted}")
        chosen = chosen.nonzero().squeeze(1)
    if not len(chosen):
        raise TaskError(f"{task}.rows chose no row, so that there is nothing to learn from; {wanted}")
    if int(chosen.min()) < 0 or int(chosen.max()) >= rows:
        raise TaskError(f"{task}.rows gave positions beyond the data; {wanted}")
    return chosen.clone()
