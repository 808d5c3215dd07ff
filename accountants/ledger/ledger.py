"""The ledger: an append-only, hash-chained list of what was done to private data, and of what is claimed."""

import math
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from accountants import check
from accountants.budgets.uncopied import Uncopied
from accountants.check import shown
from accountants.composition.requirements import require_adjacency
from accountants.events import Event, Repeat, distinct, from_dict
from accountants.ledger.book import Book, Entry
from accountants.ledger.chain import link
from accountants.ledger.entries import Charge, Claim, as_text, claim_of, now
from accountants.ledger.header import EVERY_KIND, Header, require_agreement
from accountants.ledger.sampler import Sampler
from accountants.ledger.shared_file import BoundFile, locked
from accountants.ledger.storage import read_document, require_no_other_heir, write_document
from accountants.ledger.view import LedgerView


class Ledger(LedgerView, Uncopied):
    """Append-only record of events under one adjacency, optionally with a budget that `charge` enforces.

    Charge first, add noise after: a crash in between can then only over-count. All methods are thread-safe. A ledger
    cannot be copied or pickled, and a forked process cannot charge it, unless it is bound to a file.

    One file for everything that is done to one set of records: `Ledger.open(path, ...)` gives a ledger that is BOUND to its
    file. Every `charge`, `claim` and `disclose` locks the file, takes over what other programs have appended, checks the
    budget with it and writes before it returns, so that any number of programs spend one budget. Properties and `epsilon`
    show what was known after the last of these calls, or after `refresh`. Any other ledger lives in memory until `save`.

    With a budget, every charge after the first may depend on earlier noisy answers, in kind, noise and number:
    everything accepted together is (epsilon, delta)-DP. How that is checked is fixed before the first answer:

    - By default by the first charge, which costs least where all releases are of one kind; what that check cannot count is
      refused. `accountants.budgets.budget` states which check it is, and `accountants.budgets.rules` why each is sound.
      A plan of several kinds is one charge, `charge(a + b)`.
    - With `shared=True` (as `Ledger.open` does) releases of EVERY kind are taken, in any order, for a few percent more:
      `accountants.budgets.every_kind`.

    The proof needs the first charge, the budget, and the choice to open this ledger to be public.

    The numbers of `epsilon()` and `total` are those of the charges as a plan fixed in advance. Where a choice depended
    on earlier answers, only the budget is proven, not the smaller `epsilon()`; a ledger without a budget proves
    `adaptive_epsilon()` about such choices, which is larger.

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
        shared: whether the budget takes releases of every kind; needs a budget.

    Raises:
        ValueError: an argument is out of range, a budget comes without delta, or nothing is there to share.

    Example:
        >>> from accountants.events import Gaussian
        >>> ledger = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
        >>> charge = ledger.charge(Gaussian(sigma=20), where="histogram", count=10)
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
        shared: bool = False,
    ) -> None:
        stated: dict[str, object] = {"adjacency": adjacency, "epsilon": epsilon, "delta": delta}
        stated |= {"unit": unit, "n": n, "note": note}
        stated["sampler"] = sampler.to_dict() if isinstance(sampler, Sampler) else sampler
        stated["filter"] = EVERY_KIND if shared else None
        self._begin(Book(Header.from_dict(stated).to_dict()))

    def _begin(self, book: Book) -> None:
        self._book = book
        self._note_process()
        self._file: BoundFile | None = None
        self._filed: set[str] = set()  # the heads that this ledger had when it was read or saved

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        adjacency: str | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        unit: str | None = None,
        n: int | None = None,
        note: str | None = None,
    ) -> "Ledger":
        """The ledger in a file, bound to it, for any number of programs that work with one set of records.

        Creates the file if there is none. Otherwise whatever is stated here must agree with the file, and what is None is taken
        over from it. With epsilon the budget takes releases of every kind (`shared`). A copy of the file is another ledger,
        which holds the whole budget again.

        Args:
            path: in a folder that exists, on a file system with locks.
            adjacency: needed for a new file.
            epsilon: budget in nats.
            delta: failure mass of the budget.
            unit: what one record is; "training-record" for a new file by default.
            n: public number of records.
            note: free text.

        Raises:
            LedgerError: the file is damaged or no ledger, or says something else than is stated here.
            UnsupportedEvent: the file holds an event that is unknown.
            ValueError: an argument is out of range, or a new file lacks adjacency.
            OSError: the file or its folder cannot be read or written.

        Example:
            >>> import tempfile
            >>> from accountants.events import Gaussian, GNMax
            >>> path = tempfile.mkdtemp() + "/budget.json"
            >>> mine = Ledger.open(path, adjacency="replace-one", epsilon=3.0, delta=1e-6, n=60_000)
            >>> charge = mine.charge(GNMax(sigma=60), where="votes", count=500)
            >>> other = Ledger.open(path)          # in another program
            >>> charge = other.charge(Gaussian(sigma=1.5).poisson(q=0.002) * 1000, where="training")
            >>> mine.refresh()
            >>> [charge.where for charge in mine.charges]
            ['votes', 'training']
        """
        path = Path(path).resolve()
        stated = {"adjacency": adjacency, "epsilon": epsilon, "delta": delta, "unit": unit, "n": n, "note": note}
        with locked(path):
            if os.path.lexists(path):
                ledger = cls.read(path)
                require_agreement(path.name, ledger._book.written, stated)
            else:
                if adjacency is None:
                    raise ValueError(
                        f"{shown(path.name)} does not exist, and a new ledger needs adjacency=, for example 'replace-one'"
                    )
                named = {name: value for name, value in stated.items() if value is not None}
                ledger = cls(**named, shared=epsilon is not None)
                write_document(path, ledger.to_dict())
            ledger._file = BoundFile(path)
            ledger._file.settle()
        _BOUND.add(ledger)
        return ledger

    @property
    def path(self) -> Path | None:
        """The file that the ledger is bound to, or None."""
        return None if self._file is None else self._file.path

    def charge(self, event: Event, *, where: str = "", count: int = 1) -> Charge:
        """Append an event, or refuse it and change nothing.

        Args:
            event: what is about to be done.
            where: the place in the program, for people.
            count: how often, >= 0.

        Returns:
            The entry. Charges of this ledger with another `index` are not this one; those with a smaller one came before it.

        Raises:
            BudgetExceeded: the total would cost more than the budget, or the check that the first charge has fixed
                cannot count the event.
            LedgerError: a forked process charges a ledger without a file; or the file is damaged, gone or locked for long.
            AdjacencyError: the event is not stated for the ledger's adjacency.
            UnsupportedEvent: no accountant can bound the event, or no ledger could be read that holds it.
            ValueError: count is out of range, or `where` is too long.
            OSError: the file cannot be written.
        """
        where = as_text(where=where)
        require_adjacency(event, self.adjacency)
        count = check.as_int(count=count, at_least=0)
        if count != 1:
            event = Repeat(count, event)
        added = distinct(event, adjacency=self.adjacency)
        written = event.to_dict()
        event = from_dict(written)  # as it will be read back: without private votes, and refused if it cannot be
        if self._file is not None:
            with self._lock:
                self._book.account.after(added)  # while the file is free for others; what it computes is remembered
        with self._writing() as book:
            standing = book.account.admitted(added, event)
            record = self._written("events", {"time": now(), "event": written, "where": where})
            charge = Charge(event, where, str(record["time"]), len(book.entries))
            book.account.count(added, standing)  # before the entry, so that an interruption in between over-counts
            self._append("events", record, charge)
            return charge

    def require_room(self, event: Event) -> None:
        """Refuse what `charge` would refuse, and change nothing: for a plan of several charges, before the first of them.

        Others may charge in the meantime, so that a charge of the plan can still be refused.

        Raises:
            BudgetExceeded, AdjacencyError, UnsupportedEvent, ValueError: as for `charge`.
        """
        require_adjacency(event, self.adjacency)
        added = distinct(event, adjacency=self.adjacency)
        self.refresh()
        with self._lock:
            self._book.account.admitted(added, event)

    def claim(self, epsilon: float, delta: float, accountant: str) -> None:
        """Append a claimed guarantee, which `audit` will check against everything in the ledger.

        Args:
            epsilon: claimed guarantee, nats, >= 0; may be infinite.
            delta: claimed failure mass, in [0, 1).
            accountant: who computed it.

        Raises:
            LedgerError: as for `charge`.
            ValueError: an argument is out of range.
            OSError: the file cannot be written.
        """
        stored: float | str = "inf" if epsilon == math.inf else check.as_float(epsilon=epsilon, at_least=0.0)
        mass = check.as_float(delta=delta, at_least=0.0, below=1.0)
        content = {"time": now(), "epsilon": stored, "delta": mass, "accountant": as_text(accountant=accountant)}
        with self._writing():
            record = self._written("claims", content)
            self._append("claims", record, claim_of(record))

    def disclose(self, text: str) -> None:
        """Append something that a reader of the guarantee must know, such as seeded noise.

        Raises:
            LedgerError: as for `charge`.
            ValueError: the text is too long.
            OSError: the file cannot be written.
        """
        text = as_text(text=text)
        with self._writing():
            self._append("disclosed", self._written("disclosed", {"time": now(), "text": text}), text)

    def refresh(self) -> None:
        """Take over what other programs have appended to the file; nothing for a ledger without one.

        Raises:
            LedgerError: the file is damaged or gone.
            OSError: the file cannot be read.
        """
        if self._file is not None:
            with self._writing():
                pass

    def snapshot(self) -> "Ledger":
        """A ledger of its own with what is charged and disclosed here so far, without budget, claims and file.

        A certificate of everything so far is stated from it, and stays provable when more is charged here later.
        """
        fresh = Ledger(
            adjacency=str(self.adjacency.value),
            delta=self.delta,
            unit=self.unit,
            n=self.n,
            note=self.note,
            sampler=self.sampler,
        )
        with self._lock:
            charges, disclosed = self.charges, self.disclosed
        for charge in charges:
            fresh.charge(charge.event, where=charge.where)
        for text in disclosed:
            fresh.disclose(text)
        return fresh

    def save(self, path: str | Path) -> None:
        """Write the file; a crash leaves the old file or the new one, never a mixture.

        A file that somebody else has continued since this ledger was read (or last saved) is not overwritten. A ledger that is
        bound to a file lies there already; elsewhere it leaves a copy to look at, which is another ledger to charge.

        Raises:
            LedgerError: the file holds charges that this ledger does not know, or the ledger is too large for a file;
                nothing was written.
            OSError: the folder cannot be written, or its file system has no locks.
        """
        path = Path(path).resolve()
        if path == self.path:
            self.refresh()
            return
        with self._lock, locked(path):
            require_no_other_heir(path, self._book.written, self._filed)
            write_document(path, self._book.to_dict())
            self._filed.add(self._book.head)

    @classmethod
    def read(cls, path: str | Path) -> "Ledger":
        """The ledger in a file, every link of its chain checked.

        Fields that this version does not know are kept, and are covered by the chain; unknown events are refused.

        Reading is for looking, and for ONE program that goes on charging. Two that charge what they read from the same
        file would each spend the whole budget; `save` refuses the second one, but its noise is out by then. `open` is for
        programs that share a file.

        Raises:
            LedgerError: the file is damaged, edited or no ledger; the entry is named.
            UnsupportedEvent: an event is unknown; it is named.
            AdjacencyError: an event is not stated for the ledger's adjacency.
            OSError: the file cannot be read.
        """
        ledger = cls.__new__(cls)
        ledger._begin(Book.of(read_document(path), name=Path(path).name))
        ledger._filed.add(ledger._book.head)
        return ledger

    @contextmanager
    def _writing(self) -> Iterator[Book]:
        """The content, locked against threads and programs, with everything that others have appended.

        The lock comes before the look at the file: what was read without it may be out of date when the entry is written.
        """
        if self._file is None:
            self._require_own_process()
            with self._changing():
                yield self._book
            return
        with self._changing(), locked(self._file.path):
            news = self._file.news()
            if news is not None:
                self._book.take_over(news, name=self._file.path.name)
                self._file.settle()
            yield self._book

    def _written(self, name: str, content: Mapping[str, object]) -> dict[str, object]:
        """The record of a new entry, which lies in the file if there is one; `_append` makes it known here."""
        record = link(content, index=len(self._book.entries), previous=self._book.head)
        if self._file is not None:
            write_document(self._file.path, self._book.to_dict((name, record)))
        return record

    def _append(self, name: str, record: dict[str, object], value: Charge | Claim | str) -> None:
        self._book.entries.append(Entry(name, record, value))
        if self._file is not None:
            self._file.settle()  # not earlier: after an interruption the entry is taken over from the file


_BOUND: weakref.WeakSet[Ledger] = weakref.WeakSet()


def _free_locks() -> None:
    """Replace the locks in a forked process, because one that another thread held at the fork would never be released."""
    for ledger in _BOUND:
        ledger._free()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_locks)
