"""A rehearsal on made-up rows, before any private row is touched: it finds what would make every teacher useless.

A teacher that fails on private rows answers class 0 in silence, because whether it fails may depend on one record. What fails
for every shard is found here, on public facts alone: shapes, classes and shard sizes. So the errors may say everything.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from privkd.data.input_spec import InputSpec
from privkd.errors import TeacherError
from privkd.networks.prediction import eval_mode
from privkd.teachers.isolation import answer_or_none, isolated

_SEED = 0


def made_up(shape: tuple[int, ...], rows: int, *, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Public uniform numbers in place of inputs, float32, shape (rows, *shape)."""
    generator = torch.Generator().manual_seed(_SEED)
    return low + (high - low) * torch.rand(rows, *shape, generator=generator)


def rehearse(
    attempt: Callable[[np.ndarray, np.ndarray], None], *, shape: tuple[int, ...], classes: int, rows: int
) -> None:
    """Train and ask one teacher on made-up rows, as many as the smallest shard has, by an attempt that raises what it raises.

    Raises:
        TeacherError: it fails with all classes, and with two.
    """
    problems = []
    for present in dict.fromkeys((classes, 2)):  # a shard need not hold all classes
        try:
            with isolated(_SEED):
                attempt(made_up(shape, rows).numpy(), (torch.arange(rows) % present).numpy())
            return
        except Exception as error:  # noqa: BLE001  told below, as it comes from made-up rows
            problems.append(error)
    raise TeacherError(
        f"a rehearsal on {rows} made-up rows of shape {shape} with classes 0..{classes - 1} failed, so every teacher would: "
        f"{type(problems[-1]).__name__}: {problems[-1]}. No private record was used; change make_model, or the number of teachers "
        f"(the smallest shard has {rows} records)"
    ) from problems[-1]


def rehearse_module(module: nn.Module, inputs: InputSpec) -> int:
    """The number of classes of a module, found with made-up weights: nothing here depends on the real ones.

    Raises:
        TeacherError: it takes no such inputs, or does not return one row of logits per input.
    """
    name, rows = type(module).__name__, 2
    middle = torch.full((rows, *inputs.shape), (inputs.low + inputs.high) / 2)
    try:
        with isolated(_SEED), eval_mode(module), torch.no_grad():
            output = _answer_with_made_up_weights(module, middle)
    except Exception as error:
        raise TeacherError(
            f"the teacher {name} failed on made-up inputs of shape {(rows, *inputs.shape)}: {error}. Check "
            "inputs=InputSpec(shape=...) or the shape of queries"
        ) from error
    return _require_logits(output, rows=rows, name=name)


def accepts(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a module answers inputs of this shape with one row each; found with made-up weights, and never an exception."""
    middle = torch.full((2, *shape), 0.5)
    with isolated(_SEED), eval_mode(module), torch.no_grad():
        output = answer_or_none(lambda: _answer_with_made_up_weights(module, middle))
    return isinstance(output, Tensor) and output.dim() == 2 and len(output) == len(middle)


def _require_logits(output: object, *, rows: int, name: str) -> int:
    """The number of classes of usable logits."""
    if not isinstance(output, Tensor):
        raise TeacherError(
            f"{name} returned {type(output).__name__}; a tensor of logits, shape (batch, classes), is needed"
        )
    if output.dim() != 2 or output.shape[0] != rows or output.shape[1] < 2:
        raise TeacherError(
            f"{name} returned shape {tuple(output.shape)}; logits of shape ({rows}, classes >= 2) are needed"
        )
    if not output.is_floating_point():
        raise TeacherError(f"{name} returned {output.dtype}; floating-point logits are needed, not labels")
    if not torch.isfinite(output).all():
        raise TeacherError(f"{name} returned NaN or infinite logits for ordinary weights and inputs")
    if (output >= 0).all() and torch.allclose(output.sum(dim=1), torch.ones_like(output[:, 0]), atol=1e-4):
        raise TeacherError(
            f"{name} returned probabilities (non-negative rows that sum to 1); logits are needed. Drop the last softmax, "
            "or return probabilities.log()"
        )
    return output.shape[1]


def _answer_with_made_up_weights(module: nn.Module, inputs: Tensor) -> object:
    """What the module gives with public numbers in place of its floating-point weights; others, such as index tables, stay."""
    draws = torch.Generator().manual_seed(_SEED)
    weights = {name: _made_up_weight(value, draws) for name, value in module.named_parameters()}
    weights |= {name: _made_up_weight(value, draws).abs() for name, value in module.named_buffers()}  # may be variances
    weights = {name: value for name, value in weights.items() if value.is_floating_point()}
    device = next((value.device for value in weights.values()), torch.device("cpu"))
    if not isinstance(module, torch.jit.ScriptModule):
        return torch.func.functional_call(module, weights, (inputs.to(device),))
    twin = copy.deepcopy(module)  # torch offers no call with other weights for these
    twin.load_state_dict(weights, strict=False)
    return twin(inputs.to(device))


def _made_up_weight(value: Tensor, draws: torch.Generator) -> Tensor:
    """Public numbers in the shape of a weight, so small that layers neither grow nor shrink much; others as they are."""
    if not value.is_floating_point():
        return value
    fan_in = max(1, value.numel() // max(1, value.shape[0])) if value.dim() else 1
    return (torch.randn(value.shape, generator=draws) / fan_in**0.5).to(value.device, value.dtype)
