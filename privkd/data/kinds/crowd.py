"""`Crowd`: answers of many annotators, each of whom saw few of the items."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from accountants import check
from privkd.data.kinds.class_labels import Names, label_column
from privkd.data.kinds.column_checks import (
    class_name_problems,
    first_row,
    label_problems,
    refuse,
    require_name,
    require_tensors,
    value_problems,
)
from privkd.data.kinds.crowd_files import read_answers
from privkd.data.kinds.kind import Index, Kind, Path_, class_count
from privkd.data.kinds.stored import load_folder, save_folder
from privkd.data.row_index import row_index

SCHEMA = "privkd.crowd/1"
_MOST = 2**24  # workers, or items without inputs: more look like identifiers


@dataclass(frozen=True, eq=False, repr=False)
class Crowd(Kind, Dataset[dict[str, Any]]):
    """Answers as triplets (item, worker, label); the rows are the items.

    The triplets are kept in the order of items, then workers; the same answer given twice counts once. A worker without any
    answer is legal, an item without one is not: `drop_unanswered` of `from_dense` and `read` leaves such items out.

    Attributes:
        item: row of each answer, int64, shape (m,), 0 to rows - 1.
        worker: who gave it, int64, shape (m,), 0 to workers - 1.
        label: the class that was answered, int64, shape (m,), >= 0.
        rows: number of items n, >= 1.
        workers: number of workers R, >= 1.
        name: what the data are called in reports.
        inputs: float32, shape (n, ...), finite; None if there are answers only.
        truth: true classes, int64, shape (n,), -1 where not known; for evaluation: no batch holds them.
        class_names: distinct names by class index; None if not known. Declares the number of classes.

    Raises:
        TypeError: a field has another type or dtype.
        ValueError: lengths or values are out of range, an item has no answer, or a worker gave one item two different labels; every
            problem is listed, with the position of its first answer or item.

    Example:
        >>> crowd = Crowd.from_dense(torch.tensor([[0, 1, -1], [-1, 1, 1]]), "toy")
        >>> crowd, crowd.classes, crowd.item.tolist()
        (Crowd(name='toy', n=2, workers=3, answers=4), 2, [0, 0, 1, 1])
        >>> Crowd.collate([crowd[1]])["answers"].tolist()
        [[-1, 1, 1]]
    """

    item: Tensor
    worker: Tensor
    label: Tensor
    rows: int
    workers: int
    name: str
    inputs: Tensor | None = None
    truth: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_tensors(torch.int64, item=self.item, worker=self.worker, label=self.label, truth=self.truth)
        require_tensors(torch.float32, inputs=self.inputs)
        require_name(self.name)
        check.integer(rows=self.rows, at_least=1, at_most=_MOST)
        check.integer(workers=self.workers, at_least=1, at_most=_MOST)
        refuse(f"crowd {self.name!r}", _triplet_problems(self) or _beside_problems(self))
        _sort(self)
        refuse(f"crowd {self.name!r}", _answer_problems(self))

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return f"Crowd(name={self.name!r}, n={self.rows}, workers={self.workers}, answers={len(self.item)})"

    @property
    def classes(self) -> int:
        """Number of classes: that of `class_names`, else the largest label + 1, of answers and truth."""
        labels = self.label if self.truth is None else torch.cat([self.label, self.truth])
        return class_count(labels, self.class_names, what=f"crowd {self.name!r}")

    def __getitem__(self, row: int) -> dict[str, Any]:
        """One item: "input" (if there are inputs), the "worker" numbers and their "answer", both int64 (k,), and "workers" (R)."""
        (row,) = row_index([row], n=self.rows).tolist()
        first, last = torch.searchsorted(self.item, torch.tensor([row, row + 1])).tolist()
        here = slice(first, last)
        found = {"worker": self.worker[here], "answer": self.label[here], "workers": self.workers}
        return found if self.inputs is None else {"input": self.inputs[row], **found}

    @staticmethod
    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        """A batch of items: "input" (b, ...) if there are inputs, and "answers", int64 (b, R), -1 where a worker gave none."""
        answers = torch.full((len(rows), rows[0]["workers"]), -1)
        for position, row in enumerate(rows):
            answers[position, row["worker"]] = row["answer"]
        together = {"input": torch.stack([row["input"] for row in rows])} if "input" in rows[0] else {}
        return {**together, "answers": answers}

    def dense(self) -> Tensor:
        """All answers as one table, int64, shape (n, R), -1 where a worker gave none."""
        answers = torch.full((self.rows, self.workers), -1)
        answers[self.item, self.worker] = self.label
        return answers

    @classmethod
    def from_dense(
        cls,
        answers: Tensor,
        name: str,
        *,
        inputs: Tensor | None = None,
        truth: Tensor | None = None,
        class_names: tuple[str, ...] | None = None,
        drop_unanswered: bool = False,
    ) -> Crowd:
        """Answers from a table.

        Args:
            answers: int64, shape (n, R), -1 where a worker gave none.
            name: see the class, as for `inputs`, `truth` and `class_names`.
            inputs: (n, ...).
            truth: (n,).
            class_names: by class index.
            drop_unanswered: leave out the items that nobody answered; later items then move up.

        Raises:
            TypeError, ValueError: as of the class; a number below -1 is refused with its row.
        """
        require_tensors(torch.int64, answers=answers)
        if answers.ndim != 2 or not answers.numel():
            raise ValueError(f"answers.shape={tuple(answers.shape)} must be (n, workers), each at least 1")
        row = first_row(answers < -1)
        if row is not None:
            raise ValueError(f"answers has a number below -1, first in row {row}; -1 means that there is no answer")
        if drop_unanswered:
            answers, inputs, truth = _answered(answers >= 0, answers, inputs, truth)
        item, worker = (answers >= 0).nonzero(as_tuple=True)
        rows, workers = answers.shape
        return cls(item, worker, answers[item, worker], rows, workers, name, inputs, truth, class_names)

    def take(self, index: Index) -> Crowd:
        rows = row_index(index, n=self.rows)
        ends = torch.bincount(self.item, minlength=self.rows).cumsum(0)
        counts = torch.bincount(self.item, minlength=self.rows)[rows]
        starts = ends[rows] - counts
        new_item = torch.arange(len(rows)).repeat_interleave(counts)
        # Position within the row, added to where the row begins.
        inside = torch.arange(len(new_item)) - (counts.cumsum(0) - counts).repeat_interleave(counts)
        old = starts.repeat_interleave(counts) + inside
        names = self.class_names or tuple(map(str, range(self.classes)))
        inputs, truth = (None if one is None else one[rows] for one in (self.inputs, self.truth))
        worker, label = self.worker[old], self.label[old]
        return Crowd(new_item, worker, label, len(rows), self.workers, self.name, inputs, truth, names)

    def save(self, path: Path_) -> None:
        tensors = {
            "item": self.item,
            "worker": self.worker,
            "label": self.label,
            "inputs": self.inputs,
            "truth": self.truth,
        }
        values = {"name": self.name, "class_names": self.class_names, "rows": self.rows, "workers": self.workers}
        save_folder(path, SCHEMA, tensors, values)

    @classmethod
    def load(cls, path: Path_) -> Crowd:
        stored = load_folder(
            path,
            SCHEMA,
            required=("item", "worker", "label"),
            optional=("inputs", "truth"),
            values=("name", "class_names", "rows", "workers"),
        )
        one, numbers = stored.tensors, (stored.whole("rows"), stored.whole("workers"))
        beside = (one.get("inputs"), one.get("truth"), stored.texts("class_names"))
        return cls(one["item"], one["worker"], one["label"], *numbers, stored.text("name"), *beside)

    @classmethod
    def read(
        cls, source: Path_, *, classes: Names = None, part: str | None = None, drop_unanswered: bool = False
    ) -> Crowd:
        """Answers from files.

        Args:
            source: .csv or .tsv with the columns `item`, `worker` and `label` (and others, which are left alone); .npz with
                arrays of these names, or with `answers` (n, R), and, if any, `inputs` and `truth` or `gold`; or a folder that
                `save` wrote. Items and workers are whole numbers that count from 0.
            classes: names of all classes in the order of their indices, which labels that are text need, or numbers that do not
                count from 0; see `privkd.data.load`.
            part: what stands before the names in an .npz, as in `dogs_item`.
            drop_unanswered: leave out the items that nobody answered; later items then move up.

        Raises:
            ValueError: another kind of source, a line that cannot be read (by number), or anything that the class refuses.
            FileNotFoundError: there is nothing at the path.
        """
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {str(path)!r}")
        if path.is_dir():
            return cls.load(path)
        found = read_answers(path, part=part)
        label, names = label_column(found.label, classes, role="label")
        truth = None if found.truth is None else label_column(found.truth, names, role="truth", unlabelled=True)[0]
        inputs, item = found.inputs, found.item
        rows = found.rows or int(item.max()) + 1
        if drop_unanswered:
            refuse(f"crowd {path.stem!r}", _range_problems("item", item, rows))
            answered = torch.bincount(item, minlength=rows) > 0
            item, rows = (answered.cumsum(0) - 1)[item], int(answered.sum())
            inputs, truth = (None if one is None else one[answered] for one in (inputs, truth))
        name, workers = part or path.stem, int(found.worker.max()) + 1
        return cls(item, found.worker, label, rows, workers, name, inputs, truth, names)


def _triplet_problems(crowd: Crowd) -> list[str]:
    shapes = {tuple(one.shape) for one in (crowd.item, crowd.worker, crowd.label)}
    if len(shapes) != 1 or crowd.item.ndim != 1 or not len(crowd.item):
        return [f"item, worker and label have shapes {sorted(shapes)}; each must be (m,), one per answer, m >= 1"]
    problems = _range_problems("item", crowd.item, crowd.rows) + _range_problems("worker", crowd.worker, crowd.workers)
    answer = first_row(crowd.label < 0)
    if answer is not None:
        problems.append(f"label has a negative number, first in answer {answer}; classes count from 0")
    return problems


def _range_problems(role: str, numbers: Tensor, count: int) -> list[str]:
    answer = first_row((numbers < 0) | (numbers >= count))
    return [] if answer is None else [f"{role} has a number outside 0..{count - 1}, first in answer {answer}"]


def _beside_problems(crowd: Crowd) -> list[str]:
    problems = class_name_problems(crowd.class_names)
    if crowd.inputs is not None:
        if crowd.inputs.ndim < 2 or len(crowd.inputs) != crowd.rows or not crowd.inputs.numel():
            problems.append(f"inputs.shape={tuple(crowd.inputs.shape)} must be ({crowd.rows}, ...), one per item")
        else:
            problems += value_problems(crowd.inputs, role="inputs")
    if crowd.truth is not None:
        problems += label_problems(crowd.truth, crowd.class_names, rows=crowd.rows, lowest=-1, role="truth")
    beyond = None if crowd.class_names is None else first_row(crowd.label >= len(crowd.class_names))
    if crowd.class_names and beyond is not None:
        problems.append(
            f"label has a number above {len(crowd.class_names) - 1}, the last of class_names, first in answer {beyond}"
        )
    return problems


def _sort(crowd: Crowd) -> None:
    """Bring the answers into the order of items, workers and labels, and drop repeated ones."""
    triplets = torch.stack([crowd.item, crowd.worker, crowd.label], dim=1).unique(dim=0)
    for column, role in enumerate(("item", "worker", "label")):
        object.__setattr__(crowd, role, triplets[:, column].contiguous())


def _answer_problems(crowd: Crowd) -> list[str]:
    """Items without an answer, and pairs with two: neighbours, as the answers are sorted."""
    problems = []
    item = first_row(torch.bincount(crowd.item, minlength=crowd.rows) == 0)
    if item is not None:
        problems.append(
            f"item {item} has no answer; leave such items out with drop_unanswered=True of a reader, or by hand"
        )
    again = first_row((crowd.item[1:] == crowd.item[:-1]) & (crowd.worker[1:] == crowd.worker[:-1]))
    if again is not None:
        problems.append(
            f"worker {int(crowd.worker[again])} gave item {int(crowd.item[again])} two different labels; keep one of them"
        )
    return problems


def _answered(given: Tensor, *tensors: Tensor | None) -> list[Any]:
    rows = given.any(1)
    return [None if tensor is None else tensor[rows] for tensor in tensors]
