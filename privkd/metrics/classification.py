"""How often a class is right: accuracies, thresholds chosen on validation data only, and scores of whole videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import Flags, Labels, both_classes, flags, floats, integers, require_same_length


@dataclass(frozen=True)
class ValidatedAccuracy:
    """An accuracy at a threshold that was chosen on other data.

    Attributes:
        accuracy: share of right decisions on the test scores.
        threshold: chosen on the validation scores; a score at or above it counts as positive.
        validation_accuracy: the best accuracy there, which is optimistic.
    """

    accuracy: float
    threshold: float
    validation_accuracy: float


@dataclass(frozen=True, eq=False)
class GroupedScores:
    """One score and one label for every group (video), in rising order of the groups.

    Attributes:
        groups: the different ids, int64, shape (g,).
        scores: mean probability of each, shape (g,).
        labels: its label, bool, shape (g,).
    """

    groups: Labels
    scores: FloatArray
    labels: Flags


def accuracy(predicted: ArrayLike, labels: ArrayLike) -> float:
    """The share of rows whose predicted class is the label.

    Args:
        predicted: class indices, integers, shape (n,); of logits take the argmax first.
        labels: class indices, integers, shape (n,).

    Returns:
        In [0, 1].

    Raises:
        TypeError: not integers.
        ValueError: empty, or lengths that differ.

    Example:
        >>> accuracy([2, 0, 1, 1], [2, 0, 1, 0])
        0.75
    """
    return float(_hits(predicted, labels)[0].mean())


def balanced_accuracy(predicted: ArrayLike, labels: ArrayLike) -> float:
    """The mean over the classes among the labels of the share of their rows that are right.

    Args:
        predicted: as for `accuracy`.
        labels: as for `accuracy`.

    Returns:
        In [0, 1]; equal to `accuracy` where all classes have as many rows.

    Raises:
        TypeError: as `accuracy`.
        ValueError: as `accuracy`, or one class only: then it is no more than the accuracy.

    Example:
        >>> balanced_accuracy([0, 0, 0, 0], [0, 0, 0, 1])
        0.5
    """
    right, labels = _hits(predicted, labels)
    classes, where, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError("labels has one class only; a balanced accuracy is the mean over two classes or more")
    return float((np.bincount(where, weights=right) / counts).mean())


def top_k_accuracy(scores: ArrayLike, labels: ArrayLike, *, k: int) -> float:
    """The share of rows whose label is among the k classes with the highest scores; equal scores count against it.

    Args:
        scores: of every class, finite, shape (n, classes).
        labels: class indices, integers in [0, classes), shape (n,).
        k: in [1, classes].

    Returns:
        In [0, 1]. Scores that are all equal give 0 for every k < classes: they say nothing.

    Raises:
        TypeError: not numbers, or labels that are no integers.
        ValueError: empty, NaN, lengths that differ, or a label or k out of range.

    Example:
        >>> top_k_accuracy([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]], [2, 0], k=1)
        0.5
    """
    values, wanted = floats(scores, name="scores", ndim=2), integers(labels, name="labels")
    require_same_length(scores=values, labels=wanted)
    check.integer(k=k, at_least=1, at_most=values.shape[1])
    outside = (wanted < 0) | (wanted >= values.shape[1])
    if outside.any():
        raise ValueError(
            f"labels must be in 0..{values.shape[1] - 1}, one per column of scores; {int(outside.sum())} are not, first in row "
            f"{int(np.argmax(outside))}"
        )
    own = np.take_along_axis(values, wanted[:, None], axis=1)
    rank = (values >= own).sum(axis=1)  # the label's own score is among them
    return float((rank <= k).mean())


def binary_accuracy(scores: ArrayLike, labels: ArrayLike, *, threshold: float = 0.5) -> float:
    """The share of rows that a fixed threshold decides rightly: positive if the score is at or above it.

    Args:
        scores: finite, shape (n,).
        labels: 1 for positive, 0 for negative, both present, shape (n,).
        threshold: fixed before the scores were seen. One that was chosen on these very rows makes the figure too good: use
            `accuracy_at_validated_threshold`.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, other labels than 0 and 1, or one class only.

    Example:
        >>> binary_accuracy([0.2, 0.6, 0.5, 0.1], [0, 1, 1, 1])
        0.75
    """
    check.real(threshold=threshold)
    values, positive = floats(scores, name="scores"), both_classes(labels, name="labels")
    require_same_length(scores=values, labels=positive)
    return float(((values >= threshold) == positive).mean())


def best_threshold(validation_scores: ArrayLike, validation_labels: ArrayLike) -> float:
    """The threshold with the highest accuracy on validation scores; of several the lowest, halfway between two scores.

    Args:
        validation_scores: finite, shape (n,); never those of the test set.
        validation_labels: as for `binary_accuracy`.

    Returns:
        The lowest score where accepting all is best, and a number just above the highest where rejecting all is.

    Raises:
        TypeError: as `binary_accuracy`.
        ValueError: as `binary_accuracy`.

    Example:
        >>> best_threshold([0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1])
        0.4
    """
    scores, positive = floats(validation_scores, name="scores"), both_classes(validation_labels, name="labels")
    require_same_length(scores=scores, labels=positive)
    different, where = np.unique(scores, return_inverse=True)
    positives = np.bincount(where, weights=positive)
    negatives = np.bincount(where, weights=~positive)
    # Cut j accepts different[j:]; what it gets right are those positives and the negatives below.
    right = np.append(positives[::-1].cumsum()[::-1], 0) + np.append(0, negatives.cumsum())
    cut = int(np.argmax(right))
    if cut == 0:
        return float(different[0])
    if cut == len(different):
        return float(np.nextafter(different[-1], np.inf))
    middle = different[cut - 1] / 2 + different[cut] / 2
    return float(middle if middle > different[cut - 1] else different[cut])


def accuracy_at_validated_threshold(
    scores: ArrayLike, labels: ArrayLike, *, validation_scores: ArrayLike, validation_labels: ArrayLike
) -> ValidatedAccuracy:
    """The accuracy on test scores at the threshold that is best on validation scores.

    Args:
        scores: of the test set, finite, shape (n,).
        labels: 1 for positive, 0 for negative, both present, shape (n,).
        validation_scores: of other rows, shape (m,).
        validation_labels: as `labels`, shape (m,).

    Raises:
        TypeError: as `binary_accuracy`.
        ValueError: as `binary_accuracy`, or the validation scores are the test scores.

    Example:
        >>> found = accuracy_at_validated_threshold(
        ...     [0.3, 0.5], [0, 1], validation_scores=[0.1, 0.2, 0.6, 0.9], validation_labels=[0, 0, 1, 1]
        ... )
        >>> found.accuracy, found.threshold
        (1.0, 0.4)
    """
    if np.array_equal(floats(scores, name="scores"), floats(validation_scores, name="validation_scores")):
        raise ValueError("validation_scores are the test scores; choose the threshold on rows that are not tested on")
    threshold = best_threshold(validation_scores, validation_labels)
    return ValidatedAccuracy(
        accuracy=binary_accuracy(scores, labels, threshold=threshold),
        threshold=threshold,
        validation_accuracy=binary_accuracy(validation_scores, validation_labels, threshold=threshold),
    )


def video_scores(probabilities: ArrayLike, videos: ArrayLike, labels: ArrayLike) -> GroupedScores:
    """The mean probability of the frames or clips of every video, with its label, for `roc_auc` over videos.

    Probabilities are averaged, not logits: one frame with a huge logit would decide alone.

    Args:
        probabilities: of the positive class, in [0, 1], shape (n,).
        videos: id of the video of each row, integers, shape (n,).
        labels: 1 for positive, 0 for negative, the same for all rows of a video, shape (n,).

    Raises:
        TypeError: not numbers, or ids that are no integers.
        ValueError: empty, NaN, lengths that differ, values outside [0, 1] (logits?), or a video with two labels.

    Example:
        >>> video_scores([0.2, 0.4, 0.9], [7, 7, 3], [0, 0, 1]).scores.round(2).tolist()
        [0.9, 0.3]
    """
    values, ids = floats(probabilities, name="probabilities"), integers(videos, name="videos")
    positive = flags(labels, name="labels")
    require_same_length(probabilities=values, videos=ids, labels=positive)
    outside = (values < 0) | (values > 1)
    if outside.any():
        raise ValueError(
            f"probabilities must be in [0, 1]; {int(outside.sum())} are not, first in row {int(np.argmax(outside))}. Apply the "
            "sigmoid first: means of logits are another measure"
        )
    groups, where, counts = np.unique(ids, return_inverse=True, return_counts=True)
    share = np.bincount(where, weights=positive) / counts
    mixed = (share > 0) & (share < 1)
    if mixed.any():
        raise ValueError(f"{int(mixed.sum())} of {len(groups)} videos have rows of both labels; a video has one label")
    return GroupedScores(groups, np.bincount(where, weights=values) / counts, share == 1)


def _hits(predicted: ArrayLike, labels: ArrayLike) -> tuple[Flags, Labels]:
    answers, wanted = integers(predicted, name="predicted"), integers(labels, name="labels")
    require_same_length(predicted=answers, labels=wanted)
    return answers == wanted, wanted
