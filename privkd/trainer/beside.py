"""A data set beside the main one of a stage: what its batches are made of, how large they are, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from accountants import check
from privkd.plain import make_plain
from privkd.trainer.batch import Data
from privkd.trainer.batches.ordering import Ordering


@dataclass(frozen=True, eq=False, slots=True)
class Beside:
    """A further data set of a stage, with passes of its own: `Stage(beside={"unlabelled": Beside(data, batch_size=256)})`.

    Attributes:
        data: as `Stage.data`; a function without arguments is called when the stage begins.
        batch_size: rows per step; None for as many as of the main data set.
        order: of its rows; None for a fresh random order in every pass.

    Raises:
        TypeError: the order is none.
        ValueError: the batch size is below 1, or not that of the order.
    """

    data: Data | Callable[[], Data]
    batch_size: int | None = None
    order: Ordering | None = None

    def __post_init__(self) -> None:
        make_plain(self)
        require_sizes(self.batch_size, self.order)


def as_beside(given: Data | Callable[[], Data] | Beside) -> Beside:
    """What stands beside the main data set, with settings of its own or without any."""
    return given if isinstance(given, Beside) else Beside(given)


def require_sizes(batch_size: int | None, order: object) -> None:
    """Refuse a batch size or an order that is none, or two that do not go together.

    Raises:
        TypeError: the order is something else.
        ValueError: the batch size is below 1, or not that of the order.
    """
    if batch_size is not None:
        check.integer(batch_size=batch_size, at_least=1)
    if order is None:
        return
    if not isinstance(order, Ordering):
        raise TypeError(f"order is {type(order).__name__}; give balanced(...), identities(...) or episodes(...)")
    order.rows_per_step(batch_size, 1)
