"""The default student: fresh weights, and input scaling from public inputs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from privkd.data.labels import Label
from privkd.networks import ImageNetwork, VectorNetwork, network_for
from privkd.teachers import InputSpec
from privkd.trainer import seeded


def default_student(
    spec: InputSpec,
    classes: int,
    *,
    seed: int | None,
    hidden: int = 128,
    layers: int = 1,
    labels: Sequence[Label] | None = None,
) -> nn.Module:
    """A fresh student for the inputs; its weights come from the seed, never from the teacher, its labels are public."""
    with seeded(seed):
        return network_for(spec.shape, classes, hidden=hidden, layers=layers, labels=labels)


def standardise(student: nn.Module, inputs: Tensor) -> None:
    """Set the input scaling of a default student from PUBLIC or generated inputs; others are left alone."""
    if isinstance(student, ImageNetwork):
        student.shift.fill_(float(inputs.mean()))
        student.scale.fill_(max(float(inputs.std()), 1e-6))
    elif isinstance(student, VectorNetwork):
        flat = inputs.flatten(1).float()
        spread = flat.std(dim=0, correction=0)
        student.shift.copy_(flat.mean(dim=0))
        student.scale.copy_(spread.clamp(min=max(float(spread.median()), 1e-6)))
