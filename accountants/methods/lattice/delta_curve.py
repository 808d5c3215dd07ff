"""Delta of a composition of events with dominating pairs, as a function of epsilon."""

from contextlib import suppress

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.methods.lattice.directions import Releases, directions_of
from accountants.methods.lattice.domain import require_tame
from accountants.methods.lattice.refinement import (
    ComposedDirection,
    composed_direction,
    default_width,
    require_resolvable,
    worst,
)
from accountants.methods.lattice.resolution import require_few
from accountants.methods.lattice.targets import DeltaAt
from accountants.methods.method import Answer, Parts

_REFUSALS = 2  # after so many epsilons out of reach no further one is tried
_NOTHING = Answer(0.0, 0.0, "lattice")  # of a direction that does not matter


class DeltaCurve:
    """Delta as a function of epsilon; laws composed for one epsilon are read at others where they tell as much.

    Args:
        parts: distinct events -> count, >= 1; each needs a dominating pair.
        adjacency: neighbouring relation.
        width: how far the ends of delta may be apart, as a shift of epsilon in nats.

    Raises:
        ResolutionError: there is too much to compose.
        UnsupportedEvent: a part has no dominating pair; it is named.
    """

    def __init__(self, parts: Parts, adjacency: Adjacency, width: float | None = None) -> None:
        require_few(parts)
        self.parts, self.width = parts, width
        self.composed: list[tuple[Releases, list[ComposedDirection]]] = [
            (releases, []) for releases in directions_of(parts, adjacency)
        ]
        self.refused: list[ResolutionError] = []

    def delta(self, epsilon: float) -> Answer:
        """The interval at one epsilon, inside [0, 1].

        Args:
            epsilon: nats, >= 0.

        Raises:
            ResolutionError: numerical error would exceed 1 % of delta, here or at several epsilons before.
        """
        require_tame(self.parts, epsilon)
        target = DeltaAt(epsilon)
        found: list[Answer] = []
        for releases, composed in self.composed:
            known = max((answer.lower for answer in found), default=None)
            found.append(self._known(composed, target) or self._new(releases, composed, target, known))
        return worst(found)

    def _known(self, composed: list[ComposedDirection], target: DeltaAt) -> Answer | None:
        """What a law that was composed for another epsilon says, if its ends are close enough here."""
        for direction in composed:
            with suppress(ResolutionError):
                upper, lower = target.end(direction.above, 1.0)[0], target.end(direction.below, -1.0)[0]
                wanted = self.width if self.width is not None else default_width(direction.plan)
                if target.width(lower, upper, direction.plan.first_look) <= wanted:
                    return Answer(lower, upper, "lattice", direction.answer.settings)
        return None

    def _new(
        self, releases: Releases, composed: list[ComposedDirection], target: DeltaAt, known: float | None
    ) -> Answer:
        """Compose one direction; `known` is what the other one says from below."""
        if len(self.refused) >= _REFUSALS:
            raise self.refused[-1]
        try:
            plan = target.plan(releases)
            if known is None:
                require_resolvable(target, plan)
            direction = composed_direction(plan, target, self.width, known)
        except ResolutionError as error:
            self.refused.append(error)
            raise
        if direction is None:
            return _NOTHING
        composed.append(direction)
        return direction.answer
