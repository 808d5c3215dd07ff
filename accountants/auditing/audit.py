"""Re-verification of the claims in a ledger: nothing that the ledger says about itself is believed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from accountants import check
from accountants.auditing.flags import flags_of
from accountants.auditing.loader import disagreements, remarks
from accountants.auditing.opinions.opinion import OUTSIDERS, Opinion, ask
from accountants.bound import Bound, round_down, round_up
from accountants.composition.epsilon import epsilon_of_parts
from accountants.composition.table import METHODS
from accountants.errors import PrivkdError
from accountants.events import normal_form
from accountants.ledger.disclosures import disclosed_leaks
from accountants.ledger.entries import Claim
from accountants.ledger.ledger import Ledger

_LOOSE = 1.05
_NARROWER = 0.1  # width of the second attempt at an open claim, relative to the first
_MOST_DELTAS = 64  # different deltas of claims that are judged; each needs compositions of its own
_EXIT_CODES = {
    "INTERNAL-ERROR": 3,
    "UNSUPPORTED": 3,
    "FAIL": 1,
    "ERROR": 1,
    "UNPROVEN": 2,
    "PASS-LOOSE": 0,
    "PASS": 0,
}
_SEVERITY = (3, 1, 2, 0)  # an unusable audit before a proven lie before an open question


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement of one claim.

    Attributes:
        claim: the claim, read as one about everything in the ledger.
        status: PASS (proven), PASS-LOOSE (proven, but not shown to be within 5 % of the truth), FAIL (proven
            false), ERROR (void: the events are not those of the data loader, or a leak is disclosed), UNPROVEN (neither),
            UNSUPPORTED (no accountant applies, or claims at too many deltas) or INTERNAL-ERROR (two accountants contradict).
        bound: recomputed epsilon at the claim's delta, by the tightest accountant; None if there is none.
        others: the same by every other accountant that applies; they share no numerics with it.
        opinions: what outside accountants say about `bound`.
        excess: by how much a PASS-LOOSE claim exceeds what is proven necessary, relative; None if that is not known.
        reason: one sentence for people.
    """

    claim: Claim
    status: str
    bound: Bound | None
    others: tuple[Bound, ...]
    opinions: tuple[Opinion, ...]
    excess: float | None
    reason: str

    def to_dict(self) -> dict[str, object]:
        """The verdict as JSON-able data."""
        return {
            "epsilon": self.claim.epsilon if math.isfinite(self.claim.epsilon) else "inf",
            "delta": self.claim.delta,
            "accountant": self.claim.accountant,
            "status": self.status,
            "bound": self.bound.to_dict() if self.bound else None,
            "others": [bound.to_dict() for bound in self.others],
            "opinions": [opinion.to_dict() for opinion in self.opinions],
            "excess": self.excess,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        status = self.status if self.excess is None else f"{self.status}({100.0 * self.excess:.0f} %)"
        return f"{status}: epsilon={self.claim.epsilon:g} at delta={self.claim.delta:g}; {self.reason}"


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The outcome of an audit.

    Attributes:
        verdicts: one per claim, in order.
        errors: what makes every claim void: events that understate what the data loader did, and disclosed leaks.
        flags: what a reader should know beside the verdicts.
        digest: head of the audited ledger; compare it with the one that was published.
    """

    verdicts: tuple[Verdict, ...]
    errors: tuple[str, ...]
    flags: tuple[str, ...]
    digest: str

    @property
    def exit_code(self) -> int:
        """0: all claims are proven; 1: one is false or void; 2: one is unproven or there is none; 3: one cannot be judged."""
        codes = {_EXIT_CODES[verdict.status] for verdict in self.verdicts} or {2}
        codes |= {_EXIT_CODES["ERROR"]} if self.errors else set()
        return next(code for code in _SEVERITY if code in codes)

    def to_dict(self) -> dict[str, object]:
        """The report as JSON-able data."""
        return {
            "exit_code": self.exit_code,
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "errors": list(self.errors),
            "flags": list(self.flags),
            "digest": self.digest,
        }

    def __str__(self) -> str:
        lines = [
            *map(str, self.verdicts),
            *(f"opinion: {opinion}" for verdict in self.verdicts for opinion in verdict.opinions),
            *(f"error: {error}" for error in self.errors),
            *(f"flag: {flag}" for flag in self.flags),
            f"digest: {self.digest}",
        ]
        return "\n".join(lines)


def audit(ledger: Ledger, *, opinions: Sequence[str] = ()) -> AuditReport:
    """Recompute the cost of a ledger and judge every claim in it.

    Each claim is read as one about all events of the ledger, also about those charged after it: a claim cannot be saved
    by writing it down early. It is judged by the tightest accountant that applies; every other one that applies must
    give an interval that shares a point with it. If the ledger states how its data loader drew batches, the events must
    say the same. If it discloses a leak, no event covers what was released, and no claim holds.

    Args:
        ledger: as read or as built; `Ledger.read` has already checked its chain.
        opinions: outside accountants to ask as well, "prv-accountant" or "dp-accounting", where they are installed and
            known to be right. One that contradicts is flagged; two that contradict on the same side are an
            INTERNAL-ERROR.

    Returns:
        Verdicts, flags and an exit code.

    Raises:
        TypeError: `ledger` is no ledger.
        ValueError: a name in `opinions` is unknown.

    Example:
        >>> from accountants.events import Gaussian
        >>> ledger = Ledger(adjacency="add-remove", n=60_000)
        >>> charge = ledger.charge(Gaussian(sigma=1))
        >>> ledger.claim(4.0, 1e-5, "wishful thinking")
        >>> print(audit(ledger).verdicts[0])
        FAIL: epsilon=4 at delta=1e-05; proven false: the truth is at least 4.3771
    """
    if not isinstance(ledger, Ledger):
        raise TypeError(f"{check.given('ledger', ledger)} must be a Ledger; Ledger.read(path) reads one from a file")
    unknown = [name for name in opinions if name not in OUTSIDERS]
    if isinstance(opinions, str) or unknown:
        raise ValueError(f"opinions={opinions!r} must be a list of names out of {', '.join(OUTSIDERS)}")
    understated, differences = disagreements(ledger.sampler, ledger.events, n=ledger.n)
    leaked = [f"leak disclosed, which no event covers: {text[:200]!r}" for text in disclosed_leaks(ledger)]
    void = "a leak is disclosed" if leaked else "the events are not what the loader did" if understated else None
    costs = _costs_of(ledger, tuple(opinions))
    verdicts = tuple(_verdict(claim, costs[claim.delta], void=void) for claim in ledger.claims)
    flags = [*flags_of(ledger), *(f"count mismatch: {text}" for text in differences)]
    if ledger.sampler is not None:
        flags += remarks(ledger.sampler, ledger.events, n=ledger.n)
    asked = [opinion for cost in costs.values() if isinstance(cost, _Costs) for opinion in cost.opinions]
    flags += [str(opinion) for opinion in asked if opinion.finding == "contradicts"]
    return AuditReport(verdicts, (*leaked, *understated), tuple(dict.fromkeys(flags)), ledger.digest)


class _Costs:
    """What all events cost at one delta, by every accountant that applies; claims at the same delta share it."""

    def __init__(self, ledger: Ledger, delta: float, names: tuple[str, ...]) -> None:
        self._parts = normal_form(ledger.total, adjacency=ledger.adjacency)
        self._adjacency, self._floor, self._delta = ledger.adjacency, ledger.floor, delta
        self.bound = self._epsilon()
        self.others = self._by_others()
        self.opinions = tuple(ask(name, self._parts, delta, ledger.adjacency, self.bound) for name in names)

    @cached_property
    def narrower(self) -> Bound:
        """A second, narrower attempt at the bound, or the bound itself."""
        bound = self.bound
        if not (bound.lower > 0.0 and bound.upper < math.inf):
            return bound
        try:
            narrower = self._epsilon(width=_NARROWER * (bound.upper - bound.lower))
        except PrivkdError:
            return bound
        return narrower if narrower.upper - narrower.lower < bound.upper - bound.lower else bound

    def _epsilon(self, *, method: str = "auto", width: float | None = None) -> Bound:
        return epsilon_of_parts(self._parts, self._delta, self._adjacency, method, width, certain=self._floor)

    def _by_others(self) -> tuple[Bound, ...]:
        """Epsilon by every other accountant that applies; none at delta = 0, where all of them compute the same."""
        found = []
        for method in METHODS if self._delta > 0.0 else ():
            if method in ("auto", self.bound.method):
                continue
            try:
                other = self._epsilon(method=method)
            except PrivkdError:
                continue
            if other.method == method:
                found.append(other)
        return tuple(found)


def _costs_of(ledger: Ledger, names: tuple[str, ...]) -> dict[float, _Costs | str]:
    """The costs at every delta that is claimed, or why there are none."""
    found: dict[float, _Costs | str] = {}
    for delta in dict.fromkeys(claim.delta for claim in ledger.claims):
        if len(found) >= _MOST_DELTAS:
            found[delta] = f"not judged: only the first {_MOST_DELTAS} different deltas of a ledger are"
            continue
        try:
            found[delta] = _Costs(ledger, delta, names)
        except PrivkdError as error:
            found[delta] = f"{type(error).__name__}: {error}"
    return found


def _verdict(claim: Claim, costs: _Costs | str, *, void: str | None) -> Verdict:
    if isinstance(costs, str):
        return Verdict(claim, "UNSUPPORTED", None, (), (), None, costs)
    bound, others, opinions = costs.bound, costs.others, costs.opinions
    status, reason = _judged(claim.epsilon, bound)
    if status == "UNPROVEN":
        bound = costs.narrower
        status, reason = _judged(claim.epsilon, bound)
    excess = None
    if status == "PASS-LOOSE" and bound.lower > 0.0 and claim.epsilon < math.inf:
        excess = claim.epsilon / bound.lower - 1.0
    contradiction = _contradiction(bound, others, opinions)
    if contradiction is not None:
        status, reason, excess = "INTERNAL-ERROR", f"{contradiction}; please report this", None
    elif void is not None and status != "FAIL":
        status, reason, excess = "ERROR", f"void: {void} (by the events alone: {reason})", None
    return Verdict(claim, status, bound, others, opinions, excess, reason)


def _contradiction(bound: Bound, others: Sequence[Bound], opinions: Sequence[Opinion]) -> str | None:
    everyone = (bound, *others)
    highest = max(everyone, key=lambda found: found.lower)
    lowest = min(everyone, key=lambda found: found.upper)
    if highest.lower > lowest.upper:
        return f"{highest.method} {highest.lower!r} contradicts {lowest.method} {lowest.upper!r}"
    # One outsider may be wrong, and some are known to be; two that share nothing are hardly wrong on the same side.
    said = [opinion for opinion in opinions if opinion.finding == "contradicts"]
    above = [opinion for opinion in said if opinion.lower is not None and opinion.lower > bound.upper]
    below = [opinion for opinion in said if opinion.upper is not None and opinion.upper < bound.lower]
    if max(len(above), len(below)) >= 2:
        return f"{' and '.join(opinion.source for opinion in opinions)} contradict {bound}"
    return None


def _judged(claimed: float, bound: Bound) -> tuple[str, str]:
    """Status and reason of a claimed epsilon, by the bound alone."""
    if claimed < bound.lower:
        return "FAIL", f"proven false: the truth is at least {round_down(bound.lower)}"
    if claimed < bound.upper:
        return "UNPROVEN", f"the truth lies in {bound}"
    if claimed <= _LOOSE * bound.lower or claimed == bound.upper == bound.lower:
        return "PASS", f"proven: {bound}"
    if claimed == math.inf:
        return "PASS-LOOSE", f"an infinite epsilon claims nothing; the truth lies in {bound}"
    if bound.lower == 0.0:
        return "PASS-LOOSE", f"proven: at most {round_up(bound.upper)} ({bound.method}); how tight is not known"
    return "PASS-LOOSE", f"proven, and {100.0 * (claimed / bound.lower - 1.0):.0f} % more than needed: {bound}"
