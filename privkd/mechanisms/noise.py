"""Where randomness that protects people comes from.

`SystemNoise` reads the operating system's entropy for every draw; `SeededNoise` repeats itself and exists for
tests only: a release made with it carries `secure_rng=False` in its certificate, because whoever knows the seed
can subtract the noise.

Gaussian draws use the inverse of the normal distribution function on 64 random bits, so the tails reach 9.1 sigma
(the mass beyond is 5e-20 per draw). Sampling in floating point is attackable in theory (Mironov, CCS 2012);
`coarsen` removes the low-order bits that such an attack reads, which is a mitigation and not a proof.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from accountants import check

_WORD = 1 << 64
_BLOCK = 8192  # values that stay in the processor's cache from one operation to the next


class NoiseSource(ABC):
    """Draws from a stream of independent uniform 64-bit words."""

    secure: bool
    """True when nobody, including the caller, can repeat the draws."""

    @abstractmethod
    def words(self, count: int) -> np.ndarray:
        """Independent uniform words, dtype uint64, shape (count,)."""

    def normal(self, shape: tuple[int, ...], *, std: float) -> Tensor:
        """Independent N(0, std^2) values, float64, on the CPU; exactly zero for std = 0."""
        check.real(std=std, at_least=0.0)
        words = self.words(math.prod(shape))
        made = np.empty(len(words))
        for start in range(0, len(words), _BLOCK):
            part, values = words[start : start + _BLOCK], made[start : start + _BLOCK]
            # One bit is the sign, 63 bits the tail probability in (0, 1/2): both tails have the same, full resolution.
            values[:] = part >> np.uint64(1)
            values += 0.5
            values *= 2.0**-64
            ndtri(values, out=values)  # negative
            np.negative(values, out=values, where=(part & np.uint64(1)) == 0)
            values *= std
        return torch.from_numpy(made).reshape(shape)

    def bernoulli(self, count: int, *, threshold: int) -> Tensor:
        """Independent booleans, true with probability exactly threshold / 2^64, shape (count,)."""
        check.integer(threshold=threshold, at_least=0, at_most=_WORD)
        words = self.words(count)
        if threshold == _WORD:
            return torch.ones(count, dtype=torch.bool)
        return torch.from_numpy(words < np.uint64(threshold))

    def integers(self, count: int, *, below: int) -> Tensor:
        """Independent exactly uniform integers in [0, below), int64, shape (count,)."""
        check.integer(below=below, at_least=1)
        limit = np.uint64(_WORD - 1 - _WORD % below)  # words above would favour the small remainders
        words = self.words(count)
        while (rejected := words > limit).any():
            words[rejected] = self.words(int(rejected.sum()))
        return torch.from_numpy((words % np.uint64(below)).astype(np.int64))


class SystemNoise(NoiseSource):
    """The operating system's entropy: every word comes from `os.urandom`."""

    secure = True

    def words(self, count: int) -> np.ndarray:
        """Independent uniform words from the operating system, dtype uint64, shape (count,)."""
        return np.frombuffer(bytearray(os.urandom(8 * count)), dtype=np.uint64)


class SeededNoise(NoiseSource):
    """Repeatable draws, for tests only.

    Args:
        seed: an integer >= 0.
    """

    secure = False

    def __init__(self, seed: int) -> None:
        check.integer(seed=seed, at_least=0)
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def words(self, count: int) -> np.ndarray:
        """The next words of the seeded stream, dtype uint64, shape (count,)."""
        return self._generator.integers(0, _WORD, size=count, dtype=np.uint64)


def coarsen(values: Tensor, *, std: float) -> Tensor:
    """Round released values to a public grid of about std / 65536, which hides the low-order bits of the sum."""
    if std == 0.0:
        return values
    grid = 2.0 ** (math.floor(math.log2(std)) - 16)
    return torch.round(values / grid) * grid
