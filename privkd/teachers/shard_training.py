"""Training and asking one member of an ensemble. Nothing here may look beyond the shard that it is given."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from privkd.errors import TeacherError
from privkd.teachers.bare import checked_logits
from privkd.trainer import Batch, Task, Trainer, seeded

_STEPS = 300
_LEARNING_RATE = 2e-3


@dataclass(frozen=True, slots=True)
class Member:
    """One teacher of an ensemble.

    Attributes:
        model: fitted `nn.Module` or scikit-learn classifier; an int for a shard that holds one class only.
        classes: number of classes K of the task.
    """

    model: Any
    classes: int

    def predict(self, queries: Tensor) -> Tensor:
        """Class per query, int64, shape (n,).

        Raises:
            TeacherError: NaN, wrong shape, or a class outside [0, K).
        """
        if isinstance(self.model, int):
            return torch.full((len(queries),), self.model, dtype=torch.int64)
        if isinstance(self.model, nn.Module):
            self.model.eval()
            with torch.no_grad():
                logits = checked_logits(self.model(queries), rows=len(queries), name=type(self.model).__name__)
            answers = logits.argmax(dim=1)
        else:
            answers = _integers(self.model.predict(queries.flatten(1).numpy()), type(self.model).__name__)
        if len(answers) != len(queries) or int(answers.min()) < 0 or int(answers.max()) >= self.classes:
            raise TeacherError(
                f"{type(self.model).__name__} answered {len(answers)} of {len(queries)} queries with classes up to "
                f"{int(answers.max())}; one class in [0, {self.classes}) per query is needed"
            )
        return answers


def train_member(make_model, x: np.ndarray, y: np.ndarray, *, classes: int, key: bytes, position: int) -> Member:
    """A fresh model fitted on one shard.

    Its randomness comes from the ensemble's key and its position, so that a changed record changes exactly this
    teacher and no other, bit for bit.

    Args:
        make_model: returns a fresh model.
        x: inputs of the shard, float32, shape (m, ...).
        y: classes of the shard, int64, shape (m,).
        classes: number of classes K of the task.
        key: key of the ensemble.
        position: index of the teacher.

    Raises:
        TypeError: make_model returned neither an `nn.Module` nor a scikit-learn classifier.
    """
    present = np.unique(y)
    seed = int.from_bytes(hashlib.sha256(key + position.to_bytes(8, "big")).digest()[:4], "big")
    with seeded(seed):
        model = make_model()
    if isinstance(model, nn.Module):
        task = _Classification(model)
        Trainer(steps=_STEPS, seed=seed).run(
            task, (torch.from_numpy(x), torch.from_numpy(y)), description="one teacher"
        )
        return Member(model, classes)
    if not (hasattr(model, "fit") and hasattr(model, "predict")):
        raise TypeError(
            f"make_model returned {type(model).__name__}; an nn.Module or a scikit-learn classifier (fit, predict) is needed"
        )
    if len(present) == 1:  # many classifiers refuse a single class; the answer is known anyway
        return Member(int(present[0]), classes)
    if hasattr(model, "get_params") and model.get_params().get("random_state", 0) is None:
        model.set_params(random_state=seed)
    return Member(model.fit(x.reshape(len(x), -1), y), classes)


def _integers(values: object, name: str) -> Tensor:
    answers = np.asarray(values)
    if answers.ndim != 1 or not np.issubdtype(answers.dtype, np.integer):
        raise TeacherError(
            f"{name} predicted {answers.dtype} of shape {answers.shape}; integer classes (n,) are needed"
        )
    return torch.from_numpy(answers.astype(np.int64))


class _Classification(Task):
    """Cross-entropy on the shard; settings are fixed in advance, so none is chosen by looking at records."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(
            modules={"teacher": model}, optimizers=[torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)]
        )

    def step(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["teacher"](x), y)}
