"""Leaks: private quantities that left the accounting, as ledgers disclose them, and the guarantees that they end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from accountants import Ledger
from accountants.auditing.flags import disclosed_leaks
from privkd.certificates.issuance import require_issued
from privkd.certificates.scopes import Scope
from privkd.errors import GuaranteeError

NOTE = "note: "
"""How a disclosure begins that readers of a certificate are told and that takes nothing from it, such as a noisy count."""

LEAK = "leak: "
"""How a disclosure begins that no guarantee survives: a private quantity left the accounting."""


def leaks_of(ledger: Ledger) -> tuple[str, ...]:
    """What a ledger discloses as leaks, in words; each once."""
    return tuple(dict.fromkeys(text.partition(":")[2].strip() for text in disclosed_leaks(ledger)))


def notes_of(ledger: Ledger | None) -> tuple[str, ...]:
    """What a ledger discloses for the readers of its certificates, in words; each once."""
    disclosed = () if ledger is None else ledger.disclosed
    return tuple(dict.fromkeys(text.removeprefix(NOTE) for text in disclosed if text.startswith(NOTE)))


def later_leaks(ledger: Ledger | None, *, scope: Scope, named: Collection[str]) -> tuple[str, ...]:
    """The leaks that a ledger disclosed after a statement of this scope was made from it.

    A statement that knew of them would have scope `none` and name them.
    """
    leaks = () if ledger is None else leaks_of(ledger)
    return tuple(leak for leak in leaks if scope is not Scope.NONE or leak not in named)


def carry_leaks(source: Ledger, target: Ledger) -> None:
    """Disclose in one ledger, word by word, every leak of another that the first does not disclose yet."""
    for text in disclosed_leaks(source):
        if text not in target.disclosed:
            target.disclose(text)


def forbids_leaks(scope: Scope) -> bool:
    """Whether a guarantee of this scope is about private data as a whole, so that one leak ends it (rule 5)."""
    return scope == Scope.TEACHER or scope.startswith("training-")


def require_possible(scope: Scope, leaks: Iterable[str]) -> None:
    """Refuse a guarantee that its leaks end.

    Raises:
        GuaranteeError: scope `teacher` or `training-*`, with leaks.
    """
    leaks = tuple(leaks)
    if leaks and forbids_leaks(scope):
        raise GuaranteeError(f"scope={str(scope)!r} cannot be certified with leaks: {'; '.join(leaks)}")


def require_current(certificate: Any) -> None:
    """Refuse to infer anything from a certificate that was changed, or knows less of leaks than its ledger.

    Raises:
        GuaranteeError: the ledger disclosed a leak later.
        CertificateError: it was not issued with its ledger, or was changed.
    """
    require_issued(certificate)
    later = later_leaks(certificate.ledger, scope=certificate.scope, named=certificate.leaks)
    if later:
        raise GuaranteeError(
            f"the ledger disclosed a leak after this certificate was issued, which ends it: {'; '.join(later)}. "
            "certificate.after() says so in a new one"
        )


def require_no_leaks(certificate: Any) -> None:
    """Refuse to infer another guarantee from one with leaks, named or disclosed later.

    Raises:
        GuaranteeError: there are leaks.
    """
    require_current(certificate)
    if certificate.leaks:
        raise GuaranteeError(f"a guarantee with leaks implies nothing else: {'; '.join(certificate.leaks)}")
