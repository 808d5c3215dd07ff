"""Single-object tracking: success, precision and their relatives for a sequence, and their means over sequences.

Curves, thresholds and strictness are those of the OTB / GOT-10k family of toolkits; `parity="mmot"` reproduces the toolkit
of WebUAV-3M and its relatives also where the target is absent. A row of zeros is an empty box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics import mmot
from privkd.metrics.inputs import Flags, flags, floats, require_same_length
from privkd.metrics.overlap import centre_distance, checked_boxes, complete_iou, iou

OVERLAPS = np.linspace(0, 1, 21)
PIXELS = np.arange(51.0)
SIZES = np.linspace(0, 0.5, 51)


@dataclass(frozen=True, eq=False)
class TrackingScores:
    """What a tracker reached on one sequence, or the means over several.

    Attributes:
        success: share of frames with IoU > t, at t = 0, 0.05, ..., 1, shape (21,).
        precision: share of frames with a centre error <= d pixels, d = 0..50, shape (51,).
        normalised_precision: the same with offsets over the true size, 0, 0.01, ..., 0.5, shape (51,).
        complete_success: as `success` with complete IoU in place of IoU, shape (21,).
        accuracy: mean of the IoU where the target is present and of the right claims of absence where it is not.
        average_overlap: mean IoU of the frames after the first in which the target is present (AO of GOT-10k); NaN if there
            are none.
        success_50: share of the same frames with IoU > 0.5 (SR.5).
        success_75: the same with 0.75 (SR.75).
        frames: how many these are.
    """

    success: FloatArray
    precision: FloatArray
    normalised_precision: FloatArray
    complete_success: FloatArray
    accuracy: float
    average_overlap: float
    success_50: float
    success_75: float
    frames: int

    @property
    def auc(self) -> float:
        """The mean of the success curve."""
        return float(self.success.mean())

    @property
    def complete_auc(self) -> float:
        """The mean of the complete success curve (cAUC)."""
        return float(self.complete_success.mean())

    @property
    def precision_20(self) -> float:
        """The share of frames with a centre error of at most 20 pixels."""
        return float(self.precision[20])

    @property
    def normalised_auc(self) -> float:
        """The mean of the normalised precision curve."""
        return float(self.normalised_precision.mean())


def score_sequence(
    predicted: ArrayLike,
    truth: ArrayLike,
    *,
    present: ArrayLike | None = None,
    claimed: ArrayLike | None = None,
    absent: Literal["count", "skip"] = "count",
    parity: Literal["mmot"] | None = None,
) -> TrackingScores:
    """The scores of one sequence. In the first frame, where the tracker is given the box, the truth replaces its answer.

    Args:
        predicted: boxes, rows of x, y, width, height in pixels, shape (t, 4), t >= 2.
        truth: true boxes, shape (t, 4).
        present: whether the target is in the frame, shape (t,), true in the first; None: where the true box is not all zero.
        claimed: whether the tracker says that it is, shape (t,); None: where the predicted box is not all zero.
        absent: "count" takes a frame without the target as a failure in all curves; "skip" leaves it out of them (LaSOT).
            The accuracy always has them.
        parity: "mmot" gives to the last digit what that toolkit gives: absent frames are compared with the box of zeros (so
            a tracker that answers zeros there is precise), claims of absence are never right, the first answer counts in the
            accuracy as it is, and `present`, `claimed` and `absent` must be left alone.

    Returns:
        Curves over all t frames, the first included; average overlap and success rates as GOT-10k has them.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, fewer than two frames, a negative size, an absent target in the first
            frame, an unknown option, or options that parity does not allow.

    Example:
        >>> found = score_sequence([[0, 0, 2, 2], [1, 0, 2, 2]], [[0, 0, 2, 2], [0, 0, 2, 2]])
        >>> round(found.average_overlap, 4), found.precision_20
        (0.3333, 1.0)
    """
    boxes, real = checked_boxes(predicted, name="predicted"), checked_boxes(truth, name="truth")
    require_same_length(predicted=boxes, truth=real)
    if len(boxes) < 2:
        raise ValueError("predicted has 1 frame, in which the tracker is given the box; two or more are needed")
    if absent not in ("count", "skip"):
        raise ValueError(f"absent={absent!r} must be 'count' or 'skip'")
    started = np.concatenate([real[:1], boxes[1:]])
    if parity is not None:
        if parity != "mmot" or present is not None or claimed is not None or absent != "count":
            raise ValueError(
                f"parity={parity!r}: only 'mmot' is known, which takes no present, claimed or absent='skip'"
            )
        return _mmot(boxes, started, real)
    there = _flags_of(present, real, name="present")
    said = _flags_of(claimed, started, name="claimed")
    if not there[0]:
        raise ValueError(
            "present says that the target is absent in the first frame, where the tracker is given its box"
        )
    said[0] = True
    overlap = np.where(said & there, iou(started, real), 0.0)
    complete = np.where(said & there, np.maximum(complete_iou(started, real), 0.0), 0.0)
    distance = np.where(said & there, centre_distance(started, real), np.inf)
    scaled = np.where(said & there, centre_distance(started, real, normalised=True), np.inf)
    kept = there if absent == "skip" else np.ones(len(real), dtype=bool)
    accuracy = float(np.where(there, overlap, ~said).mean())
    return _scores(overlap, distance, scaled, complete, there=there, kept=kept, accuracy=accuracy)


def mean_scores(sequences: Sequence[TrackingScores], *, out_of: int | None = None) -> TrackingScores:
    """The scores of a benchmark: curves and accuracy are means over sequences, whatever their lengths.

    Average overlap and success rates are over all frames of all sequences, as GOT-10k pools them.

    Args:
        sequences: scores of each, at least one; of an attribute those that have it.
        out_of: divide curves and accuracy by this number of sequences instead, all others counting as 0: what the MMOT
            toolkit reports for an attribute (its figures are diluted). None for the mean of those given.

    Raises:
        TypeError: `out_of` is no integer.
        ValueError: no sequence, or `out_of` below their number.
    """
    if not sequences:
        raise ValueError("sequences is empty; score at least one")
    number = len(sequences) if out_of is None else check.as_int(out_of=out_of, at_least=len(sequences))
    frames = sum(one.frames for one in sequences)

    def curve(name: str) -> FloatArray:
        return np.stack([getattr(one, name) for one in sequences]).sum(axis=0) / number

    def pooled(name: str) -> float:
        found = [one.frames * getattr(one, name) for one in sequences if one.frames]
        return sum(found) / frames if frames else math.nan

    return TrackingScores(
        success=curve("success"),
        precision=curve("precision"),
        normalised_precision=curve("normalised_precision"),
        complete_success=curve("complete_success"),
        accuracy=sum(one.accuracy for one in sequences) / number,
        average_overlap=pooled("average_overlap"),
        success_50=pooled("success_50"),
        success_75=pooled("success_75"),
        frames=frames,
    )


def state_accuracy(
    predicted: ArrayLike, claimed: ArrayLike, truth: ArrayLike, present: ArrayLike, *, penalty: bool = False
) -> float:
    """The state accuracy of the Anti-UAV challenges: overlap where the target is, right claims of absence where it is not.

    (1 / T) sum over frames of IoU (target present) or of 1 if the answer is empty (absent). Of several sequences take the
    mean.

    Args:
        predicted: boxes, shape (t, 4); what a row without a claim holds does not matter.
        claimed: whether the tracker says that the target is in the frame (its answer is not empty), shape (t,).
        truth: true boxes, shape (t, 4).
        present: whether it is, shape (t,).
        penalty: subtract 0.2 (share of the frames with the target that were claimed empty)^0.3, as the later editions do;
            0 if the target is never present.

    Returns:
        In [0, 1]; with the penalty in [-0.2, 1].

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, or a negative size.

    Source: the evaluation of the challenge; arXiv 2108.09909.

    Example:
        >>> box = [[4, 4, 2, 2]] * 5
        >>> state_accuracy(box, [0] * 5, box, [1] * 5, penalty=True)
        -0.2
    """
    boxes, real = checked_boxes(predicted, name="predicted"), checked_boxes(truth, name="truth")
    said, there = flags(claimed, name="claimed"), flags(present, name="present")
    require_same_length(predicted=boxes, claimed=said, truth=real, present=there)
    found = float(np.where(there, np.where(said, iou(boxes, real), 0.0), ~said).mean())
    if penalty and there.any():
        found -= 0.2 * float((~said[there]).mean()) ** 0.3
    return found


def frames_per_second(seconds: ArrayLike) -> float:
    """Frames over their total time, the first one, in which the tracker is initialised, left out.

    Args:
        seconds: of each frame, > 0, shape (t,), t >= 2.

    Raises:
        TypeError: not numbers.
        ValueError: NaN, fewer than two frames, or a time that is not positive.

    Example:
        >>> frames_per_second([9.0, 0.25, 0.25])
        4.0
    """
    times = floats(seconds, name="seconds")
    if len(times) < 2 or (times <= 0).any():
        raise ValueError(
            "seconds must hold two or more positive times; the first is the initialisation and is left out"
        )
    return float((len(times) - 1) / times[1:].sum())


def _mmot(boxes: FloatArray, started: FloatArray, real: FloatArray) -> TrackingScores:
    """The scores of the MMOT toolkit, which compares boxes as numbers whatever the truth is."""
    there = (real != 0).any(axis=1)
    return _scores(
        iou(started, real),
        centre_distance(started, real),
        mmot.scaled_distance(started, real),
        mmot.clipped_complete_iou(started, real),
        there=there,
        kept=np.ones(len(real), dtype=bool),
        accuracy=float(np.where(there, iou(boxes, real), 0.0).mean()),
    )


def _scores(
    overlap: FloatArray,
    distance: FloatArray,
    scaled: FloatArray,
    complete: FloatArray,
    *,
    there: Flags,
    kept: Flags,
    accuracy: float,
) -> TrackingScores:
    later = overlap[1:][there[1:]]
    return TrackingScores(
        success=_share(overlap[kept], OVERLAPS, above=True),
        precision=_share(distance[kept], PIXELS, above=False),
        normalised_precision=_share(scaled[kept], SIZES, above=False),
        complete_success=_share(complete[kept], OVERLAPS, above=True),
        accuracy=accuracy,
        average_overlap=_mean(later),
        success_50=_mean(later > 0.5),
        success_75=_mean(later > 0.75),
        frames=len(later),
    )


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _share(values: FloatArray, thresholds: FloatArray, *, above: bool) -> FloatArray:
    """Share of the values > (or <=) each threshold, by sorting once; NaN passes none."""
    known = np.sort(values[~np.isnan(values)])
    at_most = np.searchsorted(known, thresholds, side="right")
    return (len(known) - at_most if above else at_most) / len(values)


def _flags_of(given: ArrayLike | None, boxes: FloatArray, *, name: str) -> Flags:
    if given is None:
        return (boxes != 0).any(axis=1)
    found = flags(given, name=name)
    require_same_length(**{name: found, "boxes": boxes})
    return found.copy()
