"""The accountants that are tight up to rounding, each a `Method`."""

import math
from collections.abc import Callable
from typing import cast

from accountants.adjacency import Adjacency
from accountants.events import Event, Gaussian, PoissonSampled, PureDP, RandomizedResponse
from accountants.methods.exact import gaussian, responses, sampled_once
from accountants.methods.method import Answer, Interval, Method, Parts, one_by_one
from accountants.numerics.rounding import ULP

_MERGED = 16.0 * ULP  # relative rounding of a merged Gaussian


def _exact(
    name: str,
    unsupported_part: Callable[[Parts, Adjacency], Event | None],
    epsilon_of: Callable[[Parts, float], Interval],
    delta_of: Callable[[Parts, float], Interval],
) -> Method:
    """The method of two functions that need no width and no adjacency."""

    def epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
        return Answer(*epsilon_of(parts, delta), name)

    def delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
        return Answer(*delta_of(parts, epsilon), name)

    return Method(name, unsupported_part, epsilon, delta, one_by_one(delta))


def _other_than_gaussian(parts: Parts, adjacency: Adjacency) -> Event | None:
    return next((part for part in parts if not isinstance(part, Gaussian)), None)


def _other_than_responses_of_one_level(parts: Parts, adjacency: Adjacency) -> Event | None:
    level: float | None = None
    for part in parts:
        if not isinstance(part, RandomizedResponse | PureDP) or level not in (None, _eps0(part)):
            return part
        level = _eps0(part)
    return None


def _other_than_one_sample(parts: Parts, adjacency: Adjacency) -> Event | None:
    for part, count in parts.items():
        sampled = isinstance(part, PoissonSampled) and isinstance(part.event, Gaussian)
        if not sampled or count > 1 or len(parts) > 1 or adjacency is Adjacency.REPLACE_ONE:
            return part
    return None


def _around(end_of: Callable[[float, float], Interval], parts: Parts, point: float) -> Interval:
    """An end of the curve of the single Gaussian that a normal form holds; it rises with mu."""
    (part,) = parts
    sigma = cast("Gaussian", part).sigma
    mu = 1.0 / sigma if sigma > 1e-300 else math.inf
    return end_of(mu * (1.0 - _MERGED), point)[0], end_of(mu * (1.0 + _MERGED), point)[1]


def _alphabets(parts: Parts) -> tuple[dict[int, int], float]:
    """How often every size of alphabet occurs, and the level of all; a pure claim is as bad as a binary response."""
    alphabets: dict[int, int] = {}
    for part, count in parts.items():
        size = part.k if isinstance(part, RandomizedResponse) else 2
        alphabets[size] = alphabets.get(size, 0) + count
    return alphabets, _eps0(next(iter(parts)))


def _eps0(part: Event) -> float:
    return part.epsilon if isinstance(part, PureDP) else cast("RandomizedResponse", part).eps0


def _rate_and_noise(parts: Parts) -> tuple[float, float]:
    (part,) = parts
    sampled = cast("PoissonSampled", part)
    return sampled.q, cast("Gaussian", sampled.event).sigma


GAUSSIAN = _exact(
    "gaussian",
    _other_than_gaussian,
    lambda parts, delta: _around(gaussian.epsilon_of, parts, delta),
    lambda parts, epsilon: _around(gaussian.delta_of, parts, epsilon),
)
RESPONSE = _exact(
    "response",
    _other_than_responses_of_one_level,
    lambda parts, delta: responses.epsilon_of(*_alphabets(parts), delta),
    lambda parts, epsilon: responses.delta_of(*_alphabets(parts), epsilon),
)
SAMPLED_ONCE = _exact(
    "sampled-once",
    _other_than_one_sample,
    lambda parts, delta: sampled_once.epsilon_of(*_rate_and_noise(parts), delta),
    lambda parts, epsilon: sampled_once.delta_of(*_rate_and_noise(parts), epsilon),
)
