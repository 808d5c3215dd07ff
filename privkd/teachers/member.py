"""One member of an ensemble, which is asked.

Whatever a member does wrong, in training or when it is asked, is its vote for class 0: whether it happens may depend on one
record, so neither an exception nor a message may tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from privkd.errors import TeacherError
from privkd.networks.prediction import eval_mode
from privkd.teachers.bare_teacher import usable_logits
from privkd.teachers.isolation import answer_or_none, isolated
from privkd.teachers.rehearsal import made_up

MakeModel = Callable[[], Any]
_BATCH = 512
ASKED = 8  # made-up queries that tell whether a member answers at all


@dataclass(frozen=True, slots=True)
class Member:
    """One teacher of an ensemble.

    Attributes:
        model: fitted `nn.Module` or scikit-learn classifier; an int for a teacher that always gives one class.
        classes: number of classes K of the task.
        failed: whether it could not be trained, or cannot answer made-up queries. Private: it may depend on one record.
        codes: what the model's classes 0, 1, ... stand for, where it was fitted on the classes of its shard alone.
    """

    model: Any
    classes: int
    failed: bool = False
    codes: tuple[int, ...] | None = None

    def predict(self, queries: Tensor) -> Tensor:
        """Class per query, int64, shape (n,); 0 for whatever goes wrong."""
        answers = self._tried(queries)
        return torch.zeros(len(queries), dtype=torch.int64) if answers is None else answers

    def tested(self, shape: tuple[int, ...]) -> Member:
        """The same member, marked as failed if it cannot answer made-up queries of this shape."""
        if self.failed or self._tried(made_up(shape, ASKED)) is not None:
            return self
        return Member(self.model, self.classes, failed=True, codes=self.codes)

    def _tried(self, queries: Tensor) -> Tensor | None:
        if isinstance(self.model, int):
            return torch.full((len(queries),), self.model, dtype=torch.int64)
        with isolated(0):
            return answer_or_none(lambda: self._answers(queries))

    def _answers(self, queries: Tensor) -> Tensor | None:
        """Answers to copies of the queries: a model may work in place. Single bad answers are class 0."""
        if isinstance(self.model, nn.Module):
            with eval_mode(self.model), torch.no_grad():
                parts = [self._logits(part.clone()) for part in queries.split(_BATCH)]
            return torch.cat([part.argmax(dim=1) for part in parts])
        answers = _as_classes(self.model.predict(queries.flatten(1).numpy().copy()), len(queries))
        if answers is None:
            return None
        known = len(self.codes) if self.codes is not None else self.classes
        answers = torch.where((answers >= 0) & (answers < known), answers, -1)
        codes = torch.tensor([*(self.codes or range(self.classes)), 0])  # the last one is for answers that are no class
        return codes[answers]

    def _logits(self, queries: Tensor) -> Tensor:
        found = usable_logits(self.model(queries), len(queries), self.classes)
        return torch.zeros(len(queries), self.classes) if found is None else found


def require_answers(model: Any, queries: Tensor, classes: int) -> None:
    """Refuse a model whose answers to made-up queries are no classes.

    Raises:
        TeacherError: they are not; whatever else the model raises is passed on.
    """
    if isinstance(model, nn.Module):
        with eval_mode(model), torch.no_grad():
            output = model(queries)
        if not isinstance(output, Tensor) or output.shape != (len(queries), classes) or not output.is_floating_point():
            shown = (
                f"{output.dtype} of shape {tuple(output.shape)}"
                if isinstance(output, Tensor)
                else type(output).__name__
            )
            raise TeacherError(
                f"the module returned {shown}; logits of shape ({len(queries)}, classes={classes}) are needed"
            )
        return
    answers = np.asarray(model.predict(queries.flatten(1).numpy()))
    if _as_classes(answers, len(queries)) is None:
        raise TeacherError(
            f"predict gave {answers.dtype} of shape {answers.shape}; integer classes of shape ({len(queries)},) are needed (a "
            "regressor will not do)"
        )
    if int(answers.min()) < 0 or int(answers.max()) >= classes:
        raise TeacherError(f"predict gave classes {answers.min()}..{answers.max()}; they must lie in [0, {classes})")


def _as_classes(values: object, rows: int) -> Tensor | None:
    """Whole numbers of shape (rows,) or (rows, 1) as int64, None for anything else."""
    answers = np.asarray(values)
    if answers.shape not in ((rows,), (rows, 1)) or not np.issubdtype(answers.dtype, np.integer):
        return None
    return torch.from_numpy(answers.astype(np.int64).reshape(rows))
