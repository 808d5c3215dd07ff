"""Answers of a crowd as one sparse matrix, so that sums over the answers of items and of annotators are products with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from privkd.data.kinds.crowd import Crowd


@dataclass(frozen=True, eq=False)
class AnswerMatrix:
    """Which answers each item got.

    Attributes:
        cells: zeros and ones, float64, shape (n, R K): column r K + l says "annotator r answered l".
        items: number of items n.
        workers: number of annotators R.
        classes: number of classes K.
    """

    cells: sparse.csr_matrix
    items: int
    workers: int
    classes: int

    @classmethod
    def of(cls, crowd: Crowd) -> AnswerMatrix:
        """The matrix of a crowd's answers.

        Raises:
            ValueError: the crowd has a single class.
        """
        classes = crowd.classes
        if classes < 2:
            raise ValueError(f"crowd {crowd.name!r} has a single class; give it class_names, at least 2")
        item, worker, label = (tensor.cpu().numpy() for tensor in (crowd.item, crowd.worker, crowd.label))
        shape = (len(crowd), crowd.workers * classes)
        cells = sparse.csr_matrix((np.ones(len(item)), (item, worker * classes + label)), shape)
        return cls(cells, len(crowd), crowd.workers, classes)

    def votes(self) -> NDArray[np.float64]:
        """How many annotators gave each label to each item, shape (n, K)."""
        return self.summed(np.tile(np.eye(self.classes), (self.workers, 1, 1)))

    def counted(self, posterior: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected counts N[r, k, l] of "annotator r said l of an item of class k", shape (R, K, K), for a posterior (n, K)."""
        counts = self.cells.T @ posterior
        return counts.reshape(self.workers, self.classes, self.classes).transpose(0, 2, 1)

    def summed(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """For each item the sum of table[r, :, l] over its answers l of r, shape (n, K), for a table of shape (R, K, K)."""
        return self.cells @ table.transpose(0, 2, 1).reshape(self.workers * self.classes, self.classes)
