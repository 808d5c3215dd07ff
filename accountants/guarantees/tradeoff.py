"""Trade-off functions: what a membership attack can reach at best, between two certified curves.

The best trade-off function f of an event is max over epsilon >= 0 of max{0, 1 - delta(epsilon) - e^epsilon a,
e^-epsilon (1 - delta(epsilon) - a)}: being f-DP is the same as being (epsilon, delta(epsilon))-DP at every epsilon.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from accountants import check
from accountants.bound import Bound
from accountants.composition import epsilon as composition
from accountants.events import Event
from accountants.guarantees.profile import falling, reach
from accountants.methods.exact.gaussian import gaussian_mu
from accountants.numerics.array_kinds import FloatArray

_ROUNDING = 16.0 * 2.0**-53  # absolute: every term that counts is at most 1
_FIRST = 33  # evenly spaced epsilons before the first refinement; they decide where no lower end is known
_MOST_REFINEMENTS = 160
_PROGRESS = 0.95  # a refinement that leaves more of the gap than this was the last one there
_TIGHT = 1e-3  # of the largest true positive rate
_TAIL = 1e-9  # of delta, where the evaluated epsilons end at the latest
_FAR = 1e305  # of e^epsilon: so that its product with a rate is finite
_CLOSEST = 1e-12  # nats between evenly spaced ones: e^epsilon still tells them apart
_APART = 1e-5  # epsilons closer than this tell nothing new


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """Errors that every test of "was this record used?" must make, between certified curves.

    Attributes:
        fprs: false positive rates, in [0, 1].
        fnrs: interval around the smallest false negative rate f(fpr) that the event's guarantees, all taken
            together, allow at each rate. No attack makes fewer errors than `lower`.
        advantage: interval around the largest true positive minus false positive rate of any test.
        mu: a summary, not a guarantee: the smallest mu whose Gaussian is at least as bad at every epsilon that was
            evaluated (where delta is below 1); infinite if there is none.

    Source: Dong, Roth, Su 2019, "Gaussian differential privacy", section 2.
    """

    fprs: tuple[float, ...]
    fnrs: tuple[Bound, ...]
    advantage: Bound
    mu: float

    @property
    def tprs(self) -> tuple[Bound, ...]:
        """Interval around the largest true positive rate at each false positive rate; `upper` is the ceiling."""
        return tuple(
            Bound(float(_one_minus(bound.upper, 0.0)), float(_one_minus(bound.lower, 1.0)), bound.method)
            for bound in self.fnrs
        )

    def to_dict(self) -> dict[str, object]:
        """The trade-off as JSON-able data; an infinite mu is the string "inf"."""
        return {
            "fprs": list(self.fprs),
            "fnrs": [bound.to_dict() for bound in self.fnrs],
            "tprs": [bound.to_dict() for bound in self.tprs],
            "advantage": self.advantage.to_dict(),
            "mu": self.mu if math.isfinite(self.mu) else "inf",
        }


def tradeoff(
    event: Event,
    fprs: Iterable[float] = (1e-3, 1e-2, 0.1),
    *,
    adjacency: str = "add-remove",
    width: float | None = None,
) -> Tradeoff:
    """The best trade-off function of an event at some false positive rates.

    Args:
        event: what was done.
        fprs: false positive rates, in [0, 1], at least one.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: as for `delta`.

    Returns:
        Certified intervals, about 0.1 % of the true positive rate wide where the deltas are known that well.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve.
        ResolutionError: no accountant that applies resolves the answer.
        ValueError: a rate, the adjacency or the width is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> found = tradeoff(Gaussian(sigma=1), [0.01])
        >>> found.tprs[0].lower <= 0.0923622 <= found.tprs[0].upper <= 0.0925
        True
        >>> print(found.advantage)
        [0.38292, 0.38293] (gaussian)
    """
    rates = tuple(check.as_float(fpr=rate, at_least=0.0, at_most=1.0) for rate in fprs)
    if not rates:
        raise ValueError("fprs is empty; pass at least one false positive rate, for example 1e-3")
    delta_at = composition.profile(event, adjacency=adjacency, width=width)
    profile = _Profile(lambda points: falling(delta_at, points))
    smallest = min((rate for rate in rates if rate > 0.0), default=1.0)
    last = reach(event, min(_TAIL, 1e-3 * smallest), adjacency=adjacency)
    profile.add(float(point) for point in np.linspace(0.0, last, 1 + min(_FIRST - 1, int(last / _CLOSEST))))
    lower, upper = _refined(profile, np.asarray(rates))
    # Rounding is no reason for a lower end above an upper one.
    method = profile.known[0.0].method
    fnrs = tuple(Bound(float(min(low, high)), float(high), method) for low, high in zip(lower, upper, strict=True))
    return Tradeoff(rates, fnrs, profile.known[0.0], _summary_mu(profile.known))


@dataclass(frozen=True, slots=True)
class _Profile:
    """Deltas at the epsilons asked so far."""

    ask: Callable[[list[float]], tuple[Bound, ...]]
    known: dict[float, Bound] = field(default_factory=dict)

    def add(self, epsilons: Iterable[float]) -> None:
        points = [point for point in epsilons if point not in self.known]
        self.known.update(zip(points, self.ask(points), strict=True))

    def sorted(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Epsilons, lower and upper deltas."""
        points = sorted(self.known)
        bounds = [self.known[point] for point in points]
        return (
            np.asarray(points),
            np.asarray([bound.lower for bound in bounds]),
            np.asarray([bound.upper for bound in bounds]),
        )


