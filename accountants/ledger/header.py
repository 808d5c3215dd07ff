"""The header of a ledger: what it is about, which its chain of hashes begins with."""

from collections.abc import Mapping
from dataclasses import dataclass

from accountants import check
from accountants.adjacency import Adjacency
from accountants.check import shown
from accountants.errors import LedgerError
from accountants.events.event import MAX_COUNT
from accountants.ledger.entries import as_text
from accountants.ledger.sampler import Sampler

SCHEMA = "privkd.ledger/1"
FIELDS = ("schema", "adjacency", "unit", "epsilon", "delta", "n", "note")
EVERY_KIND = "every-kind/1"  # of the field "filter": what `accountants.budgets.every_kind` states


@dataclass(frozen=True, slots=True)
class Header:
    """A header as Python values, checked.

    Attributes:
        adjacency: neighbouring relation of every event.
        unit: what one record is.
        epsilon: budget, nats, or None.
        delta: failure mass of the budget, or None.
        n: public number of records, or None.
        note: free text, or None.
        sampler: how the data loader drew batches, or None.
        shared: whether the budget takes releases of every kind.
    """

    adjacency: Adjacency
    unit: str
    epsilon: float | None
    delta: float | None
    n: int | None
    note: str | None
    sampler: Sampler | None
    shared: bool

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> "Header":
        """Read and check a header; fields that are not known are left alone.

        Raises:
            TypeError: a field has the wrong type.
            ValueError: a field is out of range, or a budget comes without delta.
        """
        epsilon, delta, n, note, sampler = (data.get(name) for name in ("epsilon", "delta", "n", "note", "sampler"))
        kinds = data.get("filter")
        if kinds not in (None, EVERY_KIND):
            raise ValueError(
                f"{check.given('filter', kinds)} is unknown, so that its budget cannot be checked; this version knows "
                f"{EVERY_KIND!r}"
            )
        if epsilon is not None and delta is None:
            raise ValueError(
                f"{check.given('epsilon', epsilon)} without delta is no budget; pass delta, for example 1e-5 (or 0)"
            )
        if kinds is not None and epsilon is None:
            raise ValueError("a ledger that is shared needs a budget to share: pass epsilon and delta")
        return cls(
            Adjacency(data["adjacency"]),
            as_text(unit=data["unit"]),
            None if epsilon is None else check.as_float(epsilon=epsilon, at_least=0.0),
            None if delta is None else check.as_float(delta=delta, at_least=0.0, below=1.0),
            None if n is None else check.as_int(n=n, at_least=1, at_most=MAX_COUNT),
            None if note is None else as_text(note=note),
            None if sampler is None else Sampler.from_dict(sampler),
            kinds is not None,
        )

    def to_dict(self) -> dict[str, object]:
        """The header in the layout of a file, every value a plain one."""
        plain: dict[str, object] = {"schema": SCHEMA, **{name: getattr(self, name) for name in FIELDS[1:]}}
        plain["adjacency"] = str(self.adjacency)
        # Left out where there is none, so that such a ledger is the same as before the field existed.
        if self.sampler is not None:
            plain["sampler"] = self.sampler.to_dict()
        if self.shared:
            plain["filter"] = EVERY_KIND
        return plain


def require_agreement(name: str, header: Mapping[str, object], stated: Mapping[str, object]) -> None:
    """Refuse a file whose header says something else than what the caller states; what is None is not stated.

    Raises:
        LedgerError: a field differs; it is named.
    """
    wanted = Header.from_dict({**header, **{field: value for field, value in stated.items() if value is not None}})
    found = Header.from_dict(header)
    for field in stated:
        ours, theirs = getattr(wanted, field), getattr(found, field)
        if ours != theirs:
            raise LedgerError(
                f"{shown(name)}: this ledger was opened with {field}={shown(repr(theirs))}, not {shown(repr(ours))}. One ledger is "
                f"for one set of records and one budget: leave {field} away to take over what the file says, or open another file"
            )
