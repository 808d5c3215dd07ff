"""Re-verification of the claims in a ledger: nothing that the ledger says about itself is believed."""

import math
import re
from dataclasses import dataclass

from accountants.bound import Bound, round_down, round_up
from accountants.composition import epsilon as epsilon_of
from accountants.errors import PrivkdError
from accountants.ledger.entries import Claim
from accountants.ledger.ledger import Ledger

__all__ = ["AuditReport", "Verdict", "audit"]

_LOOSE = 1.05
_EXIT_CODES = {"INTERNAL-ERROR": 3, "UNSUPPORTED": 3, "FAIL": 1, "UNPROVEN": 2, "PASS-LOOSE": 0, "PASS": 0}
_SEVERITY = (3, 1, 2, 0)  # an unusable audit before a proven lie before an open question


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the audit says about one claim.

    Attributes:
        claim: the claim, read as one about everything in the ledger.
        status: PASS (proven), PASS-LOOSE (proven, but not shown to be within 5 % of the truth), FAIL (proven
            false), UNPROVEN (neither), UNSUPPORTED (no accountant applies) or INTERNAL-ERROR (two accountants
            contradict).
        bound: recomputed epsilon at the claim's delta; None if there is none.
        renyi_upper: the same from the Rényi accountant alone, nats; None where that is no second opinion.
        reason: one sentence for people.
    """

    claim: Claim
    status: str
    bound: Bound | None
    renyi_upper: float | None
    reason: str

    def to_dict(self) -> dict[str, object]:
        """The verdict as JSON-able data."""
        return {
            "epsilon": _json_number(self.claim.epsilon),
            "delta": self.claim.delta,
            "accountant": self.claim.accountant,
            "status": self.status,
            "bound": self.bound.to_dict() if self.bound else None,
            "renyi_upper": None if self.renyi_upper is None else _json_number(self.renyi_upper),
            "reason": self.reason,
        }

    def __str__(self) -> str:
        """One line."""
        return f"{self.status}: epsilon={self.claim.epsilon:g} at delta={self.claim.delta:g}; {self.reason}"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of an audit.

    Attributes:
        verdicts: one per claim, in order.
        flags: what a reader should know beside the verdicts.
        digest: head of the audited ledger; compare it with the one that was published.
    """

    verdicts: tuple[Verdict, ...]
    flags: tuple[str, ...]
    digest: str

    @property
    def exit_code(self) -> int:
        """0 all claims proven, 1 one is false, 2 one is unproven or there is none, 3 one cannot be judged."""
        codes = {_EXIT_CODES[verdict.status] for verdict in self.verdicts} or {2}
        return next(code for code in _SEVERITY if code in codes)

    def to_dict(self) -> dict[str, object]:
        """The report as JSON-able data."""
        return {
            "exit_code": self.exit_code,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "flags": list(self.flags),
            "digest": self.digest,
        }

    def __str__(self) -> str:
        """One line per verdict and flag."""
        lines = [
            *map(str, self.verdicts),
            *(f"flag: {flag}" for flag in self.flags),
            f"digest: {self.digest}",
        ]
        return "\n".join(lines)


def audit(ledger: Ledger) -> AuditReport:
    """Recompute the cost of a ledger and judge every claim in it.

    Each claim is read as one about all events of the ledger, also about those charged after it: a claim cannot be saved
    by writing it down early. Where an exact accountant applies, its lower end is checked against the Rényi bound,
    which shares no numerics with it.

    Args:
        ledger: as read or as built; `Ledger.read` has already checked its chain.

    Returns:
        Verdicts, flags and an exit code.

    Example:
        >>> from accountants.events import Gaussian
        >>> ledger = Ledger(adjacency="add-remove", n=60_000)
        >>> ledger.charge(Gaussian(sigma=1))
        >>> ledger.claim(4.0, 1e-5, "wishful thinking")
        >>> print(audit(ledger).verdicts[0])
        FAIL: epsilon=4 at delta=1e-05; proven false: the truth is at least 4.3771
    """
    verdicts = tuple(_verdict(ledger, claim) for claim in ledger.claims)
    return AuditReport(verdicts, tuple(_flags(ledger)), ledger.digest)


def _verdict(ledger: Ledger, claim: Claim) -> Verdict:
    total, adjacency = ledger.total, ledger.adjacency
    try:
        bound = epsilon_of(total, claim.delta, adjacency=adjacency)
        renyi_upper = None
        if bound.method != "renyi" and claim.delta > 0.0:
            renyi_upper = epsilon_of(total, claim.delta, adjacency=adjacency, method="renyi").upper
    except PrivkdError as error:
        return Verdict(claim, "UNSUPPORTED", None, None, f"{type(error).__name__}: {error}")
    status, reason = _judged(claim.epsilon, bound)
    if renyi_upper is not None and bound.lower > renyi_upper:
        status, reason = (
            "INTERNAL-ERROR",
            f"exact {bound} contradicts Rényi {renyi_upper!r}; please report this",
        )
    return Verdict(claim, status, bound, renyi_upper, reason)


def _judged(claimed: float, bound: Bound) -> tuple[str, str]:
    if claimed < bound.lower:
        return "FAIL", f"proven false: the truth is at least {round_down(bound.lower)}"
    if claimed < bound.upper:
        return "UNPROVEN", f"the truth lies in {bound}"
    if claimed <= _LOOSE * bound.lower or claimed == bound.upper == bound.lower:
        return "PASS", f"proven: {bound}"
    if bound.lower == 0.0:
        return (
            "PASS-LOOSE",
            f"proven: at most {round_up(bound.upper)} ({bound.method}); how tight is not known",
        )
    if claimed == math.inf:
        return "PASS-LOOSE", f"an infinite epsilon claims nothing; the truth lies in {bound}"
    return (
        "PASS-LOOSE",
        f"proven, and {100.0 * (claimed / bound.lower - 1.0):.0f} % more than needed: {bound}",
    )


def _flags(ledger: Ledger) -> list[str]:
    flags = []
    if not ledger.claims:
        flags.append("no claim: there is nothing to judge")
    deltas = {claim.delta for claim in ledger.claims} | ({ledger.delta} if ledger.delta is not None else set())
    for delta in sorted(deltas):
        if ledger.n is not None and delta * ledger.n >= 1.0:
            flags.append(f"delta={delta:g} is not below 1/n={1.0 / ledger.n:g}: it allows publishing a whole record")
    if ledger.n is None and deltas:
        flags.append("n is not stated, so delta cannot be compared with 1/n")
    if ledger.budget is not None and ledger.remaining() == 0.0 and ledger.epsilon().upper > ledger.budget:
        flags.append(f"over budget: {round_up(ledger.epsilon().upper)} spent of {ledger.budget:g}")
    for text in ledger.disclosed:
        if re.search(r"\bseed", text, re.IGNORECASE):
            flags.append(f"seeded noise disclosed: whoever knows the seed can remove the noise ({text[:80]!r})")
    return flags


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else "inf"
