"""The event algebra: what every event can do, repetition and composition. Data only, no curves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import ClassVar

from accountants import check
from accountants.adjacency import Adjacency

__all__ = [
    "EVERY_ADJACENCY",
    "MAX_COUNT",
    "MAX_DEPTH",
    "Composed",
    "Event",
    "Repeat",
    "as_operand",
    "depth_above",
    "number_text",
    "parameter_names",
    "require_event",
]

EVERY_ADJACENCY = frozenset(Adjacency)
MAX_COUNT = 10**15  # keeps every total exactly representable as a float
MAX_DEPTH = 100  # keeps every walk over an event far from the recursion limit


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

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """The neighbouring relations that the parameters are stated for."""
        return EVERY_ADJACENCY

    @property
    def depth(self) -> int:
        """Nesting depth of combinators; 0 for a primitive."""
        return 0

    def __mul__(self, count: int) -> "Event":
        """The event `count` times, each with fresh noise."""
        return Repeat(count, self)

    __rmul__ = __mul__

    def __add__(self, other: "Event") -> "Event":
        """Both events on the same data."""
        if not isinstance(other, Event):
            return NotImplemented
        return Composed((self, other))

    def __radd__(self, other: object) -> "Event":
        """The event itself after 0, so that `sum` takes events."""
        return self if isinstance(other, int) and other == 0 else NotImplemented

    def poisson(self, q: float) -> "Event":
        """The event on a batch that each record enters independently with probability `q`."""
        from accountants.events.sampling import PoissonSampled

        return PoissonSampled(q, self)

    def fixed_size(self, m: int, n: int) -> "Event":
        """The event on a batch of exactly `m` of the `n` records, drawn without replacement."""
        from accountants.events.sampling import FixedSizeSampled

        return FixedSizeSampled(m, n, self)

    def shuffled(self, batch: int, n: int, epochs: int = 1) -> "Event":
        """The event on every batch of `batch` of the `n` records, in an order shuffled anew for every epoch."""
        from accountants.events.sampling import Shuffled

        return Shuffled(batch, n, epochs, self)

    def random_allocation(self, steps: int, selected: int = 1, epochs: int = 1) -> "Event":
        """The event in each of `steps` rounds, of which every record enters `selected` at random, in every epoch."""
        from accountants.events.sampling import RandomAllocation

        return RandomAllocation(steps, selected, epochs, self)

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
        from accountants.events.serialization import from_dict

        event = from_dict(data)
        if not isinstance(event, cls):
            raise ValueError(f"type={data.get('type')!r} is not a {cls.__name__}; use accountants.from_dict")
        return event

    def __repr__(self) -> str:
        """The expression that `accountants.parse` reads back."""
        names = parameter_names(type(self))
        values = {name: number_text(getattr(self, name)) for name in names if getattr(self, name) is not None}
        inside = values[names[0]] if len(names) == 1 else ", ".join(f"{n}={v}" for n, v in values.items())
        return f"{self.type_name}({inside})"


@dataclass(frozen=True, slots=True, repr=False)
class Repeat(Event):
    """An event run `count` times on the same data, each time with fresh noise.

    Attributes:
        count: number of runs, 0 to 10^15; a repeat of a repeat becomes one.
        event: what is run.
    """

    count: int
    event: Event
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "repeat"

    def __post_init__(self) -> None:
        """Check the fields and merge nested repeats."""
        check.integer(count=self.count, at_least=0, at_most=MAX_COUNT)
        require_event(event=self.event)
        count = int(self.count)
        if isinstance(self.event, Repeat):
            count *= self.event.count
            check.integer(count=count, at_most=MAX_COUNT)
            object.__setattr__(self, "event", self.event.event)
        object.__setattr__(self, "count", count)
        object.__setattr__(self, "_depth", depth_above(self.event))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """Those of the inner event."""
        return self.event.adjacencies

    @property
    def depth(self) -> int:
        """One more than the inner event's."""
        return self._depth

    def __repr__(self) -> str:
        """For example `gaussian(1.1).poisson(0.01) * 10000`."""
        return f"{as_operand(self.event)} * {self.count}"


@dataclass(frozen=True, slots=True, repr=False)
class Composed(Event):
    """Several events on the same data; nested compositions become one.

    Attributes:
        events: the parts, in order; may be empty.
    """

    events: tuple[Event, ...]
    _depth: int = field(init=False, compare=False)

    type_name: ClassVar[str] = "composed"

    def __post_init__(self) -> None:
        """Check the parts and flatten nested compositions."""
        flat: list[Event] = []
        if isinstance(self.events, Event):
            raise TypeError(f"events={self.events!r} must be a tuple of events")
        for part in self.events:
            require_event(event=part)
            flat.extend(part.events if isinstance(part, Composed) else (part,))
        object.__setattr__(self, "events", tuple(flat))
        object.__setattr__(self, "_depth", depth_above(*flat))

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """Those that every part is stated for."""
        return EVERY_ADJACENCY.intersection(*(part.adjacencies for part in self.events))

    @property
    def depth(self) -> int:
        """One more than that of the deepest part."""
        return self._depth

    def __repr__(self) -> str:
        """For example `gaussian(2) + krr(k=10, eps0=1) * 5`."""
        if len(self.events) < 2:
            return f"composed({', '.join(map(repr, self.events))})"
        return " + ".join(map(repr, self.events))


def parameter_names(kind: type[Event]) -> list[str]:
    """Names of the public constructor arguments of an event class, in order; private data does not compare."""
    return [item.name for item in fields(kind) if item.init and item.compare]  # pyright: ignore[reportArgumentType]


def number_text(value: object) -> str:
    """The shortest text that reads back as the same number: 1.0 gives "1".

    Example:
        >>> number_text(1.0), number_text(0.01), number_text(10), number_text((2.0,))
        ('1', '0.01', '10', '(2,)')
    """
    if isinstance(value, tuple):
        inside = ", ".join(map(number_text, value))
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    return repr(value).removesuffix(".0")


def _plain(value: object) -> object:
    if isinstance(value, Event):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def require_event(**named: object) -> None:
    """Refuse anything but events.

    Raises:
        TypeError: a value is no event; it is named.
    """
    for name, value in named.items():
        if not isinstance(value, Event):
            shown = check.given(name, value)
            raise TypeError(f"{shown} must be an event, such as Gaussian(sigma=1.1); parse(text) reads one")


def depth_above(*parts: Event) -> int:
    """Depth of a combinator of these parts.

    Raises:
        ValueError: it exceeds MAX_DEPTH.
    """
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > MAX_DEPTH:
        raise ValueError(f"depth={depth} of nested events must be <= {MAX_DEPTH}; use * count instead of nesting")
    return depth


def as_operand(event: Event) -> str:
    """The event's text, in brackets where a method or a count would bind to its last part only."""
    loose = isinstance(event, Repeat) or (isinstance(event, Composed) and len(event.events) > 1)
    return f"({event!r})" if loose else repr(event)
