"""What every event is: data that adds, repeats, prints itself and goes to JSON and back. No curves."""

from collections.abc import Callable, Mapping
from typing import ClassVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.serialization import arguments_text, parameter_names, read

EVERY_ADJACENCY = frozenset(Adjacency)
MAX_COUNT = 10**15  # keeps every total exactly representable as a float


class Event:
    """What a mechanism did, as immutable data; the unit of a ledger.

    Events add (`+`), repeat (`* count`) and run on samples of the records (`.poisson(q)`, `.fixed_size(m, n)`,
    `.shuffled(batch, n)`, `.random_allocation(steps)`). Printing one gives the expression that
    `accountants.parse` reads back. An event knows no privacy curve: accountants register functions for its type.

    Attributes:
        type_name: the "type" under which the event is written to JSON and read by `parse`.
        adjacencies: the neighbouring relations that the event's parameters are stated for.
        depth: how many combinators are nested inside the event.
    """

    __slots__ = ()
    type_name: ClassVar[str]
    _adjacencies: ClassVar[frozenset[Adjacency]] = EVERY_ADJACENCY  # set by `registry.event`
    _method: ClassVar[str | None] = None  # set by `registry.event`

    def __post_init__(self) -> None:
        """Checks or computes what a class adds to its fields, which are checked and in their forms already."""

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """The neighbouring relations that the parameters are stated for."""
        return self._adjacencies

    @property
    def depth(self) -> int:
        """Nesting depth of combinators; 0 for a primitive."""
        return 0

    def __mul__(self, count: int) -> "Event":
        """The event `count` times, each with fresh noise."""
        return _made("repeat", count, self)

    __rmul__ = __mul__

    def __add__(self, other: "Event") -> "Event":
        """Both events on the same data."""
        if not isinstance(other, Event):
            return NotImplemented
        return _made("composed", (self, other))

    def __radd__(self, other: object) -> "Event":
        """The event itself after 0, so that `sum` takes events."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def poisson(self, q: float) -> "Event":
        """The event on a batch that each record enters independently with probability `q`."""
        return _made("poisson_sampled", q, self)

    def fixed_size(self, m: int, n: int) -> "Event":
        """The event on a batch of exactly `m` of the `n` records, drawn without replacement."""
        return _made("fixed_size_sampled", m, n, self)

    def shuffled(self, batch: int, n: int, epochs: int = 1) -> "Event":
        """The event on every batch of `batch` of the `n` records, in an order shuffled anew for every epoch."""
        return _made("shuffled", batch, n, epochs, self)

    def random_allocation(self, steps: int, selected: int = 1, epochs: int = 1) -> "Event":
        """The event in each of `steps` rounds, of which every record enters `selected` at random, in every epoch."""
        return _made("random_allocation", steps, selected, epochs, self)

    def rebuilt(self, change: "Callable[[Event], Event]") -> "Event":
        """The event with every event inside changed; the event itself where that changes nothing."""
        return self

    def simplify(self, count: int, parts: "Parts") -> None:
        """Add what the event consists of, `count` times, to a multiset; by default the event itself.

        Called for counts >= 1. An event that costs exactly, or at most, what others cost overrides it: it calls `parts.collect`
        for simpler events, `parts.add` for the event itself or for another one that cannot be simplified, and neither if it
        costs nothing.
        """
        parts.add(self, count)

    def certain_part(self) -> "Event":
        """The event without what `simplify` may give a higher cost than it has; the event itself if there is none.

        Whoever sees the event can forget the rest, so a lower end of the certain part is one of the event.

        Example:
            >>> from accountants import ConfidentGNMax, Gaussian
            >>> (Gaussian(2) + Gaussian(1).shuffled(10, 100)).certain_part()
            gaussian(2) + pure_dp(0)
            >>> round(ConfidentGNMax(200, 150, 40, checked=9, answered=4).certain_part().sigma, 6)
            20.0
        """
        return self.rebuilt(lambda inner: inner.certain_part())

    def to_dict(self) -> dict[str, object]:
        """The event as JSON-able data: "type" and one entry per field."""
        written: dict[str, object] = {"type": self.type_name}
        for name in parameter_names(type(self)):
            written[name] = _plain(getattr(self, name))
        return written

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "Event":
        """Read the event that `to_dict` wrote, which must be of this class.

        Raises:
            UnsupportedEvent: the type, or the type of an inner event, is unknown.
            ValueError: a field is missing or out of range, or the event is of another class.
        """
        event = from_dict(data)
        if not isinstance(event, cls):
            raise ValueError(f"type={data.get('type')!r} is not a {cls.__name__}; use accountants.from_dict")
        return event

    def __repr__(self) -> str:
        """The expression that `accountants.parse` reads back."""
        return f"{self.type_name}({arguments_text(self, parameter_names(type(self)))})"

    def __reduce__(self) -> "tuple[type[Event], tuple[object, ...]]":
        """Copies are made anew from the parameters, so that they are checked again and leave private data behind."""
        return type(self), tuple(getattr(self, name) for name in parameter_names(type(self)))


class Parts:
    """A multiset of parts in simplest form, to which events add what they consist of.

    Attributes:
        counts: part -> how often.
        adjacency: neighbouring relation, or None; see `normal_form`.
    """

    def __init__(self, adjacency: Adjacency | None) -> None:
        self.counts: dict[Event, int] = {}
        self.adjacency = adjacency

    def collect(self, event: Event, count: int) -> None:
        """Add what the event consists of, `count` times.

        Raises:
            ValueError: the count exceeds 10^15.
        """
        _require_count(count)
        require_countable(event, count)
        if count > 0:
            event.simplify(count, self)

    def add(self, part: Event, count: int) -> None:
        """Add a part that is in simplest form, count >= 0 times."""
        _require_count(count)
        self.counts[part] = self.counts.get(part, 0) + count


def _require_count(count: int) -> None:
    """A count that takes cost away, as a wrong `simplify` could ask for, would hide what others cost."""
    if type(count) is not int or count < 0:
        raise ValueError(f"count={count!r} of a part must be a whole number >= 0")


KINDS: dict[str, type[Event]] = {}  # every event class by its type name; `registry.event` fills it


def from_dict(data: Mapping[str, object]) -> Event:
    """The event that `Event.to_dict` wrote.

    Args:
        data: "type" and exactly the fields of that event class.

    Returns:
        An event equal to the one written.

    Raises:
        UnsupportedEvent: a type, or a field that may change the meaning of a known type, is unknown; the
            inner event is named.
        TypeError: `data` is no mapping, or a field has the wrong type.
        ValueError: a field is missing or out of range, or events are nested too deeply.

    Example:
        >>> from_dict({"type": "repeat", "count": 3, "event": {"type": "gaussian", "sigma": 2}})
        gaussian(2) * 3
    """
    return read(data, KINDS)


def require_event(**named: object) -> None:
    """Refuse anything but events.

    Raises:
        TypeError: a value is no event; it is named.
    """
    for name, value in named.items():
        if not isinstance(value, Event):
            shown = check.given(name, value)
            raise TypeError(f"{shown} must be an event, such as Gaussian(sigma=1.1); parse(text) reads one")


def require_countable(part: Event, count: int) -> None:
    """Refuse a count that a float could not hold exactly.

    Raises:
        ValueError: the count exceeds 10^15; the part is named.
    """
    if count > MAX_COUNT:
        check.integer(**{f"total count of {part!r}"[:120]: count}, at_most=MAX_COUNT)


def _made(type_name: str, *values: object) -> Event:
    return KINDS[type_name](*values)


def _plain(value: object) -> object:
    if isinstance(value, Event):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value
