"""Batches of anything that the trainer takes as data: tensors, data kinds, or a torch `Dataset` read by workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from privkd.data.columns import has_columns
from privkd.data.records import Records, require_declared_names
from privkd.trainer.batch import Data, numbered
from privkd.trainer.batches.arrays import ArrayBatches, Batches, BatchesBeside, require_common_rows
from privkd.trainer.batches.order import Order, Rows
from privkd.trainer.batches.ordering import Ordering, rows_per_step
from privkd.trainer.batches.reading import BatchColumns, DatasetBatches, collated
from privkd.trainer.beside import Beside
from privkd.trainer.seeding import mixed, seeded


def batches_of(
    data: Data,
    batch_size: int,
    seed: int,
    *,
    beside: Mapping[str, Beside],
    device: torch.device,
    process: tuple[int, int],
    workers: int,
    order: Ordering | Rows | None = None,
    one_by_one: bool = False,
) -> Batches:
    """Batches on a device.

    Args:
        data: the main data set; an empty tuple or mapping for a task that makes its own batches.
        batch_size: see `Order`.
        seed: of the orders, and of what a `Dataset` draws while it reads.
        beside: further data sets, by name; their functions have been called.
        device: of the run.
        process: rank and number of processes.
        workers: processes that read a `Dataset`; 0 reads between steps.
        order: of the main data set; an `Order` if None.
        one_by_one: see `DatasetBatches`.

    Raises:
        ValueError: no rows or different numbers of rows, or an order that does not fit them.
    """
    further = {}
    for place, (name, other) in enumerate(sorted(beside.items()), start=1):
        size = rows_per_step(other.order, other.batch_size, batch_size)
        further[name] = batches_of(
            cast("Data", other.data),
            size,
            mixed(seed, place),
            beside={},
            device=device,
            process=process,
            workers=workers,
            order=other.order,
        )
    columns, rows = _checked(data)
    if isinstance(order, Ordering):
        groups = order.groups(columns if isinstance(columns, dict) else {}, rows)
        order = order.over(groups, batch_size, seed, process)
    elif order is None and rows:
        order = Order(rows, batch_size, seed, process=process)
    if isinstance(columns, dict):
        main = ArrayBatches({name: column.to(device) for name, column in columns.items()}, order if rows else None)
    else:
        seed = mixed(seed, process[0])
        main = DatasetBatches(columns, cast(Rows, order), seed, device=device, workers=workers, one_by_one=one_by_one)
    return BatchesBeside(main, further) if further else main


def _checked(data: Data) -> tuple[dict[str, Tensor] | Dataset[Any], int]:
    """Columns and number of rows; none is for a task that makes its own batches, and so not for a data set."""
    columns = columns_of(data)
    if isinstance(columns, dict):
        require_common_rows(columns)
    elif not rows_of(data):
        raise ValueError(f"{type(data).__name__} has no rows; at least one is needed")
    return columns, rows_of(data)


def require_data(data: object, *, private: bool = False) -> None:
    """Refuse what cannot be data.

    Args:
        data: what was given.
        private: whether the rows are protected, so that no class index may depend on which labels are there.

    Raises:
        TypeError: it is no `Data`, or a data set without a length; the message says what to give instead.
        ValueError: private records whose class names were found in their labels, or private rows that a `collate` puts
            together or that are as long as the longest of them.
    """
    if private and isinstance(data, Records):
        require_declared_names(
            data, cure="load them with classes=['cat', 'dog', ...], all names in the order of indices"
        )
    if isinstance(data, Dataset) and not hasattr(data, "__len__"):
        raise TypeError(
            f"{type(data).__name__} has no length; give a data set with __len__ and __getitem__, whose rows can be shuffled"
        )
    if private and isinstance(data, Dataset) and callable(getattr(data, "collate", None)):
        raise ValueError(
            f"{type(data).__name__}.collate puts the rows of a batch together, where one row may change another by padding, and a "
            "private run bounds what one row changes; give rows of one shape, and leave collate out"
        )
    if private and getattr(data, "is_padded", False):
        raise ValueError(
            f"rows of {type(data).__name__} are as long as the longest of them, so that one row changes the shape of all; cut or "
            "pad the tensors to a length that does not depend on them, and give these"
        )
    if isinstance(data, Mapping):
        _require_named(data)
        return
    if (
        has_columns(data)
        or isinstance(data, Dataset)
        or (isinstance(data, tuple) and all(isinstance(column, Tensor) for column in data))
    ):
        return
    inside = f" of {type(data[0]).__name__}" if isinstance(data, tuple | list) and data else ""
    wanted = (
        "its data set (loader.dataset)"
        if isinstance(data, DataLoader)
        else "a tuple of tensors such as (x, y), a dict such as {'label': y}, a data kind such as Records, or a torch Dataset"
    )
    raise TypeError(
        f"data is {type(data).__name__}{inside}; give {wanted}: the trainer orders the rows itself, so that a run can be repeated "
        "and gone on with"
    )


def _require_named(data: Mapping[Any, Any]) -> None:
    """Refuse a mapping that is no columns."""
    for name, column in data.items():
        if not isinstance(name, str):
            raise TypeError(f"data has a column called {name!r}, a {type(name).__name__}; names are strings")
        if not isinstance(column, Tensor):
            raise TypeError(
                f"data has the column {name!r}, a {type(column).__name__}; give a tensor, or a torch Dataset with "
                "collate(rows) for what is ragged"
            )


def columns_of(data: Data) -> dict[str, Tensor] | Dataset[Any]:
    """The columns with all rows, by name; a data set, which is read row by row, as it is."""
    if isinstance(data, tuple):
        return numbered(data)
    if isinstance(data, Mapping):
        return dict(data)
    return data.columns() if has_columns(data) else cast("Dataset[Any]", data)


def rows_of(data: Data) -> int:
    """Number of rows; 0 for a task that makes its own batches."""
    if isinstance(data, tuple | Mapping):
        columns = columns_of(data)
        return len(next(iter(cast("dict[str, Tensor]", columns).values()))) if columns else 0
    return len(cast(Sized, data))


def form_of(data: Data | Callable[[], Data]) -> Any:
    """What must be equal for two data sets to belong to one run; nothing of their contents."""
    if callable(data):
        return ["made when its stage begins"]
    columns = columns_of(data)
    if isinstance(columns, dict):
        return {name: list(column.shape) for name, column in columns.items()}
    return [type(data).__qualname__, len(cast(Sized, data))]


def row_of(dataset: Dataset[Any]) -> BatchColumns:
    """The first row as a batch of one; what the data set draws meanwhile changes no generator."""
    with seeded(0):
        return collated(dataset, [dataset[0]])
