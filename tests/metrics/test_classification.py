"""Accuracies against scikit-learn and loops; thresholds never see the rows that they are tested on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from privkd.metrics import (
    accuracy,
    accuracy_at_validated_threshold,
    balanced_accuracy,
    best_threshold,
    binary_accuracy,
    roc_auc,
    top_k_accuracy,
    video_scores,
)

RANDOM = np.random.default_rng(3)


def test_accuracies_are_those_of_scikit_learn():
    labels, predicted = RANDOM.integers(4, size=200), RANDOM.integers(4, size=200)
    logits = RANDOM.normal(size=(200, 4))
    assert accuracy(predicted, labels) == sk.accuracy_score(labels, predicted)
    assert balanced_accuracy(predicted, labels) == pytest.approx(sk.balanced_accuracy_score(labels, predicted))
    for k in (1, 2, 3):
        assert top_k_accuracy(logits, labels, k=k) == sk.top_k_accuracy_score(labels, logits, k=k)
    assert top_k_accuracy(logits, labels, k=1) == accuracy(logits.argmax(axis=1), labels)


def test_scores_that_say_nothing_are_never_among_the_best():
    assert top_k_accuracy(np.zeros((5, 3)), [0, 1, 2, 0, 1], k=2) == 0.0
    assert top_k_accuracy(np.zeros((5, 3)), [0, 1, 2, 0, 1], k=3) == 1.0


@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=25).filter(
        lambda rows: 0 < sum(label for _, label in rows) < len(rows)
    )
)
def test_no_threshold_is_better_than_the_best_one(rows):
    scores, labels = np.array([float(score) for score, _ in rows]), np.array([label for _, label in rows])
    best = binary_accuracy(scores, labels, threshold=best_threshold(scores, labels))
    tried = [*(scores - 0.5), *(scores + 0.5), *scores]
    assert best == max(((scores >= one) == labels).mean() for one in tried)


@pytest.mark.parametrize("scores", [[1.0, np.nextafter(1.0, 2)], [-1e308, 1e308], [0.0, 5e-324]])
def test_the_best_threshold_separates_neighbours_and_extremes(scores):
    threshold = best_threshold(scores, [0, 1])
    assert scores[0] < threshold <= scores[1]
    assert binary_accuracy(scores, [1, 0], threshold=best_threshold(scores, [1, 0])) == 0.5


def test_a_threshold_from_validation_data_is_lower_than_the_optimistic_one_of_the_test_set():
    """On scores that say nothing, choosing on the test rows pretends to know something; choosing elsewhere does not."""
    honest, optimistic = [], []
    for _ in range(50):
        scores, validation = RANDOM.normal(size=40), RANDOM.normal(size=40)
        labels = np.arange(40) % 2
        found = accuracy_at_validated_threshold(scores, labels, validation_scores=validation, validation_labels=labels)
        honest.append(found.accuracy)
        optimistic.append(binary_accuracy(scores, labels, threshold=best_threshold(scores, labels)))
        assert found.threshold == best_threshold(validation, labels)
        assert found.validation_accuracy >= 0.5
    tolerance = 4.5 * 0.5 / np.sqrt(40 * 50)  # of a mean of 2000 coin flips
    assert abs(np.mean(honest) - 0.5) < tolerance
    assert np.mean(optimistic) > 0.5 + tolerance


def test_videos_are_scored_by_the_mean_of_their_probabilities_not_of_their_logits():
    # Video 2 has one frame with a huge logit: by the mean of logits it would come first.
    logits = np.array([2.0, 2.0, *[-2.0] * 9, 40.0])
    videos, labels = np.repeat([1, 2], [2, 10]), np.repeat([1, 0], [2, 10])
    probabilities = 1 / (1 + np.exp(-logits))
    found = video_scores(probabilities, videos, labels)
    assert found.groups.tolist() == [1, 2]
    assert found.labels.tolist() == [True, False]
    assert roc_auc(found.scores, found.labels) == 1.0
    assert found.scores == pytest.approx([probabilities[:2].mean(), probabilities[2:].mean()])
    assert logits[videos == 2].mean() > logits[videos == 1].mean()
