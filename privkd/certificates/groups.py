"""What a ledger guarantees for several records together, and for the exchange of a record."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from accountants import AdjacencyError, Bound, Ledger, UnsupportedEvent, group, group_privacy
from accountants import epsilon as epsilon_of
from accountants.events import distinct
from accountants.events.person_groups import GroupSampledGaussian
from privkd.certificates.charges import declared_in
from privkd.certificates.guarantee import Guarantee
from privkd.errors import GuaranteeError

_TRIES = 20  # of the search for one step's failure mass


@dataclass(frozen=True)
class Steps:
    """How many neighbouring steps one change takes.

    Attributes:
        count: steps of the ledger's own adjacency.
        are_alike: all of them remove records, or all add them, or all replace them; not so where each removal goes with
            an addition.
    """

    count: int
    are_alike: bool


def for_steps(guarantee: Guarantee, ledger: Ledger, steps: Steps) -> dict[str, Any]:
    """The values that change in a guarantee stated for several steps: by the mechanisms, else by the general rule.

    Args:
        guarantee: for fewer steps.
        ledger: of all events.
        steps: that the change takes.

    Returns:
        At the same delta, if there is a result with it. `step_delta` is None where the mechanisms were known.

    Raises:
        GuaranteeError: delta would not lie below 1/n, or epsilon would be infinite.
    """
    if guarantee.scope.is_per_answer:  # pure, and answers add up
        return {"epsilon": group_privacy(guarantee.epsilon, 0.0, steps.count // guarantee.steps)[0]}
    bound, delta, step_delta = None, guarantee.delta, None
    with suppress(UnsupportedEvent):
        bound = by_mechanisms(ledger, steps, delta)
    if bound is None or math.isinf(bound.upper):
        step_delta = _step_delta(ledger, steps, delta)
        if step_delta is None:  # delta has to grow
            step_delta = delta if guarantee.step_delta is None else guarantee.step_delta
        bound, delta = by_general_rule(ledger, steps, step_delta)
    largest = 1.0 if ledger.n is None else 1.0 / ledger.n
    if math.isinf(bound.upper) or not delta < largest:
        raise GuaranteeError(
            f"nothing useful is proven for {steps.count} steps: epsilon would be {bound.upper:.4g} and delta "
            f"{delta:.4g}, which must lie below {'1' if ledger.n is None else f'1/n = {largest:.3g}'}. Ask for fewer "
            "records together, or certify one record at a smaller delta"
        )
    accountant = declared_in(ledger) or bound.method
    return {"epsilon": bound.upper, "delta": delta, "step_delta": step_delta, "accountant": accountant}


def by_mechanisms(ledger: Ledger, steps: Steps, delta: float) -> Bound:
    """Epsilon of the ledger's events as they look for all steps at once.

    Raises:
        UnsupportedEvent: nothing is proven for one of the events.
    """
    event = group(ledger.total, steps.count)
    if not steps.are_alike and any(isinstance(part, GroupSampledGaussian) for part in distinct(event)):
        # Its worst case is proven for records that are all removed. Half removed and half added is another pair.
        raise UnsupportedEvent("nothing is proven for sampled records of which some are removed and others added")
    try:
        bound = epsilon_of(event, delta, adjacency=ledger.adjacency)
    except AdjacencyError as error:  # of one record it is stated for this adjacency, of several it is not
        raise UnsupportedEvent(f"nothing is proven under {ledger.adjacency.value}: {error}") from error
    return bound if ledger.floor is None else replace(bound, lower=0.0)


def by_general_rule(ledger: Ledger, steps: Steps, step_delta: float) -> tuple[Bound, float]:
    """Epsilon and delta by `group_privacy`, whatever the events are."""
    bound = ledger.epsilon(step_delta)
    if math.isinf(bound.upper):
        return bound, 1.0
    epsilon, delta = group_privacy(bound.upper, step_delta, steps.count)
    return replace(bound, upper=epsilon), delta


def _step_delta(ledger: Ledger, steps: Steps, delta: float) -> float | None:
    """A failure mass of one step with which that of all of them is at most `delta`; None if none is found."""
    step = delta
    for _ in range(_TRIES):
        bound, reached = by_general_rule(ledger, steps, step)
        if math.isinf(bound.upper):
            return None
        if reached <= delta:
            return step
        step *= 0.99 * delta / reached
        if step < 1e-300:
            return None
    return None
