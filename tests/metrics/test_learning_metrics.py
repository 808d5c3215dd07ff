"""Measures of learning in sessions, on clients, and from condensed sets: known cases, loops, and what is refused."""

import math

import numpy as np
import pytest

from privkd.metrics import (
    augmentation_robust_score,
    generalisation,
    label_robust_score,
    personalisation,
    reweighted_accuracy,
    score_sessions,
)

CLASSES = [[0, 1, 2], [3, 4], [5]]


def run(seed=0):
    random = np.random.default_rng(seed)
    seen, predicted, labels = [], [], []
    for added in CLASSES:
        seen += added
        wanted = np.concatenate([seen, random.choice(seen, 40)])
        answers = np.where(random.random(len(wanted)) < 0.7, wanted, random.choice(seen, len(wanted)))
        predicted.append(answers)
        labels.append(wanted)
    return predicted, labels


def test_sessions_are_scored_by_rows_as_in_a_loop():
    predicted, labels = run()
    found = score_sessions(predicted, labels, CLASSES)
    for t, (answers, wanted) in enumerate(zip(predicted, labels, strict=True)):
        rows = list(zip(answers, wanted, strict=True))
        old, new = [r for r in rows if r[1] < 3], [r for r in rows if r[1] >= 3]
        assert found.accuracy[t] == pytest.approx(sum(a == w for a, w in rows) / len(rows))
        assert found.base[t] == pytest.approx(sum(a == w for a, w in old) / len(old))
        if t:
            share = sum(a == w for a, w in new) / len(new)
            assert found.new[t] == pytest.approx(share)
            assert found.harmonic_mean[t] == pytest.approx(2 / (1 / found.base[t] + 1 / share))
    assert math.isnan(found.new[0])
    assert math.isnan(found.harmonic_mean[0])
    assert found.average == pytest.approx(sum(found.accuracy) / 3)
    assert found.performance_drop == pytest.approx(found.accuracy[0] - found.accuracy[2])
    history = [
        np.mean([a == w for a, w in zip(p, y, strict=True) if w == 1]) for p, y in zip(predicted, labels, strict=True)
    ]
    assert found.forgetting[1] == pytest.approx(max(history[:2]) - history[2])
    assert set(found.forgetting) == {0, 1, 2, 3, 4}
    assert found.mean_forgetting == pytest.approx(np.mean(list(found.forgetting.values())))


def test_a_frozen_model_keeps_a_high_accuracy_and_is_found_out_by_new_classes():
    labels = [np.repeat(range(60), 5), np.repeat(range(65), 5)]
    frozen = [labels[0], np.where(labels[1] < 60, labels[1], 0)]
    found = score_sessions(frozen, labels, [list(range(60)), list(range(60, 65))])
    assert found.accuracy[1] > 0.9
    assert found.new[1] == found.harmonic_mean[1] == 0.0
    assert found.mean_forgetting == 0.0
    bad = score_sessions([np.ones(4, dtype=int) - y for y in (np.array([0, 1, 0, 1]),)], [[0, 1, 0, 1]], [[0, 1]])
    assert (bad.performance_drop, bad.average) == (0.0, 0.0)
    assert math.isnan(bad.mean_forgetting)


@pytest.mark.parametrize(
    ("predicted", "labels", "classes", "match"),
    [
        ([], [], [], "there are none"),
        ([[0]], [[0]], [[0], [1]], "do not fit"),
        ([[0, 1]], [[0, 1]], [[0, 1, 1]], "names a class twice"),
        ([[0], [0, 0]], [[0], [0, 0]], [[0], [0]], "names a class twice"),
        ([[0], [0]], [[0], [0]], [[0], []], "empty"),
        ([[0], [0, 1]], [[0], [0, 1]], [[0], [1, 2]], "every one of the 3 classes seen up to session 1"),
        ([[0, 0]], [[0, 1]], [[0]], "no other; it holds 2"),
        ([[1], [0, 1]], [[0], [0, 1]], [[0], [1]], r"predicted\[0\] names classes not seen up to session 0 in 1 rows"),
        ([[0, 0]], [[0]], [[0]], "lengths differ"),
        ([[0.0]], [[0]], [[0]], "whole numbers"),
    ],
)
def test_sessions_that_cannot_be_scored_are_refused(predicted, labels, classes, match):
    with pytest.raises((ValueError, TypeError), match=match):
        score_sessions(predicted, labels, classes)


