"""Long schedules: neighbours in noise and rate are composed as equal ones, the costliest from above, the cheapest from below.

Whoever adds noise to an outcome, or drops some of the samples, learns less: N(x, a^2) becomes N(x, b^2), b > a, and Laplace
noise becomes larger Laplace noise (its characteristic function is that of the smaller times that of a mixture of nothing and
the larger). A sample of rate q becomes one of rate p < q by an outcome of the base in a share 1 - p / q of all cases. So a
release with less noise and a higher rate dominates, in both directions and under every relation.
"""

from dataclasses import dataclass

from accountants.events import Gaussian, Laplace, PoissonSampled
from accountants.events.event import Event
from accountants.methods.method import Parts

_MOST = 1000  # different events that are composed as they are
_GROUPS = 400  # into which more of them are collected


@dataclass(frozen=True, slots=True)
class Group:
    """Releases that are composed as equal ones.

    Attributes:
        costly: dominates each of them.
        cheap: is dominated by each of them.
        count: how many there are.
    """

    costly: Event
    cheap: Event
    count: int


def grouped(parts: Parts) -> list[Group]:
    """The parts, each on its own; in groups of neighbours where there are too many.

    Example:
        >>> steps = {Gaussian(1.0 + step / 2000).poisson(0.01): 1 for step in range(2000)}
        >>> groups = grouped(steps)
        >>> len(groups), sum(group.count for group in groups), groups[0].costly, groups[0].cheap
        (400, 2000, gaussian(1).poisson(0.01), gaussian(1.002).poisson(0.01))
    """
    if len(parts) <= _MOST:
        return [Group(part, part, count) for part, count in parts.items()]
    kinds: dict[object, list[Event]] = {}
    for part in parts:
        kinds.setdefault(_kind(part), []).append(part)
    found = []
    for kind, members in kinds.items():
        size = -(-len(members) // max(1, _GROUPS * len(members) // len(parts))) if isinstance(kind, tuple) else 1
        members.sort(key=_noise_and_rate if size > 1 else str)
        for first in range(0, len(members), size):
            found.append(_group({part: parts[part] for part in members[first : first + size]}))
    return found


def _kind(part: Event) -> object:
    """What neighbours have in common; the part itself where nothing is known to dominate it."""
    inner = part.event if isinstance(part, PoissonSampled) else part
    return (type(part), type(inner)) if isinstance(inner, Gaussian | Laplace) else part


def _noise_and_rate(part: Event) -> tuple[float, float]:
    inner, rate = (part.event, part.q) if isinstance(part, PoissonSampled) else (part, 1.0)
    if isinstance(inner, Gaussian):
        return inner.sigma, rate
    if isinstance(inner, Laplace):
        return inner.scale, rate
    raise TypeError(f"{part!r} has no noise that could be compared")


def _group(members: Parts) -> Group:
    count = sum(members.values())
    if len(members) == 1:
        (part,) = members
        return Group(part, part, count)
    noises, rates = zip(*map(_noise_and_rate, members), strict=True)
    like = next(iter(members))
    return Group(_with(like, min(noises), max(rates)), _with(like, max(noises), min(rates)), count)


def _with(like: Event, noise: float, rate: float) -> Event:
    """An event of the same kind with other noise and rate."""
    if isinstance(like, PoissonSampled):
        return PoissonSampled(rate, _with(like.event, noise, 1.0))
    return Gaussian(noise) if isinstance(like, Gaussian) else Laplace(noise)
