"""The reference strategy: one record at a time, with plain autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from privkd.private_training.clipping.clipped_sum import ClippedSum, clip_samples, empty
from privkd.private_training.clipping.job import Job, Rows


def loop(job: Job, rows: Rows) -> ClippedSum:
    """Sum of clipped gradients, each record in a forward and backward pass of its own."""
    trained = job.trained()
    total = empty(trained, job.rule)
    for index in range(len(rows[0])):
        with torch.enable_grad():
            losses = job.losses(tuple(part[index : index + 1] for part in rows))
            samples = _gradients(losses.mean(), trained)
        total = total + clip_samples(samples, job.by_record(losses), trained, job.rule)
    return total


def _gradients(loss: Tensor, trained: dict[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    if not loss.requires_grad:  # no trained parameter took part
        return {}
    found = torch.autograd.grad(loss, list(trained.values()), allow_unused=True)
    dense = [value.to_dense() if value is not None and value.is_sparse else value for value in found]
    return {name: value[None] for name, value in zip(trained, dense, strict=True) if value is not None}
