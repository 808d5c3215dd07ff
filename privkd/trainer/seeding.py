"""Repeatable initial weights without touching the caller's random state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils.data import get_worker_info

__all__ = ["mixed", "seeded"]


def mixed(seed: int, *numbers: int) -> int:
    """A seed of its own, below 2^63, for every sequence of numbers; neighbours have nothing in common."""
    for number in numbers:
        value = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**64
        value = ((value ^ (value >> 31)) * 0xD6E8FEB86659FD93) % 2**64
        seed = (value ^ (value >> 32)) % 2**63
    return seed


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Run a block with the global generators of torch, numpy and Python seeded; the caller's states come back after.

    Layers draw their initial weights and dropout masks from torch's global generator, estimators inside pipelines from
    numpy's, and offer no other way. `None` leaves everything as it is. Not for threads that run at the same time.
    """
    if seed is None:
        yield
        return
    # A worker process that reads data cannot touch accelerators, and need not.
    devices = [] if get_worker_info() is not None else list(range(torch.cuda.device_count()))
    ours, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)
            random.seed(seed)
            yield
    finally:
        random.setstate(ours)
        np.random.set_state(numpys)
