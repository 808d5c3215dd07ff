"""The readable side of a ledger: its header, its entries, and what they cost."""

import math
import threading

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.budgets.odometer import Odometer
from accountants.check import shown
from accountants.composition.epsilon import epsilon_of_parts
from accountants.errors import UnsupportedEvent
from accountants.events import Composed, Event, Repeat, merge_gaussians, normal_form
from accountants.ledger.book import Book
from accountants.ledger.entries import Charge, Claim
from accountants.ledger.sampler import Sampler
from accountants.methods.pure import pure_epsilon

_FAILURE = 0.25  # share of delta that the running epsilon sets aside for failures of claims


class LedgerView:
    """The properties of a ledger and the costs of what stands in it."""

    _book: Book
    _lock: threading.RLock

    @property
    def adjacency(self) -> Adjacency:
        """Neighbouring relation of every event."""
        return self._book.header.adjacency

    @property
    def budget(self) -> float | None:
        """The largest epsilon that may be spent, nats, or None."""
        return self._book.header.epsilon

    @property
    def delta(self) -> float | None:
        """Failure mass at which the budget is checked, or None."""
        return self._book.header.delta

    @property
    def unit(self) -> str:
        """The meaning of one record, such as "training-record"."""
        return self._book.header.unit

    @property
    def n(self) -> int | None:
        """Public number of records, or None."""
        return self._book.header.n

    @property
    def note(self) -> str | None:
        """Free text, or None."""
        return self._book.header.note

    @property
    def sampler(self) -> Sampler | None:
        """How the data loader drew batches, or None if that is not stated."""
        return self._book.header.sampler

    @property
    def events(self) -> tuple[Event, ...]:
        """The charged events, in order."""
        return tuple(charge.event for charge in self.charges)

    @property
    def charges(self) -> tuple[Charge, ...]:
        """The charged events with place, time and index, in order."""
        with self._lock:
            return self._book.values(Charge)

    @property
    def claims(self) -> tuple[Claim, ...]:
        """The claimed guarantees, in order."""
        with self._lock:
            return self._book.values(Claim)

    @property
    def disclosed(self) -> tuple[str, ...]:
        """The disclosures, in order."""
        with self._lock:
            return self._book.values(str)

    @property
    def total(self) -> Composed:
        """Everything charged, as one event of distinct parts with their counts."""
        with self._lock:
            parts = self._book.account.parts
            return Composed(tuple(Repeat(count, part) if count > 1 else part for part, count in parts.items()))

    @property
    def digest(self) -> str:
        """Hash of the last entry, which covers all before it; note it where the ledger cannot be edited."""
        with self._lock:
            return self._book.head

    def epsilon(self, delta: float | None = None) -> Bound:
        """Certified interval around the epsilon of everything charged, as a plan fixed in advance.

        Args:
            delta: failure mass, in [0, 1); the ledger's own by default.

        Raises:
            ValueError: no delta is known, or it is out of range.
        """
        with self._lock:
            parts = merge_gaussians(self._book.account.parts)
        return epsilon_of_parts(parts, delta_or_own(delta, self.delta), self.adjacency, certain=self.floor)

    def adaptive_epsilon(self, delta: float | None = None) -> float:
        """Epsilon, nats, rounded up, that may be claimed for all charges so far however they were chosen.

        Kinds, noise and number of later charges may depend on earlier answers, and so may the moment at which this is
        asked; delta may not. Larger than `epsilon().upper`, which is true of a plan fixed in advance; with a budget, the budget is
        proven in any case, and may be smaller. A quarter of delta is set aside for failures of claims. See `Odometer`.

        Args:
            delta: failure mass, in [0, 1); the ledger's own by default.

        Returns:
            Infinite if a charge has no Rényi curve, or claims fail too often.

        Raises:
            ValueError: no delta is known, or it is out of range.

        Example:
            >>> from accountants import Gaussian, Ledger
            >>> ledger = Ledger(adjacency="add-remove", delta=1e-5)
            >>> charges = [ledger.charge(Gaussian(sigma=20)) for _ in range(10)]
            >>> round(ledger.epsilon().upper, 3), round(ledger.adaptive_epsilon(), 3)
            (0.561, 0.732)
        """
        used = delta_or_own(delta, self.delta)
        with self._lock:
            parts = dict(self._book.account.parts)
        if used == 0.0:
            return pure_epsilon(parts, self.adjacency)[1]
        odometer = Odometer(used, adjacency=self.adjacency, failure=_FAILURE * used)
        try:
            for part, count in parts.items():
                odometer.spend(part, count)
        except UnsupportedEvent:
            return math.inf
        return odometer.epsilon_if_stopped()

    @property
    def floor(self) -> dict[Event, int] | None:
        """The certain part of all releases, in normal form, if some charge is counted by a bound that it need not reach."""
        events = self.events
        floors = [event.certain_part() for event in events]
        if all(floor is event for floor, event in zip(floors, events, strict=True)):
            return None
        return normal_form(Composed(tuple(floors)), adjacency=self.adjacency)

    def remaining(self) -> float:
        """Budget minus the upper end of what is spent, nats; infinite without a budget.

        Costs do not add: an event of this cost may fit more than once or not at all; what fits is decided by `charge`.
        """
        return math.inf if self.budget is None else max(0.0, self.budget - self.epsilon().upper)

    def to_dict(self) -> dict[str, object]:
        """The ledger as JSON-able data, in the layout of the file."""
        with self._lock:
            return self._book.to_dict()

    def __repr__(self) -> str:
        sizes = f"{len(self.charges)} charges, {len(self.claims)} claims"
        return f"<Ledger {self.adjacency}, {shown(self.unit, 60)}, {sizes}>"


def delta_or_own(delta: float | None, own: float | None) -> float:
    """The delta that is given, or the ledger's own.

    Raises:
        ValueError: there is neither, or it is out of range.
    """
    used = own if delta is None else delta
    if used is None:
        raise ValueError("delta=None: this ledger has no delta of its own; pass one, for example 1e-5")
    return check.as_float(delta=used, at_least=0.0, below=1.0)
