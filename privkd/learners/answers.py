"""Answers of annotators as triplets (item, annotator, label), checked once for everything that aggregates them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from accountants import check
from privkd.plain import make_plain


@dataclass(frozen=True, eq=False, repr=False)
class Answers:
    """What annotators said about items. Each of A answers is one place of the three arrays.

    An annotator without answers is legal; an item without answers is not, since nothing could be said about it.

    Attributes:
        item: in [0, items), shape (A,); whole numbers of any dtype, kept as int64.
        worker: in [0, workers), likewise.
        label: in [0, classes), likewise.
        items: number of items n.
        workers: number of annotators R.
        classes: number of classes K, >= 2.

    Raises:
        TypeError: an array is not of whole numbers.
        ValueError: lengths differ, a number lies outside its range, an item has no answer, or an annotator answered an item twice.

    Example:
        >>> Answers(np.array([0, 1, 1]), np.array([0, 0, 2]), np.array([1, 0, 1]), items=2, workers=3, classes=2)
        Answers(3 answers of 3 annotators about 2 items, 2 classes)
    """

    item: np.ndarray
    worker: np.ndarray
    label: np.ndarray
    items: int
    workers: int
    classes: int

    def __post_init__(self) -> None:
        make_plain(self)
        check.integer(items=self.items, workers=self.workers, at_least=1)
        check.integer(classes=self.classes, at_least=2)
        for name, below in (("item", self.items), ("worker", self.workers), ("label", self.classes)):
            object.__setattr__(self, name, _numbers(getattr(self, name), name, below))
        if not len(self.item) == len(self.worker) == len(self.label):
            raise ValueError(
                f"{len(self.item)} items, {len(self.worker)} workers and {len(self.label)} labels; each answer has one of each"
            )
        pairs, counts = np.unique(self.item * self.workers + self.worker, return_counts=True)
        if (counts > 1).any():
            item, worker = divmod(int(pairs[counts.argmax()]), self.workers)
            raise ValueError(f"worker {worker} has {int(counts.max())} answers about item {item}; keep one of them")
        silent = np.bincount(self.item, minlength=self.items) == 0
        if silent.any():
            raise ValueError(
                f"item {int(silent.argmax())} has no answer, like {int(silent.sum()) - 1} others; drop such items first"
            )

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        return f"Answers({len(self)} answers of {self.workers} annotators about {self.items} items, {self.classes} classes)"

    @classmethod
    def from_table(cls, table: ArrayLike, classes: int) -> Answers:
        """Answers from a table.

        Args:
            table: whole numbers, shape (n, R): the label that an annotator gave to an item, -1 where there is none.
            classes: number of classes K.

        Raises:
            TypeError, ValueError: see the class; or the table has another shape.
        """
        answers = np.asarray(table)
        if answers.ndim != 2 or not answers.size:
            raise ValueError(
                f"answers.shape={answers.shape} must be (items, annotators), with -1 where there is no answer"
            )
        if answers.dtype.kind not in "iu":
            raise TypeError(f"answers.dtype={answers.dtype} must be whole numbers, with -1 where there is no answer")
        if (answers < -1).any():
            place = np.argwhere(answers < -1)[0]
            raise ValueError(f"answers[{place[0]}, {place[1]}] is below -1, which stands for no answer")
        item, worker = np.nonzero(answers != -1)
        return cls(item, worker, answers[item, worker], *answers.shape, classes)

    @cached_property
    def indicator(self) -> sparse.csr_matrix:
        """Which answers an item got, float64 of zeros and ones, shape (n, R K): column r K + l is "annotator r said l"."""
        column = self.worker * self.classes + self.label
        shape = (self.items, self.workers * self.classes)
        return sparse.csr_matrix((np.ones(len(self)), (self.item, column)), shape=shape)

    def votes(self) -> NDArray[np.float64]:
        """How many annotators gave each label to each item, shape (n, K)."""
        cells = np.bincount(self.item * self.classes + self.label, minlength=self.items * self.classes)
        return cells.reshape(self.items, self.classes).astype(np.float64)

    def counted(self, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected counts N[r, k, l] of "annotator r said l of an item of class k", shape (R, K, K), for a posterior (n, K)."""
        counts = self.indicator.T @ posterior
        return counts.reshape(self.workers, self.classes, self.classes).transpose(0, 2, 1)

    def summed(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each item the sum of table[r, :, l] over its answers l of r, shape (n, K), for a table of shape (R, K, K)."""
        return self.indicator @ table.transpose(0, 2, 1).reshape(self.workers * self.classes, self.classes)


def _numbers(values: ArrayLike, name: str, below: int) -> NDArray[np.int64]:
    numbers = np.asarray(values)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise TypeError(f"{name} ({numbers.dtype}, shape {numbers.shape}) must be whole numbers of shape (answers,)")
    wrong = (numbers < 0) | (numbers >= below)
    if wrong.any():
        raise ValueError(f"{name}[{int(wrong.argmax())}] lies outside 0..{below - 1}")
    return numbers.astype(np.int64)
