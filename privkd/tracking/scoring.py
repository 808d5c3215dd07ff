"""From results to what a benchmark reports: scores of each sequence, their means, means by attribute, and speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from privkd.data.kinds.sequence import Sequence, SequenceError
from privkd.data.kinds.sequence_results import SequenceResult
from privkd.metrics.tracking import TrackingScores, mean_scores, score_sequence


@dataclass(frozen=True, eq=False)
class BenchmarkScores:
    """What a tracker reached on a benchmark.

    Attributes:
        sequences: scores of each, by name.
        mean: of all sequences.
        attributes: means of the sequences that have an attribute (its number is above 0), by its name; attributes that none
            has are left out.
        frames_per_second: of all sequences together, initialisation left out; None where a result has no times.
    """

    sequences: Mapping[str, TrackingScores]
    mean: TrackingScores
    attributes: Mapping[str, TrackingScores]
    frames_per_second: float | None


def benchmark(
    results: Mapping[str, SequenceResult], sequences: Iterable[Sequence], *, absent: Literal["count", "skip"] = "count"
) -> BenchmarkScores:
    """The scores of results on their sequences.

    Args:
        results: by name of the sequence, as `track_all` gives them; more than the sequences will do.
        sequences: at least one, with two frames or more each.
        absent: what frames without the target count for in curves; see `privkd.metrics.score_sequence`.

    Raises:
        SequenceError: a sequence has no result, or one of another length.
        ValueError: there are no sequences, or an option that `score_sequence` refuses.
    """
    listed = list(sequences)
    if not listed:
        raise ValueError("sequences is empty; a benchmark needs at least one")
    scores = {one.name: _scored(results.get(one.name), one, absent) for one in listed}
    names = sorted({name for one in listed for name, value in one.attributes.items() if value > 0})
    return BenchmarkScores(
        sequences=scores,
        mean=mean_scores(list(scores.values())),
        attributes={
            name: mean_scores([scores[one.name] for one in listed if one.attributes.get(name, 0) > 0]) for name in names
        },
        frames_per_second=_speed([results[one.name] for one in listed]),
    )


def _scored(result: SequenceResult | None, sequence: Sequence, absent: Literal["count", "skip"]) -> TrackingScores:
    if result is None:
        raise SequenceError(sequence.name, "there is no result of it; track_all makes one for each sequence")
    if len(result.boxes) != len(sequence):
        raise SequenceError(
            sequence.name, f"its result has {len(result.boxes)} boxes, but it has {len(sequence)} frames"
        )
    return score_sequence(result.boxes, sequence.boxes, present=sequence.visible, claimed=result.visible, absent=absent)


def _speed(results: list[SequenceResult]) -> float | None:
    frames = sum(len(one.boxes) - 1 for one in results)
    seconds = [float(one.seconds[1:].sum()) for one in results if one.seconds is not None]
    return frames / sum(seconds) if len(seconds) == len(results) and sum(seconds) > 0 else None
