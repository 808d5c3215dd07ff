"""Certified intervals around epsilon and delta of any composition of events with dominating pairs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events.algebra import Event
from accountants.lattice.composed import ComposedLaw
from accountants.lattice.directions import directions_of
from accountants.lattice.domain import require_tame
from accountants.lattice.question import DeltaAt, EpsilonAt, Plan, Question
from accountants.lattice.resolution import Resolution, require_few
from accountants.lattice.transform import compose
from accountants.pairs.pair import FloatArray

__all__ = ["LatticeAnswer", "curve_of", "delta_of", "epsilon_of"]

_COARSENINGS = 2
_TRIES = 4
_ROUNDING = 1e-9  # by which two certified ends of one exact value may cross
_LEAST_LOG_DELTA = -46.0  # about 1e-20, below which rounding of a heavily sampled law is not resolved
_COARSER = 3.0  # step of a quick check that a direction does not matter


@dataclass(frozen=True, slots=True)
class LatticeAnswer:
    """A certified interval and how it was computed.

    Attributes:
        lower: no valid guarantee of these events is below this.
        upper: a valid guarantee; may be infinite for epsilon.
        settings: JSON-able: step, tilt, window, tails, numeric_delta, direction, versions of libraries.
    """

    lower: float
    upper: float
    settings: Mapping[str, object] = field(default_factory=dict, hash=False)


def epsilon_of(
    parts: Mapping[Event, int], delta: float, adjacency: Adjacency, *, width: float | None = None
) -> LatticeAnswer:
    """Certified interval around the smallest epsilon for which the parts are (epsilon, delta)-DP.

    Args:
        parts: distinct events -> count, >= 1; each needs a dominating pair (see `stranger`).
        delta: failure mass, in (0, 1).
        adjacency: neighbouring relation.
        width: requested upper - lower, nats; by default the larger of 0.001 and 0.001 epsilon. The answer may be wider
            where no pair is attained or where finer steps would take more than a few seconds.

    Returns:
        The interval in nats.

    Raises:
        ResolutionError: numerical error would exceed 1 % of delta, or there is too much to compose.
        UnsupportedEvent: a part has no dominating pair; it is named.

    Example:
        >>> from accountants.events import Laplace
        >>> answer = epsilon_of({Laplace(scale=10.0): 1000}, 1e-5, Adjacency.ADD_REMOVE, width=1e-4)
        >>> round(answer.lower, 3), round(answer.upper, 3)
        (17.424, 17.424)
    """
    return _answer(parts, adjacency, EpsilonAt(float(delta)), width)


def delta_of(
    parts: Mapping[Event, int], epsilon: float, adjacency: Adjacency, *, width: float | None = None
) -> LatticeAnswer:
    """Certified interval around the smallest delta for which the parts are (epsilon, delta)-DP.

    Args:
        parts: distinct events -> count, >= 1; each needs a dominating pair.
        epsilon: nats, >= 0.
        adjacency: neighbouring relation.
        width: how far the ends of delta may be apart, as a shift of epsilon in nats.

    Returns:
        The interval, in [0, 1].

    Raises:
        ResolutionError: numerical error would exceed 1 % of delta, or there is too much to compose.
        UnsupportedEvent: a part has no dominating pair; it is named.

    Example:
        >>> from accountants.events import Laplace
        >>> answer = delta_of({Laplace(scale=1.0): 1}, 0.5, Adjacency.ADD_REMOVE)
        >>> answer.lower <= 1.0 - math.exp(-0.25) <= answer.upper
        True
    """
    return _answer(parts, adjacency, DeltaAt(float(epsilon)), width)


def curve_of(
    parts: Mapping[Event, int],
    epsilons: Sequence[float] | FloatArray,
    adjacency: Adjacency,
    *,
    width: float | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Certified ends of delta at many epsilons, from as few compositions as accuracy allows.

    Args:
        parts: distinct events -> count, >= 1; each needs a dominating pair.
        epsilons: nats, >= 0, shape (n,).
        adjacency: neighbouring relation.
        width: as for `delta_of`; it chooses the step and is not verified.

    Returns:
        (lower, upper), each of shape (n,), in [0, 1].

    Raises:
        ResolutionError: as for `delta_of`.
        UnsupportedEvent: a part has no dominating pair; it is named.
    """
    lower, upper = np.zeros(len(epsilons)), np.zeros(len(epsilons))
    if not parts:
        return lower, upper
    require_few(parts)
    require_tame(parts, max((float(one) for one in epsilons), default=0.0))
    for releases in directions_of(parts, adjacency):
        waiting = list(range(len(epsilons)))
        while waiting:
            first = waiting[len(waiting) // 2]
            question = DeltaAt(float(epsilons[first]))
            plan = question.plan(releases)
            step = Resolution.of(plan).first_step(width if width is not None else _default_width(plan))
            above, below = (_end(plan, step, question, sign)[2] for sign in (1.0, -1.0))
            for index in tuple(waiting):
                try:
                    high = above.delta(float(epsilons[index]), sign=1.0)[0]
                    low = below.delta(float(epsilons[index]), sign=-1.0)[0]
                except ResolutionError:
                    if index == first:
                        raise
                    continue
                lower[index], upper[index] = max(lower[index], low), max(upper[index], high)
                waiting.remove(index)
    return np.minimum(lower, upper), upper


def _answer(parts: Mapping[Event, int], adjacency: Adjacency, question: Question, width: float | None) -> LatticeAnswer:
    """The maximum over directions, each composed for itself."""
    if not parts:
        return LatticeAnswer(0.0, 0.0, {"distinct_events": 0})
    require_few(parts)
    require_tame(parts, question.epsilon if isinstance(question, DeltaAt) else 0.0)
    plans = [question.plan(releases) for releases in directions_of(parts, adjacency)]
    plans.sort(key=lambda plan: question.weight(plan.outlook), reverse=True)
    if isinstance(question, DeltaAt) and question.weight(plans[0].outlook) < _LEAST_LOG_DELTA:
        raise ResolutionError("delta is too small for the rounding of a lattice; use method='renyi'")
    lower = upper = 0.0
    settings: dict[str, object] = {}
    for plan in plans:
        resolution = Resolution.of(plan)
        wanted = width if width is not None else _default_width(plan)
        step = resolution.first_step(wanted)
        if settings:
            # The other direction looked worse: a coarse bound usually shows that this one does not matter.
            coarse = _end(plan, resolution.rounded(_COARSER * step), question, 1.0)[0]
            if coarse <= lower:
                continue
        below, above, used = _as_fine_as_possible(plan, resolution, step, wanted, question)
        if above >= upper:
            settings = used
        lower, upper = max(lower, below), max(upper, above)
    if lower > upper + _ROUNDING * (1.0 + upper):
        raise ResolutionError(f"lower={lower!r} exceeds upper={upper!r}: rounding is out of hand; use method='renyi'")
    return LatticeAnswer(min(lower, upper), upper, settings)


def _as_fine_as_possible(
    plan: Plan, resolution: Resolution, step: float, wanted: float, question: Question
) -> tuple[float, float, dict[str, object]]:
    """Like `_refined`, with coarser first steps where the wanted one needs too many cells: a wider interval."""
    for _ in range(_COARSENINGS):
        try:
            return _refined(plan, resolution, step, wanted, question)
        except ResolutionError:
            step = resolution.rounded(2.0 * step)
    return _refined(plan, resolution, step, wanted, question)


def _refined(
    plan: Plan, resolution: Resolution, step: float, wanted: float, question: Question
) -> tuple[float, float, dict[str, object]]:
    """Both ends in one direction, with finer steps until they are close enough or finer steps do not help."""
    lower, upper, last = 0.0, math.inf, math.inf
    settings: dict[str, object] = {}
    for attempt in range(_TRIES):
        try:
            above, numeric, law = _end(plan, step, question, 1.0)
            below, _, _ = _end(plan, step, question, -1.0)
        except ResolutionError:
            if attempt == 0:
                raise
            break
        if above <= upper:
            settings = _settings(plan, law, step, numeric)
        lower, upper = max(lower, below), min(upper, above)
        reached = question.width(lower, upper, plan.outlook)
        if reached <= wanted or not math.isfinite(reached) or reached > 0.8 * last:
            break
        finer = resolution.rounded(step * max(0.1, min(0.7, 0.8 * math.sqrt(wanted / reached))))
        if finer >= step:
            break
        step, last = finer, reached
    return lower, upper, settings


def _end(plan: Plan, step: float, question: Question, sign: float) -> tuple[float, float, ComposedLaw]:
    """One certified end, its numerical error in delta, and the composed law that it was read off."""
    counts = plan.releases.counts
    laws = plan.releases.laws(step, plan.tails, sign=sign)
    try:
        law = compose(laws, counts, plan.outlook.window, sign=sign)
        return (*question.end(law, sign), law)
    except ResolutionError:
        # The coarse laws misled; these ones know better.
        law = compose(laws, counts, question.look(laws, counts).window, sign=sign)
        return (*question.end(law, sign), law)


def _default_width(plan: Plan) -> float:
    return max(1e-3, 1e-3 * plan.outlook.epsilon)


def _settings(plan: Plan, law: ComposedLaw, step: float, numeric: float) -> dict[str, object]:
    return {
        "step": step,
        "tilt": law.tilt,
        "window": [float(law.points[0]), float(law.points[-1])],
        "tails": [plan.tails.below, plan.tails.above],
        "numeric_delta": numeric,
        "direction": plan.releases.direction,
        "libraries": {"numpy": np.__version__, "scipy": scipy.__version__},
    }
