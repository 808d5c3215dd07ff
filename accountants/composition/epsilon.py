"""Epsilon and delta of any event: takes the tightest accountant that applies and keeps both ends certified.

Exact where an exact tool exists (Gaussians, randomized responses of one eps0), then Fourier inversion (sampled
Gaussians), then the lattice (everything with a known dominating pair), and Rényi curves where nothing else is left.
"""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.composition.choice import Question
from accountants.composition.disjoint_parts import branches
from accountants.composition.failures import left_over, revealing_mass, split_failures
from accountants.composition.requirements import require_adjacency
from accountants.composition.table import TABLE, Answer
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import Event, merge_gaussians, normal_form
from accountants.methods.pure import pure_epsilon
from accountants.methods.renyi.conversion import quick_rdp_epsilon
from accountants.version import versions

__all__ = ["METHODS", "delta", "epsilon", "epsilon_of_parts", "is_quickly_within", "profile"]

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
    floor = event.certain_part()
    return epsilon_of_parts(
        normal_form(event, adjacency=relation),
        float(delta),
        relation,
        method,
        width,
        floor=None if floor is event else normal_form(floor, adjacency=relation),
    )


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
    return _profile_of_event(event, Question(relation, method, width))(float(epsilon))


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
    ask = _profile_of_event(event, Question(relation, method, width, is_shared=True))

    def delta_at(epsilon: float) -> Bound:
        check.real(epsilon=epsilon, at_least=0.0)
        return ask(float(epsilon))

    return delta_at


def epsilon_of_parts(
    parts: Parts,
    delta: float,
    adjacency: Adjacency,
    method: str = "auto",
    width: float | None = None,
    *,
    floor: Parts | None = None,
    needs_lower: bool = True,
) -> Bound:
    """`epsilon` of a normal form whose adjacency has been checked.

    Args:
        parts: as `events.normal_form` gives them.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
        method: one of METHODS.
        width: difference between the ends that is good enough, nats, or None.
        floor: what is certainly released, where the parts may cost more than what is; it gives the lower end.
        needs_lower: False spares the search for a lower end where Rényi accounting gives the upper one.

    Returns:
        Bound in nats.

    Raises:
        UnsupportedEvent: as for `epsilon`.
        ResolutionError: as for `epsilon`.
    """
    if floor is not None:
        found = epsilon_of_parts(parts, delta, adjacency, method, width, needs_lower=False)
        return _on(found, lambda: epsilon_of_parts(floor, delta, adjacency, method, width))
    taken_apart = branches(parts, adjacency)
    if taken_apart is not None:
        return _dearest(
            taken_apart, lambda one: epsilon_of_parts(one, delta, adjacency, method, width, needs_lower=needs_lower)
        )
    settings = _settings(parts, adjacency, method, delta=delta)
    revealed = revealing_mass(parts)
    if revealed is not None:
        return Bound(math.inf if revealed[0] > delta else 0.0, math.inf, "no-noise", settings)
    kept, failure = split_failures(_sorted(parts))
    least, most = left_over(delta, failure)
    question = Question(adjacency, method, width, needs_lower)
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


def _profile_of_event(event: Event, question: Question) -> Callable[[float], Bound]:
    ask = _profile_of_parts(normal_form(event, adjacency=question.adjacency), question)
    floor = event.certain_part()
    if floor is event:
        return ask
    ask_floor = _profile_of_parts(normal_form(floor, adjacency=question.adjacency), question)
    return lambda epsilon: _on(ask(epsilon), lambda: ask_floor(epsilon))


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
        answer = Answer(0.0, 0.0, "pure") if pure_epsilon(kept, question.adjacency)[1] <= epsilon else ask(epsilon)
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


def _on(found: Bound, ask_floor: Callable[[], Bound]) -> Bound:
    """The bound with the lower end of what is certainly released."""
    lower = 0.0
    with suppress(ResolutionError, UnsupportedEvent):
        lower = ask_floor().lower
    return replace(found, lower=min(lower, found.upper))


def _settings(parts: Parts, adjacency: Adjacency, method: str, **point: float) -> dict[str, object]:
    return {**point, "adjacency": str(adjacency), "distinct_events": len(parts), "asked": method, "library": versions()}


def _sorted(parts: Parts) -> Parts:
    """The parts in an order of their own, so that the order of charges cannot change the last digit of a sum."""
    return dict(sorted(parts.items(), key=str))


def _require_options(width: float | None, method: str) -> None:
    if width is not None:
        check.real(width=width, above=0.0)
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; pass one of {', '.join(METHODS)}")
