"""Learning rates over a stage, as fractions of its length: multiples of the rates that optimisers were made with."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from accountants import check
from privkd.plain import make_plain


class Schedule(ABC):
    """What multiplies the own learning rate of every parameter group at each step of a stage.

    One of your own is a frozen dataclass with plain fields: a stopped run goes on only with equal ones.
    """

    @abstractmethod
    def scale(self, step: int, steps: int, epoch: int) -> float:
        """The multiple of the own rate at a step, >= 0.

        Args:
            step: optimiser steps done before it in the stage, in [0, steps).
            steps: of the whole stage.
            epoch: passes over the data done before it.
        """


@dataclass(frozen=True)
class cosine(Schedule):  # noqa: N801 - used like a function: schedule=cosine(warm_up=0.05)
    """Half a cosine from 1 down to `final` (Loshchilov and Hutter, SGDR, arXiv 1608.03983, without restarts).

    Args:
        warm_up: fraction of the steps, in [0, 1), over which the scale first rises in a line to 1; it begins above 0, so that no
            step is lost.
        final: scale that the end of the stage comes close to, >= 0.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> [round(cosine().scale(step, 4, 0), 3) for step in range(4)]
        [1.0, 0.854, 0.5, 0.146]
    """

    warm_up: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_ends(self)

    def scale(self, step: int, steps: int, epoch: int) -> float:
        risen, done = _phases(self.warm_up, step, steps)
        return risen * (self.final + (1.0 - self.final) * (1.0 + math.cos(math.pi * done)) / 2.0)


@dataclass(frozen=True)
class linear(Schedule):  # noqa: N801
    """A line from 1 down to `final`.

    Args:
        warm_up: as that of `cosine`.
        final: scale that the end of the stage comes close to, >= 0.

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> [linear(warm_up=0.25).scale(step, 4, 0) for step in range(4)]
        [0.5, 1.0, 0.6666666666666667, 0.33333333333333337]
    """

    warm_up: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_ends(self)

    def scale(self, step: int, steps: int, epoch: int) -> float:
        risen, done = _phases(self.warm_up, step, steps)
        return risen * (1.0 - (1.0 - self.final) * done)


@dataclass(frozen=True)
class steps_down(Schedule):  # noqa: N801
    """The rate is multiplied by `factor` at each of several moments of the stage.

    Args:
        at: fractions of the steps, rising, in (0, 1).
        factor: what multiplies the rate there, > 0.

    Raises:
        ValueError: a number is out of its range, there is no moment, or the moments do not rise.
        TypeError: the moments are no tuple of numbers.

    Example:
        >>> [steps_down(at=(0.5,), factor=0.1).scale(step, 4, 0) for step in range(4)]
        [1.0, 1.0, 0.1, 0.1]
    """

    at: tuple[float, ...] = (0.5, 0.75)
    factor: float = 0.1

    def __post_init__(self) -> None:
        make_plain(self)
        if not isinstance(self.at, tuple):
            raise TypeError(f"at={self.at!r} must be a tuple of fractions of the steps, for example (0.5, 0.75)")
        for moment in self.at:
            check.real(at=moment, above=0.0, below=1.0)
        if not self.at or list(self.at) != sorted(set(self.at)):
            raise ValueError(f"at={self.at!r} must be fractions that rise, at least one, for example (0.5, 0.75)")
        check.real(factor=self.factor, above=0.0)

    def scale(self, step: int, steps: int, epoch: int) -> float:
        # A quotient is rounded like a literal: 3 / 30 >= 0.1, although 0.1 * 30 > 3.
        return self.factor ** sum(step / steps >= moment for moment in self.at)


@dataclass(frozen=True)
class per_epoch(Schedule):  # noqa: N801
    """The rate is multiplied by `factor` after every pass over the data.

    Args:
        factor: what multiplies the rate, > 0.

    Raises:
        ValueError: it is out of its range.

    Example:
        >>> per_epoch(0.5).scale(step=7, steps=9, epoch=2)
        0.25
    """

    factor: float

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(factor=self.factor, above=0.0)

    def scale(self, step: int, steps: int, epoch: int) -> float:
        return self.factor**epoch


def described(schedule: Schedule) -> list[Any]:
    """Kind and settings of a schedule, which must be equal for two runs to be one."""
    return [type(schedule).__qualname__, sorted((name, repr(value)) for name, value in vars(schedule).items())]


def _check_ends(schedule: cosine | linear) -> None:
    make_plain(schedule)
    check.real(warm_up=schedule.warm_up, at_least=0.0, below=1.0)
    check.real(final=schedule.final, at_least=0.0)


def _phases(warm_up: float, step: int, steps: int) -> tuple[float, float]:
    """How far the scale has risen, in (0, 1], and which fraction of the steps after that is done, in [0, 1)."""
    rising = int(warm_up * steps)
    if step < rising:
        return (step + 1) / (rising + 1), 0.0
    return 1.0, (step - rising) / (steps - rising)
