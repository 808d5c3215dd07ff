"""Labels of a file as class indices: text by declared names, whole numbers as they are, -1 where a row has none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from privkd.data.labels import named_indices, whole_numbers

Names = Sequence[str] | str | None


def label_column(
    values: np.ndarray, classes: Names, *, role: str = "labels", unlabelled: bool = False
) -> tuple[Tensor, tuple[str, ...] | None]:
    """Class indices and the names of the classes.

    Args:
        values: labels as read, shape (n,) or (n, 1): text, booleans or whole numbers, also as floats.
        classes: names of all classes in the order of their indices, which text needs; "found" takes the names that are there, for
            public data alone; None for whole numbers.
        role: what to call the labels in an error.
        unlabelled: whether -1, or an empty text, stands for a row without a label.

    Returns:
        int64, shape (n,), and the names or None.

    Raises:
        TypeError, ValueError: as of `privkd.data.labels.named_indices`; no label is quoted.

    Example:
        >>> label_column(np.array(["cat", "", "dog"]), ["dog", "cat"], unlabelled=True)
        (tensor([ 1, -1,  0]), ('dog', 'cat'))
    """
    column = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    given = np.ones(column.shape, dtype=bool)
    if unlabelled and column.ndim == 1:
        given = column != "" if column.dtype.kind == "U" else whole_numbers(column, role=role) != -1
    if not given.any():
        names = None if classes is None or classes == "found" else tuple(classes)
        return torch.full((len(column),), -1), names
    indices, names, _ = named_indices(column[given] if column.ndim == 1 else column, classes, role=role)
    labels = np.full(len(column), -1, dtype=np.int64)
    labels[given] = indices
    return torch.from_numpy(labels), names
