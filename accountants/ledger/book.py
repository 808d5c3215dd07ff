"""The content of a ledger: its header, its entries in order, and what they add up to."""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from accountants import check
from accountants.check import shown
from accountants.composition.requirements import require_adjacency
from accountants.errors import LedgerError, PrivkdError
from accountants.events import distinct, from_dict
from accountants.ledger.chain import LISTS, canonical_digest, header_of, verified_records
from accountants.ledger.charging import Account
from accountants.ledger.entries import Charge, Claim, as_text, claim_of
from accountants.ledger.header import FIELDS, SCHEMA, Header

_LONGEST = 2000  # characters of a message about an event, which quotes the event


Value = TypeVar("Value", Charge, Claim, str)


class Entry(NamedTuple):
    """An entry: the list of the file that it lies in, its record there, and the record's meaning."""

    name: str
    record: dict[str, object]
    value: Charge | Claim | str


class Book:
    """Header, entries and their sum; it decides nothing and locks nothing.

    Args:
        written: the header in the layout of the file, with fields that this version does not know.

    Raises:
        TypeError: a field of the header has the wrong type.
        ValueError: a field of the header is out of range.
    """

    def __init__(self, written: dict[str, object]) -> None:
        self.written = written
        self.header = Header.from_dict(written)
        self.account = Account(self.header)
        self.entries: list[Entry] = []

    @classmethod
    def of(cls, document: Mapping[str, object], *, name: str) -> "Book":
        """The content of a file, every link of its chain checked.

        Args:
            document: the JSON object in the file.
            name: of the file, for messages.

        Raises:
            LedgerError: the document is damaged, edited or no ledger; the entry is named.
            UnsupportedEvent: an event is unknown; it is named.
            AdjacencyError: an event is not stated for the ledger's adjacency.
        """
        missing = [field for field in (*FIELDS, *LISTS, "head") if field not in document]
        if document.get("schema") != SCHEMA or missing:
            raise LedgerError(f"{shown(name)}: schema must be {SCHEMA!r} with all its fields; missing: {missing}")
        records = verified_records(document)
        try:
            book = cls(header_of(document))
        except (TypeError, ValueError) as error:
            raise LedgerError(f"header: {error}") from error
        for place, record in records:
            book._take_over(place, record)
        return book

    def take_over(self, document: Mapping[str, object], *, name: str) -> None:
        """Append what a file holds beyond this book, as other programs have written it.

        Raises:
            LedgerError: the file does not begin with this book, or is damaged; what was taken over before the fault stays.
            UnsupportedEvent: an event is unknown; it is named.
        """
        if header_of(document) != self.written:
            raise LedgerError(f"{shown(name)}: another ledger lies there now; nothing was changed. Put the file back")
        try:
            news = verified_records(document, [(entry.name, entry.record) for entry in self.entries])
        except LedgerError as error:
            raise LedgerError(f"{shown(name)}: {error}; nothing was changed. Put the file back") from None
        for place, record in news:
            self._take_over(place, record)

    @property
    def head(self) -> str:
        """Hash of the last entry, or of the header."""
        return str(self.entries[-1].record["hash"]) if self.entries else canonical_digest(self.written)

    def values(self, kind: type[Value]) -> tuple[Value, ...]:
        """The charges (`Charge`), claims (`Claim`) or disclosures (`str`), in order."""
        return tuple(entry.value for entry in self.entries if isinstance(entry.value, kind))

    def to_dict(self, *more: tuple[str, dict[str, object]]) -> dict[str, object]:
        """The layout of the file, with more records at the end."""
        lists: dict[str, list[object]] = {name: [] for name in LISTS}
        for entry in self.entries:
            lists[entry.name].append(entry.record)
        for name, record in more:
            lists[name].append(record)
        return {**self.written, **lists, "head": more[-1][1]["hash"] if more else self.head}

    def _take_over(self, name: str, record: dict[str, object]) -> None:
        """Append a verified record."""
        where = record.get("where")
        place = f", where='{shown(where, 80)}'" if isinstance(where, str) else ""
        text = f"entry {record['index']} (in {name!r}{place})"
        try:
            value = self._value(name, record)
        except PrivkdError as error:
            raise type(error)(f"{text}: {shown(str(error), _LONGEST)}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(f"{text}: {type(error).__name__}: {shown(str(error), _LONGEST)}") from error
        self.entries.append(Entry(name, record, value))

    def _value(self, name: str, record: dict[str, object]) -> Charge | Claim | str:
        time = as_text(time=record["time"])
        if name == "claims":
            return claim_of(record)
        if name == "disclosed":
            return as_text(text=record["text"])
        where, data = as_text(where=record["where"]), record["event"]
        if not isinstance(data, Mapping):
            raise TypeError(f"{check.given('event', data)} must be an object")
        event = from_dict(data)
        require_adjacency(event, self.header.adjacency)
        self.account.take_over(distinct(event, adjacency=self.header.adjacency))
        return Charge(event, where, time, len(self.entries))
