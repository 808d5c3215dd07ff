"""Seeded random numbers for data that is made up: one key gives one stream, on every machine."""

from hashlib import sha256

import numpy as np
import torch

from accountants import check


def generator_of(purpose: str, *numbers: int) -> torch.Generator:
    """A generator of its own for a purpose and some numbers, e.g. a seed and the row that is made.

    The key is hashed, because the generator itself keeps 32 bits of a seed and neighbouring seeds shall share nothing.

    Args:
        purpose: what the numbers are for; two purposes share no stream.
        numbers: integers >= 0.

    Raises:
        TypeError: a number is not an integer.
        ValueError: a number is negative.
    """
    for number in numbers:
        check.integer(seed=number, at_least=0)
    key = " ".join([purpose, *(str(int(number)) for number in numbers)])
    return torch.Generator().manual_seed(int.from_bytes(sha256(key.encode()).digest()[:4], "big"))


class Draws:
    """Numbers from one stream, as numpy arrays or one at a time.

    Args:
        purpose: see `generator_of`.
        numbers: integers >= 0.

    Example:
        >>> draws = Draws("example", 0)
        >>> 2.0 <= draws.number(2.0, 3.0) < 3.0, draws.gaussian(4).shape, draws.index(1)
        (True, (4,), 0)
    """

    def __init__(self, purpose: str, *numbers: int) -> None:
        self.generator = generator_of(purpose, *numbers)

    def number(self, low: float, high: float) -> float:
        """One number from U[low, high)."""
        return float(self.uniform(low, high, 1)[0])

    def index(self, end: int) -> int:
        """One whole number from 0 to end - 1, all equally likely."""
        return int(self.below(end, 1)[0])

    def uniform(self, low: float, high: float, *shape: int) -> np.ndarray:
        """Numbers from U[low, high), float64."""
        return low + (high - low) * torch.rand(shape, generator=self.generator, dtype=torch.float64).numpy()

    def gaussian(self, *shape: int) -> np.ndarray:
        """Numbers from N(0, 1), float32 for speed."""
        return torch.randn(shape, generator=self.generator).numpy()

    def below(self, end: int, *shape: int) -> np.ndarray:
        """Whole numbers from 0 to end - 1, all equally likely, int64."""
        return torch.randint(end, shape, generator=self.generator).numpy()

    def order(self, n: int) -> np.ndarray:
        """A permutation of 0..n-1, int64, shape (n,)."""
        return torch.randperm(n, generator=self.generator).numpy()
