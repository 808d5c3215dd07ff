"""Noisy votes of teachers on disjoint shards (PATE), as events.

Votes are private. They ride along for data-dependent accountants, in a box that shows nothing; the costs of the events
themselves never depend on them. No text, dictionary or comparison of an event knows them, and no copy of it: pickles,
`copy.copy`, `copy.deepcopy`, `dataclasses.asdict` and ledgers are left with an event without votes.
"""

import math
from collections.abc import Callable, Iterable
from numbers import Real

from accountants.adjacency import Adjacency
from accountants.events.claims import PureDP
from accountants.events.event import MAX_COUNT, Event, Parts
from accountants.events.fields import integer, kept, real
from accountants.events.gaussian import Gaussian
from accountants.events.laplace import Laplace
from accountants.events.registry import event

_UP = 1.0 + 2.0**-50  # more than the rounding of a quotient and a square root
_STATED_FOR = (Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE)
_DEMAND = "non-negative whole numbers, one per class, at least 2 classes (the values are private and not shown)"


class Votes:
    """PRIVATE vote counts inside an event: no text shows them, and every copy of the box is None.

    A guard against accidents, not a defence against code that wants to cheat.

    Example:
        >>> event = GNMax(40.0, votes=[120, 130])
        >>> event.votes, event.votes.unsafe_value()
        (<Votes: private, hidden>, (120, 130))
    """

    __slots__ = ("_open",)

    _open: Callable[[], tuple]

    def __init__(self, counts: tuple) -> None:
        # A closure, because debuggers and inspectors print the attributes of objects.
        self._open = lambda: counts

    def unsafe_value(self) -> tuple:
        """The counts themselves: int per class, or one such tuple per query. For accountants that look at votes."""
        return self._open()

    def __repr__(self) -> str:
        return "<Votes: private, hidden>"

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return type(None), ()


def _boxed_histogram(_: Event, name: str, votes: object) -> Votes | None:
    return None if votes is None else Votes(_histogram(_unboxed(votes)))


def _boxed_table(event: "ConfidentGNMax", name: str, votes: object) -> Votes | None:
    return None if votes is None else Votes(_table(_unboxed(votes), rows=event.checked))


def _unboxed(votes: object) -> object:
    """The counts themselves, to be checked again, where the box of another event was passed."""
    return votes.unsafe_value() if isinstance(votes, Votes) else votes


def _histogram(votes: object) -> tuple[int, ...]:
    """The counts as int; an error never shows one, nor the error that led to it."""
    try:
        counts = tuple(votes)  # pyright: ignore[reportArgumentType]  whatever cannot be iterated is refused below
    except TypeError:
        raise TypeError(f"votes must be {_DEMAND}") from None
    if any(isinstance(count, bool) or not isinstance(count, Real) for count in counts):
        raise TypeError(f"votes must be {_DEMAND}")
    if len(counts) < 2 or not all(0 <= count <= MAX_COUNT and count == count // 1 for count in counts):
        raise ValueError(f"votes must be {_DEMAND}")
    return tuple(int(count) for count in counts)


def _table(votes: object, *, rows: int) -> tuple[tuple[int, ...], ...]:
    try:
        table = tuple(_histogram(row) for row in votes)  # pyright: ignore[reportGeneralTypeIssues]  refused below
    except TypeError:
        raise TypeError(f"votes must be rows of {_DEMAND}") from None
    if len(table) != rows:
        raise ValueError(f"votes has {len(table)} rows; it needs one per checked query, checked={rows}")
    if len({len(row) for row in table}) > 1:
        raise ValueError("votes has rows of different lengths; every query needs the same classes")
    return table


@event("gnmax", adjacencies=_STATED_FOR)
class GNMax(Event):
    """Noisy vote histogram of teachers on disjoint shards, or its argmax: one query.

    One changed record moves one vote, so the L2 sensitivity is sqrt(2) and the cost that of Gaussian(sigma /
    sqrt(2)). Both ends of a bound are about the noisy counts: a release of nothing but the argmax may cost less than the
    lower end.

    Attributes:
        sigma: standard deviation of the noise on every vote count, in votes, >= 0; 0 means no privacy.
        votes: PRIVATE counts per class, or None; kept as a box of `Votes`, for data-dependent accountants only.

    Adjacency: one record added, removed or replaced, with a shard assignment that no other record can move.
    Source: Papernot et al. 2018 (data-independent cost).
    """

    sigma: float = real(at_least=0.0)
    votes: Iterable[float] | Votes | None = kept(_boxed_histogram, default=None, compare=False)

    def simplify(self, count: int, parts: Parts) -> None:
        parts.add(GNMax(self.sigma), count)  # without the votes


@event("confident_gnmax", adjacencies=_STATED_FOR)
class ConfidentGNMax(Event):
    """A series of queries answered by GNMax only where the noisy largest count reaches a threshold.

    Moving one vote changes the largest count by at most 1, also after a public histogram is subtracted (the interactive
    variant), so a threshold test costs at most Gaussian(sigma1); an answer costs GNMax(sigma2). A test publishes one bit
    of the noisy largest count, which may cost far less: the lower end of a bound is that of the answers alone, with their
    noisy counts.

    Attributes:
        threshold: in votes; finite; does not enter the cost.
        sigma1: standard deviation of the noise of the threshold test, in votes, >= 0; 0 means no privacy.
        sigma2: standard deviation of the noise on every vote count of an answer, in votes, >= 0.
        checked: number of queries whose threshold test was run, >= 0.
        answered: number of queries answered, at most `checked`. Which ones is public. Both numbers are limits set in
            advance, or kept within a budget while the series runs.
        votes: PRIVATE counts per class, one row per checked query, or None; kept as a box of `Votes`.

    Adjacency: one record added, removed or replaced, with a shard assignment that no other record can move.
    Source: Papernot et al. 2018, Confident-GNMax and Interactive-GNMax (data-independent cost).
    """

    threshold: float = real()
    sigma1: float = real(at_least=0.0)
    sigma2: float = real(at_least=0.0)
    checked: int = integer(at_least=0)
    answered: int = integer(at_least=0, at_most="checked")
    votes: Iterable[Iterable[float]] | Votes | None = kept(_boxed_table, default=None, compare=False)

    def simplify(self, count: int, parts: Parts) -> None:
        parts.collect(Gaussian(self.sigma1), count * self.checked)
        parts.collect(GNMax(self.sigma2), count * self.answered)

    def certain_part(self) -> Event:
        # The tests, which publish one bit each, are forgotten; the answers become one GNMax of less noise.
        return GNMax(self.sigma2 / math.sqrt(self.answered) * _UP) if self.answered else PureDP(0.0)


@event("lnmax", adjacencies=_STATED_FOR)
class LNMax(Event):
    """Vote histogram with Laplace noise, or its argmax: one query.

    One changed record moves one vote: two counts change by 1, each under noise of its own. The cost is that of two
    releases of Laplace(scale), which is (2 / scale)-DP. Both ends of a bound are about the noisy counts: a release of
    nothing but the argmax may cost less than the lower end.

    Attributes:
        scale: scale of the noise on every vote count, in votes, > 0.
        votes: PRIVATE counts per class, or None; kept as a box of `Votes`, for data-dependent accountants only.

    Adjacency: one record added, removed or replaced, with a shard assignment that no other record can move.
    Source: Papernot et al. 2017 (data-independent cost).
    """

    scale: float = real(above=0.0)
    votes: Iterable[float] | Votes | None = kept(_boxed_histogram, default=None, compare=False)

    def simplify(self, count: int, parts: Parts) -> None:
        parts.collect(Laplace(self.scale), count * 2)
