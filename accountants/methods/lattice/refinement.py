"""One direction, composed on finer and finer lattices until its ends are close enough."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy

from accountants.errors import ResolutionError
from accountants.methods.lattice.composed import ComposedLaw, TooNoisy
from accountants.methods.lattice.resolution import Plan, Resolution
from accountants.methods.lattice.targets import Target
from accountants.methods.lattice.transform import compose
from accountants.methods.method import Answer

_AIM = 0.5  # of the wanted width, at the first step
_COARSENINGS = 2  # of a first step that needs too many cells
_TRIES = 4  # steps, each finer than the one before
_ROUNDING = 1e-9  # by which two certified ends of one exact value may cross
_LEAST_LOG_DELTA = -46.0  # about 1e-20, below which rounding of a heavily sampled law is not resolved
_COSTLY = 2**19  # cells of a window from which on a coarser lattice is tried first
_REHEARSAL = 6.0  # its step, in steps
_COARSER = 3.0  # steps of a check that a direction does not matter


@dataclass(frozen=True, slots=True)
class ComposedDirection:
    """One direction, composed.

    Attributes:
        plan: what was composed, and where.
        above: the composed law from above.
        below: the composed law from below.
        answer: both ends of what was asked for.
    """

    plan: Plan
    above: ComposedLaw
    below: ComposedLaw
    answer: Answer


def composed_direction(
    plan: Plan, target: Target, width: float | None, known: float | None
) -> ComposedDirection | None:
    """One direction, with ends that are `width` apart if steps as fine as that are affordable.

    Args:
        plan: what to compose, and where.
        target: what is asked for.
        width: requested upper - lower, nats; None for the default.
        known: lower end of the other direction, if there is one.

    Returns:
        None if the direction certainly costs no more than what is known.

    Raises:
        ResolutionError: numerical error would exceed 1 % of delta, or there is too much to compose.
    """
    resolution = Resolution.of(plan)
    wanted = default_width(plan) if width is None else width
    step = resolution.first_step(_AIM * wanted)
    # The other direction looked worse: a coarse bound usually shows that this one does not matter.
    if known is not None and _end(plan, resolution.rounded(_COARSER * step), target, 1.0)[0] <= known:
        return None
    window = plan.first_look.window
    if window.high - window.low > _COSTLY * step:
        _rehearse(plan, resolution.rounded(_REHEARSAL * step), target)
    for _ in range(_COARSENINGS):
        try:
            return refined(plan, resolution, step, wanted, target)
        except TooNoisy:
            raise
        except ResolutionError:
            step = resolution.rounded(2.0 * step)
    return refined(plan, resolution, step, wanted, target)


def refined(plan: Plan, resolution: Resolution, step: float, wanted: float, target: Target) -> ComposedDirection:
    """Both ends in one direction, with finer steps until they are close enough or finer steps do not help."""
    lower, upper, last = 0.0, math.inf, math.inf
    best: ComposedDirection | None = None
    for _ in range(_TRIES):
        try:
            above, numeric, upper_law = _end(plan, step, target, 1.0)
            below, _, lower_law = _end(plan, step, target, -1.0)
        except ResolutionError:
            if best is None:
                raise
            break
        if best is None or above <= upper:
            settings = _settings(plan, upper_law, step, numeric)
            best = ComposedDirection(plan, upper_law, lower_law, Answer(below, above, "lattice", settings))
        lower, upper = max(lower, below), min(upper, above)
        reached = target.width(lower, upper, plan.first_look)
        if reached <= wanted or not math.isfinite(reached) or reached > 0.8 * last:
            break
        # The width falls with the square of the step; a tenth at most, as the estimate may be off.
        finer = resolution.rounded(step * max(0.1, min(0.7, 0.8 * math.sqrt(wanted / reached))))
        if finer >= step:
            break
        step, last = finer, reached
    if best is None:
        raise ResolutionError("no step was tried")
    return replace(best, answer=replace(best.answer, lower=lower, upper=upper))


def require_resolvable(target: Target, plan: Plan) -> None:
    """Refuse a delta that rounding would drown.

    Raises:
        ResolutionError: it is too small.
    """
    if target.weight(plan.first_look) < _LEAST_LOG_DELTA:
        raise ResolutionError("delta is too small for the rounding of a lattice; use method='renyi'")


def worst(found: list[Answer]) -> Answer:
    """Both ends of the direction that costs more.

    Raises:
        ResolutionError: the ends cross.
    """
    costliest = max(found, key=lambda answer: answer.upper)
    lower, upper = max(answer.lower for answer in found), costliest.upper
    if lower > upper + _ROUNDING * (1.0 + upper):
        raise ResolutionError(f"lower={lower!r} exceeds upper={upper!r}: rounding is out of hand; use method='renyi'")
    return replace(costliest, lower=min(lower, upper))


def default_width(plan: Plan) -> float:
    """How far the ends of epsilon may be apart where nothing is said, nats."""
    return max(2e-3, 2e-3 * plan.first_look.epsilon)


def _rehearse(plan: Plan, step: float, target: Target) -> None:
    """Find out on a coarse lattice, at little cost, whether rounding drowns delta: it would on a fine one as well."""
    try:
        _end(plan, step, target, 1.0)
    except TooNoisy:
        raise
    except ResolutionError:
        return  # the coarse lattice has troubles of its own


def _end(plan: Plan, step: float, target: Target, sign: float) -> tuple[float, float, ComposedLaw]:
    """One certified end, its numerical error in delta, and the composed law that it was read off."""
    counts = plan.releases.counts
    laws = plan.releases.laws(step, plan.tails, sign=sign)
    try:
        law = compose(laws, counts, plan.first_look.window, sign=sign)
        return (*target.end(law, sign), law)
    except ResolutionError:
        # The coarse laws misled; these ones know better.
        law = compose(laws, counts, target.look(laws, counts).window, sign=sign)
        return (*target.end(law, sign), law)


def _settings(plan: Plan, law: ComposedLaw, step: float, numeric: float) -> Mapping[str, object]:
    return {
        "step": step,
        "tilt": law.tilt,
        "window": [float(law.points[0]), float(law.points[-1])],
        "tails": [plan.tails.below, plan.tails.above],
        "numeric_delta": numeric,
        "direction": plan.releases.direction,
        "libraries": {"numpy": np.__version__, "scipy": scipy.__version__},
    }