def test_personal_models_are_summed_up_over_clients():
    accuracies, rows = np.linspace(0, 1, 25), np.arange(1, 26)
    found = personalisation(accuracies, rows)
    assert found.weighted == pytest.approx(sum(a * n for a, n in zip(accuracies, rows, strict=True)) / sum(rows))
    assert found.mean == pytest.approx(0.5)
    assert found.worst_tenth == pytest.approx(accuracies[:3].mean())
    assert found.deviation == pytest.approx(np.std(accuracies))
    assert found.weighted > found.mean > found.worst_tenth


def test_generalisation_counts_classes_alike():
    labels = [0] * 9 + [1]
    assert generalisation([[0] * 10], labels) == 0.5
    assert generalisation([[0] * 10, labels], labels) == 0.75


def test_reweighted_accuracies_are_sums_over_classes():
    accuracy, counts = [0.9, 0.5, 0.1], [80, 20, 0]
    found = reweighted_accuracy(accuracy, counts)
    assert found.inside == pytest.approx(0.8 * 0.9 + 0.2 * 0.5)
    assert found.outside == pytest.approx((0.2 * 0.9 + 0.8 * 0.5 + 1.0 * 0.1) / 2)
    even = reweighted_accuracy(accuracy, [5, 5, 5])
    assert even.inside == pytest.approx(even.outside)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: personalisation([50.0], [1]), "not percent"),
        (lambda: personalisation([0.5, 0.5], [1, 0]), "1 clients have no test rows"),
        (lambda: personalisation([0.5], [1, 2]), "lengths differ"),
        (lambda: personalisation([], []), "empty"),
        (lambda: personalisation([np.nan], [1]), "NaN"),
        (lambda: generalisation([], [0, 1]), "predicted is empty"),
        (lambda: generalisation([[0, 0]], [0, 0]), "one class only"),
        (lambda: reweighted_accuracy([0.5], [1]), "two classes"),
        (lambda: reweighted_accuracy([0.5, 0.5], [0, 0]), "at least one row"),
        (
            lambda: label_robust_score(real_hard=99, condensed_hard=0.9, condensed_any=0.9, random_any=0.8),
            "real_hard=99",
        ),
        (
            lambda: augmentation_robust_score(
                condensed_with=0.5, random_with=0.5, condensed_without=0.5, random_without=0.5, weight=2
            ),
            "weight=2",
        ),
    ],
)
def test_clients_and_condensed_sets_that_cannot_be_scored_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_robust_scores_run_from_zero_to_one_and_no_gain_is_the_middle_of_neither():
    best = label_robust_score(real_hard=0.0, condensed_hard=1.0, condensed_any=1.0, random_any=0.0)
    worst = label_robust_score(real_hard=1.0, condensed_hard=0.0, condensed_any=0.0, random_any=1.0)
    assert (best.score, worst.score) == (pytest.approx(1.0), pytest.approx(0.0))
    nothing = augmentation_robust_score(condensed_with=0.5, random_with=0.5, condensed_without=0.5, random_without=0.5)
    assert nothing.score == pytest.approx((1 - math.exp(-1)) / (math.e - math.exp(-1)))
    weighted = label_robust_score(real_hard=0.9, condensed_hard=0.6, condensed_any=0.8, random_any=0.7, weight=1.0)
    alpha = weighted.improvement_over_random
    assert alpha == pytest.approx(0.1)
    assert weighted.hard_label_recovery == pytest.approx(0.3)
    assert weighted.score == pytest.approx((math.exp(alpha) - math.exp(-1)) / (math.e - math.exp(-1)))


def test_augmentation_that_makes_all_the_gain_is_seen_in_its_parts():
    found = augmentation_robust_score(
        condensed_with=0.9, random_with=0.6, condensed_without=0.5, random_without=0.5, weight=0.25
    )
    assert (found.gain_with, found.gain_without) == (pytest.approx(0.3), 0.0)
    assert found.score == pytest.approx((math.exp(0.075) - math.exp(-1)) / (math.e - math.exp(-1)))
