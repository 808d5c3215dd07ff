"""What a step is given: rows drawn together, and what they are drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import Tensor
from torch.utils.data import Dataset

from privkd.data.records import Records


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows drawn together.

    Attributes:
        index: position of each row in the data, int64, shape (b,).
        tensors: the same rows of every data tensor, on the device of the run.
        beside: batches of the data sets beside the main one, by name, for example unlabelled rows.
    """

    index: Tensor
    tensors: tuple[Tensor, ...]
    beside: Mapping[str, Batch] = field(default_factory=dict)


Data: TypeAlias = "tuple[Tensor, ...] | Records | Dataset[Any]"
"""Tensors with a common number of rows, checked records, or a data set with a length."""
