"""`Skeletons`: moving bodies as the positions of their joints, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from privkd.data.archives import array_names, read_arrays
from privkd.data.bounds import require_modest, require_regular
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
from privkd.data.kinds.kind import Index, Kind, Path_, class_count, kept_names
from privkd.data.kinds.stored import load_folder, save_folder
from privkd.data.labels import whole_numbers
from privkd.data.row_index import row_index

SCHEMA = "privkd.skeletons/1"
Edges = tuple[tuple[int, int], ...]


def _edges(first: str, second: str, *, base: int = 0) -> Edges:
    pairs = zip(map(int, first.split()), map(int, second.split()), strict=True)
    return tuple((a - base, b - base) for a, b in pairs)


# Bones of the sets that are read often, each body a tree. Joints count from 0.
GRAPHS: dict[str, Edges] = {
    "kinect-20": _edges(
        "0 1 2 2 4 5 6 2 8 9 10 0 12 13 14 0 16 17 18", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"
    ),
    "msr-action3d": _edges(
        "20 1 2 1 8 10 2 9 11 3 4 7 7 5 14 16 6 15 17", "3 3 3 8 10 12 9 11 13 4 7 5 6 14 16 18 15 17 19", base=1
    ),
    "jhmdb-15": _edges("0 0 0 0 1 1 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10 11 12 13 14"),
}


@dataclass(frozen=True, eq=False, repr=False)
class Skeletons(Kind):
    """Sequences of joint positions with a class each.

    Attributes:
        joints: float32, finite, shape (n, T, J, d), d = 2 or 3; frames beyond the length of a row are zero.
        lengths: frames of each row, int64, shape (n,), 1 to T.
        labels: class of each row, int64, shape (n,), >= 0; None if not known.
        name: what the data are called in reports.
        edges: bones as pairs of joints, 0 to J - 1; empty if the graph of the body is not known.
        subjects: who moved, int64, shape (n,), >= 0; None if not known.
        class_names: distinct names by class index; None if not known. Declares the number of classes.

    Raises:
        TypeError: a field has another type or dtype.
        ValueError: shapes, lengths or values are out of range; every problem is listed, with the position of its first row.

    Example:
        >>> data = Skeletons(torch.zeros(2, 5, 3, 2), torch.tensor([5, 4]), torch.tensor([0, 1]), "toy", ((0, 1), (1, 2)))
        >>> data, data.classes
        (Skeletons(name='toy', n=2, frames=5, joints=3, dimensions=2, bones=2), 2)
    """

    is_padded: ClassVar[bool] = True

    joints: Tensor
    lengths: Tensor
    labels: Tensor | None
    name: str
    edges: Edges = ()
    subjects: Tensor | None = None
    class_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        require_tensors(torch.float32, joints=self.joints)
        require_tensors(torch.int64, lengths=self.lengths, labels=self.labels, subjects=self.subjects)
        require_name(self.name)
        what, shape = f"skeletons {self.name!r}", tuple(self.joints.shape)
        if len(shape) != 4 or shape[3] not in (2, 3) or not self.joints.numel():
            refuse(what, [f"joints.shape={shape} must be (n, frames, joints, 2 or 3)"])
        problems = value_problems(self.joints, role="joints") + _length_problems(self.joints, self.lengths)
        problems += class_name_problems(self.class_names) + _edge_problems(self.edges, shape[2])
        if self.labels is not None:
            problems += label_problems(self.labels, self.class_names, rows=shape[0])
        if self.subjects is not None:
            problems += label_problems(self.subjects, None, rows=shape[0], role="subjects")
        refuse(what, problems)

    def __len__(self) -> int:
        return self.joints.shape[0]

    def __repr__(self) -> str:
        n, frames, joints, dimensions = self.joints.shape
        shape = f"n={n}, frames={frames}, joints={joints}, dimensions={dimensions}, bones={len(self.edges)}"
        return f"Skeletons(name={self.name!r}, {shape})"

    @property
    def classes(self) -> int:
        """Number of classes: that of `class_names`, else the largest label + 1."""
        return class_count(self.labels, self.class_names, what=f"skeletons {self.name!r}")

    def columns(self) -> dict[str, Tensor]:
        """The columns "skeleton" (n, T, J, d), "length" and, where they are known, "label" and "subject"."""
        known = {"label": self.labels, "subject": self.subjects}
        found = {name: column for name, column in known.items() if column is not None}
        return {"skeleton": self.joints, "length": self.lengths, **found}

    def take(self, index: Index) -> Skeletons:
        rows = row_index(index, n=len(self))
        labels, subjects = (None if one is None else one[rows] for one in (self.labels, self.subjects))
        names = kept_names(self.labels, self.class_names)
        return Skeletons(self.joints[rows], self.lengths[rows], labels, self.name, self.edges, subjects, names)

    def groups(self, by: str) -> Tensor:
        """Groups of rows: "subject".

        Raises:
            ValueError: another name, or the subjects are not known.
        """
        if by != "subject" or self.subjects is None:
            known = "are not known" if self.subjects is None else "are known"
            raise ValueError(f"by={by!r} must be 'rows' or 'subject'; the subjects {known}")
        return self.subjects

    def save(self, path: Path_) -> None:
        tensors = {"joints": self.joints, "lengths": self.lengths, "labels": self.labels, "subjects": self.subjects}
        tensors["edges"] = torch.tensor(self.edges, dtype=torch.int64).reshape(-1, 2)
        save_folder(path, SCHEMA, tensors, {"name": self.name, "class_names": self.class_names})

    @classmethod
    def load(cls, path: Path_) -> Skeletons:
        required, optional = ("joints", "lengths", "edges"), ("labels", "subjects")
        stored = load_folder(path, SCHEMA, required=required, optional=optional, values=("name", "class_names"))
        one = stored.tensors
        edges = _edge_pairs(one["edges"].numpy(), what=str(path))
        beside = (edges, one.get("subjects"), stored.texts("class_names"))
        return cls(one["joints"], one["lengths"], one.get("labels"), stored.text("name"), *beside)

    @classmethod
    def read(
        cls, source: Path_, *, edges: str | Sequence[Sequence[int]] | None = None, classes: Names = None
    ) -> Skeletons:
        """Sequences from a file.

        Args:
            source: an .npz with `joints` (frames of all sequences, J, d) and `offsets` (n + 1,), so that sequence k is
                `joints[offsets[k]:offsets[k + 1]]`, or with `joints` (n, T, J, d) and `lengths` (n,); and, if any, `labels` or
                `action`, `subject`, `edges` (bones, 2) and `action_names`; or a folder that `save` wrote.
            edges: bones, counted from 0, or the name of a known body: "kinect-20", "msr-action3d" or "jhmdb-15". None takes those
                of the file, if any.
            classes: names of all classes in the order of their indices; None takes `action_names` of the file, if any.

        Raises:
            ValueError: another kind of source, an unknown body, or anything that the constructor refuses.
            FileNotFoundError: there is nothing at the path.
        """
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"no file or folder {str(path)!r}")
        if path.is_dir():
            return cls.load(path)
        require_regular(path)
        if path.suffix.lower() != ".npz":
            raise ValueError(f"{path} is no .npz archive of joints")
        if isinstance(edges, str) and edges not in GRAPHS:
            raise ValueError(
                f"edges={edges!r} is no known body; known: {', '.join(sorted(GRAPHS))}. Or give pairs of joints"
            )
        return _from_archive(path, edges, classes)


def _length_problems(joints: Tensor, lengths: Tensor) -> list[str]:
    rows, frames = joints.shape[:2]
    if tuple(lengths.shape) != (rows,):
        return [f"lengths.shape={tuple(lengths.shape)} must be ({rows},), the frames of each row"]
    row = first_row((lengths < 1) | (lengths > frames))
    if row is not None:
        return [f"lengths has a number outside 1..{frames}, first in row {row}"]
    padding = torch.arange(frames) >= lengths[:, None]
    row = first_row(padding & (joints != 0).flatten(2).any(2))
    return [] if row is None else [f"joints beyond the length of a row must be zero; they are not in row {row}"]


def _edge_problems(edges: Edges, joints: int) -> list[str]:
    for position, edge in enumerate(edges):
        if len(edge) != 2 or edge[0] == edge[1] or not all(0 <= joint < joints for joint in edge):
            return [f"edges[{position}]={edge} must be two different joints of 0..{joints - 1}"]
    distinct = {frozenset(edge) for edge in edges}
    return [] if len(distinct) == len(edges) else ["edges has one bone twice"]


def _edge_pairs(edges: object, *, what: str) -> Edges:
    pairs = np.asarray(edges)
    if pairs.size == 0:
        return ()
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
        raise ValueError(
            f"{what}: edges of shape {pairs.shape} and dtype {pairs.dtype} must be whole numbers (bones, 2)"
        )
    return tuple((int(a), int(b)) for a, b in pairs)


def _from_archive(path: Path, edges: str | Sequence[Sequence[int]] | None, classes: Names) -> Skeletons:
    named = array_names(path)
    if "labels" in named and "action" in named:
        raise ValueError(f"{path} has both labels and action; keep one of them")
    required = ("joints", "offsets" if "offsets" in named else "lengths")
    found = read_arrays(path, required, ("labels", "action", "subject", "edges", "action_names"))
    joints = found["joints"]
    if joints.dtype.kind != "f":
        raise ValueError(f"{path}: joints.dtype={joints.dtype}; positions are floats")
    if "offsets" in found:
        padded, lengths = _padded(joints, whole_numbers(found["offsets"], role="offsets"), path)
    else:
        padded, lengths = joints, whole_numbers(found["lengths"], role="lengths")
    if edges is None:
        edges = _edge_pairs(found.get("edges", ()), what=str(path))
    bones = GRAPHS[edges] if isinstance(edges, str) else _edge_pairs(edges, what="edges=")
    if classes is None and "action_names" in found:
        classes = [str(name) for name in found["action_names"].ravel()]
    actions, labels, names = found.get("labels", found.get("action")), None, None
    if actions is not None:
        labels, names = label_column(actions, classes)
    subjects = torch.from_numpy(whole_numbers(found["subject"], role="subject")) if "subject" in found else None
    values = torch.from_numpy(np.array(padded, dtype=np.float32))
    return Skeletons(values, torch.from_numpy(lengths), labels, path.stem, bones, subjects, names)


def _padded(joints: np.ndarray, offsets: np.ndarray, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Concatenated sequences, each in a row of its own, with zeros behind it."""
    if joints.ndim != 3 or offsets.ndim != 1 or len(offsets) < 2:
        raise ValueError(f"{path}: joints {joints.shape} must be (frames, J, d), and offsets {offsets.shape} (n + 1,)")
    lengths = np.diff(offsets)
    if offsets[0] != 0 or offsets[-1] != len(joints) or (lengths < 1).any():
        row = next(iter(np.flatnonzero(lengths < 1)), None)
        what = "" if row is None else f"; sequence {row} has none"
        raise ValueError(f"{path}: offsets must grow from 0 to the {len(joints)} frames of joints{what}")
    shape = (len(lengths), int(lengths.max()), *joints.shape[1:])
    # One very long sequence among many short ones would ask for far more memory than the file has.
    require_modest(prod(shape) * 4, stored=path.stat().st_size, what=f"{path} as {shape}")
    padded = np.zeros(shape, dtype=np.float32)
    for row, (first, last) in enumerate(pairwise(offsets.tolist())):
        padded[row, : last - first] = joints[first:last]
    return padded, lengths.astype(np.int64)