def _refined(profile: _Profile, rates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper curve at the rates, after asking for delta where the two are furthest apart.

    The vertex that decides the upper curve is the epsilon at which the next delta tells most (Kelley's cutting planes).
    """
    lower, upper, decisive = _both_curves(profile, rates)
    stuck = np.zeros(len(rates), dtype=bool)
    for _ in range(_MOST_REFINEMENTS):
        excess = np.where(stuck, -np.inf, (upper - lower) - _TIGHT * (1.0 - lower))
        known = np.asarray(list(profile.known))
        excess[np.min(np.abs(decisive[:, None] - known), axis=1) <= _APART] = -np.inf
        worst = int(np.argmax(excess))
        if excess[worst] <= 0.0:
            break
        before = upper[worst] - lower[worst]
        profile.add([float(decisive[worst])])
        lower, upper, decisive = _both_curves(profile, rates)
        # What is left there is the width of the deltas themselves.
        stuck[worst] = upper[worst] - lower[worst] > _PROGRESS * before
    return lower, upper


def _both_curves(profile: _Profile, rates: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Lower curve, upper curve, and the epsilon that decides the upper one, at the rates."""
    epsilons, low_deltas, high_deltas = profile.sorted()
    lower, _ = _largest(np.exp(epsilons), high_deltas, rates)
    with np.errstate(over="ignore"):  # of places beyond every float, where the nearest border is taken instead
        odds, deltas = _lower_envelope(np.exp(epsilons), low_deltas, high_deltas)
    upper, deciding = _largest(odds, deltas, rates)
    decisive = np.minimum(np.log(odds[deciding]), epsilons[-1])  # beyond, next to nothing is left
    return np.maximum(0.0, lower - _ROUNDING), np.minimum(1.0 - rates, upper + _ROUNDING), decisive


def _largest(odds: FloatArray, deltas: FloatArray, rates: FloatArray) -> tuple[FloatArray, NDArray[np.intp]]:
    """Largest line at each rate, and which point it belongs to; `odds` is e^epsilon."""
    room = 1.0 - deltas[:, None]
    lines = np.maximum(room - odds[:, None] * rates, (room - rates) / odds[:, None])
    best = np.argmax(lines, axis=0)
    return np.maximum(0.0, lines[best, np.arange(len(rates))]), best


def _lower_envelope(odds: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Vertices of a polygon below delta, as a function of e^epsilon >= 1, which is convex, falling and >= 0.

    Between two points lie the extensions of the chords beside them: the true curve runs above both. Each line of a
    trade-off curve is monotone along a side of the polygon, so that only vertices count.
    """
    gaps = np.diff(odds)
    # A gap carries the rounding of e^epsilon, which matters where points lie close together.
    doubt = 8.0 * 2.0**-53 * odds[1:] / gaps
    falling, rising = np.empty(len(odds)), np.zeros(len(odds))
    falling[0] = low[0] - 1.0  # a test of mass P - Q = delta(0) has Q <= 1 - delta(0)
    falling[1:] = np.minimum(0.0, low[1:] - high[:-1]) / gaps * (1.0 + doubt)
    rising[:-2] = np.minimum(0.0, high[2:] - low[1:-1]) / gaps[1:] * (1.0 - doubt[1:])
    vertices = [(odds[0], low[0])]
    for here in range(len(gaps)):
        vertices.append(
            _crossing((odds[here], low[here], falling[here]), (odds[here + 1], low[here + 1], rising[here]))
        )
        vertices.append((odds[here + 1], low[here + 1]))
    if low[-1] > 0.0 and falling[-1] < 0.0:
        with np.errstate(over="ignore"):  # infinitely far is far
            vertices.append((min(odds[-1] - low[-1] / falling[-1], _FAR), 0.0))
    return np.asarray([x for x, _ in vertices]), np.asarray([y for _, y in vertices])


def _crossing(left: tuple[float, float, float], right: tuple[float, float, float]) -> tuple[float, float]:
    """Where a line falling from the left meets one from the right; both are (place, value, slope)."""
    start, start_value, falling = left
    end, end_value, rising = right
    gap = start_value - (end_value + rising * (start - end))
    if gap <= 0.0 or falling >= rising:
        return start, min(start_value, end_value)
    at = min(end, start + gap / (rising - falling))
    return at, min(start_value, max(start_value + falling * (at - start), end_value + rising * (at - end)))


def _summary_mu(known: dict[float, Bound]) -> float:
    """The smallest mu whose Gaussian is at least as bad at every evaluated epsilon."""
    # A delta of 1 may be one that rounding brought there; it says something only if there is no other.
    inside = [(epsilon, bound.upper) for epsilon, bound in known.items() if bound.upper < 1.0]
    if not inside:
        return math.inf
    largest = max((gaussian_mu(epsilon, delta) for epsilon, delta in inside if delta > 0.0), default=0.0)
    return largest * (1.0 + 1e-12)  # gaussian_mu rounds down by far less


def _one_minus(value: float, towards: float) -> float:
    rest = 1.0 - value
    return rest if rest in (0.0, 1.0) else math.nextafter(rest, towards)
