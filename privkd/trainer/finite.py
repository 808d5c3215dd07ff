"""What must be finite on the way: losses, gradients and weights; each error names the first thing that is not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NoReturn, TypeAlias

import torch
from torch import Tensor, nn

from privkd.errors import NonFiniteLoss
from privkd.trainer.task import Losses

__all__ = ["refuse_losses", "require_finite_gradients", "require_finite_weights"]

Modules: TypeAlias = "Mapping[str, nn.Module]"
"""Trained modules by name, without wrappers."""


def refuse_losses(losses: Losses, modules: Modules, step: int) -> NoReturn:
    """The error for losses whose sum is not finite, before the step (counted from 1) has changed anything.

    Raises:
        NonFiniteLoss: always; it names the losses and the weight, if one is not finite, that is to blame.
    """
    bad = [name for name, loss in losses.items() if not math.isfinite(float(loss.detach()))]
    broken = _first_broken(modules, lambda p: p)
    cause = (
        f"{broken} is not finite since the step before: its gradient was not" if broken else "this update was not made"
    )
    raise NonFiniteLoss(
        f"loss term {', '.join(bad) or 'sum'} is not finite at step {step}; {cause}; lower the learning rate, "
        "or check the range of the inputs"
    )


def require_finite_gradients(modules: Modules, step: int) -> None:
    """Refuse gradients that are not finite before an optimiser uses them in a step, counted from 1.

    Raises:
        NonFiniteLoss: a gradient is not finite; its parameter is named.
    """
    if broken := _first_broken(modules, lambda p: p.grad):
        raise NonFiniteLoss(
            f"the gradient of {broken} is not finite at step {step}, although every loss is; this update was "
            "not made: look for a root or a log at 0, or clip what goes into an exponential"
        )


def require_finite_weights(modules: Modules, step: int) -> None:
    """Refuse weights that are not finite after a step: a checkpoint of them would replace a good one.

    Raises:
        NonFiniteLoss: a parameter or buffer is not finite; it is named.
    """
    if broken := _first_broken(modules, lambda p: p):
        raise NonFiniteLoss(
            f"{broken} is not finite after step {step}: its gradient was not; look for a root or a log at 0, or "
            "lower the learning rate. Checkpoints written before are good"
        )


def _first_broken(modules: Modules, tensor_of: Callable[[Tensor], Tensor | None]) -> str:
    """The name of the first parameter or buffer of which something is not finite; empty if there is none."""
    for module_name, module in modules.items():
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            tensor = tensor_of(value)
            if tensor is not None and not _is_finite(tensor.detach()):
                return f"{module_name}.{name}"
    return ""


def _is_finite(tensor: Tensor) -> bool:
    dense = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor  # what it leaves out is 0
    return bool(torch.isfinite(dense).all())
