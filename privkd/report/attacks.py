"""What a guarantee means for an attacker: numbers of a trade-off curve, put into words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from privkd.certificates.scopes import IMPLIED, Scope, percent_up
from privkd.report.study import Attack

if TYPE_CHECKING:
    from accountants import Ledger
    from accountants.events import Event
    from privkd.certificates.certificate import Certificate

FALSE_ALARMS = 0.01
"""The share of wrong accusations at which an attacker's best success is stated."""

_PERSONAL = {Scope.TRAINING_RECORD, Scope.TRAINING_USER, Scope.TRAINING_LABEL, Scope.TEACHER}


def attack_on(certificate: Certificate, ledger: Ledger) -> Attack | None:
    """Ceilings on every attack that the certified release allows; None where the scope is about no private data.

    They come from the trade-off curve of the charged events. Where the certificate states them for another change than the
    ledger does (a group of records, a replaced record instead of an added one), or where the events were chosen after noisy
    answers were seen, they come from its epsilon and delta alone, which is never too low.

    Args:
        certificate: verified.
        ledger: its ledger.
    """
    from accountants import ApproxDP, PrivkdError

    if certificate.scope not in _PERSONAL:
        return None
    stated = ApproxDP(epsilon=certificate.epsilon, delta=certificate.delta)
    units = {certificate.scope, *(scope for scope, implied in IMPLIED.items() if certificate.scope in implied)}
    same = certificate.adjacency is ledger.adjacency and certificate.records == 1 and ledger.unit in units
    planned = not any("adaptiv" in text.lower() for text in ledger.disclosed)
    try:
        return _ceilings(ledger.total if same and planned else stated, str(certificate.adjacency))
    except PrivkdError:  # events whose curve nobody knows
        return _ceilings(stated, str(certificate.adjacency))


def _ceilings(event: Event, adjacency: str) -> Attack:
    from accountants.guarantees.tradeoff import tradeoff

    found = tradeoff(event, [FALSE_ALARMS], adjacency=adjacency)
    return Attack(
        even_odds=min(1.0, (1.0 + found.advantage.upper) / 2.0), false_alarms=FALSE_ALARMS, found=found.tprs[0].upper
    )


def in_words(attack: Attack, scope: str, adjacency: str, records: int) -> tuple[str, str]:
    """What the attacker is asked, and how often it answers rightly at best.

    Args:
        attack: of the release.
        scope: of its certificate.
        adjacency: of its certificate.
        records: that the certificate covers together.

    Returns:
        Two short paragraphs without symbols.

    Example:
        >>> print(in_words(Attack(even_odds=0.6586, false_alarms=0.01, found=0.0657), "training-record", "add-remove", 1)[1])
        On even odds, no attack is right in more than 65.9% of cases; a coin is right in 50%. ...
    """
    question = (
        "Imagine an attacker who has this student, knows how it was made, and knows all the rest of the private data, "
        f"and asks: {_question(scope, adjacency, records)}"
    )
    limit = (
        f"On even odds, no attack is right in more than {percent_up(attack.even_odds)} of cases; a coin is right in 50%. "
        f"If it may raise a false alarm in {_of_hundred(attack.false_alarms)} of 100 cases, it finds at most "
        f"{_of_hundred(attack.found)} of 100 true ones; a blind guess finds {_of_hundred(attack.false_alarms)}."
    )
    return question, limit


def in_short(attack: Attack) -> str:
    """The limit on one line.

    Example:
        >>> in_short(Attack(even_odds=0.6586, false_alarms=0.01, found=0.0657))
        'Best attack: right in 65.9% on even odds; 6.6 of 100 found at 1 false alarm in 100'
    """
    return (
        f"Best attack: right in {percent_up(attack.even_odds)} on even odds; {_of_hundred(attack.found)} of 100 found at "
        f"{_of_hundred(attack.false_alarms)} false alarm in 100"
    )


def _question(scope: str, adjacency: str, records: int) -> str:
    if scope == Scope.TRAINING_LABEL:
        return "which of two labels did one record have?"
    if scope == Scope.TEACHER:
        return "which of two teachers gave the answers?"
    thing, was = ("all records of one person", "were") if scope == Scope.TRAINING_USER else ("one record", "was")
    if records > 1:
        thing, was = f"a group of {records} records" if scope == Scope.TRAINING_RECORD else f"{records} persons", "was"
    if adjacency == "add-remove":
        return f"{was} {thing} among the private data, or not?"
    if adjacency == "zero-out":
        return f"{was} {thing} used, or blanked out?"
    return f"which of two candidates for {thing} was among the private data?"


def _of_hundred(share: float) -> str:
    return percent_up(share).removesuffix("%").removesuffix(".0")
