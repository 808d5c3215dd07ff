"""What was stated from a ledger: its first statement is written into the chain and binds every later one.

A certificate that is issued from the same charges again can assume more than the first one, but not less, and cannot take
another basis or another number of classes. After further charges a new statement carries along what the earlier ones
assumed, since the events that they spoke of are still counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from accountants import Ledger
from accountants.check import shown
from accountants.ledger.entries import as_text
from privkd.certificates.scopes import BASES, Scope
from privkd.errors import CertificateError, GuaranteeError

SEEDED = "noise was seeded: void outside tests"
"""What a ledger discloses whose noise somebody can draw again."""

DECLARED = "declared by "
"""How the place of a charge begins that stands for a guarantee which somebody else vouches for."""

NOT_ISSUED = "it was not issued with this ledger, or was changed afterwards"
"""What is wrong with a certificate whose seal its ledger does not disclose."""

_LINE = re.compile(r"stated after (\d{1,15}) charges: (basis|classes|condition|leak) (.*)\Z", re.DOTALL)


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

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """Kind and text of everything in it."""
        return (
            ("basis", self.basis),
            ("classes", self.classes),
            *(("condition", text) for text in self.conditions),
            *(("leak", text) for text in self.leaks),
        )


def statement_in(ledger: Ledger, *, earlier: bool = False) -> Statement | None:
    """What was first stated from all charges of a ledger; None if nothing was.

    Args:
        ledger: of any origin.
        earlier: the latest statement from fewer charges instead.
    """
    now, found = len(ledger.charges), {}
    for text in ledger.disclosed:
        if (line := _LINE.match(text)) is not None:
            found.setdefault(int(line[1]), []).append((line[2], line[3]))
    counts = [count for count in found if (count < now if earlier else count == now)]
    return _from_lines(found[max(counts)]) if counts else None


def require_issued(certificate: Any) -> Ledger:
    """The ledger of a certificate that was issued with it: nothing is inferred from any other.

    Raises:
        CertificateError: it was changed, for example by `dataclasses.replace`, or came without a ledger.
    """
    ledger = certificate.ledger
    if ledger is None or certificate.seal not in ledger.disclosed:
        why = "it came without its ledger" if ledger is None else NOT_ISSUED
        raise CertificateError(
            f"nothing can be inferred from this certificate: {why}. Apply the rules to the certificate as it was issued"
        )
    return ledger


def require_founded(ledger: Ledger, scope: Scope, basis: str | None) -> None:
    """Refuse a scope that the ledger does not count, or that nothing is known to bound.

    Raises:
        GuaranteeError: a `training-*` scope without a basis (rule 4), or another scope than the ledger's unit.
    """
    if scope.startswith("training-") and basis not in BASES:
        raise GuaranteeError(
            f"scope={scope.value!r} needs a reason why one record has bounded influence (basis), got basis={basis!r}; "
            f"known: {', '.join(sorted(BASES))}"
        )
    if ledger.unit != scope.value:
        raise GuaranteeError(
            f"scope={scope.value!r} was asked for a ledger that counts {ledger.unit!r} events; open the ledger with "
            f"unit={scope.value!r}, or use an inference rule (weakened, in_teacher_scope)"
        )


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
        wanted = Statement(
            basis=wanted.basis,
            classes=wanted.classes,
            conditions=joined(wanted.conditions, before.conditions),
            leaks=joined(wanted.leaks, before.leaks),
        )
    texts = [f"stated after {len(ledger.charges)} charges: {kind} {text}" for kind, text in wanted.lines]
    for text in texts:
        as_text(text=text)
    for text in texts:
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


def is_seeded(ledger: Ledger) -> bool:
    """Whether a ledger discloses seeded noise; a condition that mentions the word is none."""
    return any("seeded" in text and not _LINE.match(text) for text in ledger.disclosed)


def disclose_seeded(ledger: Ledger) -> None:
    """Disclose seeded noise, once."""
    if not is_seeded(ledger):
        ledger.disclose(SEEDED)


def declared_in(ledger: Ledger) -> str:
    """Who vouches for the charges that nobody here can check, "declared by ..."; empty if there are none."""
    return "; ".join(dict.fromkeys(charge.where for charge in ledger.charges if charge.where.startswith(DECLARED)))


def _from_lines(lines: list[tuple[str, str]]) -> Statement:
    """The first basis and number of classes count; conditions and leaks add up."""
    basis = next((text for kind, text in lines if kind == "basis"), "none")
    classes = next((text for kind, text in lines if kind == "classes"), "none")
    conditions = tuple(text for kind, text in lines if kind == "condition")
    return Statement(basis, classes, conditions, tuple(text for kind, text in lines if kind == "leak"))
