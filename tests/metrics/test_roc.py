"""Curves over thresholds against loops over all pairs and against scikit-learn, and the laws that they obey."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from privkd.metrics import average_precision, equal_error_rate, roc_auc, roc_curve, tar_at_far


@st.composite
def scored(draw):
    """Scores with many ties, and labels of both classes."""
    n = draw(st.integers(2, 30))
    scores = draw(st.lists(st.integers(-4, 4), min_size=n, max_size=n))
    labels = draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda one: 0 < sum(one) < len(one)))
    return np.array(scores, dtype=float), np.array(labels)


def slow_auc(scores, labels):
    wins = [(a > b) + (a == b) / 2 for a in scores[labels] for b in scores[~labels]]
    return sum(wins) / len(wins)


@given(scored())
def test_the_area_is_the_share_of_won_pairs_and_that_of_scikit_learn(case):
    scores, labels = case
    assert math.isclose(roc_auc(scores, labels), slow_auc(scores, labels), abs_tol=1e-12)
    assert math.isclose(roc_auc(scores, labels), sk.roc_auc_score(labels, scores), abs_tol=1e-12)


@given(scored())
def test_the_area_keeps_under_rising_maps_and_turns_over_under_negation(case):
    scores, labels = case
    area = roc_auc(scores, labels)
    assert 0 <= area <= 1
    assert roc_auc(np.exp(scores) * 3 - 7, labels) == area
    assert math.isclose(roc_auc(-scores, labels), 1 - area, abs_tol=1e-12)
    assert math.isclose(roc_auc(scores, ~labels), 1 - area, abs_tol=1e-12)


def test_a_detector_worse_than_chance_is_not_flipped_and_one_that_says_nothing_scores_a_half():
    assert roc_auc([3, 2, 1], [0, 0, 1]) == 0
    assert roc_auc([1, 1, 1, 1], [0, 1, 0, 1]) == 0.5


@given(scored())
def test_curve_and_average_precision_are_those_of_scikit_learn(case):
    scores, labels = case
    curve = roc_curve(scores, labels)
    accepted, found, thresholds = sk.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_positive_rate, accepted, atol=1e-12)
    np.testing.assert_allclose(curve.true_positive_rate, found, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert math.isclose(average_precision(scores, labels), sk.average_precision_score(labels, scores), abs_tol=1e-12)


@given(scored())
def test_the_equal_error_rate_without_interpolation_is_that_of_the_deepfake_benchmarks(case):
    scores, labels = case
    accepted, found, _ = sk.roc_curve(labels, scores, pos_label=1)
    at = np.nanargmin(np.absolute((1 - found) - accepted))
    assert math.isclose(equal_error_rate(scores, labels, interpolate=False), accepted[at], abs_tol=1e-12)


@given(scored())
def test_the_equal_error_rate_lies_on_the_curve_where_both_errors_are_equal(case):
    scores, labels = case
    rate = equal_error_rate(scores, labels)
    curve = roc_curve(scores, labels)
    # The curve may rise straight up: some point at this false positive rate has the same false negative rate.
    at = np.flatnonzero(curve.false_positive_rate <= rate + 1e-12)[-1]
    lines = np.interp(rate, curve.false_positive_rate, curve.true_positive_rate)
    low = curve.true_positive_rate[curve.false_positive_rate <= rate + 1e-12].max()
    before = curve.true_positive_rate[curve.false_positive_rate < rate - 1e-12]
    lowest = before.max() if len(before) else 0.0
    assert min(lowest, lines) - 1e-9 <= 1 - rate <= max(low, lines) + 1e-9
    assert at >= 0


def test_the_equal_error_rate_of_a_known_curve():
    # Points (0, 0), (0, .5), (.5, .5), (.5, 1), (1, 1): the errors cross on the vertical piece at .5.
    assert equal_error_rate([4, 3, 2, 1], [1, 0, 1, 0]) == 0.5
    # One straight piece from (0, 0) to (1, 1): interpolation finds the middle, the corners do not.
    assert equal_error_rate([1, 1, 1, 1], [1, 0, 1, 0]) == 0.5
    assert equal_error_rate([1, 1, 1, 1], [1, 0, 1, 0], interpolate=False) == 0.0
    # (0, 0), (1/3, 1/2), (1/3, 1), (1, 1): 1 - tpr = 1/3 between the second and the third point.
    assert equal_error_rate([3, 3, 2, 1, 1], [1, 0, 1, 0, 0]) == pytest.approx(1 / 3)


def test_true_accepts_at_few_false_ones_against_a_loop_over_thresholds():
    generator = np.random.default_rng(0)
    labels = np.arange(400) % 2 == 0
    scores = np.round(generator.normal(labels * 1.5), 1)
    for far in (0.05, 0.1, 0.3):
        best = 0.0
        for threshold in np.unique(scores):
            if (scores[~labels] >= threshold).mean() <= far:
                best = max(best, (scores[labels] >= threshold).mean())
        assert tar_at_far(scores, labels, far=far) == best


def test_true_accepts_are_not_claimed_from_a_handful_of_negatives():
    labels = [1] * 5 + [0] * 99
    with pytest.warns(UserWarning, match="far=0.1 needs at least 100 negatives, here are 99"):
        assert math.isnan(tar_at_far(np.arange(104), labels, far=0.1))
    assert tar_at_far(np.arange(105), [*labels, 0], far=0.1) == 0.0
    with pytest.raises(ValueError, match="far=1"):
        tar_at_far([0, 1], [0, 1], far=1)
