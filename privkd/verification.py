"""Whether a certificate follows from its ledger: everything stated, computed again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from accountants import Adjacency, Bound, Ledger, group_privacy
from privkd.charged import bound_in, listed
from privkd.leaks import forbids_leaks, later_leaks
from privkd.scopes import IMPLIED, Scope

_RELATIVE_SLACK = 1e-9


def verified(certificate: Any, ledger: Ledger) -> tuple[Bound, list[str]]:
    """The bound in the certificate's own terms, and what does not follow from the ledger.

    Args:
        certificate: a `privkd.Certificate`, or anything with its attributes.
        ledger: of its events.
    """
    c, problems = certificate, []
    units = {scope.value for scope, implied in IMPLIED.items() if c.scope in implied} | {c.scope.value}
    if Scope.TEACHER.value in units:  # answers compose to scope teacher (rule 3); epsilon below is composed
        units.add(Scope.SYNTHETIC_LABEL.value)
    if c.scope is not Scope.NONE and ledger.unit not in units:
        problems.append(f"the ledger counts {ledger.unit!r} events, the certificate speaks of {c.scope.value!r}")
    if c.steps < c.records:
        problems.append(f"{c.records} records change in {c.records} steps or more, not in {c.steps}")
    converted = c.adjacency is Adjacency.REPLACE_ONE and c.steps >= 2 * c.records
    if c.adjacency is not ledger.adjacency and not converted:
        problems.append(f"adjacency {c.adjacency.value} differs from the ledger's {ledger.adjacency.value}")
    if c.mechanisms != listed(ledger):
        problems.append("the listed mechanisms are not the ledger's events")
    bound, delta = _recomputed(c, ledger)
    if c.scope is not Scope.NONE and not bound.upper <= c.epsilon * (1 + _RELATIVE_SLACK) + 1e-12:
        problems.append(f"the events cost epsilon={bound.upper:.6g}, the certificate claims {c.epsilon:.6g}")
    if not delta <= c.delta * (1 + _RELATIVE_SLACK):
        problems.append(f"the events cost delta={delta:.6g}, the certificate claims {c.delta:.6g}")
    if c.teacher_epsilon is not None and c.scope is Scope.SYNTHETIC_LABEL:
        composed = ledger.epsilon(c.teacher_delta)
        if not composed.upper <= c.teacher_epsilon * (1 + _RELATIVE_SLACK):
            problems.append(f"in scope teacher the events cost {composed.upper:.6g}, stated is {c.teacher_epsilon:.6g}")
    if c.secure_rng and any("seeded" in text for text in ledger.disclosed):
        problems.append("the ledger discloses seeded noise, the certificate does not")
    if c.leaks and forbids_leaks(c.scope):
        problems.append(f"scope {c.scope.value!r} cannot be guaranteed with leaks: {'; '.join(c.leaks)}")
    unnamed = later_leaks(ledger, scope=c.scope, named=c.leaks)
    if unnamed:
        problems.append(f"the ledger discloses leaks, and the certificate speaks of a guarantee: {'; '.join(unnamed)}")
    return bound, problems


def _recomputed(c: Any, ledger: Ledger) -> tuple[Bound, float]:
    """Epsilon and delta of the ledger in the certificate's own terms: scope, group and adjacency."""
    if c.scope is Scope.SYNTHETIC_LABEL:
        return bound_in(ledger, c.scope, c.delta)[0], 0.0
    step = c.delta if c.step_delta is None else c.step_delta
    bound = ledger.epsilon(step)
    if c.steps == 1:
        return bound, step
    epsilon, delta = group_privacy(bound.upper, step, c.steps)
    return replace(bound, upper=epsilon), delta
