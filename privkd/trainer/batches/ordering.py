"""Orders that look at a column: what a stage is given, and the passes that come of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from privkd.trainer.batches.order import Rows
from privkd.trainer.seeding import generator_of, mixed


@dataclass(frozen=True, eq=False)
class Ordering(ABC):
    """An order by classes, for `Stage(order=...)`; see `balanced`, `identities` and `episodes`.

    Args:
        column: whole numbers that say the class of each row: the name of a column, or, of a data set that is read row by row, a
            tensor of shape (rows,). Rows with a number below 0 have no class and are never drawn.

    Raises:
        TypeError: it is neither, or holds no whole numbers.
    """

    column: str | Tensor

    def __post_init__(self) -> None:
        if not isinstance(self.column, str | Tensor):
            raise TypeError(
                f"column is {type(self.column).__name__}; give the name of a column, or a tensor of classes"
            )

    @abstractmethod
    def rows_per_step(self, given: int | None, default: int) -> int:
        """Rows of a batch of all processes together.

        Args:
            given: batch size of the stage; None if it gives none.
            default: that of the run.

        Raises:
            ValueError: the stage gives another one than the order makes.
        """

    @abstractmethod
    def over(self, groups: list[Tensor], size: int, seed: int, process: tuple[int, int]) -> Rows:
        """The batches of a run.

        Args:
            groups: the rows of each class, int64, none of them empty.
            size: see `rows_per_step`.
            seed: of the order.
            process: rank and number of processes.

        Raises:
            ValueError: there are too few classes or rows, or the processes cannot share a batch equally.
        """

    def groups(self, columns: Mapping[str, Tensor], rows: int) -> list[Tensor]:
        """The rows of each class, by rising class.

        Args:
            columns: of the data; empty for data that are read row by row.
            rows: of the data.

        Raises:
            ValueError: there is no such column, it has another length, or no row has a class.
            TypeError: it does not hold one whole number per row.
        """
        labels, name = self.column, "the column of an order"
        if isinstance(labels, str):
            name = f"column {labels!r}"
            if labels not in columns:
                there = f"there are {', '.join(map(repr, columns))}" if columns else (
                    "rows of a Dataset are read one by one: give the order a tensor with the class of every row instead"
                )  # fmt: skip
                raise ValueError(f"the data have no {name} to order by; {there}")
            labels = columns[labels]
        labels = labels.detach().cpu()
        if labels.dim() != 1 or labels.is_floating_point() or labels.is_complex():
            raise TypeError(
                f"{name} has shape {tuple(labels.shape)} and dtype {str(labels.dtype)[6:]}; an order needs one whole number per row"
            )
        if len(labels) != rows:
            raise ValueError(f"{name} has {len(labels)} numbers, but the data have {rows} rows")
        labels = labels.to(torch.int64)
        classed = (labels >= 0).nonzero().squeeze(1)
        if not len(classed):
            raise ValueError(f"{name} has no row with a class (a number >= 0) to order by")
        _, place, counts = labels[classed].unique(return_inverse=True, return_counts=True)
        return list(classed[place.argsort(stable=True)].split(counts.tolist()))

    def form(self) -> list[Any]:
        """What must be equal for two orders to belong to one run, as JSON."""
        values = (getattr(self, field.name) for field in fields(self))
        return [type(self).__name__, *(list(value.shape) if isinstance(value, Tensor) else value for value in values)]


def rows_per_step(order: Ordering | None, given: int | None, default: int) -> int:
    """Rows of a batch of all processes together: what the data are given, what their order makes, or that of the run."""
    return (given or default) if order is None else order.rows_per_step(given, default)


class Passes(ABC):
    """Passes that are planned whole when their first step is asked for, from the seed and the epoch alone.

    Args:
        size: rows of a batch of all processes.
        steps_per_epoch: batches of a pass.
        seed: of the order.
        process: rank and number of processes; each takes a stretch of its own of every batch, of equal length.
    """

    def __init__(self, size: int, steps_per_epoch: int, seed: int, process: tuple[int, int]) -> None:
        self.size, self.steps_per_epoch, self.seed = size, steps_per_epoch, seed
        rank, world = process
        self._mine = slice(rank * size // world, (rank + 1) * size // world)
        self._pass: tuple[int, Tensor] | None = None

    def at(self, step: int) -> Tensor:
        """Rows of a step for this process, int64."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._pass is None or self._pass[0] != epoch:
            planned = self.planned(generator_of(mixed(self.seed, epoch)))
            self._pass = epoch, planned.reshape(self.steps_per_epoch, self.size)
        return self._pass[1][place, self._mine]

    @abstractmethod
    def planned(self, generator: torch.Generator) -> Tensor:
        """All rows of a pass, int64, shape (steps * size,) or (steps, size)."""


def shuffles(count: int, of: int, generator: torch.Generator) -> Tensor:
    """Independent random orders of the numbers below `of`, int64, shape (count, of)."""
    return torch.rand(count, of, generator=generator, dtype=torch.float64).argsort(dim=1, stable=True)


def cycled(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many of the rows: random orders of all of them one after another, so that none comes twice more than another."""
    if count <= len(rows):
        return rows[torch.randperm(len(rows), generator=generator)[:count]]
    return rows[shuffles(-(-count // len(rows)), len(rows), generator).flatten()[:count]]


def require_classes(groups: list[Tensor], count: int, setting: str) -> None:
    """Refuse fewer classes than a batch takes.

    Raises:
        ValueError: there are fewer; the message names the setting.
    """
    if len(groups) < count:
        raise ValueError(
            f"{setting}={count} different classes per batch, but the data have {len(groups)}; give a smaller number"
        )
