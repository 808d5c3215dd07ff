"""The releases of a ledger as dominating pairs, once per direction of the neighbouring relation."""

from dataclasses import dataclass
from functools import lru_cache

from accountants.adjacency import Adjacency
from accountants.errors import UnsupportedEvent
from accountants.events.event import Event
from accountants.methods.lattice.law import LatticeLaw, Tails, exact_law, upper_law
from accountants.methods.lattice.lower import lower_law
from accountants.methods.lattice.pairs.pair import Pair
from accountants.methods.lattice.pairs.table import DIRECTIONS, attained_pair_of, pair_of
from accountants.methods.lattice.schedule import grouped
from accountants.methods.method import Parts

_REMEMBERED = 2**16  # cells; longer laws are not kept
_SAME = 1e-12  # relative difference of two spacings that counts as rounding


@dataclass(frozen=True, slots=True)
class Releases:
    """Everything that is composed in one direction.

    Attributes:
        direction: "remove", "add", or "both" if all pairs are symmetric.
        above: dominating pairs.
        below: attained pairs, in the same order.
        counts: how often each is released, >= 1.
    """

    direction: str
    above: tuple[Pair, ...]
    below: tuple[Pair, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of releases."""
        return sum(self.counts)

    def laws(self, step: float, tails: Tails, *, sign: float) -> list[LatticeLaw]:
        """One law per pair on the lattice of this step: from above (+1.0) or from below (-1.0)."""
        pairs = self.above if sign > 0.0 else self.below
        return [_law(pair, step, tails, sign) for pair in pairs]


def directions_of(parts: Parts, adjacency: Adjacency) -> list[Releases]:
    """The one or two compositions whose curves must be maximised after composing; long schedules in groups.

    Raises:
        UnsupportedEvent: a part has no dominating pair; it is named.
    """
    groups = grouped(parts)
    counts = tuple(group.count for group in groups)
    found = []
    for direction in DIRECTIONS:
        above = tuple(pair_of(group.costly, adjacency, direction) for group in groups)
        below = tuple(attained_pair_of(group.cheap, adjacency, direction) for group in groups)
        found.append(Releases(direction, above, below, counts))
    if all(pair.is_symmetric for pair in (*found[0].above, *found[0].below)):
        return [Releases("both", found[0].above, found[0].below, counts)]
    return found


def unsupported_part(parts: Parts, adjacency: Adjacency) -> Event | None:
    """The first part without a dominating pair, or None if all of them can be composed here.

    Example:
        >>> from accountants.events import ZCDP, Laplace
        >>> unsupported_part({Laplace(1.0): 3, ZCDP(0.1): 2}, Adjacency.ADD_REMOVE)
        zcdp(rho=0.1, xi=0)
    """
    for part in parts:
        try:
            pair_of(part, adjacency, "remove")
        except UnsupportedEvent:
            return part
    return None


def is_multiple(spacing: float, step: float) -> bool:
    """Whether the spacing is a whole number of steps, but for rounding."""
    steps = spacing / step
    return round(steps) >= 1 and abs(steps - round(steps)) <= _SAME * steps


def _law(pair: Pair, step: float, tails: Tails, sign: float) -> LatticeLaw:
    low, high = pair.range_under_p(tails.below, tails.above)
    if (high - low) / step > _REMEMBERED:
        return _new_law(pair, step, tails, sign)
    return _remembered_law(pair, step, tails, sign)


def _new_law(pair: Pair, step: float, tails: Tails, sign: float) -> LatticeLaw:
    if pair.spacing is not None and is_multiple(pair.spacing, step):
        return exact_law(pair, step, tails.above)
    return upper_law(pair, step, tails) if sign > 0.0 else lower_law(pair, step, tails)


_remembered_law = lru_cache(maxsize=256)(_new_law)
