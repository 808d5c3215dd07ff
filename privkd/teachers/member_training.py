"""Training one member of an ensemble. Nothing here may look beyond the shard that it is given.

What goes wrong in training on private records is a member that failed, and no exception; what would go wrong on every shard is
found on made-up rows.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from accountants import check
from privkd.losses import cross_entropy
from privkd.teachers.isolation import answer_or_none, isolated
from privkd.teachers.member import ASKED, MakeModel, Member, require_answers
from privkd.teachers.rehearsal import made_up, rehearse
from privkd.teachers.transport import Process, packed, runs_elsewhere, sent_and_back, unpacked
from privkd.trainer import Batch, Context, Task, Trainer


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How members that are torch modules are trained: public numbers, fixed in advance without looking at records."""

    steps: int
    batch_size: int
    learning_rate: float

    def __post_init__(self) -> None:
        check.integer(steps=self.steps, at_least=1)
        check.integer(batch_size=self.batch_size, at_least=1)
        check.real(learning_rate=self.learning_rate, above=0.0)


def train_member(
    make_model: MakeModel,
    shard: tuple[np.ndarray, np.ndarray],
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

    Returns:
        The member as `received` takes it: as bytes where `home`, the process that wants it, is another one; None if it could
        not be trained or pickled.
    """
    seed = int.from_bytes(hashlib.sha256(key + position.to_bytes(8, "big")).digest()[:4], "big")
    with isolated(seed):
        member = answer_or_none(lambda: _fitted(make_model, *shard, classes=classes, seed=seed, training=training))
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
    short = replace(training, steps=2)
    is_sent = runs_elsewhere()

    def attempt(x: np.ndarray, y: np.ndarray) -> None:
        member = _fitted(make_model, x, y, classes=classes, seed=0, training=short)
        if is_sent:
            member = sent_and_back(member, name=f"a fitted {type(member.model).__name__}")
        if not isinstance(member.model, int):
            require_answers(member.model, made_up(shape, min(rows, ASKED)), classes)

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
        return {"cross-entropy": cross_entropy(self.modules["teacher"](x), y)}
