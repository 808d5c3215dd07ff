"""Who holds which rows: a division of a data set among the clients of a federation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants import check


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
    """Disjoint rows of every client, none of which has no rows.

    The table of counts says much about the rows: in a real federation nobody sees it whole.

    Attributes:
        rows: of each client, ascending positions in the data, int64, shape (n_i,), n_i >= 1.
        counts: rows of each class that each client has, int64, shape (clients, classes).

    Raises:
        ValueError: no clients, a client without rows, or a row that is held twice.
    """

    rows: tuple[np.ndarray, ...]
    counts: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[ArrayLike], labels: ArrayLike, *, classes: int | None = None) -> Partition:
        """The partition in which each client has the rows at these positions.

        Args:
            rows: of each client, positions, int64.
            labels: class index of every row of the data, shape (n,).
            classes: number of classes; None for the largest label + 1.

        Raises:
            TypeError: labels or positions are no integers.
            ValueError: as of `Partition`, or labels or positions are out of range.

        Example:
            >>> Partition.of([[0, 3], [1]], [0, 1, 1, 1]).counts.tolist()
            [[1, 1], [0, 1]]
        """
        known = class_indices(labels, classes=classes)
        width = classes or int(known.max()) + 1
        held = tuple(np.sort(_positions(one, len(known))) for one in rows)
        counts = np.stack([np.bincount(known[one], minlength=width) for one in held]) if held else np.empty((0, 0))
        return cls(held, counts.astype(np.int64))

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("a partition without clients; give the rows of at least one")
        empty = [place for place, one in enumerate(self.rows) if not len(one)]
        if empty:
            raise ValueError(f"clients {empty[:5]} have no rows; every client needs at least one")
        every = np.concatenate(self.rows)
        if len(np.unique(every)) < len(every):
            raise ValueError("some row is held twice; clients have disjoint rows")

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"Partition({len(self)} clients, {sum(map(len, self.rows))} rows)"

    def held_out(
        self, labels: ArrayLike, fraction: float, *, seed: int = 0, classes: int | None = None
    ) -> tuple[Partition, Partition]:
        """Rows that each client trains on, and those that it keeps to test on; both have all clients.

        Args:
            labels: class index of every row of the data, shape (n,).
            fraction: of each client's rows that are held out, in (0, 1), rounded to whole rows; at least one row goes to either
                side.
            seed: of the choice, >= 0.
            classes: number of classes; None for the largest label + 1.

        Raises:
            ValueError: the fraction is out of range, or a client has one row only.

        Example:
            >>> labels = [0] * 6
            >>> train, test = Partition.of([[0, 1, 2, 3], [4, 5]], labels).held_out(labels, 0.25)
            >>> [len(rows) for rows in train.rows], [len(rows) for rows in test.rows]
            ([3, 1], [1, 1])
        """
        check.real(fraction=fraction, above=0.0, below=1.0)
        check.integer(seed=seed, at_least=0)
        single = [place for place, one in enumerate(self.rows) if len(one) < 2]
        if single:
            raise ValueError(
                f"clients {single[:5]} have one row, which cannot be split; make the partition with min_size=2"
            )
        generator = np.random.default_rng(seed)
        train, test = [], []
        for one in self.rows:
            count = min(max(1, round(fraction * len(one))), len(one) - 1)
            mixed = generator.permutation(one)
            test.append(mixed[:count])
            train.append(mixed[count:])
        return Partition.of(train, labels, classes=classes), Partition.of(test, labels, classes=classes)


def class_indices(labels: ArrayLike, *, classes: int | None = None) -> np.ndarray:
    """Labels as int64, shape (n,), n >= 1.

    Raises:
        TypeError: they are no integers.
        ValueError: they are empty or no column, or one is negative or beyond the classes; none is quoted.
    """
    found = np.asarray(labels)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"labels have shape {found.shape}; one class index per row, shape (n,) with n >= 1, is needed")
    if found.dtype.kind not in "iu":
        raise TypeError(f"labels are {found.dtype}; class indices, integers >= 0, are needed")
    if classes is not None:
        check.integer(classes=classes, at_least=1)
    outside = (found < 0) if classes is None else (found < 0) | (found >= classes)
    if outside.any():
        raise ValueError(f"{int(outside.sum())} of {len(found)} labels are outside of [0, {classes or 'classes'})")
    return found.astype(np.int64)


def _positions(rows: ArrayLike, count: int) -> np.ndarray:
    found = np.asarray(rows)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        raise TypeError(
            f"rows of a client are {found.dtype} of shape {found.shape}; positions, int64 of shape (n,), are needed"
        )
    if len(found) and (int(found.min()) < 0 or int(found.max()) >= count):
        raise ValueError(f"rows of a client are in [{found.min()}, {found.max()}], and the data have {count} rows")
    return found.astype(np.int64)
