"""The hash chain of a ledger: every record carries the hash of the one before, the first that of the header.

The chain shows that nothing was edited, dropped, doubled or reordered since the head was noted elsewhere. It
does not show who wrote the ledger: whoever rewrites the whole file can rebuild the chain, so publish the head
with the release.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from accountants import check
from accountants.check import shown
from accountants.errors import LedgerError
from accountants.events.event import MAX_COUNT

LISTS = ("events", "claims", "disclosed")
_BESIDE_HEADER = {*LISTS, "head"}
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_LONGEST = 80  # characters of a place in a message

Record = dict[str, object]


def canonical_digest(data: object) -> str:
    """SHA-256, in hex, of JSON with sorted keys, no spaces and ASCII only.

    Raises:
        ValueError: the data holds nan or an infinity.

    Example:
        >>> canonical_digest({"b": 1, "a": []})[:12]
        '1c8f8816506a'
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def link(content: Mapping[str, object], *, index: int, previous: str) -> Record:
    """The record of JSON-able fields with its place in the chain: "index", "previous" and "hash" (of all else)."""
    record = {**content, "index": index, "previous": previous}
    record.pop("hash", None)
    return {**record, "hash": canonical_digest(record)}


def header_of(document: Mapping[str, object]) -> Record:
    """All fields of a ledger file beside its lists and its head, unknown ones included."""
    return {name: value for name, value in document.items() if name not in _BESIDE_HEADER}


def verified_records(
    document: Mapping[str, object], known: Sequence[tuple[str, Record]] = ()
) -> list[tuple[str, Record]]:
    """The records of a ledger file with the list they lie in, in order of the chain.

    Args:
        document: what the file holds.
        known: records that were verified before; the file must still begin with them, and only later ones are hashed.

    Returns:
        The records after the known ones.

    Raises:
        LedgerError: the chain is broken, or begins with something else than the known records; the entry is named.
    """
    records = _in_order(document)
    if len(records) < len(known):
        raise LedgerError(
            f"the file has {len(records)} entries, and had {len(known)} when it was last read here: entries were cut off"
        )
    previous = canonical_digest(header_of(document))
    for position, (name, place, record) in enumerate(records):
        if position < len(known):
            if (name, record) != known[position]:
                raise LedgerError(f"{_shown(name, place, record)} is not what it was when the file was last read here")
        else:
            _require_link(name, place, record, previous=previous, is_first=position == 0)
        previous = str(record["hash"])
    if document.get("head") != previous:
        last = _shown(*records[-1]) if records else "the header"
        raise LedgerError(f"head does not match {last}: later entries were cut off, or the head was edited")
    return [(name, record) for name, _, record in records[len(known) :]]


def _require_link(name: str, place: int, record: Record, *, previous: str, is_first: bool) -> None:
    content = {field: value for field, value in record.items() if field != "hash"}
    if record["hash"] != canonical_digest(content):
        raise LedgerError(f"{_shown(name, place, record)} was edited: its content does not match its hash")
    if record["previous"] != previous:
        cause = "the header was edited, or this entry belongs to another ledger" if is_first else "it was moved"
        raise LedgerError(f"{_shown(name, place, record)} does not continue the chain: {cause}")


def _in_order(document: Mapping[str, object]) -> list[tuple[str, int, Record]]:
    """Every record, sorted by its index, which must count from 0 without gaps, also within each list."""
    by_index: dict[int, tuple[str, int, Record]] = {}
    for name in LISTS:
        last = -1
        for place, record in enumerate(_records(document, name)):
            index = record.get("index")
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index <= MAX_COUNT:
                given = check.given("index", index)
                raise LedgerError(f"{_shown(name, place, record)} has {given}; it must be a whole number from 0")
            for field in ("previous", "hash"):
                if not isinstance(record.get(field), str) or not _DIGEST.match(str(record[field])):
                    text = _shown(name, place, record)
                    raise LedgerError(f"{text} has no valid {field!r}: 64 hexadecimal digits are needed")
            if index in by_index:
                pair = f"{_shown(name, place, record)} and {_shown(*by_index[index])}"
                raise LedgerError(f"{pair} have the same index={index}")
            if index < last:
                raise LedgerError(f"{_shown(name, place, record)} is out of order: its index={index} follows {last}")
            last = index
            by_index[index] = (name, place, record)
    missing = next((index for index in range(len(by_index)) if index not in by_index), None)
    if missing is not None:
        after = next((_shown(*by_index[index]) for index in sorted(by_index) if index > missing), "the end")
        raise LedgerError(f"entry {missing} is missing: it was removed before {after}")
    return [by_index[index] for index in range(len(by_index))]


def _records(document: Mapping[str, object], name: str) -> Sequence[Record]:
    records = document.get(name)
    if not isinstance(records, list):
        raise LedgerError(f"{name!r} must be a list of entries")
    for place, record in enumerate(records):
        if not isinstance(record, dict):
            raise LedgerError(f"{name}[{place}] must be an object")
    return records


def _shown(name: str, place: int, record: Mapping[str, object]) -> str:
    where, index = record.get("where"), record.get("index")
    at = f", where='{shown(where, _LONGEST)}'" if isinstance(where, str) and where else ""
    number = str(index) if isinstance(index, int) and abs(index) <= MAX_COUNT else "without an index"
    return f"entry {number} ({name}[{place}]{at})"
