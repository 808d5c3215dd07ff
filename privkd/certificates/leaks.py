"""Leaks: private quantities that left the accounting, as ledgers disclose them, and the guarantees that they end."""

from __future__ import annotations

from collections.abc import Collection

from accountants import Ledger
from accountants.ledger.disclosures import Kind, disclosed_leaks, disclosures
from privkd.certificates.guarantee import Guarantee
from privkd.certificates.issuance import require_issued
from privkd.certificates.scopes import Scope
from privkd.errors import GuaranteeError


def leaks_of(ledger: Ledger) -> tuple[str, ...]:
    """What a ledger discloses as leaks, in words; each once."""
    return tuple(dict.fromkeys(leak.text for leak in disclosures(ledger, Kind.LEAK)))


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


def require_current(certificate: Guarantee) -> None:
    """Refuse to infer anything from a certificate that was changed, or knows less of leaks than its ledger.

    Raises:
        GuaranteeError: the ledger disclosed a leak later.
        CertificateError: it was not issued with its ledger, or was changed.
    """
    ledger = require_issued(certificate)
    later = later_leaks(ledger, scope=certificate.scope, named=certificate.leaks)
    if later:
        raise GuaranteeError(
            f"the ledger disclosed a leak after this certificate was issued, which ends it: {'; '.join(later)}. "
            "certificate.after() says so in a new one"
        )


def require_no_leaks(certificate: Guarantee) -> None:
    """Refuse to infer another guarantee from one with leaks, named or disclosed later.

    Raises:
        GuaranteeError: there are leaks.
    """
    require_current(certificate)
    if certificate.leaks:
        raise GuaranteeError(f"a guarantee with leaks implies nothing else: {'; '.join(certificate.leaks)}")
