"""Charging a release: first the ledgers of the data, then its own, and all of that before any noise is drawn."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from accountants import Event, Ledger
from privkd.mechanisms.private_value import Private


def charge_all(ledger: Ledger, value: Private | Tensor | None, event: Event, *, count: int, where: str) -> None:
    """Charge every ledger of the data that a private value came from, and the release's own.

    The data's ledgers come first: if the release is refused afterwards, they have counted too much, never too little.
    """
    for shared in ledgers_of(value, but=ledger):
        shared.charge(event, count=count, where=where)
    ledger.charge(event, count=count, where=where)


def ledgers_of(value: Private | Tensor | None, *, but: Ledger) -> Iterator[Ledger]:
    """The ledgers that a private value carries, each once and without the release's own."""
    seen = [but]
    for ledger in value.ledgers if isinstance(value, Private) else ():
        if all(ledger is not known for known in seen):
            seen.append(ledger)
            yield ledger
