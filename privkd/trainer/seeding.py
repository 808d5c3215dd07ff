"""Repeatable initial weights without touching the caller's random state."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Run a block with the global generators of torch, numpy and Python seeded; the caller's states come back after.

    Layers draw their initial weights and dropout masks from torch's global generator, estimators inside pipelines from
    numpy's, and offer no other way. `None` leaves everything as it is. Not for threads that run at the same time.
    """
    if seed is None:
        yield
        return
    devices = list(range(torch.cuda.device_count()))
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
