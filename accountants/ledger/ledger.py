"""The ledger: an append-only, hash-chained list of what was done to private data, and of what is claimed."""

import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from accountants import check
from accountants.adaptive.budget_rule import BudgetRule
from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.composition import epsilon_of_parts
from accountants.errors import LedgerError, PrivkdError
from accountants.events import Composed, Event, Repeat, distinct, floor_of, from_dict, merge_gaussians, normal_form
from accountants.events.algebra import MAX_COUNT
from accountants.ledger.budget import require_chargeable, require_within
from accountants.ledger.chain import LISTS, canonical_digest, header_of, link, verified_records
from accountants.ledger.entries import Charge, Claim, claim_of, now, number, require_text, whole
from accountants.ledger.sampler import Sampler
from accountants.ledger.storage import read_document, require_no_other_heir, write_document
from accountants.ledger.uncopied import Uncopied
from accountants.requirements import require_adjacency

__all__ = ["Ledger"]

_SCHEMA = "privkd.ledger/1"
_HEADER = ("schema", "adjacency", "unit", "epsilon", "delta", "n", "note")


class Ledger(Uncopied):
    """Append-only record of events under one adjacency, optionally with a budget that `charge` enforces.

    Charge first, add noise after: a crash in between can then only over-count. All methods are thread-safe. A ledger
    cannot be copied or pickled, and a forked process cannot charge it.

    With a budget, every charge after the first may depend on earlier noisy answers, in kind, noise and number:
    everything accepted together is (epsilon, delta)-DP. For that, the first charge fixes how the budget is checked, and
    what that check cannot count is refused; `accountants.adaptive.budget_rule` states which check it is, and
    `accountants.adaptive.rules` why each is sound. A plan of several kinds is one charge, `charge(a + b)`. The proof needs
    the first charge, the budget, and the choice to open this ledger to be public.

    The numbers of `epsilon()` and `total` are those of the charges as a plan fixed in advance. Where a choice depended
    on earlier answers, only the budget is proven, not the smaller `epsilon()`; a ledger without a budget proves nothing
    about such choices.

    The hash chain shows accidental damage, and any edit to whoever noted `digest` elsewhere. It gives no proof of
    authorship: someone who rewrites the whole file can rebuild the chain. Two ledgers with equal charges made at
    different times have different digests.

    Args:
        adjacency: neighbouring relation of every event.
        epsilon: budget in nats; None for no limit.
        delta: failure mass at which the budget is checked, in [0, 1); needed with a budget.
        unit: what one record is, for people and certificates.
        n: public number of records; None if it is private or unknown.
        note: free text.
        sampler: how the data loader drew batches, as `accountants.ledger.sampler.Sampler` states it, for example
            `{"kind": "poisson", "q": 0.01, "steps": 1000}`; `audit` compares it with the events.

    Raises:
        ValueError: an argument is out of range, or a budget comes without delta.

    Example:
        >>> from accountants.events import Gaussian
        >>> ledger = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
        >>> ledger.charge(Gaussian(sigma=20), where="histogram", count=10)
        >>> print(ledger.epsilon())
        [0.56128, 0.56129] (gaussian)
    """

    def __init__(
        self,
        *,
        adjacency: str,
        epsilon: float | None = None,
        delta: float | None = None,
        unit: str = "training-record",
        n: int | None = None,
        note: str | None = None,
        sampler: Mapping[str, object] | Sampler | None = None,
    ) -> None:
        # Left out where there is none, so that such a ledger is the same as before the field existed.
        if isinstance(sampler, Sampler):
            sampler = sampler.to_dict()
        stated = {} if sampler is None else {"sampler": Sampler.from_dict(sampler).to_dict()}
        self._open(
            {
                "schema": _SCHEMA,
                "adjacency": str(Adjacency(adjacency)),
                "unit": unit,
                "epsilon": epsilon if epsilon is None else number(epsilon=epsilon),
                "delta": delta if delta is None else number(delta=delta),
                "n": n if n is None else whole(n=n),
                "note": note,
                **stated,
            }
        )

    def _open(self, header: dict[str, object]) -> None:
        """Check the header and start empty."""
        self._adjacency = Adjacency(header["adjacency"])
        budget, delta, n = header["epsilon"], header["delta"], header["n"]
        if budget is not None:
            check.real(epsilon=budget, at_least=0.0)
        if delta is not None:
            check.probability_mass(delta=delta)
        if n is not None:
            check.integer(n=n, at_least=1, at_most=MAX_COUNT)
        if budget is not None and delta is None:
            raise ValueError(f"epsilon={budget!r} without delta is no budget; pass delta, for example 1e-5 (or 0)")
        require_text(unit=header["unit"], note="" if header["note"] is None else header["note"])
        self._sampler = Sampler.from_dict(header["sampler"]) if header.get("sampler") is not None else None
        self._header = header
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._records: list[tuple[str, dict[str, object]]] = []
        self._charges: list[Charge] = []
        self._claims: list[Claim] = []
        self._disclosed: list[str] = []
        self._parts: dict[Event, int] = {}
        self._filter: BudgetRule | None = None
        self._filed: set[str] = set()  # the heads that this ledger had when it was read or saved
        self._head = canonical_digest(header)

    @property
    def adjacency(self) -> Adjacency:
        """Neighbouring relation of every event."""
        return self._adjacency

    @property
    def budget(self) -> float | None:
        """Most epsilon that may be spent, nats, or None."""
        return self._header["epsilon"]  # pyright: ignore[reportReturnType]

    @property
    def delta(self) -> float | None:
        """Failure mass at which the budget is checked, or None."""
        return self._header["delta"]  # pyright: ignore[reportReturnType]

    @property
    def unit(self) -> str:
        """What one record is."""
        return str(self._header["unit"])

    @property
    def n(self) -> int | None:
        """Public number of records, or None."""
        return self._header["n"]  # pyright: ignore[reportReturnType]

    @property
    def note(self) -> str | None:
        """Free text, or None."""
        return self._header["note"]  # pyright: ignore[reportReturnType]

    @property
    def sampler(self) -> Sampler | None:
        """How the data loader drew batches, or None if that is not stated."""
        return self._sampler

    @property
    def events(self) -> tuple[Event, ...]:
        """The charged events, in order."""
        with self._lock:
            return tuple(charge.event for charge in self._charges)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The charged events with place and time, in order."""
        with self._lock:
            return tuple(self._charges)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claimed guarantees, in order."""
        with self._lock:
            return tuple(self._claims)

    @property
    def disclosed(self) -> tuple[str, ...]:
        """The disclosures, in order."""
        with self._lock:
            return tuple(self._disclosed)

    @property
    def total(self) -> Composed:
        """Everything charged, as one event of distinct parts with their counts."""
        with self._lock:
            return Composed(tuple(Repeat(count, part) if count > 1 else part for part, count in self._parts.items()))

    @property
    def digest(self) -> str:
        """Hash of the last entry, which covers all before it; note it where the ledger cannot be edited."""
        with self._lock:
            return self._head

    def charge(self, event: Event, *, where: str = "", count: int = 1) -> None:
        """Append an event, or refuse it and change nothing.

        Args:
            event: what is about to be done.
            where: the place in the program, for people.
            count: how often, >= 0.

        Raises:
            BudgetExceeded: the total would cost more than the budget, or the check that the first charge has fixed
                cannot count the event.
            LedgerError: a forked process charges; ask the one that opened the ledger.
            AdjacencyError: the event is not stated for the ledger's adjacency.
            UnsupportedEvent: no accountant can bound the event, or no ledger could be read that holds it.
            ValueError: count is out of range, or `where` is too long.
        """
        require_text(where=where)
        require_adjacency(event, self._adjacency)
        check.integer(count=count, at_least=0)
        if count != 1:
            event = Repeat(count, event)
        added = distinct(event, adjacency=self._adjacency)
        written = event.to_dict()
        event = from_dict(written)  # as it will be read back: without private votes, and refused if it cannot be
        self._require_own_process()
        with self._lock:
            parts = require_chargeable(self._parts, added, self._adjacency)
            rule = self._filter_after(added)
            if rule is not None:
                require_within(rule, self._parts, parts, event, events=len(self._charges))
            self._append("events", {"time": now(), "event": written, "where": where})
            self._charges.append(Charge(event, where, str(self._records[-1][1]["time"])))
            self._parts, self._filter = parts, rule

    def claim(self, epsilon: float, delta: float, accountant: str) -> None:
        """Append a claimed guarantee, which `audit` will check against everything in the ledger.

        Args:
            epsilon: claimed guarantee, nats, >= 0; may be infinite.
            delta: claimed failure mass, in [0, 1).
            accountant: who computed it.

        Raises:
            LedgerError: in a forked process.
            ValueError: an argument is out of range.
        """
        require_text(accountant=accountant)
        check.probability_mass(delta=delta)
        stored: float | str = "inf" if epsilon == math.inf else number(epsilon=epsilon)
        self._require_own_process()
        with self._lock:
            self._append(
                "claims",
                {"time": now(), "epsilon": stored, "delta": number(delta=delta), "accountant": accountant},
            )
            self._claims.append(claim_of(self._records[-1][1]))

    def disclose(self, text: str) -> None:
        """Append something that a reader of the guarantee must know, such as seeded noise.

        Raises:
            LedgerError: in a forked process.
            ValueError: the text is too long.
        """
        require_text(text=text)
        self._require_own_process()
        with self._lock:
            self._append("disclosed", {"time": now(), "text": text})
            self._disclosed.append(text)

    def epsilon(self, delta: float | None = None) -> Bound:
        """Certified interval around the epsilon of everything charged.

        Args:
            delta: failure mass, in [0, 1); the ledger's own by default.

        Raises:
            ValueError: no delta is known, or it is out of range.
        """
        used = self.delta if delta is None else delta
        if used is None:
            raise ValueError("delta=None: this ledger has no delta of its own; pass one, for example 1e-5")
        check.probability_mass(delta=used)
        with self._lock:
            parts = merge_gaussians(self._parts)
        return epsilon_of_parts(parts, float(used), self._adjacency, floor=self.floor)

    @property
    def floor(self) -> dict[Event, int] | None:
        """What is certainly released, in normal form, if some charge is counted by a bound that it need not reach."""
        events = self.events
        floors = [floor_of(event) for event in events]
        if all(floor is event for floor, event in zip(floors, events, strict=True)):
            return None
        return normal_form(Composed(tuple(floors)), adjacency=self._adjacency)

    def remaining(self) -> float:
        """Budget minus the upper end of what is spent, nats; infinite without a budget.

        Costs do not add: an event of this cost may fit more than once or not at all; what fits is decided by `charge`.
        """
        return math.inf if self.budget is None else max(0.0, self.budget - self.epsilon().upper)

    path = None

    def refresh(self) -> None: ...

    def adaptive_epsilon(self, delta=None) -> float:
        return 2 * self.epsilon(delta).upper

    def to_dict(self) -> dict[str, object]:
        """The ledger as JSON-able data, in the layout of the file."""
        with self._lock:
            lists = {name: [record for place, record in self._records if place == name] for name in LISTS}
            return {**self._header, **lists, "head": self._head}

    def save(self, path: str | Path) -> None:
        """Write the file; a crash leaves the old file or the new one, never a mixture.

        A file that somebody else has continued since this ledger was read (or last saved) is not overwritten.

        Raises:
            LedgerError: the file holds charges that this ledger does not know, or the ledger is too large for a file;
                nothing was written.
            OSError: the folder cannot be written.
        """
        with self._lock:
            require_no_other_heir(path, self._header, self._filed)
            write_document(path, self.to_dict())
            self._filed.add(self._head)

    @classmethod
    def read(cls, path: str | Path) -> "Ledger":
        """The ledger in a file, every link of its chain checked.

        Fields that this version does not know are kept, and are covered by the chain; unknown events are refused.

        Reading is for looking, and for ONE program that goes on charging. Two that charge what they read from the same
        file would each spend the whole budget; `save` refuses the second one, but its noise is out by then.

        Raises:
            LedgerError: the file is damaged, edited or no ledger; the entry is named.
            UnsupportedEvent: an event is unknown; it is named.
            AdjacencyError: an event is not stated for the ledger's adjacency.
            OSError: the file cannot be read.
        """
        document = read_document(path)
        missing = [name for name in (*_HEADER, *LISTS, "head") if name not in document]
        if document.get("schema") != _SCHEMA or missing:
            raise LedgerError(f"{Path(path).name}: schema must be {_SCHEMA!r} with all its fields; missing: {missing}")
        records = verified_records(document)
        ledger = cls.__new__(cls)
        try:
            ledger._open(header_of(document))
        except (TypeError, ValueError) as error:
            raise LedgerError(f"header: {error}") from error
        for name, record in records:
            ledger._replay(name, record)
        ledger._filed.add(ledger._head)
        return ledger

    def _replay(self, name: str, record: dict[str, object]) -> None:
        """Take over a verified record."""
        shown = f"entry {record['index']} (in {name!r}, where={str(record.get('where', ''))[:80]!r})"
        try:
            require_text(time=record["time"])
            if name == "events":
                self._replay_event(record)
            elif name == "claims":
                self._claims.append(claim_of(record))
            else:
                require_text(text=record["text"])
                self._disclosed.append(str(record["text"]))
        except PrivkdError as error:
            raise type(error)(f"{shown}: {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerError(f"{shown}: {type(error).__name__}: {error}") from error
        self._records.append((name, record))
        self._head = str(record["hash"])

    def _replay_event(self, record: dict[str, object]) -> None:
        require_text(where=record["where"])
        data = record["event"]
        if not isinstance(data, Mapping):
            raise TypeError(f"event={data!r} must be an object")
        event = from_dict(data)
        require_adjacency(event, self._adjacency)
        added = distinct(event, adjacency=self._adjacency)
        self._filter = self._filter_after(added)
        self._parts = require_chargeable(self._parts, added, self._adjacency)
        self._charges.append(Charge(event, str(record["where"]), str(record["time"])))

    def _filter_after(self, added: Mapping[Event, int]) -> BudgetRule | None:
        """The check of the budget once these parts are charged: that of the first charge that costs anything."""
        if self._filter is not None or not added or self.budget is None or self.delta is None:
            return self._filter
        return BudgetRule.fixed_by(added, epsilon=self.budget, delta=self.delta, adjacency=self._adjacency, first=added)

    def _append(self, name: str, content: dict[str, object]) -> None:
        record = link(content, index=len(self._records), previous=self._head)
        self._records.append((name, record))
        self._head = str(record["hash"])

    def __repr__(self) -> str:
        """Adjacency, unit and sizes."""
        sizes = f"{len(self._charges)} charges, {len(self._claims)} claims"
        return f"<Ledger {self._adjacency}, {self.unit}, {sizes}>"
