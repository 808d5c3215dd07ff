"""Training and asking one member of an ensemble. Nothing here may look beyond the shard that it is given.

Whatever a member does wrong, in training or when it is asked, is its vote for class 0: whether it happens may depend on one
record, so neither an exception nor a message may tell.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check
from privkd.errors import TeacherError
from privkd.networks.prediction import eval_mode
from privkd.teachers.bare_teacher import usable_logits
from privkd.teachers.isolation import answer_or_none, isolated
from privkd.teachers.rehearsal import made_up, rehearse
from privkd.teachers.transport import Process, packed, runs_elsewhere, sent_and_back, unpacked
from privkd.trainer import Batch, Context, Task, Trainer

MakeModel = Callable[[], Any]
_BATCH = 512
_ASKED = 8  # made-up queries that tell whether a member answers at all


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How members that are torch modules are trained. Fixed in advance: none may be chosen by looking at records.

    Attributes:
        steps: optimiser steps, >= 1.
        batch_size: records per step, >= 1; smaller shards are used whole.
        learning_rate: of Adam, > 0.
    """

    steps: int = 300
    batch_size: int = 64
    learning_rate: float = 2e-3

    def __post_init__(self) -> None:
        check.integer(steps=self.steps, at_least=1)
        check.integer(batch_size=self.batch_size, at_least=1)
        check.real(learning_rate=self.learning_rate, above=0.0)


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
        if self.failed or self._tried(made_up(shape, _ASKED)) is not None:
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


def train_member(
    make_model: MakeModel,
    x: np.ndarray,
    y: np.ndarray,
    *,
    classes: int,
    key: bytes,
    position: int,
    training: Training,
    home: Process,
) -> Member | bytes | None:
    """A fresh model fitted on one shard.

    Its randomness comes from the ensemble's key and its position, so that a changed record changes exactly this
    teacher and no other, bit for bit. A failure in training is a fixed answer, not an exception.

    Args:
        make_model: returns a fresh model.
        x: inputs of the shard, float32, shape (m, ...).
        y: classes of the shard, int64, shape (m,).
        classes: number of classes K of the task.
        key: key of the ensemble.
        position: index of the teacher.
        training: of members that are torch modules.
        home: the process that wants the member.

    Returns:
        The member as `received` takes it: in another process as bytes; None if it could not be trained or pickled.
    """
    seed = int.from_bytes(hashlib.sha256(key + position.to_bytes(8, "big")).digest()[:4], "big")
    with isolated(seed):
        member = answer_or_none(lambda: _fitted(make_model, x, y, classes=classes, seed=seed, training=training))
    return packed(member, home=home)


def received(sent: Member | bytes | None, *, classes: int, shape: tuple[int, ...]) -> Member:
    """The member that `train_member` returned, tested on made-up queries of this shape; one that failed if there is none."""
    member = unpacked(sent)
    return Member(0, classes, failed=True) if member is None else member.tested(shape)


def rehearse_training(
    make_model: MakeModel, *, shape: tuple[int, ...], classes: int, rows: int, training: Training
) -> None:
    """Train and ask one member on made-up rows, before any private row is touched.

    Raises:
        TypeError: `make_model` gives no model.
        TeacherError: every shard would fail; the message says why.
    """
    short = Training(steps=2, batch_size=training.batch_size, learning_rate=training.learning_rate)
    is_sent = runs_elsewhere()

    def attempt(x: np.ndarray, y: np.ndarray) -> None:
        member = _fitted(make_model, x, y, classes=classes, seed=0, training=short)
        if is_sent:
            member = sent_and_back(member, name=f"a fitted {type(member.model).__name__}")
        if not isinstance(member.model, int):
            _require_answers(member.model, made_up(shape, min(rows, _ASKED)), classes)

    with isolated(0):
        fresh_model(make_model)
    rehearse(attempt, shape=shape, classes=classes, rows=rows)


def fresh_model(make_model: MakeModel) -> Any:
    """A model of its own: copied, as parts that `make_model` hands out twice would carry records from shard to shard.

    Raises:
        TypeError: `make_model` is a model and no function, or returns neither a module nor a classifier.
    """
    if (
        isinstance(make_model, nn.Module)
        or not callable(make_model)
        or (_fits(make_model) and not isinstance(make_model, type))
    ):
        raise TypeError(
            f"make_model is {type(make_model).__name__}, which is no function that returns a fresh model; give one, for "
            "example lambda: sklearn.base.clone(model), or lambda: MyNetwork()"
        )
    model = copy.deepcopy(make_model())
    if not isinstance(model, nn.Module) and not _fits(model):
        raise TypeError(
            f"make_model returned {type(model).__name__}; an nn.Module or a scikit-learn classifier (fit, predict) is needed"
        )
    return model


def _fits(model: Any) -> bool:
    return hasattr(model, "fit") and hasattr(model, "predict")


def _require_answers(model: Any, queries: Tensor, classes: int) -> None:
    """Refuse a model whose answers to made-up queries are no classes."""
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


def _fitted(
    make_model: MakeModel, x: np.ndarray, y: np.ndarray, *, classes: int, seed: int, training: Training
) -> Member:
    model = fresh_model(make_model)
    if isinstance(model, nn.Module):
        task, data = _Classification(model, training.learning_rate), (torch.tensor(x), torch.tensor(y))
        trainer = Trainer(steps=training.steps, batch_size=training.batch_size, seed=seed)
        trainer.run(task, data, description="one teacher")
        return Member(model, classes)
    present = np.unique(y)
    if len(present) == 1:  # many classifiers refuse a single class; the answer is known anyway
        return Member(int(present[0]), classes)
    try:
        return Member(_fit(model, x, y, seed), classes)
    except Exception:  # some insist on classes 0..m-1, and this shard may lack one
        codes = np.searchsorted(present, y)
        if np.array_equal(codes, y):
            raise
        return Member(_fit(fresh_model(make_model), x, codes, seed), classes, codes=tuple(present.tolist()))


def _fit(model: Any, x: np.ndarray, y: np.ndarray, seed: int) -> Any:
    """The classifier fitted on copies of the shard: it may work in place."""
    if hasattr(model, "get_params"):
        unset = [name for name, value in model.get_params().items() if name.endswith("random_state") and value is None]
        model.set_params(**dict.fromkeys(unset, seed))
    model.fit(x.reshape(len(x), -1).copy(), y.copy())
    return model


class _Classification(Task):
    """Cross-entropy on the shard."""

    def __init__(self, model: nn.Module, learning_rate: float) -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
        super().__init__(modules={"teacher": model}, optimizers=[optimizer])

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["teacher"](x), y)}
