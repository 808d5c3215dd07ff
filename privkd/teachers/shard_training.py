"""Training and asking one member of an ensemble. Nothing here may look beyond the shard that it is given."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from privkd.errors import NonFiniteLoss, TeacherError
from privkd.teachers.bare import checked_logits
from privkd.trainer import Batch, Context, Task, Trainer, seeded

_STEPS = 300
_LEARNING_RATE = 2e-3
_FAILURES = (RuntimeError, ValueError, ArithmeticError, IndexError, TypeError)
_ONE_AT_A_TIME = threading.Lock()  # seeds are global to a process; processes, not threads, train teachers in parallel


@dataclass(frozen=True, slots=True)
class Member:
    """One teacher of an ensemble.

    Attributes:
        model: fitted `nn.Module` or scikit-learn classifier; an int for a teacher that always gives one class.
        classes: number of classes K of the task.
        failure: why training failed; such a teacher always answers class 0.
    """

    model: Any
    classes: int
    failure: str | None = None

    def predict(self, queries: Tensor) -> Tensor:
        """Class per query, int64, shape (n,).

        Raises:
            TeacherError: NaN, wrong shape, a class outside [0, K), or the model failed.
        """
        if isinstance(self.model, int):
            return torch.full((len(queries),), self.model, dtype=torch.int64)
        name = type(self.model).__name__
        try:
            answers = self._answers(queries, name)
        except _FAILURES as error:
            raise TeacherError(f"{name} failed on queries of shape {tuple(queries.shape)}: {error}") from error
        if len(answers) != len(queries) or int(answers.min()) < 0 or int(answers.max()) >= self.classes:
            raise TeacherError(
                f"{name} answered {len(answers)} of {len(queries)} queries with classes up to {int(answers.max())}; one class "
                f"in [0, {self.classes}) per query is needed"
            )
        return answers

    def _answers(self, queries: Tensor, name: str) -> Tensor:
        if not isinstance(self.model, nn.Module):
            return _integers(self.model.predict(queries.flatten(1).numpy()), name)
        self.model.eval()
        with torch.no_grad():
            return checked_logits(self.model(queries), rows=len(queries), name=name).argmax(dim=1)


def train_member(
    make_model: Callable[[], Any], x: np.ndarray, y: np.ndarray, *, classes: int, key: bytes, position: int
) -> Member:
    """A fresh model fitted on one shard.

    Its randomness comes from the ensemble's key and its position, so that a changed record changes exactly this
    teacher and no other, bit for bit. The model is copied before it is fitted: parts that `make_model` hands out twice
    would otherwise carry records from shard to shard. A failure in training is a fixed answer, not an exception,
    because whether one shard fails may depend on one record.

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
    seed = int.from_bytes(hashlib.sha256(key + position.to_bytes(8, "big")).digest()[:4], "big")
    with _ONE_AT_A_TIME, seeded(seed):
        model = copy.deepcopy(make_model())
        if not isinstance(model, nn.Module) and not (hasattr(model, "fit") and hasattr(model, "predict")):
            raise TypeError(
                f"make_model returned {type(model).__name__}; an nn.Module or a scikit-learn classifier (fit, predict) is "
                "needed"
            )
        try:
            return Member(_fitted(model, x, y, seed), classes)
        except (*_FAILURES, TeacherError, NonFiniteLoss) as error:
            return Member(0, classes, failure=f"{type(error).__name__}: {error}")


def _fitted(model: Any, x: np.ndarray, y: np.ndarray, seed: int) -> Any:
    if isinstance(model, nn.Module):
        task = _Classification(model)
        data = torch.from_numpy(x), torch.from_numpy(y)
        Trainer(steps=_STEPS, seed=seed).run(task, data, description="one teacher")
        return model
    present = np.unique(y)
    if len(present) == 1:  # many classifiers refuse a single class; the answer is known anyway
        return int(present[0])
    if hasattr(model, "get_params"):
        unset = [name for name, value in model.get_params().items() if name.endswith("random_state") and value is None]
        model.set_params(**dict.fromkeys(unset, seed))
    return model.fit(x.reshape(len(x), -1), y)


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

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["teacher"](x), y)}
