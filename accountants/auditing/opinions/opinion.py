"""What an outside accountant says about a certified interval, as data."""

import math
from dataclasses import dataclass

__all__ = ["Opinion"]


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
        return {
            "source": self.source,
            "finding": self.finding,
            "lower": _json_number(self.lower),
            "upper": _json_number(self.upper),
            "reason": self.reason,
        }

    def __str__(self) -> str:
        """One line."""
        return f"{self.source}: {self.finding}; {self.reason}"


def _json_number(value: float | None) -> float | str | None:
    return value if value is None or math.isfinite(value) else "inf"
