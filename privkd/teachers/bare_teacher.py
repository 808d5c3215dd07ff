"""A plain module behind a strict interface: eval mode, no gradient, answers boxed as private, and never an exception of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from accountants import check
from privkd.data.input_spec import InputSpec
from privkd.mechanisms.private_value import Private
from privkd.networks.prediction import eval_mode
from privkd.teachers.global_state import restored
from privkd.teachers.isolation import answer_or_none, isolated
from privkd.teachers.rehearsal import rehearse_module
from privkd.teachers.teacher import Teacher, TeacherKind

_SEED = 0


class BareTeacher(Teacher):
    """Asks a module for class answers without changing it.

    The module may be on any device and in train or eval mode: it answers in eval mode (so BatchNorm statistics do not
    move and Dropout is off), and its modes are put back afterwards. Every forward pass gets inputs of its own.

    What the module does wrong with an input (an exception, NaN, another shape, labels) is an answer, class 0: whether it
    happens depends on private weights. What is wrong for every input is found with made-up weights when the teacher is built.

    Args:
        module: maps a batch of inputs to logits, shape (b, K), K >= 2.
        inputs: what it eats.
        classes: number of classes K, where it is declared; default: found with made-up weights. A module that holds private
            numbers elsewhere than in weights and buffers may fail there because of them, and that would show: declare K.
        batch_size: queries per forward pass.

    Raises:
        TypeError: not an `nn.Module`.
        TeacherError: K is not declared, and the module does not map made-up inputs to logits with made-up weights.
    """

    kind = TeacherKind.MODULE

    def __init__(
        self, module: nn.Module, inputs: InputSpec, *, classes: int | None = None, batch_size: int = 512
    ) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(f"a bare teacher must be a torch.nn.Module, got {type(module).__name__}")
        check.integer(batch_size=batch_size, at_least=1)
        if classes is not None:
            check.integer(classes=classes, at_least=2)
        self.module = module
        self.inputs = inputs
        self._batch_size = batch_size
        self.classes = rehearse_module(module, inputs) if classes is None else int(classes)

    @property
    def models(self) -> list[nn.Module]:
        return [self.module]

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
        device = self.device
        with isolated(_SEED), eval_mode(self.module), torch.no_grad():
            return torch.cat([self._forward(part, device) for part in queries.detach().split(self._batch_size)])

    def _forward(self, queries: Tensor, device: torch.device) -> Tensor:
        """Logits of a batch; of its halves where it fails, so that one bad input costs no other its answer."""
        with restored():  # also between batches: a failure with one input changes no other answer
            output = answer_or_none(
                lambda: usable_logits(
                    self.module(queries.to(device, torch.float32, copy=True)), len(queries), self.classes
                )
            )
        if output is not None:
            return output
        if len(queries) == 1:
            return torch.zeros(1, self.classes)
        return torch.cat([self._forward(part, device) for part in queries.split((len(queries) + 1) // 2)])


def usable_logits(output: object, rows: int, classes: int) -> Tensor | None:
    """Logits as float32 on the CPU, rows that are not finite as zeros (so that they answer class 0); None if they are no logits.

    Example:
        >>> usable_logits(torch.tensor([[1.0, 2.0], [float("nan"), 3.0]]), 2, 2)
        tensor([[1., 2.],
                [0., 0.]])
    """
    if not isinstance(output, Tensor) or output.shape != (rows, classes) or not output.is_floating_point():
        return None
    logits = output.detach().float().cpu()
    return torch.where(torch.isfinite(logits).all(dim=1, keepdim=True), logits, 0.0)
