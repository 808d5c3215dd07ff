"""Certified intervals around epsilon and delta of any composition of events with dominating pairs."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import scipy

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events.event import Event
from accountants.methods.lattice.composed import ComposedLaw, TooNoisy
from accountants.methods.lattice.directions import Releases, directions_of
from accountants.methods.lattice.domain import require_tame
from accountants.methods.lattice.plan import Plan
from accountants.methods.lattice.resolution import Resolution, require_few
from accountants.methods.lattice.targets import DeltaAt, EpsilonAt, Question
from accountants.methods.lattice.transform import compose

__all__ = ["LatticeAnswer", "Profile", "delta_of", "epsilon_of"]

_AIM = 0.5  # of the wanted width, at the first step
_COARSENINGS = 2
_TRIES = 4
_ROUNDING = 1e-9  # by which two certified ends of one exact value may cross
_LEAST_LOG_DELTA = -46.0  # about 1e-20, below which rounding of a heavily sampled law is not resolved
_REFUSALS = 2  # after so many epsilons out of reach no further one is tried
_DEAR = 2**19  # cells of a window from which on a coarser lattice is tried first
_REHEARSAL = 6.0  # its step
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
        width: requested upper - lower, nats; by default the larger of 0.002 and 0.002 epsilon. The answer may be wider
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


class Profile:
    """Delta as a function of epsilon; laws composed for one epsilon are read at others where they tell as much.

    Args:
        parts: distinct events -> count, >= 1; each needs a dominating pair.
        adjacency: neighbouring relation.
        width: as for `delta_of`.

    Raises:
        ResolutionError: there is too much to compose.
        UnsupportedEvent: a part has no dominating pair; it is named.
    """

    def __init__(self, parts: Mapping[Event, int], adjacency: Adjacency, *, width: float | None = None) -> None:
        require_few(parts)
        self.parts, self.width = parts, width
        self.composed: list[tuple[Releases, list[_Composed]]] = [(one, []) for one in directions_of(parts, adjacency)]
        self.refused: list[ResolutionError] = []

    def delta(self, epsilon: float) -> LatticeAnswer:
        """As `delta_of`.

        Args:
            epsilon: nats, >= 0.

        Raises:
            ResolutionError: numerical error would exceed 1 % of delta, here or at several epsilons before.
        """
        require_tame(self.parts, epsilon)
        question = DeltaAt(epsilon)
        found: list[LatticeAnswer] = []
        for releases, known in self.composed:
            lower = max((one.lower for one in found), default=None)
            found.append(self._known(known, question) or self._new(releases, known, question, lower))
        worse = max(found, key=lambda one: one.upper)
        return _checked(max(one.lower for one in found), worse.upper, worse.settings)

    def _known(self, known: "list[_Composed]", question: DeltaAt) -> LatticeAnswer | None:
        for one in known:
            with suppress(ResolutionError):
                upper, lower = question.end(one.above, 1.0)[0], question.end(one.below, -1.0)[0]
                wanted = self.width if self.width is not None else _default_width(one.plan)
                if question.width(lower, upper, one.plan.outlook) <= wanted:
                    return LatticeAnswer(lower, upper, one.settings)
        return None

    def _new(
        self, releases: Releases, known: "list[_Composed]", question: DeltaAt, lower: float | None
    ) -> LatticeAnswer:
        """Compose one direction; `lower` is what the other one says."""
        if len(self.refused) >= _REFUSALS:
            raise self.refused[-1]
        try:
            plan = question.plan(releases)
            if lower is None and question.weight(plan.outlook) < _LEAST_LOG_DELTA:
                raise ResolutionError("delta is too small for the rounding of a lattice; use method='renyi'")
            wanted = self.width if self.width is not None else _default_width(plan)
            resolution = Resolution.of(plan)
            step = resolution.first_step(_AIM * wanted)
            if lower is not None and _end(plan, resolution.rounded(_COARSER * step), question, 1.0)[0] <= lower:
                return LatticeAnswer(0.0, 0.0)
            below, above, composed = _as_fine_as_possible(plan, resolution, step, wanted, question)
        except ResolutionError as error:
            self.refused.append(error)
            raise
        known.append(composed)
        return LatticeAnswer(below, above, composed.settings)


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
    settings: Mapping[str, object] = {}
    for plan in plans:
        resolution = Resolution.of(plan)
        wanted = width if width is not None else _default_width(plan)
        step = resolution.first_step(_AIM * wanted)
        if settings:
            # The other direction looked worse: a coarse bound usually shows that this one does not matter.
            coarse = _end(plan, resolution.rounded(_COARSER * step), question, 1.0)[0]
            if coarse <= lower:
                continue
        below, above, composed = _as_fine_as_possible(plan, resolution, step, wanted, question)
        if above >= upper:
            settings = composed.settings
        lower, upper = max(lower, below), max(upper, above)
    return _checked(lower, upper, settings)


def _checked(lower: float, upper: float, settings: Mapping[str, object]) -> LatticeAnswer:
    if lower > upper + _ROUNDING * (1.0 + upper):
        raise ResolutionError(f"lower={lower!r} exceeds upper={upper!r}: rounding is out of hand; use method='renyi'")
    return LatticeAnswer(min(lower, upper), upper, settings)


@dataclass(frozen=True, slots=True)
class _Composed:
    """Both laws of one direction."""

    plan: Plan
    above: ComposedLaw
    below: ComposedLaw
    settings: Mapping[str, object]


def _as_fine_as_possible(
    plan: Plan, resolution: Resolution, step: float, wanted: float, question: Question
) -> tuple[float, float, _Composed]:
    """Like `_refined`, with coarser first steps where the wanted one needs too many cells: a wider interval."""
    window = plan.outlook.window
    if window.high - window.low > _DEAR * step:
        # Whether rounding drowns delta shows on a coarse lattice as well.
        _rehearse(plan, resolution.rounded(_REHEARSAL * step), question)
    for _ in range(_COARSENINGS):
        try:
            return _refined(plan, resolution, step, wanted, question)
        except TooNoisy:
            raise
        except ResolutionError:
            step = resolution.rounded(2.0 * step)
    return _refined(plan, resolution, step, wanted, question)


def _rehearse(plan: Plan, step: float, question: Question) -> None:
    try:
        _end(plan, step, question, 1.0)
    except TooNoisy:
        raise
    except ResolutionError:
        return  # the coarse lattice has troubles of its own


def _refined(
    plan: Plan, resolution: Resolution, step: float, wanted: float, question: Question
) -> tuple[float, float, _Composed]:
    """Both ends in one direction, with finer steps until they are close enough or finer steps do not help."""
    lower, upper, last = 0.0, math.inf, math.inf
    composed: _Composed | None = None
    for _ in range(_TRIES):
        try:
            above, numeric, law = _end(plan, step, question, 1.0)
            below, _, lower_law = _end(plan, step, question, -1.0)
        except ResolutionError:
            if composed is None:
                raise
            break
        if composed is None or above <= upper:
            composed = _Composed(plan, law, lower_law, _settings(plan, law, step, numeric))
        lower, upper = max(lower, below), min(upper, above)
        reached = question.width(lower, upper, plan.outlook)
        if reached <= wanted or not math.isfinite(reached) or reached > 0.8 * last:
            break
        finer = resolution.rounded(step * max(0.1, min(0.7, 0.8 * math.sqrt(wanted / reached))))
        if finer >= step:
            break
        step, last = finer, reached
    if composed is None:
        raise ResolutionError("no step was tried")
    return lower, upper, composed


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
    return max(2e-3, 2e-3 * plan.outlook.epsilon)


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
