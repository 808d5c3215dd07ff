"""Checks on a few records of a first batch: records do not mix, and a fast strategy agrees with the loop.

A model may be written in ways that no list of layers can foresee: sequence first instead of batch first, a batch mean in
the loss, statistics in buffers. So every new shape and memory layout of rows is tried on up to three records before it
is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from privkd.mechanisms.clipping.clipped import ClippedSum, full_precision
from privkd.mechanisms.clipping.ghost import mixing_sites
from privkd.mechanisms.clipping.job import Job, NotCovered, Rows
from privkd.mechanisms.clipping.looped import loop
from privkd.mechanisms.clipping.rules import Flat
from privkd.mechanisms.clipping.validation import mixed_records

__all__ = ["check_records_are_separate", "check_strategy", "exact", "layout_of", "quiet"]

_ULPS = 4096  # two exact ways of summing the same gradient may differ by so much
_ROUGHEST = 0.1  # half precision
_NEVER = 1e30  # a bound that clips nothing


def layout_of(job: Job, rows: Rows) -> tuple[object, ...]:
    """What decides whether a check has to be repeated: shapes, dtypes and memory layouts of rows, modes, trained names."""
    shapes = tuple((part.shape[1:], part.dtype, _order(part), part.is_contiguous()) for part in rows)
    modes = tuple(module.training for module in job.model.modules())
    half = torch.is_autocast_enabled(rows[0].device.type)
    return shapes, modes, half, tuple(job.trained())


def _order(part: Tensor) -> tuple[int, ...]:
    return tuple(sorted(range(part.dim()), key=lambda axis: -part.stride(axis)))


def check_records_are_separate(job: Job, rows: Rows) -> bool:
    """Check that no record's loss depends on another record, and that the forward pass leaves no trace in buffers.

    Args:
        job: what to clip.
        rows: up to three records.

    Returns:
        Whether the losses repeat themselves in eval mode, so that gradients can be compared between passes.

    Raises:
        MixedRecordsError: they do, with all that was found.
    """
    found = _changed_buffers(job, rows)
    if not found and len(rows[0]) > 1:
        found = _mixing_gradients(job, rows)
    if not found:
        _repeatable(job, rows, found)  # as it is trained; says nothing where it draws numbers, as dropout does
    with _evaluating(job.model):
        repeatable = _repeatable(job, rows, found)
    if found:
        raise mixed_records(found)
    return repeatable


def _repeatable(job: Job, rows: Rows, found: list[str]) -> bool:
    """Whether losses repeat themselves; if they do, and differ alone from together, that is added to what was found."""
    with torch.enable_grad():  # with gradients, as some layers take other ways without
        together, again = job.losses(rows).detach(), job.losses(rows).detach()
        repeatable = torch.equal(together.nan_to_num(), again.nan_to_num())
        if repeatable and not found and len(rows[0]) > 1:
            alone = torch.cat([job.losses(one).detach() for one in _singly(rows)])
            if not _close(together, alone, together, _eps(job, rows)):
                found.append("losses: the loss of a record in a batch is not its loss alone")
    return repeatable


def check_strategy(
    job: Job, rows: Rows, strategy: Callable[[Job, Rows], ClippedSum], name: str, repeatable: bool
) -> bool:
    """Check that a strategy finds the norms and gradients that the loop finds, in eval mode, where dropout is off.

    For ghost clipping it is also checked, in the present mode, that each record has rows of its own in every layer.

    Args:
        job: what to clip.
        rows: up to three records.
        strategy: the function to check.
        name: its name.
        repeatable: whether losses repeat themselves; if not, gradients of two passes cannot be compared.

    Returns:
        Whether any record was finite, so that there was something to compare.

    Raises:
        NotCovered: it does not; the message says what differs.
    """
    if name == "ghost":
        mixing = mixing_sites(job, rows)
        if mixing:
            raise NotCovered(f"dimension 0 is not the records in {', '.join(mixing)}")
    if not repeatable:
        return True
    unclipped = replace(job, rule=Flat(_NEVER))
    if name == "opacus":  # sees nothing in eval mode, so the comparison is possible without dropout only
        if any(isinstance(module, nn.modules.dropout._DropoutNd) for module in job.model.modules()):
            return True
        truth, tried = loop(unclipped, rows), strategy(unclipped, rows)
    else:
        with _evaluating(job.model):
            truth, tried = loop(unclipped, rows), strategy(unclipped, rows)
    eps = _eps(job, rows)
    if not _close(tried.norms, truth.norms, truth.norms, eps):
        raise NotCovered("gradient norms differ from the loop's")
    scale = torch.where(truth.norms.isfinite(), truth.norms, 0.0)
    for key, value in truth.gradients.items():
        if not _close(tried.gradients[key], value, scale, eps):
            raise NotCovered(f"the gradient of {key} differs from the loop's")
    return bool(truth.norms.isfinite().any())


@contextmanager
def quiet(model: nn.Module) -> Iterator[None]:
    """Leave the random state and the buffers as they were, whatever runs inside."""
    device = next(model.parameters()).device
    devices = [device] if device.type == "cuda" else []
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in buffers:
                    if not _same(buffer, value):
                        buffer.copy_(value)


def _changed_buffers(job: Job, rows: Rows) -> list[str]:
    before = {name: buffer.clone() for name, buffer in job.model.named_buffers()}
    with torch.enable_grad():
        job.losses(rows)
    after = dict(job.model.named_buffers())
    return [
        f"{name}: a buffer that the forward pass changes, which keeps what records leave in it"
        for name, value in before.items()
        if name not in after or not _same(after[name], value)
    ]


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(((one == other) | ((one != one) & (other != other))).all())


def _mixing_gradients(job: Job, rows: Rows) -> list[str]:
    """Inputs through which one record's loss depends on another record."""
    leaves = [part.detach().clone().requires_grad_() if part.is_floating_point() else part for part in rows]
    inputs = [part for part in leaves if part.is_floating_point()]
    if not inputs:
        return []
    with torch.enable_grad():
        losses = job.losses(tuple(part.clone() if part.is_floating_point() else part for part in leaves))
        if not losses.requires_grad:
            return []
        for index, loss in enumerate(losses.unflatten(0, (-1, job.views)).sum(1)):
            try:
                gradients = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
            except (
                RuntimeError
            ):  # an operation that has no derivative by its input; the losses' values are compared still
                return []
            for gradient in gradients:
                if gradient is None:
                    continue
                others = gradient.nan_to_num(0.0)  # NaN comes from a broken record, not from mixing
                others[index] = 0.0
                if bool(others.any()):
                    return ["inputs: the loss of one record depends on the inputs of another"]
    return []


