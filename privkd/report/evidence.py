"""From a transcription to a release in a report: its claim is proven again before it is shown."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from accountants import Ledger, audit
from accountants.events import distinct
from privkd.certificates.certificate import Certificate
from privkd.errors import PrivkdError
from privkd.plain import as_read
from privkd.report.attacks import attack_on
from privkd.report.study import Release

if TYPE_CHECKING:
    from privkd.transcription import Transcription

_PROVEN = {"PASS", "PASS-LOOSE"}


def release_of(name: str, transcription: Transcription) -> Release:
    """A release of a report from a transcription, verified.

    Args:
        name: its folder, relative to the report.
        transcription: as made or as loaded.

    Returns:
        The release; with a `problem` where the certificate does not follow from the ledger.
    """
    return proven(name, transcription.method, transcription.certificate, transcription.ledger)


def proven(name: str, method: str, certificate: Certificate, ledger: Ledger, *, remark: str = "") -> Release:
    """A release from its certificate and ledger, whose claim was recomputed.

    Args:
        name: its folder.
        method: how it was made.
        certificate: tied to the ledger.
        ledger: what was charged.
        remark: what was not checked, added to the verdict.
    """
    verified, attack = "", None
    try:
        verified = f"{certificate.verify()}{remark}"
        problem = _objection(ledger)
        attack = None if problem else attack_on(certificate, ledger)
    except PrivkdError as error:
        problem = f"{type(error).__name__}: {error}"
    return Release(
        name=name,
        method=method,
        certificate=as_read(certificate.to_dict()),
        charges=_charges(ledger),
        digest=ledger.digest,
        verified="" if problem else verified,
        problem=problem,
        attack=attack,
        ceiling=None if problem else certificate.ceiling,
    )


def _objection(ledger: Ledger) -> str:
    """What `privkd audit` has against a ledger whose certificate holds: a false claim, a leak, events that were others."""
    found = audit(ledger)
    return "; ".join(found.errors or (verdict.reason for verdict in found.verdicts if verdict.status not in _PROVEN))


def _charges(ledger: Ledger) -> tuple[dict[str, Any], ...]:
    """The ledger's entries, equal ones merged: a data-free run charges every round."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for charge in ledger.charges:
        for event, count in distinct(charge.event).items():
            row = counts[str(event), charge.where]
            row[0] += count
            row[1] += 1
    return tuple(
        {"event": event, "count": count, "entries": entries, "where": where}
        for (event, where), (count, entries) in counts.items()
    )
