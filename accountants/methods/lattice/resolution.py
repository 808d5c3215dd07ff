"""How fine the lattice must be for a requested width, and how fine it can be for the time that may be spent."""

import math
from dataclasses import dataclass

from accountants.errors import ResolutionError
from accountants.methods.lattice.directions import Releases
from accountants.methods.lattice.first_look import FirstLook
from accountants.methods.lattice.law import LatticeLaw, Tails
from accountants.methods.lattice.pairs.pair import Pair
from accountants.methods.lattice.pairs.sampled import SampledPair
from accountants.methods.lattice.schedule import grouped
from accountants.methods.lattice.transform import MAX_CELLS
from accountants.methods.method import Parts

_SECONDS = 1.3  # for both ends in one direction
_CELL, _LINE, _EVENT = 0.5e-6, 0.5e-6, 1e-2  # measured seconds per cell of a law, line of a spectrum, event; both ends
_ROOM = 2e-2  # seconds for every event, where that is more: the time for many events grows with their number
_MOST_EVENTS = 1000  # about 10 s
_AIM = 0.7  # of the requested width
_NOTABLE = 0.1  # share of the variance from which an event's own shape counts


@dataclass(frozen=True, slots=True)
class Plan:
    """Where to look in one direction, before the fine lattice is made.

    Attributes:
        releases: what is composed.
        first_look: estimates and window.
        tails: what the laws may leave out.
        pilots: the coarse laws that the estimates come from.
    """

    releases: Releases
    first_look: FirstLook
    tails: Tails
    pilots: tuple[LatticeLaw, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Chooses steps for one composition.

    Attributes:
        plan: what is composed, and where delta comes from.
        lengths: range of the loss of each release, nats.
        deviations: standard deviations of the losses.
    """

    plan: Plan
    lengths: tuple[float, ...]
    deviations: tuple[float, ...]

    @classmethod
    def of(cls, plan: Plan) -> "Resolution":
        """The choice for a plan, from its coarse laws."""
        lengths = tuple(law.ends[1] - law.ends[0] for law in plan.pilots)
        deviations = []
        for law in plan.pilots:
            mean = float(law.mass @ law.points)
            deviations.append(math.sqrt(max(float(law.mass @ (law.points - mean) ** 2), 1e-300)))
        return cls(plan, lengths, tuple(deviations))

    def first_step(self, width: float) -> float:
        """A step that should give intervals of this width.

        Chord splitting adds h^2/6 of variance per release and merging takes h^2/12 away, so that the ends differ by
        about (1 + tilt) / 2 times a quarter of h^2 per release.
        """
        exact = self.lattice_step()
        if exact is not None:
            return exact
        step = math.sqrt(8.0 * _AIM * width / (self.plan.releases.total * (1.0 + self.plan.first_look.saddle)))
        variance = sum(
            count * deviation**2 for count, deviation in zip(self.plan.releases.counts, self.deviations, strict=True)
        )
        for pair, count, deviation in zip(
            self.plan.releases.above, self.plan.releases.counts, self.deviations, strict=True
        ):
            if count * deviation**2 > _NOTABLE * variance:
                step = min(step, 0.3 * deviation, 0.1 * _scale(pair))
        return self.rounded(step)

    def rounded(self, step: float) -> float:
        """The largest allowed step up to this one: affordable, aligned, and out of few, so that laws are met again."""
        smallest = self.smallest_step()
        rigid = self._rigid_length()
        if rigid is not None and rigid >= smallest:
            pieces = min(math.ceil(rigid / max(step, smallest) * (1.0 - 1e-9)), math.floor(rigid / smallest))
            return rigid / max(1, pieces)
        quarters = math.floor(4.0 * math.log2(step))
        return 2.0 ** (max(quarters, math.ceil(4.0 * math.log2(smallest))) / 4.0)

    def smallest_step(self) -> float:
        """The finest step that the time limits allow."""
        room = max(_SECONDS - _EVENT * len(self.lengths), _ROOM * len(self.lengths))
        window = self.plan.first_look.window.high - self.plan.first_look.window.low
        return max((_CELL * sum(self.lengths) + _LINE * window * len(self.lengths)) / room, window / MAX_CELLS)

    def lattice_step(self) -> float | None:
        """The common step on which all pairs lie exactly, if there is one and the window has room for it."""
        spacings = [pair.spacing for pair in (*self.plan.releases.above, *self.plan.releases.below)]
        known = [spacing for spacing in spacings if spacing is not None]
        if len(known) < len(spacings):
            return None
        step = min(known)
        if any(abs(spacing / step - round(spacing / step)) > 1e-12 * spacing / step for spacing in known):
            return None
        return step if step >= self.smallest_step() else None

    def _rigid_length(self) -> float | None:
        """The length between atoms that should be a whole number of steps: that of the event it matters most for."""
        best, length = 0.0, None
        for pair, count in zip(self.plan.releases.above, self.plan.releases.counts, strict=True):
            anchor, spacing = pair.anchor, pair.spacing
            if spacing is not None and spacing * count > best and spacing > self.smallest_step():
                best, length = spacing * count, spacing
            elif spacing is None and anchor is not None and (anchor[1] - anchor[0]) * count > best:
                best, length = (anchor[1] - anchor[0]) * count, anchor[1] - anchor[0]
        return length


def require_few(parts: Parts) -> None:
    """Refuse what could not be composed within seconds, however coarse the lattice.

    Raises:
        ResolutionError: there are too many distinct events.
    """
    different = len(grouped(parts))
    if different > _MOST_EVENTS:
        raise ResolutionError(
            f"{different} distinct events are more than {_MOST_EVENTS}, the most that the lattice composes; "
            "use method='renyi', or round their parameters to fewer values on the costly side"
        )


def tails_for(releases: Releases, log_delta: float) -> Tails:
    """Tails that together cost about 1e-7 of delta, as powers of ten.

    Raises:
        ResolutionError: delta is too small for floats.
    """
    total = math.log10(releases.total)
    above = math.floor(log_delta / math.log(10.0) - 7.0 - total)
    if above < -270:
        raise ResolutionError(f"delta is about e^{log_delta:.0f}, too small for floats; use method='renyi'")
    return Tails(10.0 ** math.floor(-8.0 - total), 10.0**above)


def _scale(pair: Pair) -> float:
    """The loss of a sampled pair has its shape on the scale of the sampling probability."""
    return pair.q if isinstance(pair, SampledPair) else math.inf
