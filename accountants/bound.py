"""A certified interval: what every accountant of this package returns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Bound:
    """An interval that contains the true value of an epsilon (nats) or of a delta.

    Attributes:
        lower: no valid guarantee of these events is below this.
        upper: a valid guarantee; the number to publish. May be infinite for epsilon.
        method: the accountant that gave the upper end.
        settings: how it was computed, JSON-able.

    Example:
        >>> str(Bound(5.19231, 5.19262, "lattice"))
        '[5.1923, 5.1927] (lattice)'
    """

    lower: float
    upper: float
    method: str
    settings: Mapping[str, object] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.lower <= self.upper:
            raise ValueError(f"lower={self.lower!r}, upper={self.upper!r} must satisfy 0 <= lower <= upper")

    def __str__(self) -> str:
        """The interval at five digits, the lower end rounded down and the upper end up."""
        return f"[{round_down(self.lower)}, {round_up(self.upper)}] ({self.method})"

    def to_dict(self) -> dict[str, object]:
        """The bound as JSON-able data; an infinite end is the string "inf"."""
        ends = {"lower": self.lower, "upper": self.upper}
        shown = {name: end if math.isfinite(end) else "inf" for name, end in ends.items()}
        return {**shown, "method": self.method, "settings": dict(self.settings)}


def round_down(value: float) -> str:
    """`value` as text of at most five digits that is not above it.

    Example:
        >>> round_down(0.299999)
        '0.29999'
    """
    return _rounded(value, ROUND_FLOOR)


def round_up(value: float) -> str:
    """`value` as text of at most five digits that is not below it.

    Example:
        >>> round_up(0.200001)
        '0.20001'
    """
    return _rounded(value, ROUND_CEILING)


def _rounded(value: float, rounding: str) -> str:
    if not math.isfinite(value):
        return str(value)
    short = Context(prec=_DIGITS, rounding=rounding).create_decimal(Decimal(value)).normalize()
    # Decimal prints 1E+2 and 0.00001234; plain digits read better in the middle range.
    return f"{short:f}" if 1e-6 <= abs(value) < 1e9 or value == 0 else f"{short:e}"
