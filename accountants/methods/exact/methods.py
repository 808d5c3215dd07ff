"""The accountants that are tight up to rounding, each a `Method`."""

import math
from typing import cast

from accountants.adjacency import Adjacency
from accountants.events import Event, Gaussian, PoissonSampled, PureDP, RandomizedResponse
from accountants.methods.exact import gaussian, response, sampled_once
from accountants.methods.method import Answer, Method, Parts, one_by_one
from accountants.numerics.rounding import ULP

__all__ = ["GAUSSIAN", "RESPONSE", "SAMPLED_ONCE"]

_MERGED = 16.0 * ULP  # relative rounding of a merged Gaussian


def _other_than_gaussian(parts: Parts, adjacency: Adjacency) -> Event | None:
    return next((part for part in parts if not isinstance(part, Gaussian)), None)


def _gaussian_epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
    low, high = _mu(parts)
    return Answer(gaussian.epsilon_of(low, delta)[0], gaussian.epsilon_of(high, delta)[1], "gaussian")


def _gaussian_delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
    low, high = _mu(parts)
    return Answer(gaussian.delta_of(low, epsilon)[0], gaussian.delta_of(high, epsilon)[1], "gaussian")


def _mu(parts: Parts) -> tuple[float, float]:
    (part,) = parts  # a normal form holds a single Gaussian
    sigma = cast("Gaussian", part).sigma
    mu = 1.0 / sigma if sigma > 1e-300 else math.inf
    return mu * (1.0 - _MERGED), mu * (1.0 + _MERGED)


def _other_than_responses_of_one_level(parts: Parts, adjacency: Adjacency) -> Event | None:
    level: float | None = None
    for part in parts:
        if not isinstance(part, RandomizedResponse | PureDP) or level not in (None, _eps0(part)):
            return part
        level = _eps0(part)
    return None


def _response_epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
    return Answer(*response.epsilon_of(*_alphabets(parts), delta), "response")


def _response_delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
    return Answer(*response.delta_of(*_alphabets(parts), epsilon), "response")


def _alphabets(parts: Parts) -> tuple[dict[int, int], float]:
    """How often every size of alphabet occurs, and the level of all; a pure claim is as bad as a binary response."""
    alphabets: dict[int, int] = {}
    for part, count in parts.items():
        size = part.k if isinstance(part, RandomizedResponse) else 2
        alphabets[size] = alphabets.get(size, 0) + count
    return alphabets, _eps0(next(iter(parts)))


def _eps0(part: Event) -> float:
    return part.epsilon if isinstance(part, PureDP) else cast("RandomizedResponse", part).eps0


def _other_than_one_sample(parts: Parts, adjacency: Adjacency) -> Event | None:
    for part, count in parts.items():
        sampled = isinstance(part, PoissonSampled) and isinstance(part.event, Gaussian)
        if not sampled or count > 1 or len(parts) > 1 or adjacency is Adjacency.REPLACE_ONE:
            return part
    return None


def _sampled_epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
    return Answer(*sampled_once.epsilon_of(*_rate_and_noise(parts), delta), "sampled-once")


def _sampled_delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
    return Answer(*sampled_once.delta_of(*_rate_and_noise(parts), epsilon), "sampled-once")


def _rate_and_noise(parts: Parts) -> tuple[float, float]:
    (part,) = parts
    sampled = cast("PoissonSampled", part)
    return sampled.q, cast("Gaussian", sampled.event).sigma


GAUSSIAN = Method("gaussian", _other_than_gaussian, _gaussian_epsilon, _gaussian_delta, one_by_one(_gaussian_delta))
RESPONSE = Method(
    "response",
    _other_than_responses_of_one_level,
    _response_epsilon,
    _response_delta,
    one_by_one(_response_delta),
)
SAMPLED_ONCE = Method(
    "sampled-once", _other_than_one_sample, _sampled_epsilon, _sampled_delta, one_by_one(_sampled_delta)
)
