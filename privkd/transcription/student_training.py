"""The tasks that turn released answers into a student: from soft targets, and from answers with known noise."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from privkd.data.labels import Label
from privkd.losses import cross_entropy
from privkd.networks import network_for
from privkd.teachers import InputSpec
from privkd.trainer import Batch, Context, Task, Trainer, seeded

_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 1e-4
_LEAST_STEPS, _MOST_STEPS = 600, 4000


class _SoftTargets(Task):
    """Cross-entropy to soft targets on public inputs that are jittered by public noise of standard deviation `jitter`."""

    def __init__(self, student: nn.Module, *, jitter: Tensor) -> None:
        optimizer = torch.optim.Adam(student.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
        super().__init__(modules={"student": student}, optimizers=[optimizer])
        self._jitter = jitter

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        inputs, targets = batch.tensors
        shake = torch.randn(inputs.shape, generator=context.generator).to(inputs.device)
        logits = self.modules["student"](inputs + shake * self._jitter.to(inputs.device))
        return {"cross-entropy": cross_entropy(logits, targets)}


def distil(
    student: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    seed: int,
    steps: int | None = None,
    description: str = "training the student",
) -> list[dict[str, float]]:
    """Train a student in place on public inputs, shape (n, ...), and released soft targets, shape (n, K); gives its losses.

    The seed is of the order of rows and the augmentation. Default: 100 passes over the inputs, between 600 and 4000 steps.
    """
    inputs = inputs.detach().cpu().float()
    count = min(_MOST_STEPS, max(_LEAST_STEPS, 100 * len(inputs) // 64)) if steps is None else steps
    spread = inputs.flatten(1).std(dim=0, correction=0)
    jitter = 0.3 * spread.clamp(min=float(spread.median())).reshape(inputs.shape[1:])
    task = _SoftTargets(student, jitter=jitter)
    return Trainer(steps=count, seed=seed).run(task, (inputs, targets.float()), description=description).rows


def default_student(
    spec: InputSpec,
    classes: int,
    *,
    seed: int | None,
    hidden: int = 128,
    labels: Sequence[Label] | None = None,
) -> nn.Module:
    """A fresh student for the inputs; its weights come from the seed, never from the teacher, its labels are public."""
    with seeded(seed):
        return network_for(spec.shape, classes, hidden=hidden, labels=labels)
