"""Modules where a run needs them, and back afterwards; frozen ones proven unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from privkd.errors import TaskError
from privkd.networks.fingerprint import digest
from privkd.trainer.devices.engine import Engine
from privkd.trainer.task import Task, average_of


@contextmanager
def placed(task: Task, engine: Engine, *, compiled: bool, wrapped: bool = True) -> Iterator[None]:
    """Modules on the device, trained ones in train mode, frozen ones without gradients; all in eval mode on the CPU after."""
    wanted = [p for module in task.frozen.values() for p in module.parameters() if p.requires_grad]
    modules, optimizers = dict(task.modules), dict(task.optimizers)
    for name in task.averaged:
        if name not in task.averages:
            task.averages[name] = average_of(modules[name])
    for module in modules.values():
        module.to(engine.device).train()
    for module in (*task.frozen.values(), *task.averages.values()):
        module.to(engine.device).eval()
    for memory in task.memories.values():
        memory.to(engine.device)
    for optimizer in optimizers.values():
        _follow(optimizer)
    for parameter in wanted:
        parameter.requires_grad_(False)
    if compiled:
        task.modules.update({name: torch.compile(module) for name, module in modules.items()})  # type: ignore[misc]
    failed = True
    try:
        engine.prepare(task, wrapped=wrapped)
        yield
        failed = False
    finally:
        engine.release(failed=failed)
        task.modules.update(modules)
        task.optimizers.update(optimizers)
        for parameter in wanted:
            parameter.requires_grad_(True)
        for module in (*modules.values(), *task.frozen.values(), *task.averages.values()):
            module.eval().to("cpu")
        for memory in task.memories.values():
            memory.to("cpu")
        for optimizer in optimizers.values():
            _follow(optimizer)


@contextmanager
def unchanged(frozen: Mapping[str, nn.Module]) -> Iterator[None]:
    """A block that must leave modules as they are.

    Raises:
        TaskError: a module has another state after the block than before.
    """
    before = {name: digest(module) for name, module in frozen.items()}
    yield
    changed = [name for name, module in frozen.items() if digest(module) != before[name]]
    if changed:
        raise TaskError(
            f"frozen modules changed during the run: {changed}; a step must not write to them (buffers of a module in train "
            "mode, or an optimiser over their parameters, do)"
        )


def _follow(optimizer: torch.optim.Optimizer) -> None:
    """State of an optimiser goes where its parameters are."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.dim() > 0:
                state[name] = value.to(parameter.device)


@contextmanager
def threads_limited(count: int) -> Iterator[None]:
    """A number of CPU threads for torch within a block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
