"""What all kinds of data can do: their rows are counted, taken, split, saved, loaded and read from other people's files."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor

from accountants import check

Index = Tensor | np.ndarray | Sequence[int]
Path_ = str | os.PathLike[str]
Rows = TypeVar("Rows", bound="Kind")
More = TypeVar("More", bound="Extended")


class Kind(ABC):
    """Rows of one kind, checked once and not changed afterwards.

    Attributes:
        name: what the data are called in reports.
        is_padded: whether rows are as long as the longest of them, of the whole kind.
    """

    name: str
    is_padded: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int:
        """Number of rows."""

    @abstractmethod
    def take(self: Rows, index: Index) -> Rows:
        """The rows at `index`, in that order; the number of classes stays.

        Args:
            index: integers in [0, n), shape (m,), m >= 1, or a boolean mask of shape (n,).

        Raises:
            TypeError, ValueError, IndexError: as of `privkd.data.row_index.row_index`.
        """

    @abstractmethod
    def save(self, path: Path_) -> None:
        """Write a folder that `load` reads, all of it or nothing; an earlier one of the same kind is replaced.

        Raises:
            ValueError: there is something else at the path.
            OSError: the folder cannot be written.
        """

    @classmethod
    @abstractmethod
    def load(cls: type[Rows], path: Path_) -> Rows:
        """Read a folder that `save` wrote; everything is checked again.

        Raises:
            TypeError: a tensor has another dtype.
            ValueError: it holds another kind, misses or adds something, or cannot be used.
            FileNotFoundError: there is no such folder.
        """

    @classmethod
    @abstractmethod
    def read(cls: type[Rows], source: Path_) -> Rows:
        """Read files of other people, or a folder that `save` wrote; each kind says which, and may have options.

        Raises:
            ValueError: another kind of source, or something that cannot be used.
            FileNotFoundError: there is nothing at the path.
        """

    def groups(self, by: str) -> Tensor:
        """The group of each row, int64, shape (n,): what `split(by=)` keeps together.

        Raises:
            ValueError: rows cannot be grouped by it.
        """
        raise ValueError(f"by={by!r}; {type(self).__name__} can be split by 'rows' only")

    def split(self: Rows, fraction: float, *, by: str = "rows", seed: int = 0) -> tuple[Rows, Rows]:
        """Two disjoint parts, drawn at random; rows keep their order.

        Args:
            fraction: share of the first part, in (0, 1), of the rows or of the groups, rounded to a whole number of them.
            by: "rows", or what rows are grouped by, so that no group is in both parts.
            seed: of the draw, >= 0; the same seed gives the same parts.

        Raises:
            TypeError: a fraction or seed of another type.
            ValueError: out of range, rows cannot be grouped by it, or a part would be empty.
        """
        check.real(fraction=fraction, above=0, below=1)
        check.integer(seed=seed, at_least=0)
        groups = torch.arange(len(self)) if by == "rows" else self.groups(by)
        first = drawn_part(groups, fraction, seed=seed, by=by)
        return self.take(first), self.take(~first)


class Extended(Kind):
    """Rows that further columns can be added to.

    Attributes:
        extra: the columns that were added, by name.
    """

    extra: Mapping[str, Tensor]
    _groups: ClassVar[tuple[str, ...]] = ()  # what the kind itself can be split by, beside rows

    def with_column(self: More, name: str, values: Tensor) -> More:
        """The same data with one more column, which batches then have.

        Args:
            name: an identifier; a column that was added before is replaced.
            values: shape (n, ...), finite.

        Raises:
            ValueError: the name is that of a column which all data of the kind have, or the values do not fit.
        """
        changed: Any = self
        return replace(changed, extra={**self.extra, name: values})

    def groups(self, by: str) -> Tensor:
        """The group of each row: the values of an int64 column (n,) that was added.

        Raises:
            ValueError: there is no such column.
        """
        column = self.extra.get(by)
        if column is None or column.dtype != torch.int64 or column.ndim != 1:
            own = ", ".join(map(repr, ("rows", *self._groups)))
            raise ValueError(f"by={by!r} must be {own} or an int64 column (n,) that was added")
        return column


def drawn_part(groups: Tensor, fraction: float, *, seed: int, by: str) -> Tensor:
    """Which rows belong to the first part, bool, shape (n,): those of a random share of the groups.

    Args:
        groups: the group of each row, int64, shape (n,).
        fraction: share of the groups, in (0, 1).
        seed: of the draw.
        by: what the groups are, for the message.

    Raises:
        ValueError: one of the parts would be empty.

    Example:
        >>> drawn_part(torch.tensor([5, 7, 5, 7, 9]), 0.4, seed=0, by="identity").tolist()
        [False, False, False, False, True]
    """
    distinct = groups.unique()
    count = round(fraction * len(distinct))
    if not 0 < count < len(distinct):
        raise ValueError(
            f"fraction={fraction:g} of {len(distinct)} (by={by!r}) leaves one part empty; give a fraction between "
            f"{1 / (len(distinct) + 1):.3g} and {len(distinct) / (len(distinct) + 1):.3g}, or more data"
            if len(distinct) > 1
            else f"all rows are in one group (by={by!r}), so that they cannot be split by it"
        )
    order = torch.randperm(len(distinct), generator=torch.Generator().manual_seed(seed))
    return torch.isin(groups, distinct[order[:count]])


def class_count(labels: Tensor | None, class_names: tuple[str, ...] | None, *, what: str) -> int:
    """Number of classes: that of the names, else the largest label + 1, which is read off the data and so is not private.

    Raises:
        ValueError: there are neither names nor labels >= 0.
    """
    if class_names is not None:
        return len(class_names)
    if labels is None or labels.max() < 0:
        raise ValueError(
            f"{what} has neither labels nor class_names, so that its number of classes is unknown; give class_names"
        )
    return int(labels.max()) + 1


def kept_names(labels: Tensor | None, class_names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Names for a part of data: a part that happens to miss the last class must not be mistaken for a smaller problem."""
    if class_names is not None or labels is None or labels.max() < 0:
        return class_names
    return tuple(map(str, range(int(labels.max()) + 1)))
