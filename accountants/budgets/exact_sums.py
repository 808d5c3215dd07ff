"""Running sums that only round up: exact integers in units of 2^-128, whatever the order of the summands."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_BITS = 128


def exact(value: float) -> int:
    """A finite number >= 0 in units of 2^-128, rounded up; exact for every float above 1e-22.

    Example:
        >>> exact(0.5) == 2**127, exact(5e-324)
        (True, 1)
    """
    numerator, denominator = value.as_integer_ratio()
    return -((-numerator << _BITS) // denominator)


def rounded_up(total: int) -> float:
    """The smallest float that is at least the number of units; infinite beyond the largest float.

    Example:
        >>> rounded_up(3 * exact(0.1)) > 0.3, rounded_up(7 * exact(1.0))
        (True, 7.0)
    """
    try:
        nearest = total / (1 << _BITS)
    except OverflowError:
        return math.inf
    numerator, denominator = nearest.as_integer_ratio()
    return nearest if numerator << _BITS >= total * denominator else math.nextafter(nearest, math.inf)


@dataclass(frozen=True, slots=True)
class Spent:
    """Everything that a budget counts of the releases so far; sums are exact.

    Attributes:
        counted: sums of the rule's weights, in units, each None once it is infinite; None once something could not be
            counted at all.
        pure: sum of the pure guarantees, in units; None once something had none.
        failures: sum of the failure masses that were split off, in units.
        conversions: how many failure masses were split off to turn a charge into a Gaussian, see `EveryKindRule`.
    """

    counted: tuple[int | None, ...] | None
    pure: int | None
    failures: int
    conversions: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        counted = None
        if self.counted is not None and other.counted is not None:
            counted = tuple(map(_sum, self.counted, other.counted))
        failures, conversions = self.failures + other.failures, self.conversions + other.conversions
        return Spent(counted, _sum(self.pure, other.pure), failures, conversions)

    def __mul__(self, count: int) -> "Spent":
        counted = None if self.counted is None else tuple(_times(count, total) for total in self.counted)
        return Spent(counted, _times(count, self.pure), count * self.failures, count * self.conversions)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """The rule's sums as floats, each rounded up; None if something could not be counted."""
        return None if self.counted is None else tuple(map(_float_of, self.counted))

    @property
    def pure_epsilon(self) -> float:
        """Sum of the pure guarantees, nats, rounded up; infinite if something had none."""
        return _float_of(self.pure)

    @staticmethod
    def nothing(size: int) -> "Spent":
        """The sums before the first release, for a rule of this many weights."""
        return Spent((0,) * size, 0, 0)

    @staticmethod
    def of(*, weights: Iterable[float] | None, pure: float | None, failure: float, conversions: int = 0) -> "Spent":
        """What one release adds: its weights under the rule, its pure guarantee and its failure mass."""
        counted = None if weights is None else tuple(exact(value) if value < math.inf else None for value in weights)
        return Spent(counted, None if pure is None else exact(pure), exact(failure), conversions)


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second


def _times(count: int, total: int | None) -> int | None:
    return None if total is None else count * total


def _float_of(total: int | None) -> float:
    return math.inf if total is None else rounded_up(total)
