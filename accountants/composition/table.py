"""The accountants behind `epsilon` and `delta`, one table row each, and the order in which "auto" asks them.

Importing this module is cheap: every row loads its numerics when it is used.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events import Event, Gaussian, PoissonSampled

if TYPE_CHECKING:
    from accountants.methods.fourier.accountant import FourierAnswer

__all__ = ["TABLE", "Answer", "Method", "automatic", "reason_of"]

Parts = Mapping[Event, int]

_LONG = 500  # steps
_ADVICE = re.compile(r"use method='[a-z-]+'(, or )?")


@dataclass(frozen=True, slots=True)
class Answer:
    """What one accountant says about parts without failures.

    Attributes:
        lower: certified from below.
        upper: certified from above.
        method: its name.
        settings: how it was computed, JSON-able.
    """

    lower: float
    upper: float
    method: str
    settings: Mapping[str, object] = field(default_factory=dict)


def reason_of(error: ResolutionError) -> str:
    """Why an accountant gave no answer, without its advice to name another one: "auto" has asked the others already.

    Example:
        >>> reason_of(ResolutionError("delta is too small for floats; use method='renyi'"))
        'delta is too small for floats'
    """
    return _ADVICE.sub("", str(error)).strip("; ")


@dataclass(frozen=True, slots=True)
class Method:
    """An accountant that is tight at both ends wherever it applies.

    Attributes:
        name: as passed to `epsilon(..., method=name)`.
        stranger: (parts, adjacency) -> the first part that it cannot take, or None.
        epsilon: (parts, delta, adjacency, width) -> answer in nats; delta in (0, 1).
        delta: (parts, epsilon, adjacency, width) -> answer; epsilon >= 0.
        profile: (parts, adjacency, width) -> epsilon -> answer, for many epsilons of the same parts: what is prepared for
            one serves others. None where `delta` is as quick.
    """

    name: str
    stranger: Callable[[Parts, Adjacency], Event | None]
    epsilon: Callable[[Parts, float, Adjacency, float | None], Answer]
    delta: Callable[[Parts, float, Adjacency, float | None], Answer]
    profile: Callable[[Parts, Adjacency, float | None], Callable[[float], Answer]] | None = None

    def profile_of(self, parts: Parts, adjacency: Adjacency, width: float | None) -> Callable[[float], Answer]:
        """Delta as a function of epsilon."""
        if self.profile is not None:
            return self.profile(parts, adjacency, width)
        return lambda epsilon: self.delta(parts, epsilon, adjacency, width)


def _exact(name: str) -> Method:
    def stranger(parts: Parts, adjacency: Adjacency) -> Event | None:
        from accountants.methods.exact.table import EXACT

        return EXACT[name].stranger(parts)

    def epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
        from accountants.methods.exact.table import EXACT

        return Answer(*EXACT[name].epsilon(parts, delta), name)

    def delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
        from accountants.methods.exact.table import EXACT

        return Answer(*EXACT[name].delta(parts, epsilon), name)

    return Method(name, stranger, epsilon, delta)


def _once_stranger(parts: Parts, adjacency: Adjacency) -> Event | None:
    """Nothing but one sampled Gaussian, once."""
    for part, count in parts.items():
        sampled = isinstance(part, PoissonSampled) and isinstance(part.event, Gaussian)
        if not sampled or count > 1 or len(parts) > 1 or adjacency is Adjacency.REPLACE_ONE:
            return part
    return None


def _once(parts: Parts) -> tuple[float, float]:
    (part,) = parts
    sampled = cast("PoissonSampled", part)
    return sampled.q, cast("Gaussian", sampled.event).sigma


def _once_epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
    from accountants.methods.exact import sampled_once

    return Answer(*sampled_once.epsilon_of(*_once(parts), delta), "sampled-once")


def _once_delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
    from accountants.methods.exact import sampled_once

    return Answer(*sampled_once.delta_of(*_once(parts), epsilon), "sampled-once")


def _fourier_stranger(parts: Parts, adjacency: Adjacency) -> Event | None:
    from accountants.methods.fourier import accountant

    return accountant.stranger(parts, adjacency)


def _fourier(blur: bool) -> Method:
    """Fourier inversion, with or without noise where the spectrum does not decay."""

    def epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
        from accountants.methods.fourier import accountant

        return _of_fourier(accountant.epsilon_of(parts, delta, adjacency, width=width, blur=blur))

    def delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
        from accountants.methods.fourier import accountant

        return _of_fourier(accountant.delta_of(parts, epsilon, adjacency, width=width, blur=blur))

    def profile(parts: Parts, adjacency: Adjacency, width: float | None) -> Callable[[float], Answer]:
        from accountants.methods.fourier import accountant

        found = accountant.Profile(parts, adjacency, width=width, blur=blur)
        return lambda epsilon: _of_fourier(found.delta(epsilon))

    return Method("fourier", _fourier_stranger, epsilon, delta, profile)


def _of_fourier(found: "FourierAnswer") -> Answer:
    return Answer(found.lower, found.upper, "fourier", found.settings)


def _lattice_stranger(parts: Parts, adjacency: Adjacency) -> Event | None:
    from accountants.methods import lattice

    return lattice.stranger(parts, adjacency)


def _lattice_epsilon(parts: Parts, delta: float, adjacency: Adjacency, width: float | None) -> Answer:
    from accountants.methods import lattice

    found = lattice.epsilon_of(parts, delta, adjacency, width=width)
    return Answer(found.lower, found.upper, "lattice", found.settings)


def _lattice_delta(parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None) -> Answer:
    from accountants.methods import lattice

    found = lattice.delta_of(parts, epsilon, adjacency, width=width)
    return Answer(found.lower, found.upper, "lattice", found.settings)


def _lattice_profile(parts: Parts, adjacency: Adjacency, width: float | None) -> Callable[[float], Answer]:
    from accountants.methods import lattice

    profile = lattice.Profile(parts, adjacency, width=width)

    def delta(epsilon: float) -> Answer:
        found = profile.delta(epsilon)
        return Answer(found.lower, found.upper, "lattice", found.settings)

    return delta


TABLE: dict[str, Method] = {
    "gaussian": _exact("gaussian"),
    "response": _exact("response"),
    "sampled-once": Method("sampled-once", _once_stranger, _once_epsilon, _once_delta),
    "fourier": _fourier(blur=True),
    "lattice": Method("lattice", _lattice_stranger, _lattice_epsilon, _lattice_delta, _lattice_profile),
}
"""By name."""

_SHARP = _fourier(blur=False)


def automatic(parts: Parts) -> tuple[Method, ...]:
    """In the order in which "auto" asks them, until an answer is narrow enough.

    For a few steps the lattice is quicker and tighter than Fourier inversion with noise.
    """
    *exact, fourier, lattice = TABLE.values()
    return (*exact, fourier, lattice) if sum(parts.values()) >= _LONG else (*exact, _SHARP, lattice, fourier)
