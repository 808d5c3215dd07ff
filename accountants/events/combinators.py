"""Events with others inside: what they share, repetition and composition."""

from collections.abc import Callable
from dataclasses import replace

from accountants import check
from accountants.adjacency import Adjacency
from accountants.events.event import MAX_COUNT, Event, Parts, require_event
from accountants.events.fields import integer
from accountants.events.registry import event
from accountants.events.serialization import MAX_DEPTH


class Combinator(Event):
    """An event with others inside, which limit its adjacencies and count for its depth."""

    __slots__ = ("_depth",)
    _depth: int

    @property
    def inside(self) -> tuple[Event, ...]:
        """The events inside, in order."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        depth = 1 + max((part.depth for part in self.inside), default=0)
        if depth > MAX_DEPTH:
            raise ValueError(f"depth={depth} of nested events must be <= {MAX_DEPTH}; use * count instead of nesting")
        object.__setattr__(self, "_depth", depth)

    @property
    def adjacencies(self) -> frozenset[Adjacency]:
        """Those that it and every event inside are stated for."""
        return self._adjacencies.intersection(*(part.adjacencies for part in self.inside))

    @property
    def depth(self) -> int:
        """One more than that of the deepest event inside."""
        return self._depth


class SingleInside(Combinator):
    """An event with one other inside, its field `event`."""

    __slots__ = ()
    event: Event

    @property
    def inside(self) -> tuple[Event, ...]:
        return (self.event,)

    def __post_init__(self) -> None:
        require_event(event=self.event)
        Combinator.__post_init__(self)

    def rebuilt(self, change: Callable[[Event], Event]) -> Event:
        changed = change(self.event)
        if changed is self.event:
            return self
        return replace(self, event=changed)  # pyright: ignore[reportArgumentType]  the classes below are dataclasses


class SeveralInside(Combinator):
    """An event with any number of others inside, its field `events`."""

    __slots__ = ()
    events: tuple[Event, ...]

    @property
    def inside(self) -> tuple[Event, ...]:
        return self.events

    def __post_init__(self) -> None:
        if isinstance(self.events, Event):
            raise TypeError(f"events={self.events!r} must be a tuple of events")
        object.__setattr__(self, "events", tuple(self.events))
        for part in self.events:
            require_event(event=part)
        Combinator.__post_init__(self)

    def rebuilt(self, change: Callable[[Event], Event]) -> Event:
        changed = tuple(map(change, self.events))
        if all(new is old for new, old in zip(changed, self.events, strict=True)):
            return self
        return replace(self, events=changed)  # pyright: ignore[reportArgumentType]  the classes below are dataclasses


@event("repeat")
class Repeat(SingleInside):
    """An event run `count` times on the same data, each time with fresh noise.

    Attributes:
        count: number of runs, 0 to 10^15; a repeat of a repeat becomes one.
        event: what is run.
    """

    count: int = integer(at_least=0)
    event: Event

    def __post_init__(self) -> None:
        if isinstance(self.event, Repeat):
            count = self.count * self.event.count
            check.integer(count=count, at_most=MAX_COUNT)
            object.__setattr__(self, "count", count)
            object.__setattr__(self, "event", self.event.event)
        SingleInside.__post_init__(self)

    def __repr__(self) -> str:
        """For example `gaussian(1.1).poisson(0.01) * 10000`."""
        return f"{as_operand(self.event)} * {self.count}"

    def simplify(self, count: int, parts: Parts) -> None:
        parts.collect(self.event, count * self.count)


@event("composed")
class Composed(SeveralInside):
    """Several events on the same data; nested compositions become one.

    Attributes:
        events: the parts, in order; may be empty.
    """

    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.events, Event):
            flat: list[Event] = []
            for part in self.events:
                flat.extend(part.events if isinstance(part, Composed) else (part,))
            object.__setattr__(self, "events", flat)
        SeveralInside.__post_init__(self)

    def __repr__(self) -> str:
        """For example `gaussian(2) + krr(k=10, eps0=1) * 5`."""
        if len(self.events) < 2:
            return f"composed({', '.join(map(repr, self.events))})"
        return " + ".join(map(repr, self.events))

    def simplify(self, count: int, parts: Parts) -> None:
        for part in self.events:
            parts.collect(part, count)


def as_operand(event: Event) -> str:
    """The event's text, in brackets where a method or a count would bind to its last part only."""
    loose = isinstance(event, Repeat) or (isinstance(event, Composed) and len(event.events) > 1)
    return f"({event!r})" if loose else repr(event)
