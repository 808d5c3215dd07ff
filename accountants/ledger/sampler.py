"""What the data loader really did, written down beside the events, and whether the events say the same."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from accountants import check
from accountants.events import (
    Composed,
    Event,
    FixedSizeSampled,
    Parallel,
    PoissonSampled,
    RandomAllocation,
    Repeat,
    Shuffled,
)
from accountants.events.groups import GroupSampledGaussian
from accountants.ledger.entries import require_text

__all__ = ["Sampler", "disagreements"]

_SAMPLING: dict[str, tuple[type[Event], ...]] = {
    "poisson": (PoissonSampled, GroupSampledGaussian),
    "fixed-size": (FixedSizeSampled,),
    "shuffled": (Shuffled,),
    "random-allocation": (RandomAllocation,),
}
_EVERY_SAMPLING = tuple(kind for kinds in _SAMPLING.values() for kind in kinds)
_KINDS = (*_SAMPLING, "full")
_CLOSE = 1e-9  # relative; a rate may have been computed as batch / n


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """How batches were drawn, as the loader states it; what is None is not stated and not compared.

    Attributes:
        kind: "poisson" (every record enters a batch independently), "fixed-size" (a fresh random batch of fixed size
            every step), "shuffled" (an epoch is one random order, cut into batches), "random-allocation" (every
            record enters `selected` steps of an epoch, drawn at random) or "full" (every record, every step).
        q: probability with which a record enters a batch.
        batch: records in a batch.
        n: records to draw from.
        selected: steps of an epoch that a record enters.
        epochs: passes over the data.
        steps: steps that the trainer ran, all epochs together.
        unit: what the loader draws, in the words of the ledger's unit.
    """

    kind: str
    q: float | None = None
    batch: int | None = None
    n: int | None = None
    selected: int | None = None
    epochs: int | None = None
    steps: int | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        """Check the fields."""
        if self.kind not in _KINDS:
            raise ValueError(f"sampler kind={self.kind!r} is unknown; pass one of {', '.join(map(repr, _KINDS))}")
        if self.q is not None:
            check.real(q=self.q, at_least=0.0, at_most=1.0)
        whole = {"batch": self.batch, "n": self.n, "selected": self.selected, "epochs": self.epochs}
        for name, value in whole.items():
            if value is not None:
                check.integer(**{name: value}, at_least=1)
        if self.steps is not None:
            check.integer(steps=self.steps, at_least=0)
        if self.unit is not None:
            require_text(unit=self.unit)

    def to_dict(self) -> dict[str, object]:
        """The stated fields as JSON-able data."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}

    @classmethod
    def from_dict(cls, data: object) -> "Sampler":
        """Read what `to_dict` wrote.

        Raises:
            TypeError: `data` is no mapping, or a field has the wrong type.
            ValueError: a field is unknown, missing or out of range.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"sampler={data!r} must be a mapping such as {{'kind': 'poisson', 'q': 0.01}}")
        names = [item.name for item in fields(cls)]
        unknown = [str(name) for name in data if name not in names]
        if unknown or "kind" not in data:
            raise ValueError(
                f"sampler={dict(data)!r} needs 'kind', and may state {', '.join(names[1:])}; unknown: {unknown}"
            )
        return cls(**data)


def disagreements(sampler: Sampler, events: Iterable[Event]) -> tuple[list[str], list[str]]:
    """Where events and loader differ.

    An event that claims no amplification by sampling fits every loader: it only costs more.

    Args:
        sampler: what the loader did.
        events: what was charged.

    Returns:
        Differences that make the ledger state too small a cost, and the others.
    """
    counts: dict[Event, int] = {}
    for event in events:
        for release, count in _releases(event, 1):
            counts[release] = counts.get(release, 0) + count
    too_small: list[str] = []
    others: list[str] = []
    for release in counts:
        strange = next((kind for kind in _kinds_inside(release) if kind != sampler.kind), None)
        if strange is not None:
            too_small.append(
                f"{release!r} is accounted as {strange} sampling, but the loader drew {sampler.kind} batches"
            )
            continue
        if _is_sampled_twice(release):
            too_small.append(f"{release!r} is accounted as a sample of a sample, but the loader stated one sampling")
            continue
        for name, charged, done, sign in _parameters(release, sampler):
            if charged is not None and done is not None and not math.isclose(charged, done, rel_tol=_CLOSE):
                text = f"{release!r} is accounted with {name}={charged:g}, but the loader used {name}={done:g}"
                (too_small if (done - charged) * sign > 0.0 else others).append(text)
    for name, charged, done, understates in _totals(counts, sampler):
        text = f"{charged} {name} are charged, but the trainer ran {done}"
        (too_small if understates else others).append(text)
    return too_small, others


def _releases(event: Event, count: int) -> Iterator[tuple[Event, int]]:
    """The outermost samplings, and the primitives outside of them, with their counts; not simplified."""
    match event:
        case Repeat():
            yield from _releases(event.event, count * event.count)
        case Composed() | Parallel():
            for part in event.events:
                yield from _releases(part, count)
        case PoissonSampled(q) if q == 1.0:  # no amplification is claimed
            yield from _releases(event.event, count)
        case _:
            yield event, count


def _kinds_inside(event: Event) -> Iterator[str]:
    """The kind of every sampling in an event, at any depth."""
    for kind, sampling in _SAMPLING.items():
        if isinstance(event, sampling):
            yield kind
    match event:
        case Composed() | Parallel():
            for part in event.events:
                yield from _kinds_inside(part)
        case Repeat() | PoissonSampled() | FixedSizeSampled() | Shuffled() | RandomAllocation():
            yield from _kinds_inside(event.event)


def _is_sampled_twice(event: Event) -> bool:
    """Whether a sampling lies inside another; a Poisson sample directly of a Poisson sample is one with the product."""
    inner = getattr(event, "event", None)
    while isinstance(event, PoissonSampled) and isinstance(inner, PoissonSampled):
        inner = inner.event
    return isinstance(inner, Event) and any(True for _ in _kinds_inside(inner))


def _parameters(event: Event, sampler: Sampler) -> list[tuple[str, float, float | None, int]]:
    """Name, charged and true value of each parameter, and the direction in which the truth costs more (or 0)."""
    match event:
        case PoissonSampled(q, inner):
            while isinstance(inner, PoissonSampled):
                q, inner = q * inner.q, inner.event
            return [("q", q, sampler.q, 1)]
        case GroupSampledGaussian():
            return [("q", event.q, sampler.q, 1)]
        case FixedSizeSampled(m, n):
            return [("batch", m, sampler.batch, 1), ("n", n, sampler.n, -1)]
        case Shuffled(batch, n):
            return [("batch", batch, sampler.batch, 0), ("n", n, sampler.n, 0)]
        case RandomAllocation(_, selected):
            return [("selected", selected, sampler.selected, 1)]
        case _:
            return []


def _totals(counts: Mapping[Event, int], sampler: Sampler) -> Iterator[tuple[str, int, int, bool]]:
    """Name, charged and true number of steps and epochs where they differ, and whether too little is charged."""
    unsampled = sum(count for release, count in counts.items() if not isinstance(release, _EVERY_SAMPLING))
    by_epochs = sampler.kind in ("shuffled", "random-allocation")
    sampled = [(release, count) for release, count in counts.items() if isinstance(release, _EVERY_SAMPLING)]
    if sampler.steps is not None and not (by_epochs and unsampled):
        steps = sum(count * _steps(release) for release, count in sampled)
        if steps + unsampled < sampler.steps:
            yield "steps", steps + unsampled, sampler.steps, True
        elif steps > sampler.steps:
            # More rounds to choose from make each of them cheaper.
            yield "steps", steps, sampler.steps, sampler.kind == "random-allocation"
    if sampler.epochs is not None and by_epochs:
        # An unsampled release counts as an epoch: every record enters it once.
        epochs = sum(count * int(getattr(release, "epochs", 1)) for release, count in counts.items())
        if epochs < sampler.epochs or (epochs > sampler.epochs and not unsampled):
            yield "epochs", epochs, sampler.epochs, epochs < sampler.epochs


def _steps(event: Event) -> int:
    """Steps of the trainer that one sampled event stands for."""
    match event:
        case Shuffled(batch, n, epochs):
            return epochs * -(-n // batch)
        case RandomAllocation(steps, _, epochs):
            return epochs * steps
        case _:
            return 1
