"""Which method answers: the methods are asked in order, and the first answer that is narrow enough is taken."""

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

from accountants import check
from accountants.bound import Bound
from accountants.composition.failures import left_over, plus_failure
from accountants.composition.known_parts import KnownParts
from accountants.composition.lower_ends import lower_end
from accountants.composition.prepared import Prepared
from accountants.composition.table import METHODS, tight_methods
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import Event
from accountants.methods.method import Answer, Method, Parts
from accountants.methods.renyi.conversion import RENYI
from accountants.version import versions

Curve = Callable[[float], Bound]
"""From a delta to a bound on epsilon, or from an epsilon to a bound on delta."""

_WIDTH = 2e-3  # nats, or of epsilon; what an answer may be wide by default
_DELTA_WIDTH = 0.02  # of delta
_SHARED_DELTA_WIDTH = 0.05  # of delta, on curves, where one point must not cost as much as all others
_ADVICE = re.compile(r"use method='[a-z-]+'(, or )?")


@dataclass(frozen=True, slots=True)
class Options:
    """How the methods are asked.

    Attributes:
        method: one of METHODS.
        width: difference between the ends that is good enough, nats, or None for the default.
        needs_lower: False spares the search for a lower end where Rényi accounting gives the upper one.
        is_shared: whether many epsilons of the same event will be asked for.
    """

    method: str = "auto"
    width: float | None = None
    needs_lower: bool = True
    is_shared: bool = False

    def __post_init__(self) -> None:
        if self.width is not None:
            check.real(width=self.width, above=0.0)
        if self.method not in METHODS:
            raise ValueError(f"method={self.method!r} is unknown; pass one of {', '.join(METHODS)}")


def epsilon_curve(event: Prepared, options: Options) -> Curve:
    """From delta, in [0, 1), to a bound on epsilon."""
    return _worst(event, options, _epsilon_of)


def delta_curve(event: Prepared, options: Options) -> Curve:
    """From epsilon, >= 0, to a bound on delta."""
    return _worst(event, options, _delta_of)


def reason_of(error: ResolutionError) -> str:
    """Why an accountant gave no answer, without its advice to name another one: "auto" has asked the others already.

    Example:
        >>> reason_of(ResolutionError("delta is too small for floats; use method='renyi'"))
        'delta is too small for floats'
    """
    return _ADVICE.sub("", str(error)).strip("; ")


def _worst(event: Prepared, options: Options, curve_of: Callable[[KnownParts, Options], Curve]) -> Curve:
    """The worst of all compositions, at each end."""
    is_same = event.below is event.above
    upper_options = options if is_same else replace(options, needs_lower=False)
    above = [curve_of(known, upper_options) for known in event.above]
    below = [] if is_same else [curve_of(known, options) for known in event.below]
    may_lack = event.is_certain or options.method == "auto"  # a named method is to say that it does not apply
    passed_over = (ResolutionError, UnsupportedEvent) if may_lack else (ResolutionError,)

    def bound_at(point: float) -> Bound:
        bounds = [curve(point) for curve in above]
        worst = max(bounds, key=lambda bound: bound.upper)
        lower = max(bound.lower for bound in bounds) if is_same else 0.0
        with suppress(*passed_over):
            lower = max((curve(point).lower for curve in below), default=lower)
        return replace(worst, lower=min(lower, worst.upper))

    return bound_at


def _epsilon_of(known: KnownParts, options: Options) -> Curve:
    """Epsilon of parts, from delta."""

    def epsilon_at(delta: float) -> Bound:
        settings = _settings(known, options, delta=delta)
        revealed = known.revealed
        if revealed is not None:
            return Bound(math.inf if revealed[0] > delta else 0.0, math.inf, "no-noise", settings)
        least, most = left_over(delta, known.failure)
        pessimistic = _epsilon_without_failure(known, least, options)
        optimistic = pessimistic if least == most else _epsilon_without_failure(known, most, options)
        lower = min(optimistic.lower, pessimistic.upper)
        return Bound(lower, pessimistic.upper, pessimistic.method, {**settings, **pessimistic.settings})

    return epsilon_at


