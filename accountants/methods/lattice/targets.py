"""The two targets of a composition: epsilon at a delta, and delta at an epsilon."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from accountants.errors import ResolutionError
from accountants.methods.lattice.composed import ComposedLaw
from accountants.methods.lattice.directions import Releases
from accountants.methods.lattice.first_look import FirstLook, look
from accountants.methods.lattice.law import LatticeLaw, Tails, upper_law
from accountants.methods.lattice.resolution import Plan, tails_for

_PILOT_CELLS = 2000
_ALL_PILOT_CELLS = 400_000
_LEAST_LOG_DELTA = -550.0  # smaller estimates mean that epsilon exceeds every loss
_UNKNOWN = Tails(1e-40, 1e-40)  # for a first look when delta is not known yet


class Target(ABC):
    """What to read off a composed law, and how to prepare for it."""

    @abstractmethod
    def plan(self, releases: Releases) -> Plan:
        """A first look with coarse laws."""

    @abstractmethod
    def look(self, laws: Sequence[LatticeLaw], counts: Sequence[int]) -> FirstLook:
        """Estimates from the given laws."""

    @abstractmethod
    def end(self, law: ComposedLaw, sign: float) -> tuple[float, float]:
        """Certified end of the answer, and the numerical error in delta that is part of it."""

    @abstractmethod
    def width(self, lower: float, upper: float, first_look: FirstLook) -> float:
        """How far apart two ends are, in nats of epsilon."""

    @abstractmethod
    def weight(self, first_look: FirstLook) -> float:
        """Estimate of the answer; the larger one belongs to the worse direction."""


@dataclass(frozen=True, slots=True)
class EpsilonAt(Target):
    """The smallest epsilon >= 0 with delta(epsilon) <= delta.

    Attributes:
        delta: in (0, 1).
    """

    delta: float

    def plan(self, releases: Releases) -> Plan:
        tails = tails_for(releases, math.log(self.delta))
        pilots = _pilots(releases, tails)
        return Plan(releases, self.look(pilots, releases.counts), tails, pilots)

    def look(self, laws: Sequence[LatticeLaw], counts: Sequence[int]) -> FirstLook:
        return look(laws, counts, log_delta=math.log(self.delta))

    def end(self, law: ComposedLaw, sign: float) -> tuple[float, float]:
        return law.epsilon(self.delta, sign=sign)

    def width(self, lower: float, upper: float, first_look: FirstLook) -> float:
        return upper - lower

    def weight(self, first_look: FirstLook) -> float:
        return first_look.epsilon


@dataclass(frozen=True, slots=True)
class DeltaAt(Target):
    """The value of delta(epsilon).

    Attributes:
        epsilon: nats, >= 0.
    """

    epsilon: float

    def plan(self, releases: Releases) -> Plan:
        # The tails depend on the answer, so that it takes a look to know where to look.
        first = self.look(_pilots(releases, _UNKNOWN), releases.counts)
        tails = tails_for(releases, max(min(first.log_delta, 0.0) - 2.0, _LEAST_LOG_DELTA))
        pilots = _pilots(releases, tails)
        return Plan(releases, self.look(pilots, releases.counts), tails, pilots)

    def look(self, laws: Sequence[LatticeLaw], counts: Sequence[int]) -> FirstLook:
        return look(laws, counts, epsilon=self.epsilon)

    def end(self, law: ComposedLaw, sign: float) -> tuple[float, float]:
        return law.delta(self.epsilon, sign=sign)

    def width(self, lower: float, upper: float, first_look: FirstLook) -> float:
        if lower <= 0.0:
            return math.inf if upper > 0.0 else 0.0
        return math.log(upper / lower) / first_look.saddle

    def weight(self, first_look: FirstLook) -> float:
        return first_look.log_delta


def _pilots(releases: Releases, tails: Tails) -> tuple[LatticeLaw, ...]:
    """Coarse laws from above, each on a lattice of its own."""
    cells = max(100, min(_PILOT_CELLS, _ALL_PILOT_CELLS // len(releases.counts)))
    ranges = [(pair, *pair.range_under_p(tails.below, tails.above)) for pair in releases.above]
    for pair, low, high in ranges:
        if not 0.0 < high - low < math.inf:
            raise ResolutionError(f"{pair!r} has losses between {low:g} and {high:g}, no range for a lattice")
    return tuple(upper_law(pair, (high - low) / cells, tails) for pair, low, high in ranges)
