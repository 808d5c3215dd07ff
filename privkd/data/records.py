"""`Records`: inputs and labels that were checked once, so that nothing after them checks again."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from privkd.data.row_index import row_index


@dataclass(frozen=True, eq=False, repr=False)
class Records:
    """A checked set of records, each one input with at most one label.

    Nothing is cast, scaled or reshaped here: `privkd.data.load` does that, and says how. Build one directly
    for shapes that `load` reads differently, e.g. sequences (n, steps, d).

    Attributes:
        inputs: float32, shape (n, ...), n >= 1, at least one dimension per record, all values finite.
        labels: class index of each record, int64, shape (n,), >= 0; None for unlabelled records.
        name: what the records are called in reports.
        class_names: distinct names by class index; None if not known. Declares the number of classes.
        names_counted: whether `class_names` are numbers up to the largest label of records that declared none, which one record
            more may move; `take` sets it.
        names_found: whether `class_names` were read off the labels and sorted. One record more may then move the class index of
            every other record, so wherever records are private, their classes have to be declared.

    Raises:
        TypeError: a field has another type or dtype.
        ValueError: shapes, lengths or values are out of range; the message lists every problem found.

    Example:
        >>> records = Records(torch.zeros(3, 2), torch.tensor([0, 1, 1]), "toy")
        >>> len(records), records.shape, records.classes
        (3, (2,), 2)
    """

    inputs: Tensor
    labels: Tensor | None
    name: str
    class_names: tuple[str, ...] | None = None
    names_found: bool = False
    names_counted: bool = False

    def __post_init__(self) -> None:
        _check_types(self)
        problems = _input_problems(self.inputs)
        if self.labels is not None:
            problems += _label_problems(self.labels, inputs=self.inputs)
        if self.class_names is not None:
            problems += name_problems(self.class_names, labels=self.labels)
        if problems:
            raise ValueError(f"records {self.name!r} cannot be used:\n  - " + "\n  - ".join(problems))

    def __len__(self) -> int:
        return self.inputs.shape[0]

    def __repr__(self) -> str:
        # Counts and shapes only: a repr ends up in logs, and the records may be private.
        labels = "no labels" if self.labels is None else "labelled"
        return f"Records(name={self.name!r}, n={len(self)}, shape={self.shape}, {labels})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, without the leading n."""
        return tuple(self.inputs.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes: that of `class_names`, else the largest label + 1.

        The second is read off the data and so is not private; declare `class_names` where that matters.

        Raises:
            ValueError: the records have neither class names nor labels.
        """
        if self.class_names is not None:
            return len(self.class_names)
        if self.labels is None:
            raise ValueError(
                f"records {self.name!r} have labels=None and class_names=None, so their number of classes is "
                "unknown; give class_names or take the number from the labelled records"
            )
        return int(self.labels.max()) + 1

    def columns(self) -> dict[str, Tensor]:
        """The inputs as column "input" and, where there are some, the labels as "label"; see `privkd.data.Columns`."""
        return {"input": self.inputs} | ({} if self.labels is None else {"label": self.labels})

    def take(self, index: Tensor | np.ndarray | Sequence[int]) -> "Records":
        """The records at `index`, in that order, as a copy.

        The number of classes stays: labelled records without class names get the class numbers as names,
        because a part that happens to miss the last class must not be mistaken for a smaller problem.

        Args:
            index: integers in [0, n), shape (m,), m >= 1, or a boolean mask of shape (n,). An index given
                twice gives the record twice; whoever counts records then counts two.

        Returns:
            m records of the same name.

        Raises:
            TypeError: index holds neither integers nor booleans.
            ValueError: index is empty, not one-dimensional, or a mask of another length.
            IndexError: an index lies outside [0, n); negative ones do not count from the end.
        """
        rows = row_index(index, n=len(self)).to(self.inputs.device)
        labels, class_names, is_counted = self.labels, self.class_names, self.names_counted
        if labels is not None:
            is_counted = is_counted or class_names is None
            class_names = class_names or tuple(str(number) for number in range(self.classes))
            labels = labels[rows]
        return Records(self.inputs[rows], labels, self.name, class_names, self.names_found, is_counted)


def _check_types(records: Records) -> None:
    advice = "; privkd.data.load((inputs, labels)) converts arrays"
    if not isinstance(records.inputs, Tensor):
        raise TypeError(f"inputs={type(records.inputs).__name__} must be a float32 torch.Tensor{advice}")
    if records.inputs.dtype != torch.float32:
        raise TypeError(f"inputs.dtype={records.inputs.dtype} must be torch.float32{advice}")
    if records.labels is not None:
        if not isinstance(records.labels, Tensor):
            raise TypeError(f"labels={type(records.labels).__name__} must be an int64 torch.Tensor or None{advice}")
        if records.labels.dtype != torch.int64:
            raise TypeError(f"labels.dtype={records.labels.dtype} must be torch.int64{advice}")
    if not isinstance(records.name, str):
        raise TypeError(f"name={records.name!r} must be a string")
    names = records.class_names
    if names is not None and not (isinstance(names, tuple) and all(isinstance(name, str) for name in names)):
        raise TypeError(f"class_names={names!r} must be a tuple of strings or None")
    for name in ("names_found", "names_counted"):
        if not isinstance(getattr(records, name), bool):
            raise TypeError(f"{name}={getattr(records, name)!r} must be True or False")


def _input_problems(inputs: Tensor) -> list[str]:
    shape = tuple(inputs.shape)
    if inputs.numel() == 0:
        return [f"inputs.shape={shape} is empty; at least one record with at least one value is needed"]
    if inputs.ndim < 2:
        return [f"inputs.shape={shape} must be (n, ...) with n records; one number per record is (n, 1)"]
    if inputs.requires_grad:
        return ["inputs.requires_grad=True, but records are data; use inputs.detach()"]
    if not torch.isfinite(inputs).all():
        # Which and how many is not said: the message may end in a log, and the records may be private.
        return [
            "inputs has records with NaN, infinity or values beyond float32 (3.4e38); "
            "torch.isfinite(inputs).flatten(1).all(1) tells which are usable: drop or repair the others"
        ]
    return []


def _label_problems(labels: Tensor, *, inputs: Tensor) -> list[str]:
    if labels.ndim != 1:
        shape = tuple(labels.shape)
        return [f"labels.shape={shape} must be (n,), one class index per record; one-hot rows need argmax"]
    problems = []
    if inputs.ndim > 0 and len(labels) != len(inputs):
        problems.append(f"inputs has {len(inputs)} records but labels has {len(labels)}; each record needs its label")
    if labels.device != inputs.device:
        problems.append(f"labels.device={labels.device} differs from inputs.device={inputs.device}")
    if (labels < 0).any():
        problems.append(
            "labels has negative numbers, but classes count from 0; drop records without a class, or renumber"
        )
    return problems


def require_declared_names(records: Records, *, cure: str) -> None:
    """Refuse private records whose class indices depend on which labels are there.

    Args:
        records: private records.
        cure: what to do, as the end of a sentence.

    Raises:
        ValueError: their class names were found in their labels; no name is quoted.
    """
    if records.names_found:
        raise ValueError(
            f"records {records.name!r} are private, but the names of their classes were found in their labels, so that one record "
            f"more may move the class index of every other record; {cure}"
        )


def name_problems(class_names: tuple[str, ...], *, labels: Tensor | None) -> list[str]:
    """What is wrong with the names of classes, alone and beside labels (int64); nothing: an empty list."""
    problems = []
    if not class_names:
        problems.append("class_names=() is empty; give one name per class, or None")
    if len(set(class_names)) != len(class_names):
        repeated = sorted({name for name in class_names if class_names.count(name) > 1})
        problems.append(f"class_names repeats {repeated}; names must be distinct")
    if class_names and labels is not None and (labels >= len(class_names)).any():
        problems.append(
            f"labels has numbers above {len(class_names) - 1}, but class_names has {len(class_names)} names"
        )
    return problems
