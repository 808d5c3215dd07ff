"""Certified intervals around epsilon and delta of any composition of events with dominating pairs."""

from accountants.adjacency import Adjacency
from accountants.methods.lattice.delta_curve import DeltaCurve
from accountants.methods.lattice.directions import directions_of, unsupported_part
from accountants.methods.lattice.domain import require_tame
from accountants.methods.lattice.refinement import composed_direction, require_resolvable, worst
from accountants.methods.lattice.resolution import require_few
from accountants.methods.lattice.targets import DeltaAt, EpsilonAt, Target
from accountants.methods.method import Answer, Method, Parts


def epsilon_of(parts: Parts, delta: float, adjacency: Adjacency, width: float | None = None) -> Answer:
    """Certified interval around the smallest epsilon for which the parts are (epsilon, delta)-DP.

    Args:
        parts: distinct events -> count, >= 1; each needs a dominating pair (see `unsupported_part`).
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


def delta_of(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None = None) -> Answer:
    """Certified interval, in [0, 1], around the smallest delta for which the parts are (epsilon, delta)-DP.

    Args:
        parts: as for `epsilon_of`, which raises the same errors.
        epsilon: nats, >= 0.
        adjacency: neighbouring relation.
        width: how far the ends of delta may be apart, as a shift of epsilon in nats.

    Example:
        >>> import math
        >>> from accountants.events import Laplace
        >>> answer = delta_of({Laplace(scale=1.0): 1}, 0.5, Adjacency.ADD_REMOVE)
        >>> answer.lower <= 1.0 - math.exp(-0.25) <= answer.upper
        True
    """
    return _answer(parts, adjacency, DeltaAt(float(epsilon)), width)


def _answer(parts: Parts, adjacency: Adjacency, target: Target, width: float | None) -> Answer:
    """The maximum over directions, each composed for itself; the one that looks worse first."""
    if not parts:
        return Answer(0.0, 0.0, "lattice", {"distinct_events": 0})
    require_few(parts)
    require_tame(parts, target.epsilon if isinstance(target, DeltaAt) else 0.0)
    plans = [target.plan(releases) for releases in directions_of(parts, adjacency)]
    plans.sort(key=lambda plan: target.weight(plan.first_look), reverse=True)
    if isinstance(target, DeltaAt):
        require_resolvable(target, plans[0])
    found: list[Answer] = []
    for plan in plans:
        known = max((answer.lower for answer in found), default=None)
        direction = composed_direction(plan, target, width, known)
        if direction is not None:
            found.append(direction.answer)
    return worst(found)


LATTICE = Method(
    "lattice",
    unsupported_part,
    epsilon_of,
    delta_of,
    lambda parts, adjacency, width: DeltaCurve(parts, adjacency, width).delta,
)
