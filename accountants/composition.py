"""Epsilon and delta of any event: takes the tightest accountant that applies and keeps both ends certified.

Exact where an exact tool exists (Gaussians, randomized responses of one eps0), Rényi otherwise.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.errors import AdjacencyError, ResolutionError, UnsupportedEvent
from accountants.events import Composed, Event, PoissonSampled, Repeat, merge_gaussians, normal_form
from accountants.exact.table import EXACT, ExactAccountant, exact_groups, pure_epsilon
from accountants.failure import left_over, revealing_mass, split_failures
from accountants.rdp.conversion import quick_rdp_epsilon, rdp_delta, rdp_epsilon

__all__ = [
    "METHODS",
    "delta",
    "epsilon",
    "epsilon_of_parts",
    "is_quickly_within",
    "require_adjacency",
    "require_sampling",
]

METHODS = ("auto", *EXACT, "renyi")

Parts = Mapping[Event, int]

_ULP = 2.0**-53
_QUICK_MARGIN = 1e-6  # relative; far above every rounding allowance, far below what anybody budgets


@dataclass(frozen=True, slots=True)
class _Answer:
    """What one accountant says, before failure mass is taken into account."""

    lower: float
    upper: float
    method: str
    extra: dict[str, object] = field(default_factory=dict)


def epsilon(event: Event, delta: float, *, adjacency: str = "add-remove", method: str = "auto") -> Bound:
    """Certified interval around the smallest epsilon for which the event is (epsilon, delta)-DP.

    Args:
        event: what was done.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        method: "auto", or one accountant: "gaussian" and "response" are exact, "renyi" gives an upper end only.

    Returns:
        Bound in nats; infinite where no finite epsilon holds.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve, or `method` does not apply to it.
        ValueError: delta, adjacency or method is out of range.

    Example:
        >>> from accountants.events import Gaussian, RandomizedResponse
        >>> print(epsilon(Gaussian(sigma=1), delta=1e-5))
        [4.3771, 4.3772] (gaussian)
        >>> print(epsilon(RandomizedResponse(k=10, eps0=0.5) * 100, 1e-5, adjacency="replace-one"))
        [13.169, 13.17] (response)
    """
    check.probability_mass(delta=delta)
    relation = require_adjacency(event, adjacency)
    _require_method(method)
    return epsilon_of_parts(normal_form(event), float(delta), relation, method)


def delta(event: Event, epsilon: float, *, adjacency: str = "add-remove", method: str = "auto") -> Bound:
    """Certified interval around the smallest delta for which the event is (epsilon, delta)-DP.

    Args:
        event: what was done.
        epsilon: nats, >= 0.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        method: "auto", or one accountant: "gaussian" and "response" are exact, "renyi" gives an upper end only.

    Returns:
        Bound on delta, in [0, 1].

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve, or `method` does not apply to it.
        ValueError: epsilon, adjacency or method is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> print(delta(Gaussian(sigma=1), epsilon=1))
        [0.12693, 0.12694] (gaussian)
    """
    check.real(epsilon=epsilon, at_least=0.0)
    relation = require_adjacency(event, adjacency)
    _require_method(method)
    return _delta_of_parts(normal_form(event), float(epsilon), relation, method)


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
        stated = " or ".join(repr(str(one)) for one in Adjacency if one in part.adjacencies)
        raise AdjacencyError(f"{part!r} is not stated for adjacency={str(relation)!r}; pass adjacency={stated}")
    return relation


def epsilon_of_parts(parts: Parts, delta: float, adjacency: Adjacency, method: str = "auto") -> Bound:
    """`epsilon` of a normal form whose adjacency has been checked.

    Args:
        parts: as `events.normal_form` gives them.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
        method: one of METHODS.

    Returns:
        Bound in nats.

    Raises:
        UnsupportedEvent: as for `epsilon`.
    """
    require_sampling(parts, adjacency)
    settings: dict[str, object] = {"delta": delta, "adjacency": str(adjacency), "distinct_events": len(parts)}
    revealed = revealing_mass(parts)
    if revealed is not None:
        return Bound(math.inf if revealed[0] > delta else 0.0, math.inf, "no-noise", settings)
    kept, failure = split_failures(_sorted(parts))
    least, most = left_over(delta, failure)
    pessimistic = _epsilon_answer(kept, least, method)
    optimistic = pessimistic if least == most else _epsilon_answer(kept, most, method)
    return Bound(optimistic.lower, pessimistic.upper, pessimistic.method, settings | pessimistic.extra)


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
    require_sampling(merged, adjacency)
    kept, failure = split_failures(merged)
    least, _ = left_over(delta, failure)
    return least > 0.0 and quick_rdp_epsilon(kept, least) <= epsilon * (1.0 - _QUICK_MARGIN)


def _delta_of_parts(parts: Parts, epsilon: float, adjacency: Adjacency, method: str) -> Bound:
    require_sampling(parts, adjacency)
    settings: dict[str, object] = {
        "epsilon": epsilon,
        "adjacency": str(adjacency),
        "distinct_events": len(parts),
    }
    revealed = revealing_mass(parts)
    if revealed is not None:
        return Bound(revealed[0], 1.0, "no-noise", settings)
    kept, failure = split_failures(_sorted(parts))
    answer = _Answer(0.0, 0.0, "pure")
    if pure_epsilon(kept)[1] > epsilon:
        answer = _solve(
            kept, method, lambda exact, group: exact.delta(group, epsilon), lambda: rdp_delta(kept, epsilon)
        )
    if failure == (0.0, 0.0):
        return Bound(answer.lower, answer.upper, answer.method, settings | answer.extra)
    lower = failure[0] + (1.0 - failure[0]) * answer.lower
    upper = failure[1] + (1.0 - failure[1]) * answer.upper
    if answer.upper > 0.0:
        lower, upper = lower * (1.0 - 4.0 * _ULP), min(1.0, upper * (1.0 + 4.0 * _ULP))
    return Bound(lower, upper, answer.method, settings | answer.extra)


def _sorted(parts: Parts) -> Parts:
    """The parts in an order of their own, so that the order of charges cannot change the last digit of a sum."""
    return dict(sorted(parts.items(), key=str))


def _epsilon_answer(parts: Parts, delta: float, method: str) -> _Answer:
    """Epsilon of parts without failures, at a delta that may be used up."""
    if delta < 0.0:
        return _Answer(math.inf, math.inf, "none")
    low, high = pure_epsilon(parts)
    if delta == 0.0 or high == 0.0:
        return _Answer(low, high, "pure")
    found = _solve(parts, method, lambda exact, group: exact.epsilon(group, delta), lambda: rdp_epsilon(parts, delta))
    return found if found.upper <= high else _Answer(min(found.lower, low), high, "pure")


def _solve(
    parts: Parts,
    method: str,
    ask: Callable[[ExactAccountant, Parts], tuple[float, float]],
    ask_renyi: Callable[[], tuple[float, float]],
) -> _Answer:
    """The exact answer if there is one, else Rényi from above and the best part from below."""
    for name, exact in EXACT.items():
        stranger = exact.stranger(parts)
        if method == name and stranger is not None:
            raise UnsupportedEvent(f"method={method!r} does not apply to {stranger!r} here; use method='auto'")
        if method in (name, "auto") and stranger is None:
            try:
                return _Answer(*ask(exact, parts), name)
            except ResolutionError:
                if method == name:
                    raise
    upper, order = ask_renyi()
    lower = 0.0 if method == "renyi" else _best_part(parts, ask)
    return _Answer(lower, upper, "renyi", {"order": order})


def _best_part(parts: Parts, ask: Callable[[ExactAccountant, Parts], tuple[float, float]]) -> float:
    """A composition is at least as bad as each of its parts."""
    best = 0.0
    for exact, group in exact_groups(parts):
        try:
            best = max(best, ask(exact, group)[0])
        except ResolutionError:
            continue
    return best


def _first_unstated(event: Event, relation: Adjacency) -> Event:
    while isinstance(event, Composed | Repeat | PoissonSampled):
        inner = event.events if isinstance(event, Composed) else (event.event,)
        event = next(part for part in inner if relation not in part.adjacencies)
    return event


def require_sampling(parts: Parts, adjacency: Adjacency) -> None:
    """Refuse Poisson sampling unless a record is present or not: add-remove or zero-out.

    Raises:
        UnsupportedEvent: a Poisson-sampled part meets replace-one; it is named.
    """
    for part in parts:
        if isinstance(part, PoissonSampled) and adjacency is Adjacency.REPLACE_ONE:
            raise UnsupportedEvent(
                f"{part!r}: no accountant here bounds Poisson sampling under adjacency='replace-one'; "
                "state the ledger for 'add-remove', or drop .poisson(q), which only costs more"
            )


def _require_method(method: str) -> None:
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; pass one of {', '.join(METHODS)}")
