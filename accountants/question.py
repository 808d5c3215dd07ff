"""How the accountants are asked about parts without failures: whom, in which order, and what counts as an answer."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import Event
from accountants.exact.table import exact_groups, pure_epsilon
from accountants.failure import sampled_mass
from accountants.methods import TABLE, Answer, Method, automatic
from accountants.rdp.conversion import rdp_delta, rdp_epsilon

__all__ = ["Question"]

Parts = Mapping[Event, int]

_WIDTH = 2e-3  # nats, or of epsilon; what an answer may be wide by default
_DELTA_WIDTH = 0.02  # of delta


@dataclass(frozen=True, slots=True)
class Question:
    """How to ask the accountants about parts without failures; `is_shared` if many epsilons will be asked for."""

    adjacency: Adjacency
    method: str
    width: float | None
    is_shared: bool = False

    def epsilon(self, parts: Parts, delta: float) -> Answer:
        """Epsilon at a delta that may be used up."""
        if delta < 0.0:
            return Answer(math.inf, math.inf, "none")
        low, high = pure_epsilon(parts)
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
                lambda answer: answer.upper - answer.lower <= _DELTA_WIDTH * answer.upper,
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
        unresolved: ResolutionError | None = None
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
                unresolved = error
                continue
            if is_narrow(found[-1]):
                return found[-1]
        if self.method not in ("auto", "renyi"):
            if not found and unresolved is not None:
                raise unresolved
        elif not found:
            found.append(self._by_renyi(parts, ask, ask_renyi, unresolved))
        else:
            with suppress(UnsupportedEvent):
                upper, order = ask_renyi()
                found.append(Answer(0.0, upper, "renyi", {"order": order}))
        upper = min(found, key=lambda one: one.upper)
        return Answer(max(one.lower for one in found), upper.upper, upper.method, upper.settings)

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
        unresolved: ResolutionError | None,
    ) -> Answer:
        """Rényi from above and, unless it was asked for by name, the best exactly known part from below."""
        try:
            upper, order = ask_renyi()
        except UnsupportedEvent:
            if unresolved is not None:
                raise unresolved from None
            raise
        lower = 0.0
        if self.method == "auto":
            for name, group in exact_groups(parts):
                with suppress(ResolutionError):
                    lower = max(lower, ask(TABLE[name], group).lower)
        return Answer(min(lower, upper), upper, "renyi", {"order": order})
