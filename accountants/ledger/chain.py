"""The hash chain of a ledger: every record carries the hash of the one before, the first that of the header.

The chain shows that nothing was edited, dropped, doubled or reordered since the head was noted elsewhere. It
does not show who wrote the ledger: whoever rewrites the whole file can rebuild the chain, so publish the head
with the release.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence

from accountants.errors import LedgerError

__all__ = ["LISTS", "canonical_digest", "header_of", "link", "verified_records"]

LISTS = ("events", "claims", "disclosed")
_BESIDE_HEADER = {*LISTS, "head"}
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")

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
    """The record with its place in the chain: "index", "previous" and "hash" (of all else).

    Args:
        content: JSON-able fields.
        index: position in the whole ledger, from 0.
        previous: hash of the record before it, or of the header.
    """
    record = {**content, "index": index, "previous": previous}
    record.pop("hash", None)
    return {**record, "hash": canonical_digest(record)}


def header_of(document: Mapping[str, object]) -> Record:
    """All fields of a ledger file beside its lists and its head, unknown ones included."""
    return {name: value for name, value in document.items() if name not in _BESIDE_HEADER}


def verified_records(document: Mapping[str, object]) -> list[tuple[str, Record]]:
    """All records of a ledger file with the list they lie in, in order of the chain.

    Raises:
        LedgerError: the chain is broken; the entry is named.
    """
    records = _in_order(document)
    previous = canonical_digest(header_of(document))
    for position, (name, place, record) in enumerate(records):
        shown = _shown(name, place, record)
        content = {field: value for field, value in record.items() if field != "hash"}
        if record["hash"] != canonical_digest(content):
            raise LedgerError(f"{shown} was edited: its content does not match its hash")
        if record["previous"] != previous:
            cause = (
                "the header was edited, or this entry belongs to another ledger" if position == 0 else "it was moved"
            )
            raise LedgerError(f"{shown} does not continue the chain: {cause}")
        previous = str(record["hash"])
    if document.get("head") != previous:
        last = _shown(*records[-1]) if records else "the header"
        raise LedgerError(f"head does not match {last}: later entries were cut off, or the head was edited")
    return [(name, record) for name, _, record in records]


def _in_order(document: Mapping[str, object]) -> list[tuple[str, int, Record]]:
    """Every record, sorted by its index, which must count from 0 without gaps, also within each list."""
    by_index: dict[int, tuple[str, int, Record]] = {}
    for name in LISTS:
        last = -1
        for place, record in enumerate(_records(document, name)):
            shown = _shown(name, place, record)
            index = record.get("index")
            if isinstance(index, bool) or not isinstance(index, int) or index < 0:
                raise LedgerError(f"{shown} has index={index!r}; it must be a whole number from 0")
            for field in ("previous", "hash"):
                if not isinstance(record.get(field), str) or not _DIGEST.match(str(record[field])):
                    raise LedgerError(f"{shown} has no valid {field!r}: 64 hexadecimal digits are needed")
            if index in by_index:
                raise LedgerError(f"{shown} and {_shown(*by_index[index])} have the same index={index}")
            if index < last:
                raise LedgerError(f"{shown} is out of order: its index={index} follows {last}")
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
    where = record.get("where")
    at = f", where={str(where)[:80]!r}" if where else ""
    return f"entry {record.get('index')!r} ({name}[{place}]{at})"
