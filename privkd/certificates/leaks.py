"""Leaks: private quantities that left the accounting, as ledgers disclose them, and the guarantees that they end."""

from __future__ import annotations

from accountants import Ledger
from accountants.ledger.disclosures import Kind, disclosed_leaks, disclosures
from privkd.certificates.guarantee import Guarantee
from privkd.certificates.issuance import require_issued
from privkd.certificates.scopes import Scope
from privkd.errors import GuaranteeError


def leaks_of(ledger: Ledger) -> tuple[str, ...]:
    """What a ledger discloses as leaks, in words; each once."""
    return tuple(dict.fromkeys(leak.text for leak in disclosures(ledger, Kind.LEAK)))


def later_leaks(stated: Guarantee, ledger: Ledger) -> tuple[str, ...]:
    """The leaks that a ledger disclosed after a guarantee was stated from it, which would have scope `none` and name them."""
    return tuple(leak for leak in leaks_of(ledger) if stated.scope is not Scope.NONE or leak not in stated.leaks)


def carry_leaks(source: Ledger, target: Ledger) -> None:
    """Disclose in one ledger, word by word, every leak of another that the first does not disclose yet."""
    for text in disclosed_leaks(source):
        if text not in target.disclosed:
            target.disclose(text)


def require_current(certificate: Guarantee) -> Ledger:
    """The ledger of a certificate that was not changed, and knows as much of leaks as its ledger.

    Raises:
        GuaranteeError: the ledger disclosed a leak later.
        CertificateError: it was not issued with its ledger, or was changed.
    """
    ledger = require_issued(certificate)
    later = later_leaks(certificate, ledger)
    if later:
        raise GuaranteeError(
            f"the ledger disclosed a leak after this certificate was issued, which ends it: {'; '.join(later)}. "
            "certificate.after() says so in a new one"
        )
    return ledger


def require_no_leaks(certificate: Guarantee) -> Ledger:
    """The ledger of a certificate that has no leaks, neither named nor disclosed later: only then another one follows.

    Raises:
        GuaranteeError: there are leaks.
    """
    ledger = require_current(certificate)
    if certificate.leaks:
        raise GuaranteeError(f"a guarantee with leaks implies nothing else: {'; '.join(certificate.leaks)}")
    return ledger
