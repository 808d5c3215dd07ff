"""How the accountants are asked about parts without failures: whom, in which order, and what counts as an answer."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from accountants.adjacency import Adjacency
from accountants.composition.failures import sampled_mass
from accountants.composition.lower_ends import lower_end
from accountants.composition.table import TABLE, Answer, Method, automatic, reason_of
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import Event
from accountants.methods.pure import pure_epsilon
from accountants.methods.renyi.conversion import rdp_delta, rdp_epsilon

__all__ = ["Question"]

Parts = Mapping[Event, int]

_WIDTH = 2e-3  # nats, or of epsilon; what an answer may be wide by default
_DELTA_WIDTH = 0.02  # of delta
_SHARED_DELTA_WIDTH = 0.05  # of delta, on curves, where one point must not cost as much as all others


@dataclass(frozen=True, slots=True)
class Question:
    """How to ask the accountants about parts without failures.

    Attributes:
        adjacency: neighbouring relation.
        method: "auto" or one accountant.
        width: difference between the ends that is good enough, nats, or None.
        needs_lower: False spares the search for a lower end where Rényi accounting gives the upper one.
        is_shared: whether many epsilons of the same parts will be asked for.
    """

    adjacency: Adjacency
    method: str
    width: float | None
    needs_lower: bool = True
    is_shared: bool = False

    def epsilon(self, parts: Parts, delta: float) -> Answer:
        """Epsilon at a delta that may be used up."""
        if delta < 0.0:
            return Answer(math.inf, math.inf, "none")
        low, high = pure_epsilon(parts, self.adjacency)
        if delta == 0.0 or high == 0.0:
            return Answer(low, high, "pure")
        if sampled_mass(parts) <= delta:
            return Answer(0.0, 0.0, "sampling")
        found = self._best(
            parts,
            lambda row, group: row.epsilon(group, delta, self.adjacency, self.width),
            lambda: rdp_epsilon(parts, delta, self.adjacency),
            lambda answer: answer.upper - answer.lower <= (self.width or max(_WIDTH, _WIDTH * answer.upper)),
        )
        return found if found.upper <= high else Answer(min(found.lower, low), high, "pure")

    def profile(self, parts: Parts) -> Callable[[float], Answer]:
        """Delta as a function of epsilon."""
        wide = _SHARED_DELTA_WIDTH if self.is_shared else _DELTA_WIDTH
        known: dict[tuple[int, frozenset[Event]], Callable[[float], Answer]] = {}

        def ask(row: Method, group: Parts, epsilon: float) -> Answer:
            if not self.is_shared:
                return row.delta(group, epsilon, self.adjacency, self.width)
            key = id(row), frozenset(group)
            if key not in known:
                known[key] = row.profile_of(group, self.adjacency, self.width)
            return known[key](epsilon)

        def delta_at(epsilon: float) -> Answer:
            found = self._best(
                parts,
                lambda row, group: ask(row, group, epsilon),
                lambda: rdp_delta(parts, epsilon, self.adjacency),
                lambda answer: answer.upper - answer.lower <= wide * answer.upper,
            )
            most = sampled_mass(parts)
            return found if found.upper <= most else Answer(min(found.lower, most), most, "sampling")

        return delta_at

    def _best(
        self,
        parts: Parts,
        ask: Callable[[Method, Parts], Answer],
        ask_renyi: Callable[[], tuple[float, float]],
        is_narrow: Callable[[Answer], bool],
    ) -> Answer:
        """The first answer that is narrow enough, else the best ends of all; Rényi where no other accountant answers."""
        found: list[Answer] = []
        skipped: dict[str, str] = {}
        for row in self._rows(parts):
            name = row.name
            stranger = row.stranger(parts, self.adjacency)
            if stranger is not None:
                if self.method == name:
                    raise UnsupportedEvent(f"method={name!r} does not apply to {stranger!r} here; use method='auto'")
                continue
            try:
                found.append(ask(row, parts))
            except ResolutionError as error:
                if self.method == name:
                    raise
                skipped[name] = reason_of(error)
                continue
            if self.method == name or is_narrow(found[-1]):
                return _noting(found[-1], skipped)
            skipped[name] = f"its interval is {found[-1].upper - found[-1].lower:.2g} wide"
        if not found:
            return _noting(self._by_renyi(parts, ask, ask_renyi, skipped), skipped)
        with suppress(UnsupportedEvent):
            upper, order = ask_renyi()
            found.append(Answer(0.0, upper, "renyi", {"order": order}))
        upper = min(found, key=lambda one: one.upper)
        return _noting(replace(upper, lower=max(one.lower for one in found)), skipped)

    def _rows(self, parts: Parts) -> tuple[Method, ...]:
        """Whom to ask, in order."""
        if self.method == "auto":
            return automatic(parts)
        return (TABLE[self.method],) if self.method in TABLE else ()

    def _by_renyi(
        self,
        parts: Parts,
        ask: Callable[[Method, Parts], Answer],
        ask_renyi: Callable[[], tuple[float, float]],
        skipped: Mapping[str, str],
    ) -> Answer:
        """Rényi from above and, unless it was asked for by name, the best known part from below."""
        try:
            upper, order = ask_renyi()
        except UnsupportedEvent:
            if skipped:
                reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
                raise ResolutionError(f"no accountant resolves this ({reasons}), and no Rényi curve is known") from None
            raise
        lower = 0.0
        if self.method == "auto" and self.needs_lower and upper > 0.0:
            lower = lower_end(parts, self.adjacency, ask)
        return Answer(min(lower, upper), upper, "renyi", {"order": order})


def _noting(answer: Answer, skipped: Mapping[str, str]) -> Answer:
    """The answer, with a note of the accountants that apply and did not give it."""
    others = {name: reason for name, reason in skipped.items() if name != answer.method}
    return replace(answer, settings={**answer.settings, "skipped": others}) if others else answer
