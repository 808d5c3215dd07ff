"""The opinion of an outside accountant on a certified interval; nothing that it does can break the caller."""

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version

from accountants.adjacency import Adjacency
from accountants.auditing.opinions import dp_accounting, prv_accountant
from accountants.bound import Bound, round_down, round_up
from accountants.methods.method import Parts

# What foreign numerical code may raise. A time-out cannot be caught, so `limits` refuses large sizes beforehand.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_ROUNDING = 1e-6  # the stated errors of other libraries leave out the rounding of floats


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one outside accountant says about one certified interval.

    Attributes:
        source: the distribution, with its version where it was asked.
        finding: "agrees" (the intervals share a point), "contradicts" or "not applicable".
        lower: its lower end with its own stated error, nats; None if it was not asked.
        upper: its upper end with its own stated error, nats.
        reason: why it was not asked, or what it said.
    """

    source: str
    finding: str
    lower: float | None
    upper: float | None
    reason: str

    def to_dict(self) -> dict[str, object]:
        """The opinion as JSON-able data; an infinite end is the string "inf"."""
        return {**asdict(self), "lower": _json_number(self.lower), "upper": _json_number(self.upper)}

    def __str__(self) -> str:
        return f"{self.source}: {self.finding}; {self.reason}"


@dataclass(frozen=True, slots=True)
class Outsider:
    """An accountant of another library.

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
    """The opinion of one outside accountant on a certified interval around the epsilon of parts in normal form.

    It is "not applicable", with the reason, where the accountant is not installed, must not be asked or fails.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in OUTSIDERS:
        raise ValueError(f"opinion={name!r} is unknown; known: {', '.join(OUTSIDERS)}")
    outsider, none = OUTSIDERS[name], ("not applicable", None, None)
    try:
        source = f"{name} {version(name)}"
    except PackageNotFoundError:
        return Opinion(name, *none, f"not installed: pip install {name}")
    obstacle = outsider.obstacle(parts, delta, adjacency, bound)
    if obstacle is not None:
        return Opinion(source, *none, obstacle)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lower, upper = outsider.interval(parts, delta, bound)
    except _FAILURES as error:
        return Opinion(source, *none, f"it failed: {type(error).__name__}: {error}"[:200])
    if not lower <= upper:
        return Opinion(source, *none, f"it gave no interval: [{lower!r}, {upper!r}]")
    said = f"it says [{round_down(lower)}, {round_up(upper)}]"
    slack = _ROUNDING * (1.0 + lower)
    agrees = lower <= bound.upper + slack and bound.lower <= upper + slack
    return Opinion(source, "agrees" if agrees else "contradicts", lower, upper, said)


def _json_number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else "inf"
