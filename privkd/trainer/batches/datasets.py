"""Batches of anything that the trainer takes as data: tensors, `Records`, or a torch `Dataset` read by workers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sized
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from privkd.data.records import Records, require_declared_names
from privkd.trainer.batch import Batch, Data
from privkd.trainer.batches.arrays import ArrayBatches, Batches, BatchesBeside
from privkd.trainer.batches.order import Order, Rows
from privkd.trainer.seeding import mixed, seeded


def batches_of(
    data: Data,
    batch_size: int,
    seed: int,
    *,
    beside: Mapping[str, Data],
    device: torch.device,
    process: tuple[int, int],
    workers: int,
    order: Callable[[int], Rows] | None = None,
) -> Batches:
    """Batches on a device.

    Args:
        data: the main data set; an empty tuple for a task that makes its own batches.
        batch_size: see `Order`.
        seed: of the orders, and of what a `Dataset` draws while it reads.
        beside: further data sets, by name.
        device: of the run.
        process: rank and number of processes.
        workers: processes that read a `Dataset`; 0 reads between steps.
        order: from the number of rows of the main data set to which of them make a batch; an `Order` if None.

    Raises:
        ValueError: no rows or different numbers of rows.
    """
    if beside:
        shared = partial(batches_of, beside={}, device=device, process=process, workers=workers)
        others = enumerate(sorted(beside.items()), start=1)
        further = {name: shared(other, batch_size, mixed(seed, place)) for place, (name, other) in others}
        return BatchesBeside(shared(data, batch_size, seed, order=order), further)
    order = order or (lambda rows: Order(rows, batch_size, seed, process=process))
    columns = columns_of(data)
    if isinstance(columns, tuple):
        return ArrayBatches(tuple(column.to(device) for column in columns), order)
    return DatasetBatches(columns, order, mixed(seed, process[0]), device=device, workers=workers)


def require_data(data: object, *, private: bool = False) -> None:
    """Refuse what cannot be data.

    Args:
        data: what was given.
        private: whether the rows are protected, so that no class index may depend on which labels are there.

    Raises:
        TypeError: it is no `Data`, or a data set without a length; the message says what to give instead.
        ValueError: private records whose class names were found in their labels.
    """
    if private and isinstance(data, Records):
        require_declared_names(
            data, cure="load them with classes=['cat', 'dog', ...], all names in the order of indices"
        )
    if isinstance(data, Dataset) and not hasattr(data, "__len__"):
        raise TypeError(
            f"{type(data).__name__} has no length; give a data set with __len__ and __getitem__, whose rows can be shuffled"
        )
    if isinstance(data, Records | Dataset) or (
        isinstance(data, tuple) and all(isinstance(column, Tensor) for column in data)
    ):
        return
    inside = f" of {type(data[0]).__name__}" if isinstance(data, tuple | list) and data else ""
    wanted = (
        "its data set (loader.dataset)"
        if isinstance(data, DataLoader)
        else "a tuple of tensors such as (x, y), Records or a torch Dataset"
    )
    raise TypeError(
        f"data is {type(data).__name__}{inside}; give {wanted}: the trainer orders the rows itself, so that a run can be repeated "
        "and gone on with"
    )


def columns_of(data: Data) -> tuple[Tensor, ...] | Dataset[Any]:
    """The tensors with all rows; a data set, which is read row by row, as it is."""
    if isinstance(data, Records):
        return (data.inputs,) if data.labels is None else (data.inputs, data.labels)
    return data


def rows_of(data: Data) -> int:
    """Number of rows; 0 for a task that makes its own batches."""
    if isinstance(data, tuple):
        return len(data[0]) if data else 0
    return len(cast(Sized, data))


def form_of(data: Data | Callable[[], Data]) -> list[Any]:
    """What must be equal for two data sets to belong to one run; nothing of their contents."""
    if callable(data):
        return ["made when its stage begins"]
    if isinstance(data, Records):
        return [[len(data), *data.shape], data.labels is not None]
    if isinstance(data, tuple):
        return [list(column.shape) for column in data]
    return [type(data).__qualname__, len(cast(Sized, data))]


def row_of(dataset: Dataset[Any]) -> tuple[Tensor, ...]:
    """The first row as a batch of one; what the data set draws meanwhile changes no generator."""
    with seeded(0):
        return _collated([dataset[0]])


class DatasetBatches:
    """Batches of a torch `Dataset`, read ahead by worker processes.

    What the data set draws from global generators while it reads (augmentation) depends on the seed and the step alone.

    Args:
        dataset: with a length (see `require_data`); its items are tensors, arrays or numbers, alone or in a tuple, list or dict.
        order: from the number of rows to which of them make a batch.
        seed: of what the data set draws.
        device: where batches go.
        workers: processes that read; 0 reads between steps.

    Raises:
        ValueError: it has no rows.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        order: Callable[[int], Rows],
        seed: int,
        *,
        device: torch.device,
        workers: int,
    ) -> None:
        rows = len(cast(Sized, dataset))
        if not rows:
            raise ValueError(f"{type(dataset).__name__} has no rows; at least one is needed")
        self._reader, self._order, self._seed = _Reader(dataset), order(rows), seed
        self._device, self._workers = device, workers
        self.steps_per_epoch = self._order.steps_per_epoch
        self._next = -1
        self._read: Generator[tuple[Tensor, ...]] | None = None
        self._last: tuple[int, tuple[Tensor, ...]] | None = None

    def at(self, step: int) -> Batch:
        """Steps in rising order are read ahead."""
        if self._last is None or self._last[0] != step:
            if self._read is None or step != self._next:
                self.close()
                self._read = self._from(step)
            self._last, self._next = (step, next(self._read)), step + 1
        return Batch(self._order.at(step), self._last[1])

    def close(self) -> None:
        """Workers that are left at the end of the program would hold it up, as they ignore signals."""
        if self._read is not None:
            self._read.close()
        self._read = None

    def _from(self, step: int) -> Generator[tuple[Tensor, ...]]:
        loader = DataLoader(
            self._reader,
            batch_sampler=_plan(self._order, self._seed, step),
            num_workers=self._workers,
            collate_fn=_collated,
            worker_init_fn=_undisturbed,
            generator=torch.Generator().manual_seed(0),  # of seeds that are not used; the global one stays untouched
            pin_memory=self._device.type == "cuda",
        )
        reader = iter(loader)
        try:
            for tensors in reader:
                yield tuple(tensor.to(self._device, non_blocking=True) for tensor in tensors)
        finally:  # also when a row cannot be read, and the error holds on to the reader
            if self._workers:
                cast(Any, reader)._shutdown_workers()


