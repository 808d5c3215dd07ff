"""Whatever a metric is given, it refuses in words what it cannot measure; tensors and lists count as arrays."""

import warnings

import numpy as np
import pytest
import torch

from privkd import metrics

SCORES, LABELS = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
OF_SCORES = {
    "roc_auc": metrics.roc_auc,
    "roc_curve": metrics.roc_curve,
    "equal_error_rate": metrics.equal_error_rate,
    "average_precision": metrics.average_precision,
    "tar_at_far": lambda s, y: metrics.tar_at_far(s, y, far=0.5),
    "binary_accuracy": metrics.binary_accuracy,
    "best_threshold": metrics.best_threshold,
    "verify_pairs": lambda s, y: metrics.verify_pairs(s, y, folds=2, rates=()),
    "match_rates": lambda s, y: metrics.match_rates(s, y, clean_scores=SCORES, clean_same=LABELS),
    "match_rates_clean": lambda s, y: metrics.match_rates(SCORES, LABELS, clean_scores=s, clean_same=y),
    "validated_accuracy": lambda s, y: metrics.accuracy_at_validated_threshold(
        s, y, validation_scores=[0.0, 0.5], validation_labels=[0, 1]
    ),
}


@pytest.mark.parametrize("name", OF_SCORES)
@pytest.mark.parametrize(
    ("scores", "labels", "error", "match"),
    [
        ([0.1, np.nan, np.inf, 0.8], LABELS, ValueError, "2 values that are NaN or infinite, first in row 1"),
        ([], [], ValueError, "empty, shape"),
        (SCORES[:3], LABELS, ValueError, "lengths differ"),
        (SCORES, [1, 1, 1, 1], ValueError, "one class only"),
        (SCORES, [0, 0, 1, 2], ValueError, "0 and 1"),
        ([SCORES], LABELS, ValueError, "2 axes; 1 is needed"),
        ([0.1, [0.4], 0.3, 0.8], LABELS, ValueError, "ragged"),
        (["a", "b", "c", "d"], LABELS, TypeError, "is not real"),
        (np.array(SCORES) + 1j, LABELS, TypeError, "is not real"),
    ],
)
def test_scores_that_cannot_be_measured_are_refused(name, scores, labels, error, match):
    with pytest.raises(error, match=match):
        OF_SCORES[name](scores, labels)


@pytest.mark.parametrize("name", [name for name in OF_SCORES if name != "roc_curve"])
def test_tensors_give_what_arrays_give(name):
    scores = torch.tensor(SCORES, dtype=torch.float64, requires_grad=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="far=0.5 needs")
        np.testing.assert_equal(OF_SCORES[name](scores, torch.tensor(LABELS)), OF_SCORES[name](SCORES, LABELS))


def test_half_precision_tensors_are_read():
    assert metrics.roc_auc(torch.tensor(SCORES, dtype=torch.bfloat16), torch.tensor(LABELS, dtype=torch.bool)) == 0.75


def test_messages_quote_no_values():
    with pytest.raises(ValueError, match="scores") as caught:
        metrics.roc_auc([123.456, np.nan], [0, 1])
    assert "123" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: metrics.accuracy([0.0, 1.0], [0, 1]), TypeError, "predicted.dtype=float64 must be whole numbers"),
        (lambda: metrics.accuracy([0, 1], [0]), ValueError, "predicted 2, labels 1"),
        (lambda: metrics.accuracy([], []), ValueError, "predicted is empty"),
        (lambda: metrics.balanced_accuracy([0, 1], [1, 1]), ValueError, "one class only"),
        (lambda: metrics.top_k_accuracy([[1.0, 2.0]], [2], k=1), ValueError, r"labels must be in 0\.\.1"),
        (lambda: metrics.top_k_accuracy([[1.0, 2.0]], [1], k=3), ValueError, "k=3"),
        (lambda: metrics.top_k_accuracy([[1.0, np.nan]], [1], k=1), ValueError, "NaN"),
        (lambda: metrics.video_scores([2.5], [0], [1]), ValueError, "sigmoid"),
        (
            lambda: metrics.video_scores([0.5, 0.5], [0, 0], [0, 1]),
            ValueError,
            "1 of 1 videos have rows of both labels",
        ),
        (lambda: metrics.binary_accuracy(SCORES, LABELS, threshold=float("nan")), ValueError, "threshold"),
        (
            lambda: metrics.accuracy_at_validated_threshold(
                SCORES, LABELS, validation_scores=SCORES, validation_labels=LABELS
            ),
            ValueError,
            "are the test scores",
        ),
    ],
)
def test_classes_that_cannot_be_counted_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()
