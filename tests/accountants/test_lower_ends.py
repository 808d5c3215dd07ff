"""Lower ends say what is certainly paid: no less than the other parts cost, no more than what is really published."""

import json
import math

import numpy as np
import pytest
from scipy.special import log_ndtr

from accountants import audit, delta, epsilon
from accountants.composition.choice import reason_of
from accountants.errors import ResolutionError
from accountants.events import (
    RDP,
    ZCDP,
    ApproxDP,
    Composed,
    ConfidentGNMax,
    Gaussian,
    GNMax,
    Laplace,
    PureDP,
    Repeat,
    SparseVector,
    parallel,
)
from accountants.events.serialization import MAX_DEPTH
from accountants.ledger.ledger import Ledger

RUN = Gaussian(1.1).poisson(0.01) * 1000
DELTA = 1e-5


def test_threshold_bits_have_no_lower_end_above_a_guarantee_that_they_have():
    # A guarantee of 100 bits 1{max + N(0, 1) >= T}, thresholds chosen on the way: the Rényi divergence of the worst bit.
    thresholds = np.linspace(-12.0, 13.0, 5001)
    p = log_ndtr(1.0 - thresholds), log_ndtr(thresholds - 1.0)
    q = log_ndtr(-thresholds), log_ndtr(thresholds)
    valid = math.inf
    for order in np.arange(1.05, 12.0, 0.05):
        both = [
            np.logaddexp(*(order * a + (1.0 - order) * b for a, b in zip(first, second, strict=True))).max()
            for first, second in ((p, q), (q, p))
        ]
        cost = 100.0 * max(both) / (order - 1.0)
        valid = min(valid, cost + math.log1p(-1.0 / order) - (math.log(DELTA) + math.log(order)) / (order - 1.0))
    bits = ConfidentGNMax(50.0, 1.0, 1.0, checked=100, answered=0)
    bound = epsilon(bits, DELTA)
    assert bound.lower <= valid < bound.upper
    assert delta(bits, 75.0).lower == 0.0


def test_answers_keep_their_lower_end_beside_the_tests():
    answers = epsilon(GNMax(40.0) * 400, DELTA, adjacency="replace-one")
    both = epsilon(ConfidentGNMax(200, 150, 40, 1000, 400), DELTA, adjacency="replace-one")
    assert answers.lower * (1 - 1e-12) <= both.lower <= answers.upper < both.upper
    assert ConfidentGNMax(200, 150, 40, 1000, 400).certain_part().sigma >= 2.0


CHEAP = [
    SparseVector(1e9, 1),
    ZCDP(1e-12),
    RDP((2.0,), (1e-12,)),
    ApproxDP(1e-12, 1e-15),
    Laplace(1e12),
    Gaussian(1e308).poisson(0.01),
    Gaussian(1.0).poisson(1e-300),
    ConfidentGNMax(1.0, 1e6, 1e6, 1, 0),
]


@pytest.mark.parametrize("cheap", CHEAP, ids=str)
def test_a_cheap_event_cannot_hide_a_false_claim(cheap):
    ledger = Ledger(adjacency="add-remove", n=60_000)
    ledger.charge(RUN)
    ledger.charge(cheap)
    ledger.claim(0.5, DELTA, "wish")
    verdict = audit(ledger).verdicts[0]
    alone, together = epsilon(RUN, DELTA), epsilon(RUN + cheap, DELTA)
    assert verdict.status == "FAIL"
    assert verdict.bound is not None
    assert verdict.bound.lower == pytest.approx(alone.lower, abs=0.003)
    assert alone.lower - 0.003 <= together.lower <= together.upper
    assert ledger.epsilon(DELTA).lower == verdict.bound.lower


def test_a_shuffled_part_does_not_hide_it_either_and_has_no_lower_end_itself():
    shuffled = Gaussian(1.1).shuffled(600, 60_000, epochs=10)
    assert epsilon(shuffled, DELTA, adjacency="zero-out").lower == 0.0
    both = epsilon(RUN + shuffled, DELTA, adjacency="zero-out")
    assert epsilon(RUN, DELTA).lower == pytest.approx(both.lower, abs=0.003)
    assert delta(RUN + shuffled, 1.0, adjacency="zero-out").lower > 0.0
    assert delta(shuffled, 1.0, adjacency="zero-out").lower == 0.0


def test_the_floor_keeps_what_is_certain_at_any_depth():
    odd, kept = SparseVector(10.0, 1), Gaussian(2.0)
    plain = kept * 3 + Laplace(1.0).poisson(0.5)
    assert plain.certain_part() is plain
    nothing = PureDP(0.0)
    assert odd.certain_part() == nothing
    assert ((odd + kept).poisson(0.5) * 2).certain_part() == Repeat(2, Composed((nothing, kept)).poisson(0.5))
    assert parallel(odd, kept).certain_part() == parallel(nothing, kept)


def test_no_floor_is_deeper_than_its_event():
    event = ConfidentGNMax(1.0, 1.0, 1.0, 5, 5)
    for _ in range(MAX_DEPTH // 2):
        event = Repeat(1, Composed((event, PureDP(0.0))))
    assert event.depth == MAX_DEPTH
    assert epsilon(event, DELTA).lower > 0.0


def test_several_known_parts_count_together_beside_one_that_is_not():
    known = Gaussian(10.0) * 4 + Laplace(20.0) * 3 + Gaussian(1.5).poisson(0.01) * 50
    bound, alone = epsilon(known + ZCDP(1e-9), DELTA), epsilon(known, DELTA)
    assert bound.method == "renyi"
    assert bound.lower == pytest.approx(alone.lower, abs=0.003)


def test_who_was_asked_in_vain_is_noted_without_advice_to_ask_others():
    bound = epsilon(RUN + Laplace(1e12), DELTA)
    assert set(bound.settings["skipped"]) == {"lattice"}
    assert "scale=1e+12 lies outside" in bound.settings["skipped"]["lattice"]
    assert "method=" not in json.dumps(bound.to_dict())
    assert "skipped" not in epsilon(RUN, DELTA).settings
    with pytest.raises(ResolutionError, match="method='renyi'"):  # whoever names one is told of another
        epsilon(RUN + Laplace(1e12), DELTA, method="lattice")


def test_a_wide_interval_is_noted_too():
    bound = epsilon(Gaussian(1.1 / 2).fixed_size(600, 60_000) * 100, DELTA, adjacency="replace-one")
    assert "skipped" not in bound.settings or bound.method not in bound.settings["skipped"]
    wide = epsilon(Gaussian(0.7).poisson(1e-4) * 1000, 1e-8, width=1e-12)
    assert all("wide" in reason for reason in wide.settings.get("skipped", {}).values())


def test_advice_is_taken_from_the_end_or_the_middle_of_a_reason():
    assert reason_of(ResolutionError("too many; use method='renyi', or round them")) == "too many; round them"
    assert reason_of(ResolutionError("out of reach; use method='sampled-once'")) == "out of reach"
    assert reason_of(ResolutionError("plain")) == "plain"