def _undisturbed(worker: int) -> None:
    """A signal to the whole group of processes stops the run, which still needs its workers until it has saved."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _plan(order: Rows, seed: int, step: int) -> Iterator[list[int]]:
    """Endless lists of what to read from a step on: a seed, then the rows."""
    while True:
        yield [mixed(seed, step), *order.at(step).tolist()]
        step += 1


class _Reader(Dataset[Any]):
    """The data set, with randomness that depends on the plan."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __getitems__(self, plan: list[int]) -> list[Any]:
        with seeded(plan[0]):
            if len(plan) == 1:  # an empty batch has the shapes of a row
                return [_NONE, self._dataset[0]]
            many = getattr(self._dataset, "__getitems__", None)
            return many(plan[1:]) if many else [self._dataset[row] for row in plan[1:]]


_NONE = "no rows"


def _collated(items: list[Any]) -> tuple[Tensor, ...]:
    if isinstance(items[0], str) and items[0] == _NONE:
        return tuple(tensor[:0] for tensor in _collated(items[1:]))
    first = items[0]
    if isinstance(first, Tensor | np.ndarray | np.generic | int | float):
        return (default_collate(items),)
    together = default_collate(items)
    tensors = tuple(together.values()) if isinstance(together, Mapping) else tuple(together)
    others = [type(value).__name__ for value in tensors if not isinstance(value, Tensor)]
    if others:
        raise TypeError(f"items of the data set hold {others[0]}; give tensors, arrays and numbers")
    return tensors
