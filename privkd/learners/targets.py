"""What a noisy learner learns from: given labels of any kind as a table of answers, and the channel that they came through."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from privkd.data.kinds.crowd import Crowd
from privkd.data.labels import ClassesGiven, declared_classes
from privkd.learners.channels import as_channel

ChannelOf: TypeAlias = Callable[[Tensor], Tensor]
"""A channel that depends on the input: from inputs (b, ...) to probabilities (b, K, K), or (b, R, K, K) of annotators."""

_SHARES = 1e-3  # by how much soft labels may miss a sum of 1


@dataclass(frozen=True, eq=False)
class Targets:
    """Given labels of n rows, checked.

    Attributes:
        answers: class indices, int64, shape (n, R); -1 where an annotator gave none. Single labels have R = 1; soft ones have R = K
            and the answers 0, 1, ... K-1 in every row.
        classes: what the classes are called, by index, shape (K,).
        weights: of the answers, float32, shape (n, R): the shares of soft labels; None for 1 each.
        is_crowd: whether the answers are those of annotators.
    """

    answers: Tensor
    classes: np.ndarray
    weights: Tensor | None = None
    is_crowd: bool = False

    def __len__(self) -> int:
        return len(self.answers)

    def channel(self, value: object) -> Tensor:
        """A given channel as float32 that fits the answers: (K, K), (R, K, K) for a crowd, or (n, R, K, K) for rows of their own.

        Args:
            value: (K, K); (n, K, K) for single labels; (R, K, K) or (n, R, K, K) for a crowd.

        Raises:
            ValueError: no probabilities, or another shape.
        """
        given, classes = as_channel(value), len(self.classes)
        rows, annotators = self.answers.shape
        square = (classes, classes)
        allowed = (
            [square, (annotators, *square), (rows, annotators, *square)] if self.is_crowd else [square, (rows, *square)]
        )
        if given.shape not in allowed:
            raise ValueError(
                f"channel.shape={given.shape} does not fit {rows} rows and {classes} classes; allowed are "
                f"{', '.join(map(str, allowed))}"
            )
        tensor = torch.from_numpy(given).float()
        return tensor[:, None] if given.ndim == 3 and not self.is_crowd else tensor


def targets_of(y: Any, classes: ClassesGiven | None, *, rows: int, channel_classes: int | None = None) -> Targets:
    """Given labels as targets.

    Args:
        y: labels of any kind, shape (n,); a `Crowd`; whole numbers, shape (n, R), -1 where an annotator gave none; or shares of the
            classes, floating, shape (n, K), whose rows sum to 1.
        classes: number of classes, or what they are called in the order of their indices; None for those that are there.
        rows: n, of the inputs.
        channel_classes: K of a given channel: whole numbers are then the classes 0..K-1 without `classes`.

    Raises:
        TypeError: labels that are no classes.
        ValueError: another number of rows, a label that is no class (its position is named), an item that nobody answered, shares
            that are none, or fewer than two classes.
    """
    names = None if classes is None else declared_classes(classes)
    known = None if names is None else np.array(names.labels if names.labels is not None else range(names.count))
    if isinstance(y, Crowd):
        found = _crowd(y, known)
    else:
        values = np.asarray(y)
        if known is None and channel_classes is not None and values.dtype.kind in "iu":
            known = np.arange(channel_classes)
        if values.ndim == 2 and values.dtype.kind == "f":
            found = _soft(values, known)
        elif values.ndim == 2:
            found = _table(values, known)
        else:
            found = _single(values, known)
    if len(found) != rows:
        raise ValueError(f"X has {rows} rows and y has {len(found)}; give one label, or row of answers, per row")
    _warn_of_absent(found)
    return found


def _single(values: np.ndarray, known: np.ndarray | None) -> Targets:
    if values.ndim != 1 or not len(values):
        raise ValueError(f"y.shape={values.shape} must be (n,), (n, annotators) or (n, classes), with n >= 1")
    if values.dtype.kind == "f":
        wrong = ~np.isfinite(values) | (values != np.round(values))
        if wrong.any():
            raise ValueError(
                f"y[{int(wrong.argmax())}] is NaN, infinite or has a fraction; classes are whole numbers or names"
            )
    elif values.dtype.kind not in "biuUSO":
        raise TypeError(f"y.dtype={values.dtype}; classes are whole numbers, booleans or names")
    names = np.unique(values) if known is None else known
    if len(names) < 2:
        raise ValueError("y holds a single class; declare how many there are: classes=2, for example")
    order = np.argsort(names)
    place = np.clip(np.searchsorted(names, values, sorter=order), 0, len(names) - 1)
    wrong = names[order[place]] != values
    if wrong.any():
        raise ValueError(
            f"y[{int(wrong.argmax())}] is none of the {len(names)} classes; declare all of them in classes=, or drop the row"
        )
    return Targets(torch.from_numpy(order[place].astype(np.int64))[:, None], names)


def _table(values: np.ndarray, known: np.ndarray | None) -> Targets:
    if values.dtype.kind not in "iu":
        raise TypeError(f"y.dtype={values.dtype}; answers of annotators are whole numbers, -1 where there is none")
    names = None if known is None else tuple(map(str, known))
    crowd = Crowd.from_dense(torch.from_numpy(values.astype(np.int64)), "y", class_names=names)
    return _crowd(crowd, known)


def _crowd(crowd: Crowd, known: np.ndarray | None) -> Targets:
    names = np.array(crowd.class_names or range(crowd.classes)) if known is None else known
    if len(names) < 2:
        raise ValueError("the answers hold a single class; declare how many there are: classes=2, for example")
    wrong = crowd.label >= len(names)
    if wrong.any():
        place = int(wrong.int().argmax())
        raise ValueError(
            f"the answer of worker {int(crowd.worker[place])} to item {int(crowd.item[place])} is no class of 0..{len(names) - 1}"
        )
    return Targets(crowd.dense(), names, is_crowd=True)


def _soft(values: np.ndarray, known: np.ndarray | None) -> Targets:
    names = np.arange(values.shape[1]) if known is None else known
    if values.shape[1] != len(names) or len(names) < 2:
        raise ValueError(
            f"y.shape={values.shape} holds shares, which need a column for each of the {len(names)} classes, at least 2"
        )
    wrong = ~np.isfinite(values).all(axis=1) | (values < 0).any(axis=1) | (abs(values.sum(axis=1) - 1.0) > _SHARES)
    if wrong.any():
        raise ValueError(
            f"y[{int(wrong.argmax())}] does not sum to 1, or holds what is no share; soft labels are probabilities"
        )
    answers = torch.arange(len(names)).repeat(len(values), 1)
    return Targets(answers, names, torch.from_numpy(values.astype(np.float32)))


def _warn_of_absent(targets: Targets) -> None:
    seen = targets.answers if targets.weights is None else targets.answers[targets.weights > 0]
    absent = np.bincount(seen[seen >= 0].numpy(), minlength=len(targets.classes)) == 0
    if absent.any():
        warnings.warn(
            f"nobody gave class {targets.classes[absent.argmax()]}; it will hardly be predicted",
            UserWarning,
            stacklevel=4,
        )
