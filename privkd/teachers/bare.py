"""A plain module behind a strict interface: eval mode, no gradient, checked output, answers boxed as private."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from accountants import check
from privkd.errors import TeacherError
from privkd.private import Private
from privkd.teachers.inputs import InputSpec


class BareTeacher:
    """Asks a module for class answers without changing it.

    The module may be on any device and in train or eval mode: it answers in eval mode (so BatchNorm statistics do not
    move and Dropout is off), and its modes are put back afterwards.

    Args:
        module: maps a batch of inputs to logits, shape (b, K), K >= 2.
        inputs: what it eats.
        batch_size: queries per forward pass.

    Raises:
        TypeError: not an `nn.Module`.
        TeacherError: the module fails on a first batch of mid-range inputs.
    """

    def __init__(self, module: nn.Module, inputs: InputSpec, *, batch_size: int = 512) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(f"a bare teacher must be a torch.nn.Module, got {type(module).__name__}")
        check.integer(batch_size=batch_size, at_least=1)
        self.module = module
        self.inputs = inputs
        self._batch_size = batch_size
        middle = torch.full((2, *inputs.shape), (inputs.low + inputs.high) / 2)
        self.classes = self._forward(middle).shape[1]

    @property
    def device(self) -> torch.device:
        """Where the module lives."""
        tensor = next(self.module.parameters(), next(self.module.buffers(), torch.empty(0)))
        return tensor.device

    def answers(self, queries: Tensor) -> Private:
        """Class index per query, boxed, int64, shape (n,)."""
        return Private(self._logits(queries).argmax(dim=1), origin="the teacher's answers")

    def logits(self, queries: Tensor) -> Private:
        """Logits per query, boxed, float32, shape (n, K), on the CPU."""
        return Private(self._logits(queries), origin="the teacher's logits")

    def _logits(self, queries: Tensor) -> Tensor:
        if tuple(queries.shape[1:]) != self.inputs.shape:
            raise ValueError(f"queries have shape {tuple(queries.shape)}, the teacher takes (n, {self.inputs.shape})")
        if not len(queries):
            raise ValueError("0 queries were given; at least one is needed")
        return torch.cat([self._forward(part) for part in queries.detach().split(self._batch_size)])

    def _forward(self, queries: Tensor) -> Tensor:
        try:
            with _eval_mode(self.module), torch.no_grad():
                output = self.module(queries.to(self.device, torch.float32))
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise TeacherError(
                f"the teacher {type(self.module).__name__} failed on inputs of shape {tuple(queries.shape)}: {error}. "
                "Check inputs=InputSpec(shape=...) or the shape of queries"
            ) from error
        return checked_logits(output, rows=len(queries), name=type(self.module).__name__).cpu()


def checked_logits(output: object, *, rows: int, name: str) -> Tensor:
    """The output of a classifier, if it is usable as logits.

    Raises:
        TeacherError: not a tensor, not (rows, K >= 2), not finite, or probabilities.
    """
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
        raise TeacherError(f"{name} returned NaN or infinite logits; check its weights and the range of its inputs")
    if (output >= 0).all() and torch.allclose(output.sum(dim=1), torch.ones_like(output[:, 0]), atol=1e-4):
        raise TeacherError(
            f"{name} returned probabilities (non-negative rows that sum to 1); logits are needed. Drop the last softmax, "
            "or return probabilities.log()"
        )
    return output.float()


@contextmanager
def _eval_mode(module: nn.Module) -> Iterator[None]:
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training
