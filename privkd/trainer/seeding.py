"""Repeatable initial weights without touching the caller's random state; and secret seeds, which nobody can try out.

The generators of torch on the CPU and of numpy use 32 bits of a seed. Whoever sees what was drawn with a secret one could
try all of them, so that secret seeds have 256 bits and fill the whole state.
"""

from __future__ import annotations

import operator
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256, shake_256
from typing import Any

import numpy as np
import torch
from numpy.random import mtrand
from torch.utils.data import get_worker_info

_SECRET = 1 << 256
_SPARE: list[np.random.MT19937] = []  # generators of numpy that no block uses now; making one takes long
_STATE = slice(24, 24 + 8 * 624)  # bytes of a CPU generator's state that hold the 624 words of the Mersenne Twister


def secret_seed() -> int:
    """256 bits from the operating system; `mixed` makes further secret seeds of it."""
    return _SECRET + secrets.randbits(256)


def generator_of(seed: int) -> torch.Generator:
    """A generator on the CPU with this seed; a secret one fills its whole state."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    if seed >= _SECRET:
        generator.set_state(_filled(generator.get_state(), seed))
    return generator


def mixed(seed: int, *numbers: int) -> int:
    """A seed of its own for every sequence of numbers, below 2^63 or secret as the first one; neighbours have nothing in common."""
    seed, *further = map(operator.index, (seed, *numbers))  # numbers of numpy overflow
    if seed >= _SECRET:
        return _SECRET + int.from_bytes(sha256(repr((seed, *further)).encode()).digest())
    for number in further:
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
    seed = operator.index(seed)
    # A worker process that reads data cannot touch accelerators, and need not.
    devices = [] if get_worker_info() is not None else list(range(torch.cuda.device_count()))
    ours, numpys, torchs = random.getstate(), mtrand.get_bit_generator(), torch.get_rng_state()
    spare = _SPARE.pop() if _SPARE else np.random.MT19937(0)
    try:
        with torch.random.fork_rng(devices=devices) if devices else nullcontext():
            _seed_torch(seed, with_devices=bool(devices))
            mtrand.set_bit_generator(spare)  # the caller's is put aside: copying its state takes long
            np.random.seed(_words(seed, 8) if seed >= _SECRET else seed % 2**32)
            random.seed(seed)
            yield
    finally:
        random.setstate(ours)
        mtrand.set_bit_generator(numpys)
        _SPARE.append(spare)
        torch.set_rng_state(torchs)


def _seed_torch(seed: int, *, with_devices: bool) -> None:
    """Seed the global generators of torch; `torch.manual_seed` alone notes down a whole stack for devices that there are not."""
    if with_devices:
        torch.manual_seed(seed % 2**63)
    else:
        torch.default_generator.manual_seed(seed % 2**63)
    if seed >= _SECRET:
        torch.set_rng_state(_filled(torch.get_rng_state(), seed))


def random_state() -> dict[str, Any]:
    """The states of the global generators of torch (all devices), numpy and Python, as data for a checkpoint."""
    kind, keys, *rest = np.random.get_state()
    return {
        "torch": torch.get_rng_state(),
        "devices": list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else [],
        "numpy": (
            kind,
            [int(key) for key in keys],
            *(float(number) if isinstance(number, float) else int(number) for number in rest),
        ),
        "python": random.getstate(),
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Take back what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    if state["devices"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["devices"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    random.setstate(state["python"])


def _words(seed: int, count: int) -> np.ndarray:
    """Words of 32 bits that follow from a secret seed, uint32, shape (count,)."""
    return np.frombuffer(shake_256(repr(seed).encode()).digest(4 * count), dtype=np.uint32)


def _filled(state: torch.Tensor, seed: int) -> torch.Tensor:
    """A freshly seeded state whose words follow from all bits of a secret seed."""
    filled = state.clone()
    filled[_STATE] = torch.from_numpy(_words(seed, 624).astype(np.uint64).view(np.uint8))
    return filled
