"""The question 'what did these PATE answers cost?': three kinds of disclosure, three mechanisms."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from accountants import AdjacencyError, Bound, Gaussian, GNMax, PureDP, epsilon
from accountants.pate.confident import realised_costs
from accountants.pate.epsilon import confident_pate_epsilon, lnmax_pate_epsilon, pate_epsilon
from accountants.pate.gnmax import gnmax_log_q, gnmax_renyi
from accountants.pate.hidden_cost import PrivateCost
from accountants.pate.lnmax import lnmax_log_q, lnmax_renyi
from accountants.pate.release import CostPlan, Smoothing, renyi_epsilon

AGREED = [[950, 30, 20]] * 100
SPLIT = [[350, 330, 320]] * 100
MIXED = [[610, 380, 10]] * 100
NOISE = {"threshold": 600.0, "sigma1": 100.0, "sigma2": 40.0}
SMOOTHING = Smoothing(order=15.0, noise_multiplier=12.0)


def test_the_default_is_the_epsilon_of_the_events_whatever_the_votes():
    expected = epsilon(GNMax(40.0) * 100, 1e-5)
    for votes in (AGREED, SPLIT):
        found = pate_epsilon(votes, 40.0, 1e-5, teachers=1000)
        assert isinstance(found, Bound)
        assert (found.lower, found.upper) == (expected.lower, expected.upper)
        laplace = lnmax_pate_epsilon(votes, 40.0, 1e-5, teachers=1000)
        assert 0.0 < laplace.upper <= epsilon(PureDP(2 / 40.0) * 100, 1e-5).upper * (1 + 1e-9)


def test_the_confident_default_pays_all_tests_and_the_answers_given():
    answered = [True] * 30 + [False] * 70
    found = confident_pate_epsilon(AGREED, answered, 1e-5, teachers=1000, **NOISE)
    slow = epsilon(Gaussian(100.0) * 100 + Gaussian(40.0 / math.sqrt(2)) * 30, 1e-5)
    assert found.upper == pytest.approx(slow.upper, rel=1e-9)
    more = confident_pate_epsilon(AGREED, [True] * 100, 1e-5, teachers=1000, **NOISE)
    assert more.upper > found.upper


def slow_best(curve, log_q, noise, delta):
    """Smallest epsilon over many orders, by the conversion in the literature."""
    orders = 1 + np.geomspace(1e-2, 1e5, 3_000)
    totals = curve(log_q, noise, orders).sum(axis=0)
    found = totals + np.log1p(-1 / orders) - (math.log(delta) + np.log(orders)) / (orders - 1)
    return max(0.0, found.min())


@pytest.mark.parametrize("votes", [AGREED, SPLIT, AGREED + SPLIT, AGREED * 21])
def test_private_only_is_the_best_order_of_the_summed_costs(votes):
    counts = np.array(votes, float)
    for ask, log_q, curve, noise in (
        (pate_epsilon, gnmax_log_q, gnmax_renyi, 60.0),
        (lnmax_pate_epsilon, lnmax_log_q, lnmax_renyi, 60.0),
    ):
        found = ask(votes, noise, 1e-5, teachers=1000, disclose="private-only")
        assert isinstance(found, PrivateCost)
        slow = slow_best(curve, log_q(counts, noise), noise, 1e-5)
        assert slow * (1 - 1e-4) - 1e-6 <= found.unsafe_value() <= slow * (1 + 1e-3) + 1e-9


def test_agreement_is_cheap_and_disagreement_costs_as_much_as_without_looking():
    agreed = pate_epsilon(AGREED, 60.0, 1e-5, teachers=1000, disclose="private-only").unsafe_value()
    split = pate_epsilon(SPLIT, 60.0, 1e-5, teachers=1000, disclose="private-only").unsafe_value()
    always = pate_epsilon(SPLIT, 60.0, 1e-5, teachers=1000)
    assert agreed < 0.2 * always.lower
    assert always.lower <= split <= 1.2 * always.upper  # Rényi instead of the exact curve


def test_confident_private_only_is_the_realised_cost_at_the_fixed_order():
    answered = np.array([True] * 30 + [False] * 70)
    ask = {"teachers": 1000, "disclose": "private-only", **NOISE}
    found = confident_pate_epsilon(AGREED, answered, 1e-5, order=9.0, **ask)
    total = realised_costs(np.array(AGREED, float), answered, alpha=9.0, **NOISE).sum()
    assert found.unsafe_value() == pytest.approx(renyi_epsilon(total, 9.0, 1e-5), rel=1e-9)
    student = np.tile([0.9, 0.05, 0.05], (100, 1))
    doubted = confident_pate_epsilon(AGREED, answered, 1e-5, order=9.0, predictions=student, **ask)
    assert doubted.unsafe_value() != found.unsafe_value()
    with pytest.raises(ValueError, match=r"order=None: .* before the first answer"):
        confident_pate_epsilon(AGREED, answered, 1e-5, **ask)


def test_the_published_number_is_the_bound_of_the_plan():
    plan = pate_epsilon(AGREED, 60.0, 1e-5, teachers=1000, disclose="smooth-sensitivity", smoothing=SMOOTHING)
    assert isinstance(plan, CostPlan)
    assert ndtr(-plan.margin) == pytest.approx(0.5e-5, rel=1e-9)
    cost, std = plan.cost.unsafe_value(), 12.0 * plan.sensitivity.unsafe_value()
    for draw in (-3.0, 0.0, 1.5):
        published = plan.finish(draw)
        assert published.cost == pytest.approx(cost + std * (plan.margin + draw), rel=1e-5, abs=1e-7)
        charged = plan.event()
        extra = charged.values[charged.orders.index(15.0)]
        assert published.release_cost == extra
        assert published.epsilon == pytest.approx(renyi_epsilon(published.cost + extra, 15.0, 0.5e-5), rel=1e-12)
        assert published.delta == 1e-5
    # Exactly the draws below -margin hide a larger cost.
    assert plan.finish(-plan.margin + 1e-6).cost >= cost
    assert plan.finish(-plan.margin - 0.5).cost < cost


def test_a_published_cost_is_never_below_zero_nor_above_what_holds_for_all_votes():
    plan = pate_epsilon(SPLIT, 60.0, 1e-5, teachers=1000, disclose="smooth-sensitivity", smoothing=SMOOTHING)
    assert plan.ceiling == pytest.approx(100 * 15.0 / 60.0**2)
    assert plan.finish(1e6).cost == plan.ceiling
    assert plan.finish(-1e9).cost == 0.0
    assert plan.finish(-1e9).epsilon > 0.0


def test_a_plan_is_better_than_not_looking_when_many_teachers_agree():
    plan = pate_epsilon(
        [[4800, 120, 80]] * 300,
        100.0,
        1e-5,
        teachers=5000,
        disclose="smooth-sensitivity",
        smoothing=Smoothing(order=30.0, noise_multiplier=20.0, beta=0.005),
    )
    always = pate_epsilon([[4800, 120, 80]] * 300, 100.0, 1e-5, teachers=5000)
    assert plan.finish(2.0).epsilon < 0.6 * always.lower


def test_the_event_is_the_same_for_all_votes():
    events = {
        repr(pate_epsilon(v, 60.0, 1e-5, teachers=1000, disclose="smooth-sensitivity", smoothing=SMOOTHING).event())
        for v in (AGREED, SPLIT, AGREED + SPLIT)
    }
    assert len(events) == 1


def test_a_confident_plan_covers_tests_and_answers_and_no_answers_at_all():
    ask = {"teachers": 1000, "disclose": "smooth-sensitivity", "smoothing": SMOOTHING, **NOISE}
    none = confident_pate_epsilon(MIXED, [False] * 100, 1e-5, **ask)
    some = confident_pate_epsilon(MIXED, [True] * 50 + [False] * 50, 1e-5, **ask)
    assert none.ceiling == pytest.approx(100 * 15.0 / (2 * 100.0**2))
    assert some.ceiling == pytest.approx(none.ceiling + 50 * 15.0 / 40.0**2)
    assert some.cost.unsafe_value() > none.cost.unsafe_value()
    exact = realised_costs(np.array(MIXED, float), np.array([True] * 50 + [False] * 50), alpha=15.0, **NOISE).sum()
    assert exact <= some.cost.unsafe_value() <= some.ceiling


def test_a_published_epsilon_reads_as_one_honest_sentence():
    plan = pate_epsilon(AGREED, 60.0, 1e-5, teachers=1000, disclose="smooth-sensitivity", smoothing=SMOOTHING)
    text = str(plan.finish(0.3))
    assert text.startswith("data-dependent epsilon <= ")
    assert "4.42 standard deviations" in text
    assert "not a differential-privacy guarantee" in text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"disclose": "everything"}, "disclose='everything' is unknown"),
        ({"disclose": "smooth-sensitivity"}, "smoothing=None with disclose='smooth-sensitivity'"),
        ({"smoothing": SMOOTHING}, "with disclose='data-independent'"),
        ({"disclose": "private-only", "delta": 0.0}, "delta"),
        ({"delta": 1.0}, "delta"),
        ({"disclose": "private-only", "sigma": 0.0}, "sigma"),
        ({"sigma": math.nan}, "sigma"),
        ({"teachers": 1}, "teachers"),
        ({"teachers": 999}, "teachers=999"),
    ],
)
def test_bad_questions_are_refused_by_name(change, match):
    asked = {"votes": AGREED, "sigma": 60.0, "delta": 1e-5, "teachers": 1000} | change
    ask = pate_epsilon
    while hasattr(ask, "__wrapped__"):  # an unknown disclosure must also be refused where no type checks run
        ask = ask.__wrapped__
    with pytest.raises(ValueError, match=match):
        ask(**asked)


def test_no_noise_costs_infinitely_much_without_looking():
    assert pate_epsilon(AGREED, 0.0, 1e-5, teachers=1000).upper == math.inf


def test_bad_outcomes_an_order_in_the_wrong_place_and_an_unstated_adjacency_are_refused():
    for bad in ([True] * 99, [1] * 100, [[True] * 100]):
        with pytest.raises(ValueError, match="answered has dtype"):
            confident_pate_epsilon(AGREED, bad, 1e-5, teachers=1000, **NOISE)
    with pytest.raises(ValueError, match=r"order=5\.0 with disclose='data-independent'"):
        confident_pate_epsilon(AGREED, [True] * 100, 1e-5, teachers=1000, order=5.0, **NOISE)
    with pytest.raises(AdjacencyError, match="zero-out"):
        pate_epsilon(AGREED, 60.0, 1e-5, teachers=1000, adjacency="zero-out")


def test_no_smooth_release_of_lnmax_is_offered():
    with pytest.raises(ValueError, match="no smooth sensitivity is proven for LNMax"):
        lnmax_pate_epsilon(AGREED, 60.0, 1e-5, teachers=1000, disclose="smooth-sensitivity")