def _epsilon_without_failure(known: KnownParts, delta: float, options: Options) -> Answer:
    """Epsilon at a delta that may be used up."""
    if delta < 0.0:
        return Answer(math.inf, math.inf, "none")
    low, high = known.level
    if delta == 0.0 or high == 0.0:
        return Answer(low, high, "pure")
    if known.used <= delta:
        return Answer(0.0, 0.0, "sampling")
    found = choose(
        known,
        options,
        lambda method, parts: method.epsilon(parts, delta, known.adjacency, options.width),
        lambda answer: answer.upper - answer.lower <= (options.width or max(_WIDTH, _WIDTH * answer.upper)),
    )
    return found if found.upper <= high else Answer(min(found.lower, low), high, "pure")


def _delta_of(known: KnownParts, options: Options) -> Curve:
    """Delta of parts, from epsilon."""
    wide = _SHARED_DELTA_WIDTH if options.is_shared else _DELTA_WIDTH
    profiles: dict[tuple[int, frozenset[Event]], Callable[[float], Answer]] = {}

    def ask(method: Method, parts: Parts, epsilon: float) -> Answer:
        if not options.is_shared:
            return method.delta(parts, epsilon, known.adjacency, options.width)
        key = id(method), frozenset(parts)
        if key not in profiles:
            profiles[key] = method.profile(parts, known.adjacency, options.width)
        return profiles[key](epsilon)

    def delta_at(epsilon: float) -> Bound:
        settings = _settings(known, options, epsilon=epsilon)
        if known.revealed is not None:
            return Bound(known.revealed[0], 1.0, "no-noise", settings)
        found = Answer(0.0, 0.0, "pure")
        if known.level[1] > epsilon:
            found = choose(
                known,
                options,
                lambda method, parts: ask(method, parts, epsilon),
                lambda answer: answer.upper - answer.lower <= wide * answer.upper,
            )
            if found.upper > known.used:
                found = Answer(min(found.lower, known.used), known.used, "sampling")
        lower, upper = plus_failure((found.lower, found.upper), known.failure)
        return Bound(lower, upper, found.method, {**settings, **found.settings})

    return delta_at


def choose(
    known: KnownParts,
    options: Options,
    ask: Callable[[Method, Parts], Answer],
    is_narrow: Callable[[Answer], bool],
) -> Answer:
    """The first answer that is narrow enough, else the best ends of all; Rényi where no other method answers.

    Args:
        known: what the methods are asked about.
        options: how.
        ask: (method, some of the parts) -> its answer; may raise ResolutionError, and UnsupportedEvent for Rényi.
        is_narrow: whether an answer is good enough.

    Raises:
        UnsupportedEvent: the method that was named does not apply, or no accountant bounds a part.
        ResolutionError: no accountant that applies resolves the answer.
    """
    parts = known.parts
    if options.method != "auto":
        method = next(row for row in chain([RENYI], tight_methods()) if row.name == options.method)
        unsupported = method.unsupported_part(parts, known.adjacency)
        if unsupported is not None:
            raise UnsupportedEvent(f"method={method.name!r} does not apply to {unsupported!r} here; use method='auto'")
        return ask(method, parts)
    found: list[Answer] = []
    skipped: dict[str, str] = {}
    for method in tight_methods(sum(parts.values())):
        if method.unsupported_part(parts, known.adjacency) is not None:
            continue
        try:
            answer = ask(method, parts)
        except ResolutionError as error:
            skipped[method.name] = reason_of(error)
            continue
        if is_narrow(answer):
            return answer.noting(skipped)
        found.append(answer)
        skipped[method.name] = f"its interval is {answer.upper - answer.lower:.2g} wide"
    if not found:
        return _by_renyi(known, options, ask, skipped).noting(skipped)
    with suppress(UnsupportedEvent):
        found.append(ask(RENYI, parts))
    best = min(found, key=lambda answer: answer.upper)
    return replace(best, lower=max(answer.lower for answer in found)).noting(skipped)


def _by_renyi(
    known: KnownParts, options: Options, ask: Callable[[Method, Parts], Answer], skipped: Mapping[str, str]
) -> Answer:
    """Rényi from above and, from below, the best that a tight method proves for some of the parts."""
    try:
        found = ask(RENYI, known.parts)
    except UnsupportedEvent:
        if skipped:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
            raise ResolutionError(f"no accountant resolves this ({reasons}), and no Rényi curve is known") from None
        raise
    if not options.needs_lower or found.upper == 0.0:
        return found
    return replace(found, lower=min(lower_end(known.parts, known.adjacency, ask), found.upper))


def _settings(known: KnownParts, options: Options, **point: float) -> dict[str, object]:
    return {
        **point,
        "adjacency": str(known.adjacency),
        "distinct_events": known.distinct,
        "asked": options.method,
        "library": versions(),
    }
