"""Whether the events of a ledger agree with what its data loader did."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

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
from accountants.events.combinators import Combinator
from accountants.events.person_groups import GroupSampledGaussian
from accountants.ledger.sampler import Sampler

_SAMPLING: dict[str, tuple[type[Event], ...]] = {
    "poisson": (PoissonSampled, GroupSampledGaussian),
    "fixed-size": (FixedSizeSampled,),
    "shuffled": (Shuffled,),
    "random-allocation": (RandomAllocation,),
}
_BY_EPOCHS = ("shuffled", "random-allocation")
_CLOSE = 1e-9  # relative; a rate may have been computed as batch / n


def disagreements(
    sampler: Sampler | None, events: Iterable[Event], *, n: int | None = None
) -> tuple[list[str], list[str]]:
    """The differences between events and loader.

    An event that claims no amplification by sampling fits every loader: it only costs more. Of parallel parts a record
    touches one only, so that the part with most steps counts.

    Args:
        sampler: what the loader did; None if that is not stated, and only the events' own n is compared.
        events: what was charged.
        n: number of records of the ledger, which the loader drew from unless it says otherwise; None if not stated.

    Returns:
        Differences that make the ledger state too small a cost, and the others.
    """
    stated = _completed(sampler, n)
    releases, done = _collected(events)
    too_small: list[str] = []
    others: list[str] = []
    for release in releases:
        other = next((kind for kind in _kinds_inside(release) if sampler is not None and kind != sampler.kind), None)
        if other is not None:
            too_small.append(f"{release!r} is accounted as {other} sampling, but the loader drew {stated.kind} batches")
            continue
        if sampler is not None and _is_sampled_twice(release):
            too_small.append(f"{release!r} is accounted as a sample of a sample, but the loader stated one sampling")
            continue
        for name, charged, used, sign in _parameters(release, stated):
            if used is not None and not math.isclose(charged, used, rel_tol=_CLOSE):
                by = "the loader used" if sampler is not None else "the ledger states"
                text = f"{release!r} is accounted with {name}={charged:g}, but {by} {name}={used:g}"
                (too_small if (used - charged) * sign > 0.0 else others).append(text)
    for name, charged, ran, understates in _totals(done, stated):
        text = f"{charged} {name} are charged, but the trainer ran {ran}"
        (too_small if understates else others).append(text)
    return too_small, others


def remarks(sampler: Sampler, events: Iterable[Event], *, n: int | None = None) -> list[str]:
    """What the loader leaves open or states twice, a sentence each; arguments as for `disagreements`."""
    stated = _completed(sampler, n)
    releases, done = _collected(events)
    sampled = [release for release in releases if isinstance(release, _SAMPLING.get(sampler.kind, ()))]
    names = {
        name for release in sampled for name, _, used, sign in _parameters(release, stated) if used is None and sign
    }
    if sampled and _least_steps(stated) is None:
        names.add("steps")
    if sampled and sampler.kind == "random-allocation":
        names |= {name for name in ("steps", "epochs") if getattr(sampler, name) is None}
    found = [f"{name} is not stated by the loader, so that of the events is not compared" for name in sorted(names)]
    steps = _least_steps(stated)
    if sampled and steps is not None and done.steps < steps <= done.steps + done.unsampled:
        found.append(
            f"the loader ran {steps} steps, and {done.steps} sampled ones are charged; releases without sampling count for the "
            "others: if they are something else, such as metrics, steps are missing"
        )
    if stated.kind == "poisson" and stated.q is not None and stated.batch is not None and stated.n is not None:
        q, batch, n = stated.q, stated.batch, stated.n
        if abs(q * n - batch) > 1.0:  # a batch size is a whole number, q n need not be
            found.append(f"the loader states q={q:g}, but also batch={batch} of n={n}; q is compared")
    return found


@dataclass(frozen=True, slots=True)
class _Done:
    """What every record is charged for: sampled steps, epochs, and releases without sampling."""

    steps: int = 0
    epochs: int = 0
    unsampled: int = 0

    def __add__(self, other: "_Done") -> "_Done":
        return _Done(self.steps + other.steps, self.epochs + other.epochs, self.unsampled + other.unsampled)

    def __mul__(self, count: int) -> "_Done":
        return _Done(self.steps * count, self.epochs * count, self.unsampled * count)


def _completed(sampler: Sampler | None, n: int | None) -> Sampler:
    """The sampler with what follows from the rest; without one, a sampler that states nothing but n."""
    if sampler is None:
        return Sampler(kind="full", n=n)
    sampler = replace(sampler, n=sampler.n if sampler.n is not None else n)
    if sampler.kind == "poisson" and sampler.q is None and sampler.batch is not None and sampler.n is not None:
        return replace(sampler, q=min(1.0, sampler.batch / sampler.n))
    return sampler


def _collected(events: Iterable[Event]) -> tuple[dict[Event, None], _Done]:
    """Every release once, in order, and what all of them amount to."""
    found: dict[Event, None] = {}
    return found, sum((_walk(event, found) for event in events), _Done())


def _walk(event: Event, found: dict[Event, None]) -> _Done:
    """What an event amounts to; adds its outermost samplings, and the primitives outside of them, to what was found."""
    match event:
        case Repeat(count):
            return _walk(event.event, found) * count if count else _Done()
        case Composed(events):
            return sum((_walk(part, found) for part in events), _Done())
        case Parallel(events):
            parts = [_walk(part, found) for part in events]
            return max(parts, key=lambda part: (part.steps + part.unsampled, part.epochs), default=_Done())
        case PoissonSampled(q) if q == 1.0:  # no amplification is claimed
            return _walk(event.event, found)
        case _:
            found[event] = None
            return _done_by(event)


def _done_by(release: Event) -> _Done:
    """Steps of the trainer and epochs that one release stands for."""
    match release:
        case Shuffled(batch, n, epochs):
            return _Done(steps=epochs * -(-n // batch), epochs=epochs)
        case RandomAllocation(steps, _, epochs):
            return _Done(steps=epochs * steps, epochs=epochs)
        case PoissonSampled() | GroupSampledGaussian() | FixedSizeSampled():
            return _Done(steps=1, epochs=1)
        case _:
            return _Done(unsampled=1, epochs=1)  # as an epoch: every record enters it once


def _kinds_inside(event: Event) -> Iterator[str]:
    """The kind of every sampling in an event, at any depth; what another package does with events inside counts as one."""
    known = [kind for kind, sampling in _SAMPLING.items() if isinstance(event, sampling)]
    yield from known
    if isinstance(event, Combinator):
        if not known and not isinstance(event, Repeat | Composed | Parallel):
            yield event.type_name
        for part in event.inside:
            yield from _kinds_inside(part)


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


def _least_steps(sampler: Sampler) -> int | None:
    """Steps that the loader ran, or at least ran in its epochs; None where neither is stated."""
    if sampler.steps is not None or sampler.epochs is None:
        return sampler.steps
    if sampler.kind in _BY_EPOCHS:
        return 0  # epochs themselves are compared
    if sampler.kind == "full":
        return sampler.epochs
    if sampler.batch is not None and sampler.n is not None:
        return sampler.epochs * max(1, sampler.n // sampler.batch)
    if sampler.q is not None:
        return sampler.epochs * max(1, math.floor((1.0 + _CLOSE) / sampler.q))
    return None


def _totals(done: _Done, sampler: Sampler) -> Iterator[tuple[str, int, int, bool]]:
    """Name, charged and true number of steps and epochs where they differ, and whether too little is charged."""
    by_epochs = sampler.kind in _BY_EPOCHS
    least = _least_steps(sampler)
    if sampler.steps is None and least is not None and done.steps + done.unsampled < least:
        yield "steps", done.steps + done.unsampled, least, True
    if sampler.steps is not None and not (by_epochs and done.unsampled):
        if done.steps + done.unsampled < sampler.steps:
            yield "steps", done.steps + done.unsampled, sampler.steps, True
        elif done.steps > sampler.steps:
            # More rounds to choose from make each of them cheaper.
            yield "steps", done.steps, sampler.steps, sampler.kind == "random-allocation"
    if sampler.epochs is None or not by_epochs:
        return
    if done.epochs < sampler.epochs or (done.epochs > sampler.epochs and not done.unsampled):
        yield "epochs", done.epochs, sampler.epochs, done.epochs < sampler.epochs