def _singly(rows: Rows) -> list[Rows]:
    return [tuple(part[index : index + 1] for part in rows) for index in range(len(rows[0]))]


def _close(tried: Tensor, truth: Tensor, scale: Tensor, eps: float) -> bool:
    """Whether all finite values agree, measured by the length of what they belong to."""
    usable = truth.isfinite()
    if not torch.equal(usable, tried.isfinite()):
        return False
    size = torch.linalg.vector_norm(torch.where(scale.isfinite(), scale, 0.0).double())
    difference = torch.linalg.vector_norm((tried - truth)[usable].double())
    return bool(difference <= min(_ROUGHEST, _ULPS * eps) * size + torch.finfo(truth.dtype).tiny)


def _eps(job: Job, rows: Rows) -> float:
    """Rounding unit of the coarsest number that takes part."""
    dtypes = {value.dtype for value in (*rows, *job.model.parameters()) if value.is_floating_point()}
    device = next(job.model.parameters()).device.type
    if torch.is_autocast_enabled(device):
        dtypes.add(torch.get_autocast_dtype(device))
    return max(torch.finfo(dtype).eps for dtype in dtypes)


@contextmanager
def exact(job: Job, rows: Rows) -> Iterator[None]:
    """Autocast off, where parameters and inputs allow it: a check of structure shall not drown in rounding."""
    values = (*rows, *job.model.parameters())
    half = any(value.is_floating_point() and value.dtype.itemsize < 4 for value in values)
    with nullcontext() if half else full_precision(next(job.model.parameters())):
        yield


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        yield
    finally:
        for module, mode in modes:
            module.training = mode
