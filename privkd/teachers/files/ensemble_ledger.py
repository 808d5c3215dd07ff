"""The ledger of an ensemble's folder: no release that it counted may be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from accountants import Ledger
from accountants.errors import LedgerError
from accountants.ledger.chain import LISTS
from privkd.teachers.ensemble_parts import counting_ledger

LEDGER = "ledger.json"


def require_counted(path: Path, ledger: Ledger) -> None:
    """Refuse to replace an ensemble whose releases the new ledger does not count: they would be forgotten.

    Raises:
        LedgerError: it does not.
    """
    if ledger.path is not None and ledger.path.resolve() == path.resolve():
        return
    if not path.exists():
        raise LedgerError(
            f"{path} is missing: what was released from the ensemble there is unknown. Remove the folder yourself"
        )
    old = Ledger.read(path)
    if (old.charges or old.disclosed) and old.digest not in _heads(ledger):
        raise LedgerError(
            f"{path} counts {len(old.charges)} charges that the ledger of this ensemble does not know, and they would be "
            "forgotten. Fit with ledger=Ledger.open(...), one for everything that is done to these records; or save to "
            "another folder"
        )


def _heads(ledger: Ledger) -> set[str]:
    """Every digest that the ledger has had: each entry carries its own hash and the one before."""
    document = ledger.to_dict()
    entries = [entry for name in LISTS for entry in cast(list[dict[str, str]], document[name])]
    return {ledger.digest, *(entry[side] for entry in entries for side in ("hash", "previous"))}


def opened_ledger(folder: Path, index: dict[str, Any], given: Ledger | None) -> Ledger:
    """The ledger of an ensemble that is read, with every entry that it had when the ensemble was saved.

    Args:
        folder: of the ensemble.
        index: of the folder.
        given: the ledger, where it is not to be looked for.

    Raises:
        LedgerError: missing, of other records, or without some of the entries.
    """
    path = ledger_file(folder, index)
    if given is None and not path.is_file():
        raise LedgerError(
            f"{path}, the ledger of this ensemble, is missing; without it, what was released before is unknown. Put it back, "
            "or pass ledger=Ledger.open(...) where it has moved"
        )
    ledger = given if given is not None else Ledger.open(path)
    ledger.refresh()
    try:
        counting_ledger(ledger, records=index["manifest"]["records"])
    except ValueError as error:
        raise LedgerError(f"{path} does not count this ensemble: {error}") from error
    if index["ledger_head"] not in _heads(ledger):
        raise LedgerError(
            f"{path} lacks entries that were there when the ensemble was saved: an older copy, or another ledger"
        )
    return ledger


def ledger_file(folder: Path, index: dict[str, Any]) -> Path:
    """Where the ledger lies."""
    return folder / str(index["ledger"])  # an absolute path stays what it is
