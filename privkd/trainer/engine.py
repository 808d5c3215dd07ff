"""Where a run happens: device, precision and processes. One process needs torch only; several go through accelerate."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from privkd.trainer.task import Task

__all__ = ["PRECISIONS", "Engine", "OneProcess", "engine_for"]

PRECISIONS = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


@runtime_checkable
class Engine(Protocol):
    """What the optimiser loop asks for."""

    @property
    def device(self) -> torch.device:
        """Of this process."""
        ...

    @property
    def process(self) -> tuple[int, int]:
        """(rank, world)."""
        ...

    @property
    def checks_gradients(self) -> bool:
        """Whether gradients should be finite: with loss scaling they need not be."""
        ...

    def prepare(self, task: Task) -> None:
        """Replace the task's modules and optimisers by ones that work here."""
        ...

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which losses are computed."""
        ...

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None) -> None:
        """Add gradients of a loss; of these tensors only, if given."""
        ...

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], clip_norm: float | None) -> Tensor | None:
        """Clip, then step; gives the norm of the gradients where it was computed."""
        ...

    def mean(self, value: Tensor) -> Tensor:
        """Over all processes."""
        ...

    def close(self) -> None:
        """End the processes' conversation."""
        ...


class OneProcess:
    """A CPU or one accelerator, without accelerate.

    Args:
        device: where to run.
        precision: one of PRECISIONS; other than "fp32" on accelerators only.
    """

    def __init__(self, device: torch.device, precision: str) -> None:
        self.device, self.process = device, (0, 1)
        self._dtype = PRECISIONS[precision]
        self._scaler = torch.amp.GradScaler(device.type) if precision == "fp16" else None
        self.checks_gradients = self._scaler is None

    def prepare(self, task: Task) -> None:
        """See `Engine.prepare`: nothing to do."""

    def autocast(self) -> AbstractContextManager[Any]:
        """See `Engine.autocast`."""
        return nullcontext() if self._dtype is None else torch.autocast(self.device.type, dtype=self._dtype)

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None) -> None:
        """See `Engine.backward`."""
        (self._scaler.scale(loss) if self._scaler else loss).backward(inputs=inputs)

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], clip_norm: float | None) -> Tensor | None:
        """See `Engine.step`."""
        if self._scaler is None:
            norm = None if clip_norm is None else nn.utils.clip_grad_norm_(parameters, clip_norm)
            optimizer.step()
            return norm
        if clip_norm is not None:
            self._scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(parameters, clip_norm)  # may be infinite: the scaler then skips the step
        self._scaler.step(optimizer)
        self._scaler.update()
        return None

    def mean(self, value: Tensor) -> Tensor:
        """See `Engine.mean`."""
        return value

    def close(self) -> None:
        """See `Engine.close`: nothing to do."""


@contextmanager
def engine_for(device: str, precision: str) -> Iterator[Engine]:
    """The engine of this process: accelerate where torchrun started several, or FSDP is configured; else `OneProcess`.

    Args:
        device: "auto" or a torch device name.
        precision: one of PRECISIONS.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1 or os.environ.get("ACCELERATE_USE_FSDP") == "true"
    if several:
        from privkd.trainer.accelerated import Accelerated

        engine: Engine = Accelerated(device, precision)
    else:
        place = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        engine = OneProcess(torch.device(place), precision)
    try:
        yield engine
    finally:
        engine.close()
