"""Epsilon and delta of any event: takes the tightest accountant that applies and keeps both ends certified.

Exact where an exact tool exists (Gaussians, randomized responses of one eps0), then Fourier inversion (sampled
Gaussians), then the lattice (everything with a known dominating pair), and Rényi curves where nothing else is left.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.branches import branches
from accountants.errors import AdjacencyError, UnsupportedEvent
from accountants.events import (
    Event,
    is_only_bounded,
    merge_gaussians,
    normal_form,
)
from accountants.exact.table import pure_epsilon
from accountants.failure import left_over, revealing_mass, split_failures
from accountants.methods import TABLE, Answer
from accountants.question import Question
from accountants.rdp.conversion import quick_rdp_epsilon
from accountants.rdp.curves import renyi
from accountants.version import versions

__all__ = [
    "METHODS",
    "delta",
    "epsilon",
    "epsilon_of_parts",
    "is_quickly_within",
    "profile",
    "require_adjacency",
    "require_bounded",
]

METHODS = ("auto", *TABLE, "renyi")

Parts = Mapping[Event, int]
_One = TypeVar("_One")

_ULP = 2.0**-53
_QUICK_MARGIN = 1e-6  # relative; far above every rounding allowance, far below what anybody budgets


def epsilon(
    event: Event, delta: float, *, adjacency: str = "add-remove", width: float | None = None, method: str = "auto"
) -> Bound:
    """Certified interval around the smallest epsilon for which the event is (epsilon, delta)-DP.

    Args:
        event: what was done.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: largest difference between the ends that is good enough, nats, > 0; max(2e-3, 2e-3 epsilon) by default.
            A smaller one may cost more time; a wider interval comes back where no accountant gets there.
        method: "auto", or one accountant: "gaussian" and "response" are exact up to rounding, "fourier" takes sampled
            Gaussians, "lattice" everything with a known dominating pair, "renyi" gives an upper end only.

    Returns:
        Bound in nats; infinite where no finite epsilon holds.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve, or `method` does not apply to it.
        ResolutionError: no accountant that applies resolves the answer.
        ValueError: delta, adjacency, width or method is out of range.

    Example:
        >>> from accountants.events import Gaussian, RandomizedResponse
        >>> print(epsilon(Gaussian(sigma=1), delta=1e-5))
        [4.3771, 4.3772] (gaussian)
        >>> print(epsilon(Gaussian(sigma=1.1).poisson(q=0.01) * 10_000, delta=1e-5))
        [5.1925, 5.1926] (fourier)
        >>> print(epsilon(RandomizedResponse(k=10, eps0=0.5) * 100, 1e-5, adjacency="replace-one"))
        [13.169, 13.17] (response)
    """
    check.probability_mass(delta=delta)
    relation = require_adjacency(event, adjacency)
    _require_options(width, method)
    found = epsilon_of_parts(normal_form(event, adjacency=relation), float(delta), relation, method, width)
    return replace(found, lower=0.0) if is_only_bounded(event) else found


def delta(
    event: Event, epsilon: float, *, adjacency: str = "add-remove", width: float | None = None, method: str = "auto"
) -> Bound:
    """Certified interval around the smallest delta for which the event is (epsilon, delta)-DP.

    Args:
        event: what was done.
        epsilon: nats, >= 0.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: as for `epsilon`, nats: how far the curve may be shifted.
        method: as for `epsilon`.

    Returns:
        Bound on delta, in [0, 1].

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve, or `method` does not apply to it.
        ResolutionError: no accountant that applies resolves the answer.
        ValueError: epsilon, adjacency, width or method is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> print(delta(Gaussian(sigma=1), epsilon=1))
        [0.12693, 0.12694] (gaussian)
    """
    check.real(epsilon=epsilon, at_least=0.0)
    relation = require_adjacency(event, adjacency)
    _require_options(width, method)
    parts = normal_form(event, adjacency=relation)
    found = _profile_of_parts(parts, Question(relation, method, width))(float(epsilon))
    return replace(found, lower=0.0) if is_only_bounded(event) else found


def profile(
    event: Event, *, adjacency: str = "add-remove", width: float | None = None, method: str = "auto"
) -> Callable[[float], Bound]:
    """`delta` of one event as a function of epsilon, for many epsilons; quickest if asked from the largest one down.

    Args:
        event: what was done.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: as for `delta`.
        method: as for `delta`.

    Returns:
        From epsilon, nats, >= 0, to a bound on delta, in [0, 1].

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        ValueError: adjacency, width or method is out of range. The function raises what `delta` raises.

    Example:
        >>> from accountants.events import Gaussian
        >>> delta_at = profile(Gaussian(sigma=1).poisson(q=0.01) * 1000)
        >>> [str(delta_at(epsilon)) for epsilon in (2.0, 1.0)]
        ['[0.0000026655, 0.0000026656] (fourier)', '[0.0026124, 0.0026125] (fourier)']
    """
    relation = require_adjacency(event, adjacency)
    _require_options(width, method)
    ask = _profile_of_parts(normal_form(event, adjacency=relation), Question(relation, method, width, is_shared=True))
    only_bounded = is_only_bounded(event)

    def delta_at(epsilon: float) -> Bound:
        check.real(epsilon=epsilon, at_least=0.0)
        found = ask(float(epsilon))
        return replace(found, lower=0.0) if only_bounded else found

    return delta_at


def require_adjacency(event: Event, adjacency: str) -> Adjacency:
    """The parsed adjacency, if every part of the event is stated for it.

    Raises:
        AdjacencyError: a part is not; the message says which adjacency to pass.
        TypeError: `event` is no event.
        ValueError: the adjacency is unknown.
    """
    if not isinstance(event, Event):
        raise TypeError(f"event={event!r} must be an event, such as Gaussian(sigma=1.1); parse(text) reads one")
    relation = Adjacency(adjacency)
    if relation not in event.adjacencies:
        part = _first_unstated(event, relation)
        fitting = [repr(str(one)) for one in Adjacency if one in event.adjacencies]
        advice = (
            f"pass adjacency={' or '.join(fitting)}" if fitting else "no adjacency fits all parts: account them apart"
        )
        raise AdjacencyError(f"{part!r} is not stated for adjacency={str(relation)!r}; {advice}")
    return relation


def epsilon_of_parts(
    parts: Parts, delta: float, adjacency: Adjacency, method: str = "auto", width: float | None = None
) -> Bound:
    """`epsilon` of a normal form whose adjacency has been checked.

    Args:
        parts: as `events.normal_form` gives them.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
        method: one of METHODS.
        width: difference between the ends that is good enough, nats, or None.

    Returns:
        Bound in nats.

    Raises:
        UnsupportedEvent: as for `epsilon`.
        ResolutionError: as for `epsilon`.
    """
    taken_apart = branches(parts, adjacency)
    if taken_apart is not None:
        return _dearest(taken_apart, lambda one: epsilon_of_parts(one, delta, adjacency, method, width))
    settings = _settings(parts, adjacency, method, delta=delta)
    revealed = revealing_mass(parts)
    if revealed is not None:
        return Bound(math.inf if revealed[0] > delta else 0.0, math.inf, "no-noise", settings)
    kept, failure = split_failures(_sorted(parts))
    least, most = left_over(delta, failure)
    question = Question(adjacency, method, width)
    pessimistic = question.epsilon(kept, least)
    optimistic = pessimistic if least == most else question.epsilon(kept, most)
    lower = min(optimistic.lower, pessimistic.upper)
    return Bound(lower, pessimistic.upper, pessimistic.method, {**settings, **pessimistic.settings})


def is_quickly_within(parts: Parts, epsilon: float, delta: float, adjacency: Adjacency) -> bool:
    """Whether a cheap, loose bound already shows the parts to cost at most epsilon; False means "not known".

    Args:
        parts: distinct events -> count.
        epsilon: budget in nats.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
    """
    merged = merge_gaussians(parts)
    if delta == 0.0 or revealing_mass(merged) is not None:
        return False
    kept, failure = split_failures(merged)
    least, _ = left_over(delta, failure)
    try:
        return least > 0.0 and quick_rdp_epsilon(kept, least, adjacency) <= epsilon * (1.0 - _QUICK_MARGIN)
    except UnsupportedEvent:
        return False


def _profile_of_parts(parts: Parts, question: Question) -> Callable[[float], Bound]:
    taken_apart = branches(parts, question.adjacency)
    if taken_apart is not None:
        below, above = ([_profile_of_parts(one, question) for one in side] for side in taken_apart)
        return lambda epsilon: _dearest((below, above), lambda one: one(epsilon))
    revealed = revealing_mass(parts)
    kept, failure = split_failures(_sorted(parts))
    ask = question.profile(kept)

    def delta_at(epsilon: float) -> Bound:
        settings = _settings(parts, question.adjacency, question.method, epsilon=epsilon)
        if revealed is not None:
            return Bound(revealed[0], 1.0, "no-noise", settings)
        answer = Answer(0.0, 0.0, "pure") if pure_epsilon(kept)[1] <= epsilon else ask(epsilon)
        settings |= answer.settings
        if failure == (0.0, 0.0):
            return Bound(answer.lower, answer.upper, answer.method, settings)
        lower = failure[0] + (1.0 - failure[0]) * answer.lower
        upper = failure[1] + (1.0 - failure[1]) * answer.upper
        if answer.upper > 0.0:
            lower, upper = lower * (1.0 - 4.0 * _ULP), min(1.0, upper * (1.0 + 4.0 * _ULP))
        return Bound(lower, upper, answer.method, settings)

    return delta_at


def _dearest(taken_apart: tuple[list[_One], list[_One]], ask: Callable[[_One], Bound]) -> Bound:
    """The larger cost, at each end, of compositions one of which is the truth."""
    below, above = taken_apart
    dearest = max((ask(one) for one in above), key=lambda bound: bound.upper)
    lower = max(ask(one).lower for one in below)
    return replace(dearest, lower=min(lower, dearest.upper))


def _settings(parts: Parts, adjacency: Adjacency, method: str, **point: float) -> dict[str, object]:
    return {**point, "adjacency": str(adjacency), "distinct_events": len(parts), "asked": method, "library": versions()}


def _sorted(parts: Parts) -> Parts:
    """The parts in an order of their own, so that the order of charges cannot change the last digit of a sum."""
    return dict(sorted(parts.items(), key=str))


def _first_unstated(event: Event, relation: Adjacency) -> Event:
    """The innermost part that is responsible."""
    while True:
        inner = getattr(event, "events", None) or (getattr(event, "event", None),)
        guilty = next((part for part in inner if part is not None and relation not in part.adjacencies), None)
        if guilty is None:
            return event
        event = guilty


def require_bounded(parts: Parts, adjacency: Adjacency) -> None:
    """Refuse events that no accountant can bound, at whatever delta.

    Raises:
        UnsupportedEvent: a part has neither a dominating pair nor a Rényi curve under this adjacency; it is named.
    """
    for part in split_failures(parts)[0]:
        inside = branches({part: 1}, adjacency)
        if inside is not None:
            for one in inside[1]:
                require_bounded(one, adjacency)
            continue
        if all(row.stranger({part: 1}, adjacency) is not None for row in TABLE.values()):
            renyi(part, 2.0, adjacency=str(adjacency))


def _require_options(width: float | None, method: str) -> None:
    if width is not None:
        check.real(width=width, above=0.0)
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; pass one of {', '.join(METHODS)}")
