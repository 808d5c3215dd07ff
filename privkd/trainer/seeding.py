"""Repeatable initial weights without touching the caller's random state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Run a block with torch's global generator seeded, and put the caller's state back afterwards.

    Layers draw their initial weights and dropout masks from the global generator, and offer no other way. `None`
    leaves everything as it is.
    """
    if seed is None:
        yield
        return
    devices = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)  # inside the fork: the caller's state is restored
        yield
