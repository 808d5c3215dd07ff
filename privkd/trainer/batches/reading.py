"""Batches of a torch `Dataset`, whose rows are read one by one, ahead of the steps if there are workers."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from privkd.trainer.batch import Batch, numbered
from privkd.trainer.batches.chosen_rows import ChosenRows
from privkd.trainer.batches.order import Rows
from privkd.trainer.seeding import mixed, seeded

BatchColumns: TypeAlias = "dict[str, Tensor | list[Any]]"
"""Columns of a batch; lists are ragged ones."""


class DatasetBatches:
    """Batches of a torch `Dataset`, read ahead by worker processes.

    What the data set draws from global generators while it reads (augmentation) depends on the seed and the step alone.

    Args:
        dataset: with a length (see `require_data`); its items are tensors, arrays or numbers, alone or in a tuple, list or dict.
            One with `collate(rows: list) -> dict` puts the items of a batch together itself, for columns that are ragged.
        order: which rows make a batch.
        seed: of what the data set draws.
        device: where batches go.
        workers: processes that read; 0 reads between steps.
        one_by_one: whether the data set is asked for one row after another although it could give many at once, so that no row sees
            those that it is drawn with.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        order: Rows,
        seed: int,
        *,
        device: torch.device,
        workers: int,
        one_by_one: bool = False,
    ) -> None:
        self._reader, self._order, self._seed = _Reader(dataset, one_by_one=one_by_one), order, seed
        self._collated = partial(collated, dataset)
        self._device, self._workers = device, workers
        self.steps_per_epoch = self._order.steps_per_epoch
        self._next = -1
        self._read: Generator[BatchColumns] | None = None
        self._last: tuple[int, BatchColumns] | None = None

    def at(self, step: int) -> Batch:
        """Steps in rising order are read ahead."""
        if self._last is None or self._last[0] != step:
            if self._read is None or step != self._next or self._begins_choice(step):
                self.close()
                self._read = self._from(step)
            self._last, self._next = (step, next(self._read)), step + 1
        return Batch(self._order.at(step), self._last[1])

    def close(self) -> None:
        """Workers that are left at the end of the program would hold it up, as they ignore signals."""
        if self._read is not None:
            self._read.close()
        self._read = None

    def _from(self, step: int) -> Generator[BatchColumns]:
        loader = DataLoader(
            self._reader,
            batch_sampler=_plan(self._order, self._seed, step),
            num_workers=self._workers,
            collate_fn=self._collated,
            worker_init_fn=_undisturbed,
            generator=torch.Generator().manual_seed(0),  # of seeds that are not used; the global one stays untouched
            pin_memory=self._device.type == "cuda",
        )
        reader = iter(loader)
        try:
            for columns in reader:
                yield {name: self._placed(column) for name, column in columns.items()}
        finally:  # also when a row cannot be read, and the error holds on to the reader
            if self._workers:
                cast(Any, reader)._shutdown_workers()

    def _begins_choice(self, step: int) -> bool:
        """Whether the rows of this step were not known yet when the steps before it were read ahead."""
        return isinstance(self._order, ChosenRows) and step % self.steps_per_epoch == 0

    def _placed(self, column: Any) -> Any:
        """A column on the device, with the tensors of a ragged one."""
        if isinstance(column, list):
            return [self._placed(value) if isinstance(value, Tensor) else value for value in column]
        return column.to(self._device, non_blocking=True)


def _undisturbed(worker: int) -> None:
    """A signal to the whole group of processes stops the run, which still needs its workers until it has saved."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _plan(order: Rows, seed: int, step: int) -> Iterator[list[int]]:
    """Lists of what to read from a step on: a seed, then the rows; endless, but for rows that are chosen pass by pass."""
    while True:
        yield [mixed(seed, step), *order.at(step).tolist()]
        step += 1
        if isinstance(order, ChosenRows) and step % order.steps_per_epoch == 0:
            return


class _Reader(Dataset[Any]):
    """The data set, with randomness that depends on the plan."""

    def __init__(self, dataset: Dataset[Any], *, one_by_one: bool) -> None:
        self._dataset = dataset
        self._many = None if one_by_one else getattr(dataset, "__getitems__", None)

    def __getitems__(self, plan: list[int]) -> list[Any]:
        with seeded(plan[0]):
            if len(plan) == 1:  # an empty batch has the shapes of a row
                return [_NONE, self._dataset[0]]
            return self._many(plan[1:]) if self._many else [self._dataset[row] for row in plan[1:]]


_NONE = "no rows"


def collated(dataset: Dataset[Any], items: list[Any]) -> BatchColumns:
    """Items of a data set as the columns of a batch.

    Raises:
        TypeError: items hold something else than tensors, arrays and numbers, or the data set's own `collate` gives no columns.
        ValueError: its `collate` gives a column of another number of rows.
    """
    if isinstance(items[0], str) and items[0] == _NONE:
        return {name: column[:0] for name, column in collated(dataset, items[1:]).items()}
    own = getattr(dataset, "collate", None)
    if callable(own):
        return _checked(own(items), type(dataset).__name__, len(items))
    if isinstance(items[0], Tensor | np.ndarray | np.generic | int | float):
        return numbered([default_collate(items)])
    together = default_collate(items)
    columns = dict(together) if isinstance(together, Mapping) else numbered(together)
    others = [f"{type(value).__name__} in {name!r}" for name, value in columns.items() if not isinstance(value, Tensor)]
    if others:
        raise TypeError(
            f"items of the data set hold {others[0]}; give tensors, arrays and numbers, or write its collate(rows) for the others"
        )
    return columns


def _checked(columns: Any, kind: str, rows: int) -> BatchColumns:
    """What a data set's own `collate` gave, if it is columns."""
    if not isinstance(columns, Mapping) or not columns or not all(isinstance(name, str) for name in columns):
        raise TypeError(f"{kind}.collate gave {type(columns).__name__}; return a dict from names to tensors or lists")
    for name, column in columns.items():
        if not isinstance(column, Tensor | list) or (isinstance(column, Tensor) and not column.dim()):
            raise TypeError(
                f"{kind}.collate gave {type(column).__name__} as {name!r}; give a tensor with rows, or a list"
            )
        if len(column) != rows:
            raise ValueError(f"{kind}.collate gave {len(column)} rows of {name!r} for {rows} items; give one for each")
    return dict(columns)
