"""Ask an outside accountant about a certified interval; nothing that it does can break the caller."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from accountants.adjacency import Adjacency
from accountants.auditing.opinions import dp_accounting, prv_accountant
from accountants.auditing.opinions.opinion import Opinion
from accountants.bound import Bound, round_down, round_up
from accountants.events import Event

__all__ = ["OUTSIDERS", "Outsider", "ask"]

Parts = Mapping[Event, int]

# What numerical code of others may raise; a time-out cannot be caught, so the table limits sizes beforehand.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
_ROUNDING = 1e-6  # nobody but us states the rounding of floats


@dataclass(frozen=True, slots=True)
class Outsider:
    """An accountant of somebody else.

    Attributes:
        obstacle: (parts, delta, adjacency, our bound) -> why it must not be asked, or None; imports nothing.
        interval: (parts, delta, our bound) -> its lower and upper end, with its own stated error, nats.
    """

    obstacle: Callable[[Parts, float, Adjacency, Bound], str | None]
    interval: Callable[[Parts, float, Bound], tuple[float, float]]


OUTSIDERS: dict[str, Outsider] = {
    "prv-accountant": Outsider(prv_accountant.obstacle, prv_accountant.interval),
    "dp-accounting": Outsider(dp_accounting.obstacle, dp_accounting.interval),
}


def ask(name: str, parts: Parts, delta: float, adjacency: Adjacency, bound: Bound) -> Opinion:
    """The opinion of one outside accountant.

    Args:
        name: a key of OUTSIDERS.
        parts: normal form of what was done.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
        bound: our certified interval around epsilon.

    Returns:
        Its opinion; "not applicable", with the reason, where it is not installed, must not be asked or fails.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in OUTSIDERS:
        raise ValueError(f"opinion={name!r} is unknown; known: {', '.join(OUTSIDERS)}")
    outsider = OUTSIDERS[name]
    try:
        source = f"{name} {version(name)}"
    except PackageNotFoundError:
        return Opinion(name, "not applicable", None, None, f"not installed: pip install {name}")
    obstacle = outsider.obstacle(parts, delta, adjacency, bound)
    if obstacle is not None:
        return Opinion(source, "not applicable", None, None, obstacle)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lower, upper = outsider.interval(parts, delta, bound)
    except _FAILURES as error:
        return Opinion(source, "not applicable", None, None, f"it failed: {type(error).__name__}: {error}"[:200])
    if not lower <= upper:
        return Opinion(source, "not applicable", None, None, f"it gave no interval: [{lower!r}, {upper!r}]")
    said = f"it says [{round_down(lower)}, {round_up(upper)}]"
    slack = _ROUNDING * (1.0 + lower)
    agrees = lower <= bound.upper + slack and bound.lower <= upper + slack
    return Opinion(source, "agrees" if agrees else "contradicts", lower, upper, said)
