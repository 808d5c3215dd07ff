"""Candidate sets for randomized response: which classes an answer may be, chosen WITHOUT the private answer.

If the set came from the teacher's own answer, the set itself would reveal it (infinite epsilon), so a set
can be built from public or already released values only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from accountants import check
from privkd.errors import SupportLeakError
from privkd.mechanisms.private_value import Private
from privkd.plain import make_plain


@dataclass(frozen=True, slots=True, eq=False)
class CandidateSets:
    """One set of k distinct candidate classes per query.

    Attributes:
        classes: int64, shape (n, k), k >= 1, no repeats in a row.
        total: number of classes K of the task, >= 2.
    """

    classes: Tensor
    total: int

    def __post_init__(self) -> None:
        make_plain(self)
        if isinstance(self.classes, Private):
            raise _leak(self.classes)
        check.integer(total=self.total, at_least=2)
        if self.classes.dim() != 2 or self.classes.dtype != torch.int64:
            raise ValueError(
                f"classes must be int64 of shape (queries, k), got {self.classes.dtype} {tuple(self.classes.shape)}"
            )
        if self.classes.shape[1] < 1 or self.classes.shape[1] > self.total:
            raise ValueError(f"k={self.classes.shape[1]} candidates; allowed are 1 to total={self.total}")
        ordered = self.classes.sort(dim=1).values
        if len(ordered) and (int(ordered.min()) < 0 or int(ordered.max()) >= self.total):
            raise ValueError(f"candidate classes must lie in [0, {self.total}), got {ordered.min()}..{ordered.max()}")
        if (ordered[:, 1:] == ordered[:, :-1]).any():
            row = int((ordered[:, 1:] == ordered[:, :-1]).any(dim=1).nonzero()[0])
            raise ValueError(f"candidate set of query {row} repeats a class: {self.classes[row].tolist()}")

    @classmethod
    def everything(cls, n: int, total: int) -> CandidateSets:
        """All classes for each of n queries."""
        return cls(torch.arange(total).repeat(n, 1), total)

    @classmethod
    def most_likely(cls, prior: Tensor | Private, k: int) -> CandidateSets:
        """The k most likely classes under a public prior.

        Args:
            prior: probabilities or logits of the STUDENT (or any public or released score), shape (n, K).
            k: set size, 1 <= k <= K.

        Raises:
            SupportLeakError: the prior is a private value, such as the teacher's output.
        """
        if isinstance(prior, Private):
            raise _leak(prior)
        check.integer(k=k, at_least=1, at_most=prior.shape[1])
        return cls(prior.topk(k, dim=1).indices, prior.shape[1])

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def k(self) -> int:
        """Number of candidates per query."""
        return self.classes.shape[1]


def _leak(value: Private) -> SupportLeakError:
    return SupportLeakError(
        f"candidate sets were asked from {value.origin}, which is private: the set would reveal the answer (infinite "
        "epsilon). Use the student's prediction, a public prior, or earlier released answers"
    )
