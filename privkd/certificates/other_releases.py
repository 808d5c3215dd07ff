"""Everything else that is released from the same private data: the ledger that counts it, and what a certificate says about it."""

from __future__ import annotations

from collections.abc import Sequence

from accountants import Ledger
from privkd.certificates.scopes import rounded_up


def about_others(shared: Sequence[Ledger], mine: int, delta: float, *, what: str = "these records") -> str:
    """The condition on other releases, after this one was charged.

    What others have charged is counted after the own charge: of releases at the same time, at most one says that it is alone.

    Args:
        shared: the ledgers that count all releases from the same data; none if there is no such ledger.
        mine: how many of their charges this release made.
        delta: at which the releases together are stated where a ledger has no budget.
        what: the data, for the sentence.
    """
    alone = f"no other release is made from {what}, before or after (several compose)"
    for ledger in shared:
        ledger.refresh()
    counting = [ledger for ledger in shared if len(ledger.charges) > mine or ledger.budget is not None]
    if not counting:
        return alone
    return f"{alone} but those in their common ledger ({'; '.join(_together(ledger, delta) for ledger in counting)})"


def _together(ledger: Ledger, delta: float) -> str:
    if ledger.budget is not None and ledger.delta is not None:
        return (
            f"which keeps all of them together within epsilon = {rounded_up(ledger.budget)} at delta = "
            f"{rounded_up(ledger.delta)}, whatever is asked later"
        )
    fixed = f"all of them so far together: epsilon <= {rounded_up(ledger.epsilon(delta).upper)} at the same delta"
    adaptive = ledger.adaptive_epsilon(delta)
    return f"{fixed} if their kinds and sizes were fixed in advance, and <= {rounded_up(adaptive)} however they were chosen"


def require_ledger(ledger: Ledger, *, adjacency: str, unit: str, n: int | None) -> Ledger:
    """A ledger that may count releases of these private data.

    Raises:
        TypeError: no ledger.
        ValueError: it counts something else.
    """
    if not isinstance(ledger, Ledger):
        raise TypeError(
            f"ledger is {type(ledger).__name__}; give an accountants.Ledger, for example Ledger.open(path, ...)"
        )
    for name, found, wanted in (("adjacency", str(ledger.adjacency.value), adjacency), ("unit", ledger.unit, unit)):
        if found != wanted:
            raise ValueError(
                f"the ledger has {name}={found!r}, these releases need {name}={wanted!r}; open another ledger"
            )
    if ledger.n not in (None, n):
        raise ValueError(f"the ledger is for n={ledger.n} records, there are {n}; open a ledger for these records")
    return ledger
