"""Files with the answers of many annotators: tables and archives of triplets, and dense archives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from privkd.data.archives import array_names, read_arrays
from privkd.data.arrays import input_tensor
from privkd.data.bounds import require_regular
from privkd.data.kinds.tables import numbers_or_text, read_table, whole_column
from privkd.data.labels import whole_numbers

_MOST = 2**24  # items: larger numbers are identifiers


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers as a file has them.

    Attributes:
        item: int64, shape (m,).
        worker: int64, shape (m,).
        label: as stored, shape (m,): text or numbers.
        inputs: float32, shape (n, ...), or None.
        truth: as stored, shape (n,), or None.
        rows: number of items where the file says it, else 0.
    """

    item: Tensor
    worker: Tensor
    label: np.ndarray
    inputs: Tensor | None = None
    truth: np.ndarray | None = None
    rows: int = 0


def read_answers(path: Path, *, part: str | None) -> Answers:
    """Answers of a file, see `Crowd.read`.

    Raises:
        ValueError: another kind of file, columns or arrays that are missing, lengths that differ, or a line that cannot be read.
    """
    require_regular(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        found = _archive(path, part)
    elif suffix in (".csv", ".tsv") and part is None:
        table = read_table(path, ("item", "worker", "label"))
        item, worker = (whole_column(table[role], role=role, path=path) for role in ("item", "worker"))
        found = Answers(item, worker, numbers_or_text(table["label"]))
    else:
        raise ValueError(f"{path} is read as .csv, .tsv or .npz; part={part!r} belongs to .npz alone")
    lengths = {len(found.item), len(found.worker), len(found.label)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"{path}: item, worker and label have {sorted(lengths)} answers; each answer needs all three")
    for role, numbers in (("item", found.item), ("worker", found.worker)):
        if int(numbers.min()) < 0 or int(numbers.max()) >= _MOST:
            raise ValueError(f"{path}: {role} has numbers outside 0..{_MOST - 1}; renumber them from 0")
    return found


def _archive(path: Path, part: str | None) -> Answers:
    before = "" if part is None else f"{part}_"
    roles = ("item", "worker", "label", "answers", "inputs", "truth", "gold")
    required = ("answers",) if f"{before}answers" in array_names(path) else ("item", "worker", "label")
    stored = read_arrays(path, [before + role for role in required], [before + role for role in roles])
    found = {name.removeprefix(before): array for name, array in stored.items()}
    if "truth" in found and "gold" in found:
        raise ValueError(f"{path} has both truth and gold; keep one of them")
    inputs = input_tensor(found["inputs"], role="inputs") if "inputs" in found else None
    truth = found.get("truth", found.get("gold"))
    rows = next((len(one) for one in (inputs, truth) if one is not None), 0)
    if "answers" in found:
        answers = found["answers"]
        if answers.ndim != 2 or answers.dtype.kind not in "iu" or not answers.size or (answers < -1).any():
            raise ValueError(f"{path}: answers must be whole numbers (n, workers), -1 where there is no answer")
        item, worker = (torch.from_numpy(one) for one in np.nonzero(answers >= 0))
        return Answers(item, worker, answers[item.numpy(), worker.numpy()], inputs, truth, len(answers))
    for role in ("item", "worker", "label"):
        if found[role].ndim != 1:
            raise ValueError(f"{path}: {role} has shape {found[role].shape}; it must be (m,), one per answer")
    item, worker = (torch.from_numpy(whole_numbers(found[role], role=role)) for role in ("item", "worker"))
    return Answers(item, worker, found["label"], inputs, truth, rows)
