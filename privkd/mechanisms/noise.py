"""Where randomness that protects people comes from.

`SystemNoise` takes fresh entropy of the operating system for every draw; `SeededNoise` repeats itself and exists for
tests only: a release made with it carries `secure_rng=False` in its certificate, because whoever knows the seed
can subtract the noise.

Gaussian draws are made in pairs (Box and Muller, 1958) from two words of 64 bits, so that a pair is up to 9.41 sigma
long (the mass beyond is 6e-20). Sampling in floating point is attackable in theory (Mironov, CCS 2012); `coarsen`
removes the low-order bits that such an attack reads, which is a mitigation and not a proof.
"""

from __future__ import annotations

import math
import os
import ssl
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from accountants import check
from privkd.plain import plain

_WORD = 1 << 64
_STRETCHED = 1 << 12  # words from which on the operating system's entropy is stretched, so many at a time


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
        count = math.prod(shape)
        pairs = (count + 1) // 2
        signed = torch.from_numpy(self.words(2 * pairs).view(np.int64)).double()  # in [-2^63, 2^63)
        uniform = signed[:pairs].add_(0.5).abs_().mul_(2.0**-63)  # in (0, 1], small ones with all their digits
        radius = uniform.log_().mul_(-2.0).sqrt_().mul_(std)
        angle = signed[pairs:].mul_(math.pi * 2.0**-63)
        return torch.cat([angle.cos().mul_(radius), angle.sin_().mul_(radius)])[:count].reshape(shape)

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
    """The operating system's entropy.

    A few words are read from it as they are. Many are 384 fresh bits of it, stretched by the AES-256 counter generator of
    OpenSSL (NIST SP 800-90A), ten times faster: as with the operating system's own generator, which stretches too, the
    draws are random to whoever cannot break the cipher. Every draw takes fresh bits, also behind a fork.
    """

    secure = True

    def words(self, count: int) -> np.ndarray:
        """Independent uniform words, dtype uint64, shape (count,)."""
        if count < _STRETCHED:
            return np.frombuffer(bytearray(os.urandom(8 * count)), dtype=np.uint64)
        ssl.RAND_add(os.urandom(48), 48.0)
        made = np.empty(count, dtype=np.uint64)
        for start in range(0, count, _STRETCHED):
            part = made[start : start + _STRETCHED]
            part[:] = np.frombuffer(ssl.RAND_bytes(part.nbytes), dtype=np.uint64)
        return made


class SeededNoise(NoiseSource):
    """Repeatable draws, for tests only.

    Args:
        seed: an integer >= 0.
    """

    secure = False

    def __init__(self, seed: int) -> None:
        seed = plain(seed)
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
    return (values / grid).round_().mul_(grid)
