"""The charges of a ledger as a certificate states them: what they cost in a scope, how many there are, and who vouches for them."""

from __future__ import annotations

from typing import Any

from accountants import Bound, Ledger
from accountants import epsilon as epsilon_of
from accountants.events import distinct
from privkd.certificates.scopes import Scope

DECLARED = "declared by "
"""How the place of a charge begins that stands for a guarantee which somebody else vouches for."""


def bound_in(ledger: Ledger, scope: Scope, delta: float) -> tuple[Bound, bool]:
    """The ledger's epsilon in a scope, and whether it is per answer (then pure: delta 0)."""
    if not scope.is_per_answer:
        return ledger.epsilon(delta), False
    bounds = [epsilon_of(event, 0.0, adjacency=ledger.adjacency) for event in distinct(ledger.total)]
    return max(bounds, key=lambda bound: bound.upper, default=Bound(0.0, 0.0, "empty", {})), True


def answers_in(ledger: Ledger) -> int | None:
    """The number of answers of a teacher or samples in a ledger that counts them; None for any other ledger."""
    unit = ledger.unit
    if unit not in list(Scope) or not (Scope(unit).is_per_answer or unit == Scope.TEACHER):
        return None
    return sum(distinct(ledger.total).values())


def listed(ledger: Ledger) -> tuple[dict[str, Any], ...]:
    """The ledger's charges, where neighbours with the same event and place become one entry with their number."""
    rows: list[dict[str, Any]] = []
    for charge in ledger.charges:
        event = charge.event.to_dict()
        if rows and rows[-1]["event"] == event and rows[-1]["where"] == charge.where:
            rows[-1]["charges"] += 1
        else:
            rows.append({"event": event, "where": charge.where, "charges": 1})
    return tuple(rows)


def declared_in(ledger: Ledger) -> str:
    """Who vouches for the charges that nobody here can check, "declared by ..."; empty if there are none."""
    return "; ".join(dict.fromkeys(charge.where for charge in ledger.charges if charge.where.startswith(DECLARED)))
