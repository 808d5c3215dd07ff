"""Noisy votes of teachers on disjoint shards (PATE), as events.

Votes are private. They ride along for data-dependent accountants, in a box that shows nothing; the costs of the events
themselves never depend on them. No text, dictionary or comparison of an event knows them, and no copy of it: pickles,
`copy.copy`, `copy.deepcopy`, `dataclasses.asdict` and ledgers are left with an event without votes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from numbers import Real
from typing import ClassVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.event import MAX_COUNT, Event, parameter_names

__all__ = ["ConfidentGNMax", "GNMax", "LNMax", "Votes"]

_VOTING = frozenset({Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE})
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


class _Voting:
    """What events with votes share: the votes stay with the one object that they were given to."""

    __slots__ = ()

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """add-remove and replace-one."""
        return _VOTING

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        names = parameter_names(type(self))  # pyright: ignore[reportArgumentType]  of an event, see below
        return type(self), tuple(getattr(self, name) for name in names)


@dataclass(frozen=True, slots=True, repr=False)
class GNMax(_Voting, Event):
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

    sigma: float
    votes: Iterable[float] | Votes | None = field(default=None, compare=False)

    type_name: ClassVar[str] = "gnmax"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(sigma=self.sigma, at_least=0.0)
        object.__setattr__(self, "sigma", float(self.sigma) + 0.0)
        object.__setattr__(self, "votes", _boxed(self.votes, _histogram))


@dataclass(frozen=True, slots=True, repr=False)
class ConfidentGNMax(_Voting, Event):
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

    threshold: float
    sigma1: float
    sigma2: float
    checked: int
    answered: int
    votes: Iterable[Iterable[float]] | Votes | None = field(default=None, compare=False)

    type_name: ClassVar[str] = "confident_gnmax"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(threshold=self.threshold)
        check.real(sigma1=self.sigma1, sigma2=self.sigma2, at_least=0.0)
        check.integer(checked=self.checked, at_least=0, at_most=MAX_COUNT)
        check.integer(answered=self.answered, at_least=0, at_most=int(self.checked))
        for name in ("threshold", "sigma1", "sigma2"):
            object.__setattr__(self, name, float(getattr(self, name)) + 0.0)
        for name in ("checked", "answered"):
            object.__setattr__(self, name, int(getattr(self, name)))
        object.__setattr__(self, "votes", _boxed(self.votes, lambda votes: _table(votes, rows=self.checked)))


@dataclass(frozen=True, slots=True, repr=False)
class LNMax(_Voting, Event):
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

    scale: float
    votes: Iterable[float] | Votes | None = field(default=None, compare=False)

    type_name: ClassVar[str] = "lnmax"

    def __post_init__(self) -> None:
        """Check the fields."""
        check.real(scale=self.scale, above=0.0)
        object.__setattr__(self, "scale", float(self.scale))
        object.__setattr__(self, "votes", _boxed(self.votes, _histogram))


def _boxed(votes: object, checked: Callable[[object], tuple]) -> Votes | None:
    """The counts, checked, in their box; a box of another event is opened and checked again."""
    if votes is None:
        return None
    return Votes(checked(votes.unsafe_value() if isinstance(votes, Votes) else votes))


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
