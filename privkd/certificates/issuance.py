"""Where certificates come from: a ledger issues one, rules infer others from it, and nothing is inferred from any other.

What was issued has its seal in the ledger. What a rule infers remembers the seal that it had when it was made, which
`dataclasses.replace` does not carry over: it counts as issued in this process, and for others once it is sealed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from accountants import Ledger
from privkd.certificates.guarantee import Guarantee
from privkd.certificates.scopes import BASES, Scope
from privkd.errors import CertificateError, GuaranteeError

Stated = TypeVar("Stated", bound=Guarantee)

NOT_ISSUED = (
    "it was not issued with this ledger, or was changed afterwards (or never sealed: sealed() does so before writing)"
)
"""What is wrong with a certificate whose seal its ledger does not disclose."""


def inferred(certificate: Stated, **changed: Any) -> Stated:
    """What a rule infers from a certificate that was issued or inferred: the same with other values; nothing is written."""
    made = replace(certificate, **changed)
    object.__setattr__(made, "_inferred", (require_issued(certificate), made.seal))
    return made


def seal(certificate: Guarantee, ledger: Ledger) -> None:
    """Write the seal of a certificate into its ledger's chain, once; whoever calls it knows that it was issued or inferred."""
    if certificate.seal not in ledger.disclosed:
        ledger.disclose(certificate.seal)


def is_issued(certificate: Guarantee, ledger: Ledger) -> bool:
    """Whether a certificate was issued with a ledger, or inferred from one that was, and says what it said then."""
    return certificate.seal in ledger.disclosed or certificate._inferred == (ledger, certificate.seal)


def require_issued(certificate: Guarantee) -> Ledger:
    """The ledger of a certificate that was issued with it: nothing is inferred from any other.

    Raises:
        CertificateError: it was changed, for example by `dataclasses.replace`, or came without a ledger.
    """
    ledger = certificate.ledger
    if ledger is None or not is_issued(certificate, ledger):
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
