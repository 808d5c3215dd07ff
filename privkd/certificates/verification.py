"""Whether a certificate follows from its ledger: everything stated, computed again."""

from __future__ import annotations

import math
from dataclasses import replace

from accountants import Adjacency, Bound, Ledger, UnsupportedEvent, group_privacy
from accountants.check import shown
from accountants.ledger.disclosures import is_seeded
from privkd.certificates.charges import DECLARED, answers_in, bound_in, declared_in, listed
from privkd.certificates.groups import Steps, by_general_rule, by_mechanisms
from privkd.certificates.guarantee import Guarantee
from privkd.certificates.issuance import NOT_ISSUED, is_issued
from privkd.certificates.leaks import later_leaks
from privkd.certificates.scopes import IMPLIED, Scope
from privkd.certificates.statement import Statement, missing, statement_in

_RELATIVE_SLACK = 1e-9


def verified(certificate: Guarantee, ledger: Ledger) -> tuple[Bound, list[str]]:
    """The bound in the certificate's own terms, and what does not follow from the ledger.

    Args:
        certificate: of any origin.
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
    if c.scope is not Scope.NONE and not c.delta < 1.0 / (ledger.n or 1):
        problems.append(f"delta={c.delta:.6g} is not below 1/n for n={ledger.n or 1}")
    problems.extend(_about_answers(c, ledger))
    problems.extend(_about_the_statement(c, ledger))
    if c.secure_rng and is_seeded(ledger):
        problems.append("the ledger discloses seeded noise, the certificate does not")
    if c.leaks and c.scope.forbids_leaks:
        problems.append(f"scope {c.scope.value!r} cannot be guaranteed with leaks: {'; '.join(c.leaks)}")
    unnamed = later_leaks(c, ledger)
    if unnamed:
        problems.append(f"the ledger discloses leaks, and the certificate speaks of a guarantee: {'; '.join(unnamed)}")
    if not is_issued(c, ledger):
        problems.append(NOT_ISSUED)
    return bound, problems


def _about_answers(c: Guarantee, ledger: Ledger) -> list[str]:
    """What a certificate says about the number of answers, and about all of them together, against the ledger."""
    problems, answers = [], answers_in(ledger)
    if c.answers != answers:
        problems.append(f"the ledger has {answers} answers, the certificate says {c.answers}")
    if c.teacher_epsilon is not None and answers is None:
        problems.append("it states a cost in scope teacher, and the ledger counts no answers")
    elif c.teacher_epsilon is not None and c.scope is Scope.SYNTHETIC_LABEL:
        composed = ledger.epsilon(c.teacher_delta)
        if not composed.upper <= c.teacher_epsilon * (1 + _RELATIVE_SLACK):
            problems.append(f"in scope teacher the events cost {composed.upper:.6g}, stated is {c.teacher_epsilon:.6g}")
    return problems


def _about_the_statement(c: Guarantee, ledger: Ledger) -> list[str]:
    """What was stated when a certificate was first issued from these charges, and is not stated any more."""
    problems, vouched, first = [], declared_in(ledger), statement_in(ledger)
    if c.n_records_declared != ledger.n:
        problems.append(f"the ledger is about n={ledger.n} records, the certificate about {c.n_records_declared}")
    if c.accountant.startswith(DECLARED) != bool(vouched) or (vouched and c.accountant != vouched):
        said, known = shown(c.accountant, 200), shown(vouched, 200) or "not declared by anybody"
        problems.append(f"the ledger's charges are {known}, the certificate says {said}")
    if first is not None:
        stated = Statement(first.basis, str(c.classes).lower(), c.conditions, c.leaks)
        problems.extend(f"when it was issued, {text}" for text in missing(first, stated))
    return problems


def _recomputed(c: Guarantee, ledger: Ledger) -> tuple[Bound, float]:
    """Epsilon and delta of the ledger in the certificate's own terms: scope, group and adjacency."""
    if c.scope.is_per_answer:
        bound = bound_in(ledger, c.scope, c.delta)[0]
        return replace(bound, upper=group_privacy(bound.upper, 0.0, c.steps)[0]), 0.0
    step = c.delta if c.step_delta is None else c.step_delta
    if c.steps == 1:
        return ledger.epsilon(step), step
    if c.step_delta is not None:
        steps = Steps(c.steps, are_alike=False)
        return by_general_rule(ledger, steps, step)
    try:
        return by_mechanisms(ledger, Steps(c.steps, are_alike=c.adjacency is ledger.adjacency), step), step
    except UnsupportedEvent:
        return Bound(0.0, math.inf, "none", {}), step
