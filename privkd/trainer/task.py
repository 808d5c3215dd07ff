"""What the trainer runs. A task knows its modules, optimisers and losses, and nothing of devices or processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows drawn together.

    Attributes:
        index: position of each row in the data, int64, shape (b,).
        tensors: the same rows of every data tensor, on the device of the run.
        generator: random numbers of this run (batches, augmentation), on the CPU.
    """

    index: Tensor
    tensors: tuple[Tensor, ...]
    generator: torch.Generator


class Task(ABC):
    """Something to learn by gradient steps on a sum of named losses.

    Args:
        modules: the modules to train, by name; the trainer puts them in train mode and moves them to its device.
        optimizers: over the parameters of `modules`; all of them step after each batch.
        frozen: modules that are used but not trained: in eval mode and without gradients during a run.
    """

    def __init__(
        self,
        *,
        modules: Mapping[str, nn.Module],
        optimizers: Sequence[torch.optim.Optimizer],
        frozen: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.modules = dict(modules)
        self.optimizers = tuple(optimizers)
        self.frozen = dict(frozen or {})

    @abstractmethod
    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Named scalar losses of one batch; the trainer minimises their sum."""
