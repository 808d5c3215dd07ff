"""Where a run is, and what a task may use beside its batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(slots=True)
class Context:
    """Where the run is, and what a task may use beside its batch.

    Attributes:
        step: optimiser steps done before this one in the stage, from 0.
        epoch: passes over the data done before this one in the stage, from 0.
        steps: of the whole stage.
        device: where the modules are.
        generator: random numbers of this run (augmentation, latents), on the CPU; part of every checkpoint.
        logs: see `log`.
        gather: rows of a tensor from all processes of the run, in order of rank and without gradients; every process must
            call it. One process gets its own rows back.
    """

    step: int
    epoch: int
    steps: int
    device: torch.device
    generator: torch.Generator
    logs: dict[str, list[Tensor | float]] = field(default_factory=dict)
    gather: Callable[[Tensor], Tensor] = Tensor.detach

    @property
    def fraction(self) -> float:
        """The part of the stage's steps that is done, in [0, 1]."""
        return self.step / self.steps

    def log(self, name: str, value: Tensor | float) -> None:
        """Add a scalar to the history beside the losses; averaged like them, never minimised."""
        self.logs.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else float(value))
