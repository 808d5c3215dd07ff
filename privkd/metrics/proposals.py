"""Temporal action proposals: average recall over overlaps at a number of proposals, and the area under that curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import floats

OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True, eq=False)
class ProposalScores:
    """How many true segments proposals find.

    Attributes:
        average_recall: at 1, 2, ..., `most` proposals per video, mean over the overlaps, shape (most,).
        recall: the same for each overlap, shape (overlaps, most).
        overlaps: temporal IoU that a proposal must reach.
    """

    average_recall: FloatArray
    recall: FloatArray
    overlaps: tuple[float, ...]

    @property
    def auc(self) -> float:
        """The area under the average recall from 1 to `most` proposals over `most`: at most 1 - 1 / most.

        In percent it is the figure of the ActivityNet evaluation, where that gives every video `most` proposals.
        """
        middles = (self.average_recall[1:] + self.average_recall[:-1]) / 2
        return float(middles.sum() / len(self.average_recall))

    def at(self, proposals: int) -> float:
        """AR@AN: the average recall at a number of proposals per video."""
        check.integer(proposals=proposals, at_least=1, at_most=len(self.average_recall))
        return float(self.average_recall[proposals - 1])


def score_proposals(
    proposals: Sequence[ArrayLike],
    truths: Sequence[ArrayLike],
    *,
    overlaps: Sequence[float] = OVERLAPS,
    most: int = 100,
) -> ProposalScores:
    """The average recall of ranked proposals: share of all true segments that one of the first AN of their video finds.

    A true segment is found if some proposal reaches the overlap; one proposal may find several.

    Args:
        proposals: of each video, rows of start, end, score (any unit of time; start < end), shape (p, 3); p may be 0. The
            highest scores come first, equal ones in the order given.
        truths: of each video, rows of start, end, shape (m, 2); m may be 0: such a video has nothing to find.
        overlaps: temporal IoUs, each in (0, 1]: 0.5 to 0.95 for ActivityNet; THUMOS takes 0.5 to 1.
        most: the largest number of proposals per video; where a video has fewer, all of them are taken.

    Raises:
        TypeError: not numbers.
        ValueError: no video, lengths that differ, NaN, other shapes, a segment that does not end after it starts, no true
            segment at all, or an overlap out of range.

    Source: the ActivityNet proposal evaluation, which takes a common share of each video's proposals instead of a common
        number; both agree where all videos have `most` proposals.

    Example:
        >>> found = score_proposals([[[0, 10, 0.9], [20, 30, 0.8]]], [[[20, 30], [0, 8]]], most=2)
        >>> found.average_recall.round(3).tolist()
        [0.35, 0.85]
    """
    if len(proposals) != len(truths) or not len(truths):
        raise ValueError(
            f"proposals of {len(proposals)} videos and truths of {len(truths)} do not fit, or there are none"
        )
    check.integer(most=most, at_least=1)
    check.real(
        **{f"overlap_{i}": one for i, one in enumerate(overlaps)},
        above=0.0,
        at_most=1.0,
    )
    best = [
        _best_so_far(_segments(found, 3, f"proposals[{i}]"), _segments(real, 2, f"truths[{i}]"), most)
        for i, (found, real) in enumerate(zip(proposals, truths, strict=True))
    ]
    table = np.concatenate(best)
    if not len(table):
        raise ValueError("truths holds no segment in any video, so there is nothing to recall")
    recall = np.stack([(table >= one).mean(axis=0) for one in overlaps])
    return ProposalScores(recall.mean(axis=0), recall, tuple(float(one) for one in overlaps))


def temporal_iou(segments: FloatArray, others: FloatArray) -> FloatArray:
    """The intersection over union of every segment (start, end), shape (n, 2), with every other one, shape (n, m).

    Example:
        >>> temporal_iou(np.array([[0.0, 2.0]]), np.array([[1.0, 3.0], [5.0, 6.0]])).round(4).tolist()
        [[0.3333, 0.0]]
    """
    shared = np.minimum(segments[:, None, 1], others[:, 1]) - np.maximum(segments[:, None, 0], others[:, 0])
    shared = np.maximum(shared, 0.0)
    return shared / ((segments[:, 1] - segments[:, 0])[:, None] + (others[:, 1] - others[:, 0]) - shared)


def _best_so_far(proposals: FloatArray, truths: FloatArray, most: int) -> FloatArray:
    """The best overlap of each true segment with the first 1, 2, ..., `most` proposals, shape (m, most)."""
    if not len(proposals):
        return np.zeros((len(truths), most))
    order = np.argsort(-proposals[:, 2], kind="stable")[:most]
    best = np.maximum.accumulate(temporal_iou(truths, proposals[order, :2]), axis=1)
    return np.pad(best, ((0, 0), (0, most - best.shape[1])), mode="edge") if len(truths) else np.zeros((0, most))


def _segments(rows: ArrayLike, columns: int, name: str) -> FloatArray:
    if 0 in np.shape(rows):
        return np.zeros((0, columns))
    found = floats(rows, name=name, ndim=2)
    if found.shape[1] != columns:
        wanted = "start, end, score" if columns == 3 else "start, end"
        raise ValueError(f"{name} has shape {found.shape}; rows of {wanted} are needed")
    if (found[:, 0] >= found[:, 1]).any():
        raise ValueError(f"{name} has segments that do not end after they start; drop those of no length")
    return found
