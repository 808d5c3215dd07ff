"""What a reader of a ledger should know beside the verdicts on its claims.

Disclosures are free text; some words in them have a meaning here, so that a program can say what no event shows:

- "seed": noise that somebody can draw again.
- "hyper-parameter search" or "tuning": settings were chosen by trying them on private data. Answered by a charge whose
  `where` names the search.
- "adaptive": noise, rates or a stopping time were chosen after noisy answers were seen. Answered by a budget.
- "leak:" at the beginning: private quantities were released outside the accounting. No flag, an error: no claim holds.
- "opacus", here, in a claim or in the `where` of a charge: per-sample gradients of a library whose ghost norms are too small
  for convolutions on inputs that are not contiguous. Answered by the words "layout guard" in the same text.
- "data-dependent": a cost was computed from private data. Answered by a disclosure that names smooth sensitivity.
"""

import re

from accountants.bound import round_up
from accountants.ledger.disclosures import read
from accountants.ledger.ledger import Ledger

_SEED = re.compile(r"\bseed", re.IGNORECASE)
_SEARCH = re.compile(r"hyper-?parameter|\btuning|\bsearch", re.IGNORECASE)
_ADAPTIVE = re.compile(r"\badaptiv", re.IGNORECASE)
_DATA_DEPENDENT = re.compile(r"data[- ]dependent", re.IGNORECASE)
_SMOOTH = re.compile(r"smooth sensitivity", re.IGNORECASE)
_UNGUARDED = re.compile(r"^(?!.*layout guard).*\bopacus\b", re.IGNORECASE | re.DOTALL)
_LABEL = re.compile(r"\blabel\b", re.IGNORECASE)


def flags_of(ledger: Ledger) -> list[str]:
    """The flags of a ledger, one sentence each."""
    flags = [] if ledger.claims else ["no claim: there is nothing to judge"]
    flags.extend(_about_delta(ledger))
    flags.extend(_about_the_unit(ledger))
    spent = 0.0 if ledger.budget is None else ledger.epsilon().upper
    if ledger.budget is not None and spent > ledger.budget:
        flags.append(f"over budget: {round_up(spent)} spent of {ledger.budget:g}")
    flags.extend(_about_disclosures(ledger))
    return flags


def _about_delta(ledger: Ledger) -> list[str]:
    deltas = {claim.delta for claim in ledger.claims} | ({ledger.delta} if ledger.delta is not None else set())
    if ledger.n is None:
        return ["n is not stated, so delta cannot be compared with 1/n"] if deltas else []
    return [
        f"delta={delta:g} is not below 1/n={1.0 / ledger.n:g}: it allows publishing a whole record"
        for delta in sorted(deltas)
        if delta * ledger.n >= 1.0
    ]


def _about_the_unit(ledger: Ledger) -> list[str]:
    flags, sampler = [], ledger.sampler
    if sampler is not None and sampler.unit is not None and sampler.unit != ledger.unit:
        flags.append(f"unit mismatch: the loader draws {sampler.unit!r}, the ledger is about {ledger.unit!r}")
    if sampler is not None and None not in (sampler.n, ledger.n) and sampler.n != ledger.n:
        flags.append(f"size mismatch: the loader draws from n={sampler.n}, the ledger is about n={ledger.n}")
    if _LABEL.search(ledger.unit) and ledger.adjacency != "replace-one":
        flags.append(f"unit mismatch: a label is replaced, not {ledger.adjacency}; state the ledger for replace-one")
    return flags


def _about_disclosures(ledger: Ledger) -> list[str]:
    # What a certificate assumes is no remark about the noise.
    flags, disclosed = [], [text for text in ledger.disclosed if read(text).charges is None]
    searched = any(_SEARCH.search(charge.where) for charge in ledger.charges)
    smooth = any(_SMOOTH.search(text) for text in disclosed)
    for text in disclosed:
        shown = f"({text[:80]!r})"
        if _SEED.search(text):
            flags.append(f"seeded noise disclosed: whoever knows the seed can remove the noise {shown}")
        if _SEARCH.search(text) and not searched:
            flags.append(f"private hyper-parameter search disclosed, but no charge names it in `where` {shown}")
    adaptive = next((text for text in disclosed if _ADAPTIVE.search(text)), None)
    if adaptive is not None:
        flags.extend(_about_adaptive_choices(ledger, f"({adaptive[:80]!r})"))
    sources = [*disclosed, *(claim.accountant for claim in ledger.claims)]
    for text in dict.fromkeys((*sources, *(charge.where for charge in ledger.charges))):
        if _UNGUARDED.match(text):
            flags.append(
                "gradients of opacus without a layout guard: up to version 1.6.0 its ghost norms are too small for convolutions on "
                f"inputs that are not contiguous (channels-last, transposed), so that epsilon may be too small ({text[:80]!r})"
            )
    raw = next((text for text in sources if _DATA_DEPENDENT.search(text)), None)
    if raw is not None and not smooth:
        flags.append(
            "data-dependent cost disclosed raw: it is computed from private data; release it through smooth "
            f"sensitivity, or publish the data-independent cost ({raw[:80]!r})"
        )
    return flags


def _about_adaptive_choices(ledger: Ledger, shown: str) -> list[str]:
    if ledger.budget is None:
        return [f"adaptive choices without a filter: a ledger without a budget proves nothing about them {shown}"]
    below = dict.fromkeys(claim.epsilon for claim in ledger.claims if claim.epsilon < ledger.budget)
    return [
        f"adaptive choices: only the budget {ledger.budget:g} is proven for them, not epsilon={epsilon:g} {shown}"
        for epsilon in below
    ]
