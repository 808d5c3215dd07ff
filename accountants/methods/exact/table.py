"""The exact accountants, one table row each: which parts it takes, and its certified intervals."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from accountants.events import Event, Gaussian, PureDP, RandomizedResponse
from accountants.methods.exact import gaussian, response

__all__ = ["EXACT", "ExactAccountant"]

Parts = Mapping[Event, int]
Interval = tuple[float, float]

_ULP = 2.0**-53
_MERGED = 16.0 * _ULP  # relative rounding of a merged Gaussian


@dataclass(frozen=True, slots=True)
class ExactAccountant:
    """An accountant whose both ends are tight up to rounding.

    Attributes:
        name: as passed to `epsilon(..., method=name)`.
        stranger: the first part that it cannot take, or None.
        epsilon: (parts, delta) -> certified interval, nats; delta in (0, 1).
        delta: (parts, epsilon) -> certified interval.
    """

    name: str
    stranger: Callable[[Parts], Event | None]
    epsilon: Callable[[Parts, float], Interval]
    delta: Callable[[Parts, float], Interval]


def _eps0(part: Event) -> float:
    return part.epsilon if isinstance(part, PureDP) else cast("RandomizedResponse", part).eps0


def _not_gaussian(parts: Parts) -> Event | None:
    return next((part for part in parts if not isinstance(part, Gaussian)), None)


def _not_one_response(parts: Parts) -> Event | None:
    level: float | None = None
    for part in parts:
        if not isinstance(part, RandomizedResponse | PureDP) or level not in (None, _eps0(part)):
            return part
        level = _eps0(part)
    return None


def _mu(parts: Parts) -> Interval:
    # The normal form holds a single Gaussian.
    (part,) = parts
    sigma = cast("Gaussian", part).sigma
    mu = 1.0 / sigma if sigma > 1e-300 else math.inf
    return mu * (1.0 - _MERGED), mu * (1.0 + _MERGED)


def _gaussian_epsilon(parts: Parts, delta: float) -> Interval:
    low, high = _mu(parts)
    return gaussian.epsilon_of(low, delta)[0], gaussian.epsilon_of(high, delta)[1]


def _gaussian_delta(parts: Parts, epsilon: float) -> Interval:
    low, high = _mu(parts)
    return gaussian.delta_of(low, epsilon)[0], gaussian.delta_of(high, epsilon)[1]


def _alphabets(parts: Parts) -> tuple[dict[int, int], float]:
    alphabets: dict[int, int] = {}
    for part, count in parts.items():
        size = part.k if isinstance(part, RandomizedResponse) else 2
        alphabets[size] = alphabets.get(size, 0) + count
    return alphabets, _eps0(next(iter(parts)))


def _response_epsilon(parts: Parts, delta: float) -> Interval:
    return response.epsilon_of(*_alphabets(parts), delta)


def _response_delta(parts: Parts, epsilon: float) -> Interval:
    return response.delta_of(*_alphabets(parts), epsilon)


EXACT: dict[str, ExactAccountant] = {
    "gaussian": ExactAccountant("gaussian", _not_gaussian, _gaussian_epsilon, _gaussian_delta),
    "response": ExactAccountant("response", _not_one_response, _response_epsilon, _response_delta),
}
