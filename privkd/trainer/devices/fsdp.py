"""Weights, gradients and optimiser states split over the processes of a run (FSDP), and put together again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from privkd.errors import TaskError
from privkd.trainer.task import Task


class Shards:
    """Copies of a task's modules of which each process holds a part, and its optimisers over those parts.

    The original modules wait on the CPU. Every process must enter `whole` and call `finish` when one does.

    Args:
        task: its modules are replaced by the copies.
        mesh: the processes.

    Raises:
        TaskError: the task keeps averages of weights, which would have to be put together at every step.
    """

    def __init__(self, task: Task, mesh: DeviceMesh) -> None:
        if task.averaged:
            raise TaskError(f"averaged={sorted(task.averaged)} needs whole weights at every step; run without sharded")
        self._modules = {name: (module, _sharded(module, mesh)) for name, module in task.modules.items()}
        self._part_of: dict[Tensor, nn.Parameter] = {}
        for module, shard in self._modules.values():
            parts = dict(shard.named_parameters(remove_duplicate=False))
            self._part_of |= {p: parts[name] for name, p in module.named_parameters(remove_duplicate=False)}
            module.to("cpu")
        self._whole_of = {part: whole for whole, part in self._part_of.items()}
        self._optimizers = list(task.optimizers.values())
        for optimizer in self._optimizers:
            self._give(optimizer, self._part_of, _part)
        task.modules.update({name: shard for name, (_, shard) in self._modules.items()})

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Bring original modules and optimisers up to date for a block."""
        parts = [
            (dict(optimizer.state), [list(group["params"]) for group in optimizer.param_groups])
            for optimizer in self._optimizers
        ]
        self.finish()
        try:
            yield
        finally:
            for optimizer, (state, groups) in zip(self._optimizers, parts, strict=True):
                optimizer.state.clear()
                optimizer.state.update(state)
                for group, params in zip(optimizer.param_groups, groups, strict=True):
                    group["params"] = params

    @torch.no_grad()
    def finish(self) -> None:
        """Bring the originals up to date, for good."""
        for module, shard in self._modules.values():
            module.load_state_dict({name: _whole(value) for name, value in shard.state_dict().items()})
        for optimizer in self._optimizers:
            self._give(optimizer, self._whole_of, lambda value, of, to: _whole(value))

    def abandon(self) -> None:
        """Give the optimisers their original parameters back after a failure, without a word to the other processes."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["params"] = [self._whole_of.get(p, p) for p in group["params"]]
            optimizer.state.clear()

    @staticmethod
    def _give(optimizer: Optimizer, to: dict[Any, Any], moved: Any) -> None:
        """Other parameters for an optimiser, and its state moved along."""
        state = {
            to[p]: {name: moved(value, p, to[p]) for name, value in values.items()}
            for p, values in optimizer.state.items()
        }
        optimizer.state.clear()
        optimizer.state.update(state)
        for group in optimizer.param_groups:
            group["params"] = [to[p] for p in group["params"]]


def _sharded(module: nn.Module, mesh: DeviceMesh) -> nn.Module:
    """A copy in parts; blocks of sequences and lists are gathered separately, so that not all weights are whole at a time."""
    copied = copy.deepcopy(module)
    for inner in reversed(list(copied.modules())):  # the innermost first, as fully_shard needs
        if isinstance(inner, nn.Sequential | nn.ModuleList):
            for block in inner:
                if not isinstance(block, nn.ModuleList) and next(block.parameters(), None) is not None:
                    fully_shard(block, mesh=mesh)
    fully_shard(copied, mesh=mesh)
    return copied


def _whole(value: Any) -> Any:
    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    return value.clone() if isinstance(value, Tensor) else value


def _part(value: Any, of: Tensor, to: nn.Parameter) -> Any:
    data = to.data
    if isinstance(value, Tensor) and value.shape == of.shape and isinstance(data, DTensor):
        return distribute_tensor(value.to(data.device), data.device_mesh, data.placements)
    return value.clone() if isinstance(value, Tensor) else value
