"""Per-sample gradients by the opacus library, behind a guard for memory layouts.

opacus 1.6.0 unfolds convolution inputs by strides that hold for contiguous tensors only: for others its gradients are
wrong, often zero, and in its ghost mode norms are too small. A hook in front of every convolution passes a contiguous
copy, which cures both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from privkd.errors import UnsupportedModule
from privkd.private_training.clipping.clipped_sum import ClippedSum, clip_samples
from privkd.private_training.clipping.ghost import require_rows_in_place
from privkd.private_training.clipping.job import Job, Rows

GUARDED = "per-record gradients by opacus behind a layout guard: every convolution sees a contiguous input"
"""What a ledger discloses of such gradients; `privkd audit` flags those of opacus without it."""


def through_opacus(job: Job, rows: Rows) -> ClippedSum:
    """Sum of clipped gradients from the per-sample gradients of `opacus.GradSampleModule`.

    Modules with trained parameters must be in train mode, as opacus sees no others.

    Raises:
        ImportError: opacus is not installed.
        UnsupportedModule: a module with trained parameters is in eval mode.
        NotCovered: rows of a layer are not those of the records.
    """
    trained, records = job.trained(), len(rows[0])
    asleep = [
        path
        for path, module in job.model.named_modules()
        if not module.training and any(p is not None and p.requires_grad for p in module._parameters.values())
    ]
    if asleep:
        raise UnsupportedModule(
            f"opacus records gradients in train mode only, but these modules are in eval mode: {', '.join(asleep)}; call "
            "model.train(), or use strategy='auto'"
        )
    require_rows_in_place(job, rows)
    with torch.enable_grad(), _hooked(job.model):
        losses = job.losses(rows)
        if losses.requires_grad:
            (losses.sum() / job.views).backward()
        samples = {
            name: p.grad_sample.detach().unflatten(0, (records, job.views)).sum(1)  # pyright: ignore[reportAttributeAccessIssue]
            for name, p in trained.items()
            if getattr(p, "grad_sample", None) is not None
        }
    return clip_samples(samples, job.by_record(losses), trained, job.rule)


@contextmanager
def _hooked(model: nn.Module) -> Iterator[None]:
    """Hooks of opacus, contiguous convolution inputs, and everything as before at the end."""
    wrapper = _grad_sample_module()
    before = {p: p.grad for p in model.parameters()}
    attributes = {p: set(vars(p)) for p in model.parameters()}
    own = {module: set(vars(module)) for module in model.modules()}
    guards = [
        module.register_forward_pre_hook(lambda _, args: (args[0].contiguous(), *args[1:]))
        for module in model.modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    ]
    wrapped = None
    for p in before:
        p.grad = None  # or the backward pass would add to the caller's tensors
    try:
        wrapped = wrapper(model, batch_first=True, loss_reduction="sum", strict=False)
        yield
    finally:
        if wrapped is not None:
            wrapped.remove_hooks()
        for guard in guards:
            guard.remove()
        for p, grad in before.items():
            p.grad = grad
            for name in set(vars(p)) - attributes[p]:
                delattr(p, name)
        for module, names in own.items():
            for name in set(vars(module)) - names:
                delattr(module, name)


def _grad_sample_module() -> Any:
    try:
        from opacus import GradSampleModule
    except ImportError as error:
        raise ImportError(
            "strategy='opacus' needs the opacus library: pip install opacus; or use strategy='auto'"
        ) from error
    return GradSampleModule
