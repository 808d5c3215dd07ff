"""What every accountant offers: one row of functions, which give one kind of answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from accountants.adjacency import Adjacency
from accountants.events import Event

Parts = Mapping[Event, int]
"""Distinct events of a normal form -> how often each occurs, >= 1."""

Interval = tuple[float, float]
"""A certified lower and upper end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one accountant says about an epsilon (nats) or a delta of parts without failures.

    Attributes:
        lower: certified from below.
        upper: certified from above; may be infinite for epsilon.
        method: its name.
        settings: how it was computed, JSON-able.
    """

    lower: float
    upper: float
    method: str
    settings: Mapping[str, object] = field(default_factory=dict, hash=False)

    def noting(self, skipped: Mapping[str, str]) -> "Answer":
        """The answer, with a note of the accountants that apply and did not give it, and why."""
        others = {name: reason for name, reason in skipped.items() if name != self.method}
        return replace(self, settings={**self.settings, "skipped": others}) if others else self


DeltaOf = Callable[[Parts, float, Adjacency, float | None], Answer]
ProfileOf = Callable[[Parts, Adjacency, float | None], Callable[[float], Answer]]


@dataclass(frozen=True, slots=True)
class Method:
    """An accountant.

    Attributes:
        name: as passed to `epsilon(..., method=name)`.
        unsupported_part: (parts, adjacency) -> the first part that it cannot take, or None.
        epsilon: (parts, delta, adjacency, width) -> answer in nats; delta in (0, 1), width in nats or None.
        delta: (parts, epsilon, adjacency, width) -> answer; epsilon >= 0.
        profile: (parts, adjacency, width) -> epsilon -> answer, for many epsilons of the same parts: what is prepared for
            one serves others.
    """

    name: str
    unsupported_part: Callable[[Parts, Adjacency], Event | None]
    epsilon: DeltaOf
    delta: DeltaOf
    profile: ProfileOf


def one_by_one(delta: DeltaOf) -> ProfileOf:
    """The profile of an accountant that has nothing to prepare: every epsilon is asked for by itself."""
    return lambda parts, adjacency, width: lambda epsilon: delta(parts, epsilon, adjacency, width)
