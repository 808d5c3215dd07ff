"""Which records make a batch, and what a release on such batches costs. Draws come from the noise source, never from a seed.

A batch that somebody can predict amplifies nothing: whoever knows the seed of a shuffle knows who took part in which step.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from accountants import Event, Gaussian
from accountants.ledger.sampler import Sampler
from privkd.mechanisms.noise import NoiseSource
from privkd.mechanisms.sums import unit_sensitivity

_READ_AHEAD = 256  # steps that reading ahead may be in front of training


class Draws(ABC):
    """Batches of a run, step by step.

    Args:
        n: records, >= 1; public.
        batch: records per step, 1 to n; on average for Poisson batches.
        noise: where randomness comes from.
        process: (rank, world): each process has the records rank, rank + world, ... of a batch.

    Attributes:
        adjacencies: for which the cost is stated, the natural one first.
        divisor: by which the noisy sum is divided to be a mean; public, and the same in every step.
    """

    adjacencies: tuple[str, ...]
    kind: str
    several = False
    """Whether several processes can draw without a word to each other."""

    def __init__(self, n: int, batch: int, noise: NoiseSource, process: tuple[int, int] = (0, 1)) -> None:
        self.rows, self.size, self.noise, self.process = n, min(batch, n), noise, process
        self.divisor = float(self.size)
        self._drawn: dict[int, Tensor] = {}

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which a record takes part once, on average."""
        return max(1, self.rows // self.size)

    def at(self, step: int) -> Tensor:
        """Records of a step, int64; drawn once, however often it is asked for while the run is near."""
        if step not in self._drawn:
            self._drawn = {known: rows for known, rows in self._drawn.items() if known > step - _READ_AHEAD}
            self._drawn[step] = self._draw(step)
        return self._drawn[step]

    @abstractmethod
    def event(self, multiplier: float, steps: int, adjacency: str) -> Event:
        """Cost of Gaussian noise on the sum of clipped gradients in every step.

        Args:
            multiplier: standard deviation of the noise / clipping norm.
            steps: of the run.
            adjacency: one of `adjacencies`.
        """

    def sampler(self, steps: int) -> Sampler | None:
        """What the loader does, in the words of the ledger; None where it has no word."""
        return Sampler(kind=self.kind, batch=self.size, n=self.rows, steps=steps)

    def state_dict(self) -> dict[str, Any]:
        """What must not be drawn again when a run goes on; private."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most draws remember nothing
        """Take back what `state_dict` gave."""

    @abstractmethod
    def _draw(self, step: int) -> Tensor: ...


class PoissonDraws(Draws):
    """Every record enters every batch independently with probability q = batch / n; a batch may be empty.

    The probability is realised as floor(q 2^64) / 2^64 of the number q that is charged, never above it.
    """

    adjacencies = ("add-remove", "zero-out", "replace-one")
    kind = "poisson"
    several = True

    @property
    def q(self) -> float:
        """Sampling probability."""
        return self.size / self.rows

    def event(self, multiplier: float, steps: int, adjacency: str) -> Event:
        """Cost of the noise; under every adjacency the sigma is relative to the clipping norm."""
        return Gaussian(multiplier).poisson(self.q) * steps

    def sampler(self, steps: int) -> Sampler:
        return Sampler(kind=self.kind, q=self.q, batch=self.size, n=self.rows, steps=steps)

    def _draw(self, step: int) -> Tensor:
        rank, world = self.process
        own = len(range(rank, self.rows, world))
        chosen = self.noise.bernoulli(own, threshold=int(Fraction(self.q) * 2**64))
        return chosen.nonzero().squeeze(1) * world + rank


class FixedSizeDraws(Draws):
    """A fresh uniform batch of fixed size, without replacement, in every step."""

    adjacencies = ("replace-one",)
    kind = "fixed-size"

    def event(self, multiplier: float, steps: int, adjacency: str) -> Event:
        return Gaussian(multiplier / unit_sensitivity("replace-one")).fixed_size(self.size, self.rows) * steps

    def _draw(self, step: int) -> Tensor:
        return _permutation(self.rows, self.noise)[: self.size]


class ShuffledDraws(Draws):
    """Passes over the records in a fresh random order; a short last batch is dropped. No amplification is claimed."""

    adjacencies = ("zero-out",)
    kind = "shuffled"

    def __init__(self, n: int, batch: int, noise: NoiseSource, process: tuple[int, int] = (0, 1)) -> None:
        super().__init__(n, batch, noise, process)
        self._passes: dict[int, Tensor] = {}

    def event(self, multiplier: float, steps: int, adjacency: str) -> Event:
        """Cost of the noise; a record takes part once per pass, and its place stays empty without it."""
        return Gaussian(multiplier).shuffled(self.size, self.rows, self._epochs(steps))

    def sampler(self, steps: int) -> Sampler:
        return Sampler(kind=self.kind, batch=self.size, n=self.rows, epochs=self._epochs(steps), steps=steps)

    def state_dict(self) -> dict[str, Any]:
        """The orders of the passes that reading ahead has touched: other ones would let records take part twice in a pass."""
        return {"passes": [(epoch, order) for epoch, order in self._passes.items()]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._passes = {int(epoch): torch.as_tensor(order) for epoch, order in state["passes"]}

    def _epochs(self, steps: int) -> int:
        return math.ceil(steps / self.steps_per_epoch)

    def _draw(self, step: int) -> Tensor:
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch not in self._passes:
            oldest = (step - _READ_AHEAD) // self.steps_per_epoch  # a run may be so far behind what is read ahead
            self._passes = {known: order for known, order in self._passes.items() if known >= oldest}
            self._passes[epoch] = _permutation(self.rows, self.noise)
        return self._passes[epoch][place * self.size : (place + 1) * self.size]


class CyclicDraws(Draws):
    """The same batches in the same order in every pass, so that two steps of a record are a whole pass apart.

    Its randomness protects nothing, so that it is cut in the order of the records: shuffle them before, if they are sorted.
    """

    adjacencies = ("zero-out", "replace-one")
    kind = "cyclic"
    several = True

    def event(self, multiplier: float, steps: int, adjacency: str) -> Event:
        """Cost of independent noise: one release per pass."""
        return Gaussian(multiplier / unit_sensitivity(adjacency)) * math.ceil(steps / self.steps_per_epoch)

    def sampler(self, steps: int) -> Sampler | None:
        return None

    def _draw(self, step: int) -> Tensor:
        place = step % self.steps_per_epoch
        rank, world = self.process
        return torch.arange(place * self.size + rank, (place + 1) * self.size, world)


SAMPLINGS = {"poisson": PoissonDraws, "fixed-size": FixedSizeDraws, "shuffled": ShuffledDraws}
"""By name, for settings."""


def draws_for(sampling: str, n: int, batch: int, noise: NoiseSource, process: tuple[int, int]) -> Draws:
    """The draws of that name; `"cyclic"` is for correlated noise alone."""
    kind = CyclicDraws if sampling == "cyclic" else SAMPLINGS[sampling]
    return kind(n, batch, noise, process)


def _permutation(n: int, noise: NoiseSource) -> Tensor:
    """A uniformly random order: 64-bit keys, sorted; drawn again in the unlikely case of equal ones."""
    while True:
        keys = torch.from_numpy((noise.words(n) >> 1).astype("int64"))
        ordered, order = keys.sort()
        if n < 2 or bool((ordered[1:] != ordered[:-1]).all()):
            return order
