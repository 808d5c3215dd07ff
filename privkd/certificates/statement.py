"""What was stated from a ledger: its first statement is written into the chain and binds every later one.

A certificate that is issued from the same charges again can assume more than the first one, but not less, and cannot take
another basis or another number of classes. After further charges a new statement carries along what the earlier ones
assumed, since the events that they spoke of are still counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from accountants import Ledger
from accountants.check import shown
from accountants.ledger.disclosures import Disclosure, Kind, disclosures
from accountants.ledger.entries import as_text
from privkd.errors import GuaranteeError


@dataclass(frozen=True)
class Statement:
    """What a certificate rests on beside the events.

    Attributes:
        basis: why one record has bounded influence, by name; "none" where nothing is said.
        classes: number of classes as text; "none" where nothing is said.
        conditions: what must be true outside the library.
        leaks: ways in which private data reached the release outside the accounting.
    """

    basis: str
    classes: str
    conditions: tuple[str, ...] = ()
    leaks: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: Iterable[Disclosure]) -> Statement:
        """The statement that a ledger discloses; the first basis and number of classes count, conditions and leaks add up."""
        texts: dict[Kind, list[str]] = defaultdict(list)
        for disclosure in found:
            texts[disclosure.kind].append(disclosure.text)
        basis, classes = ((*texts[kind], "none")[0] for kind in (Kind.BASIS, Kind.CLASSES))
        return cls(basis, classes, tuple(texts[Kind.CONDITION]), tuple(texts[Kind.NAMED_LEAK]))

    def after(self, charges: int) -> list[Disclosure]:
        """The disclosures of this statement about a number of charges."""
        lines = [(Kind.BASIS, self.basis), (Kind.CLASSES, self.classes)]
        lines += [(Kind.CONDITION, text) for text in self.conditions]
        lines += [(Kind.NAMED_LEAK, text) for text in self.leaks]
        return [Disclosure(kind, text, charges) for kind, text in lines]


def statement_in(ledger: Ledger, *, earlier: bool = False) -> Statement | None:
    """What was first stated from all charges of a ledger; None if nothing was.

    Args:
        ledger: of any origin.
        earlier: the latest statement from fewer charges instead.
    """
    now, found = len(ledger.charges), defaultdict(list)
    for disclosure in disclosures(ledger, Kind.BASIS, Kind.CLASSES, Kind.CONDITION, Kind.NAMED_LEAK):
        found[disclosure.charges].append(disclosure)
    counts = [count for count in found if (count < now if earlier else count == now)]
    return Statement.of(found[max(counts)]) if counts else None


def record(ledger: Ledger, wanted: Statement) -> Statement:
    """Write a statement into the ledger, unless one from the same charges is there, which then binds it.

    Returns:
        The statement with everything that the ledger's earlier ones assumed.

    Raises:
        GuaranteeError: it leaves out or changes what was stated from the same charges.
        ValueError: a text is too long for a ledger.
    """
    first = statement_in(ledger)
    if first is not None:
        problems = missing(first, wanted)
        if problems:
            raise GuaranteeError(
                f"a certificate was issued from these charges before, and binds later ones: {'; '.join(problems)}. State at "
                "least what it stated, or open a new ledger for what is not in this one"
            )
        return wanted
    before = statement_in(ledger, earlier=True)
    if before is not None:
        both = {name: joined(getattr(wanted, name), getattr(before, name)) for name in ("conditions", "leaks")}
        wanted = replace(wanted, **both)
    texts = [as_text(text=disclosure.written) for disclosure in wanted.after(len(ledger.charges))]
    for text in texts:  # all of them fit, so that no half of a statement binds anybody
        ledger.disclose(text)
    return wanted


def missing(first: Statement, later: Statement) -> list[str]:
    """What a later statement from the same charges leaves out or changes."""
    return [
        *(
            f"its {name} was {shown(getattr(first, name), 80)!r}, here it is {shown(getattr(later, name), 80)!r}"
            for name in ("basis", "classes")
            if getattr(first, name) != getattr(later, name)
        ),
        *(f"it assumed '{shown(text, 200)}'" for text in first.conditions if text not in later.conditions),
        *(f"it named the leak '{shown(text, 200)}'" for text in first.leaks if text not in later.leaks),
    ]


def joined(own: Sequence[str], carried: Iterable[str]) -> tuple[str, ...]:
    """Both, each text once."""
    return tuple(dict.fromkeys((*own, *carried)))
