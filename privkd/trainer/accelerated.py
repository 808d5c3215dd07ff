"""Several processes, through accelerate: the only file that knows it."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.optim import Optimizer

from privkd.trainer.task import Task

__all__ = ["Accelerated"]


class Accelerated:
    """DDP or FSDP, as torchrun and the accelerate configuration say; see `Engine`.

    Args:
        device: "auto" or "cpu".
        precision: "fp32", "bf16" or "fp16".
    """

    def __init__(self, device: str, precision: str) -> None:
        self._accelerator = Accelerator(
            cpu=device == "cpu" or not torch.cuda.is_available(),
            mixed_precision="no" if precision == "fp32" else precision,
        )
        self.device = self._accelerator.device
        self.checks_gradients = precision != "fp16"
        self.process = (self._accelerator.process_index, self._accelerator.num_processes)

    def prepare(self, task: Task) -> None:
        """Wrap every module and optimiser; `Task.modules` then holds the wrappers."""
        for name, module in task.modules.items():
            task.modules[name] = self._accelerator.prepare_model(module)
        for name, optimizer in task.optimizers.items():
            task.optimizers[name] = self._accelerator.prepare_optimizer(optimizer)

    def autocast(self) -> AbstractContextManager[Any]:
        """See `Engine.autocast`."""
        return self._accelerator.autocast()

    def backward(self, loss: Tensor, inputs: Sequence[Tensor] | None) -> None:
        """See `Engine.backward`; gradients that no optimiser of the update owns are dropped with its next one."""
        self._accelerator.backward(loss)

    def step(self, optimizer: Optimizer, parameters: Sequence[Tensor], clip_norm: float | None) -> Tensor | None:
        """See `Engine.step`."""
        norm = None if clip_norm is None else self._accelerator.clip_grad_norm_(parameters, clip_norm)
        optimizer.step()
        return norm

    def mean(self, value: Tensor) -> Tensor:
        """See `Engine.mean`."""
        return self._accelerator.reduce(value.detach().clone(), reduction="mean")  # type: ignore[return-value]

    def close(self) -> None:
        """Free what holds the processes together before they part: otherwise a CPU run in six aborts at its exit."""
        self._accelerator.free_memory()
        gc.collect()
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
