"""The largest privacy cost that a budget allows: find the parameter of a mechanism."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from accountants import check
from accountants.bound import Bound, round_up
from accountants.composition.epsilon import epsilon as epsilon_of
from accountants.errors import CalibrationError
from accountants.events import Event
from accountants.numerics.root_finding import last_inside

_STRIDE = 4.0  # factor between the points of the first search
_NEAR = 1.5  # factor between the two points that show the slope
_CHASES = 8
_PAST, _LEAST_MOVE = 1.05, 0.01  # of the way to the budget, and on a log scale: so that two points enclose it
_FARTHEST = 1000.0  # factor of one move
_STEEPEST = 100.0  # relative change of the cost per relative change of the parameter; more is a jump
_PATIENCE = 2  # answers that only Rényi accounting could give
_REACH = 20  # of them on each side of the start: 1e-12 to 1e12 if nothing else is known
_GOOD_ENOUGH = 2e-5  # relative slack at which the search stops


@dataclass(frozen=True, slots=True)
class Calibration:
    """A parameter value that meets a budget, with the proof.

    Attributes:
        value: the parameter.
        event: what it makes.
        bound: certified epsilon of the event; `bound.upper` is within the budget.
        slack: budget minus `bound.upper`, nats, >= 0.
    """

    value: float
    event: Event
    bound: Bound
    slack: float


def calibrate(
    make_event: Callable[[float], Event],
    epsilon: float,
    delta: float,
    *,
    adjacency: str = "add-remove",
    low: float | None = None,
    high: float | None = None,
) -> Calibration:
    """Find the parameter whose event uses the budget up and never exceeds it.

    Whether epsilon rises or falls with the parameter is found out. The returned value is verified, so that
    even a function that is not monotone gives a valid answer.

    Args:
        make_event: from a positive parameter (sigma, eps0, q, ...) to an event; a ValueError from it means
            that the value is outside its domain.
        epsilon: budget in nats, > 0.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
        low: smallest value to try, > 0; open by default.
        high: largest value to try; open by default.

    Returns:
        Value, event, certified bound and slack; the slack is at most 1e-3 of epsilon wherever the parameter
        can get there.

    Raises:
        CalibrationError: no value tried meets the budget.
        AdjacencyError: an event is not stated for this adjacency.
        UnsupportedEvent: an event cannot be bounded.
        ValueError: an argument is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> found = calibrate(lambda sigma: Gaussian(sigma) * 100, epsilon=1, delta=1e-5)
        >>> round(found.value, 1), found.bound.upper <= 1
        (37.3, True)
    """
    epsilon = check.as_float(epsilon=epsilon, above=0.0)
    delta = check.as_float(delta=delta, at_least=0.0, below=1.0)
    low = None if low is None else check.as_float(low=low, above=0.0)
    high = None if high is None else check.as_float(high=high, above=0.0)
    if low is not None and high is not None and not low < high:
        raise ValueError(f"low={low!r}, high={high!r} must satisfy low < high")
    trial = _Trial(make_event, epsilon, delta, adjacency, low or 0.0, high or math.inf)
    inside, outside = _bracket(trial)
    if outside is not None:
        known = [(point, trial.excess(point)) for point, found in trial.seen.items() if found is not None]
        inside = last_inside(
            trial.excess,
            inside,
            outside,
            tolerance=1e-13,
            good_enough=_GOOD_ENOUGH,
            known=sorted(known, key=lambda item: -abs(item[1]))[-2:],
            steepest=_STEEPEST,
        )
    return trial.final(inside)


@dataclass
class _Trial:
    """The costs at logarithms of the parameter, which is kept inside [low, high]; each is computed once.

    Attributes:
        seen: what every log-parameter costs that was tried, in order; None outside the domain of `make_event`.
        method: how costs are computed.
        unresolved: number of answers that only Rényi accounting could give.
    """

    make_event: Callable[[float], Event]
    epsilon: float
    delta: float
    adjacency: str
    low: float
    high: float
    seen: dict[float, Calibration | None] = field(default_factory=dict)
    method: str = "auto"
    unresolved: int = 0

    def value(self, log_value: float) -> float:
        return min(max(math.exp(log_value), self.low), self.high)

    def at(self, log_value: float) -> Calibration | None:
        """What the parameter costs, or None outside the domain of `make_event`."""
        if log_value not in self.seen:
            self.seen[log_value] = self._computed(self.value(log_value))
        return self.seen[log_value]

    def _computed(self, value: float) -> Calibration | None:
        try:
            event = self.make_event(value)
        except ValueError:
            return None
        bound = epsilon_of(event, self.delta, adjacency=self.adjacency, method=self.method)
        # Where nothing resolves an event but Rényi accounting, it is no use to ask the others again and again.
        self.unresolved += "skipped" in bound.settings and bound.method == "renyi"
        if self.unresolved >= _PATIENCE:
            self.method = "renyi"
        return Calibration(value, event, bound, self.epsilon - bound.upper)

    def final(self, log_value: float) -> Calibration:
        """What was found within budget; asked of all accountants once more where Rényi accounting alone was asked."""
        found = cast("Calibration", self.seen[log_value])
        if self.method == "auto":
            return found
        bound = epsilon_of(found.event, self.delta, adjacency=self.adjacency)
        tighter = Calibration(found.value, found.event, bound, self.epsilon - bound.upper)
        return tighter if tighter.slack >= found.slack else found

    def excess(self, log_value: float) -> float:
        """log(cost / budget): at most 0 exactly where the budget is met; infinite outside the domain."""
        found = self.at(log_value)
        if found is None:
            return math.inf
        if found.slack >= 0.0:
            return min(0.0, math.log(found.bound.upper / self.epsilon)) if found.bound.upper > 0.0 else -math.inf
        return max(math.ulp(0.0), math.log(found.bound.upper / self.epsilon))

    def start(self) -> float:
        if self.low > 0.0 and self.high < math.inf:
            return 0.5 * (math.log(self.low) + math.log(self.high))
        return math.log(min(max(1.0, self.low), self.high))

    def is_inside(self, log_value: float) -> bool:
        return self.low < math.exp(log_value) < self.high


def _bracket(trial: _Trial) -> tuple[float, float | None]:
    """A log-parameter within budget, and one that is not (or None): guessed from the slope, else by walking outwards."""
    start = trial.start()
    found = _chase(trial, start, start + math.log(_NEAR))
    if found is not None:
        return found
    stride = math.log(_STRIDE)
    # If one step shows how the cost moves, walk towards the budget first; the other way may take long to compute.
    here, there = trial.at(start), trial.at(start + stride)
    is_away = here is not None and there is not None and (there.bound.upper < here.bound.upper) == (here.slack >= 0.0)
    for sign in (-1.0, 1.0) if is_away else (1.0, -1.0):
        found = _crossing(trial) or _walk(trial, start, sign * stride)
        if found is not None:
            return found
    return _crossing(trial) or _extreme(trial)


def _enclosed(trial: _Trial, first: float, second: float) -> tuple[float, float] | None:
    """The two points, the one within budget first, or None if the budget does not lie between them."""
    before, after = trial.at(first), trial.at(second)
    if before is None or after is None or (before.slack >= 0.0) == (after.slack >= 0.0):
        return None
    return (first, second) if before.slack >= 0.0 else (second, first)


def _crossing(trial: _Trial) -> tuple[float, float] | None:
    """Neighbours among all points seen, one within budget and one beyond it."""
    known = sorted(point for point, found in trial.seen.items() if found is not None)
    return next((pair for points in pairwise(known) if (pair := _enclosed(trial, *points)) is not None), None)


def _chase(trial: _Trial, first: float, second: float) -> tuple[float, float] | None:
    """Follow the line through the latest two points a little past the budget; None where that leads nowhere."""
    # A cost is often close to a power of the parameter, which is a line here.
    for _ in range(_CHASES):
        before, now = trial.excess(first), trial.excess(second)
        if not (math.isfinite(before) and math.isfinite(now)):
            return None
        slope = (now - before) / (second - first)
        if (before <= 0.0) != (now <= 0.0) or slope == 0.0:
            return _enclosed(trial, first, second)
        move = -now / slope
        move = math.copysign(min(abs(move) * _PAST + _LEAST_MOVE, math.log(_FARTHEST)), move)
        first, second = second, second + move
        if not trial.is_inside(second):
            return None
        trial.at(second)
    return None


def _walk(trial: _Trial, point: float, stride: float) -> tuple[float, float] | None:
    """Neighbours (within budget, beyond it) in one direction, or None."""
    for _ in range(_REACH):
        beyond = point + stride
        found = _enclosed(trial, point, beyond)
        if found is not None:
            return found
        if not trial.is_inside(beyond) or (trial.at(beyond) is None and trial.at(point) is not None):
            return None
        point = beyond
    return None


def _extreme(trial: _Trial) -> tuple[float, float | None]:
    """Where nothing crosses the budget: the most expensive parameter within it, and the edge of the domain."""
    known = {point: found for point, found in trial.seen.items() if found is not None}
    if not known:
        raise CalibrationError("make_event raised ValueError at every value tried; pass low and high inside its domain")
    cheapest = min(known.values(), key=lambda found: found.bound.upper)
    if cheapest.slack < 0.0:
        raise CalibrationError(
            f"epsilon={trial.epsilon:g} at delta={trial.delta:g} is out of reach between "
            f"{trial.value(min(known)):.3g} and {trial.value(max(known)):.3g}: "
            f"the cheapest event tried, {cheapest.event!r}, costs {round_up(cheapest.bound.upper)}; "
            "allow more epsilon or delta, or change something else"
        )
    inside = max(known, key=lambda point: known[point].bound.upper)
    beside = [
        point for point, found in trial.seen.items() if found is None and abs(point - inside) < 1.5 * math.log(_STRIDE)
    ]
    return inside, beside[0] if beside else None
