"""Moving averages of weights, which a task keeps of its modules while they learn."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from privkd.trainer.task import Task

__all__ = ["average_of", "follow"]


def average_of(module: nn.Module) -> nn.Module:
    """A copy of a module for the average of its weights, which begins with them and gets no gradients."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(task: Task, modules: Mapping[str, nn.Module]) -> None:
    """Move every average of a task towards its module by one step.

    Args:
        task: whose `averages` are changed.
        modules: those that are averaged, by name, without wrappers.
    """
    for name, average in task.averages.items():
        decay, theirs = task.averaged[name], modules[name].state_dict()
        mine = {key: value for key, value in average.state_dict().items() if isinstance(value, Tensor)}
        for key, value in {value.data_ptr(): (key, value) for key, value in mine.items()}.values():  # tied ones once
            if value.is_floating_point() or value.is_complex():
                value.lerp_(theirs[key], 1.0 - decay)
            else:
                value.copy_(theirs[key])
