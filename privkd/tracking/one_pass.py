"""One-pass evaluation: a tracker is given the first box, and runs to the end of the sequence without help."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from privkd.data.kinds.sequence import Sequence, SequenceError
from privkd.data.kinds.sequence_results import SequenceResult
from privkd.progress import working
from privkd.tracking.tracker import Tracker, TrackerError, TrackResult

_RESOLUTION = 1e-8  # seconds, of the files of results
_ROUNDED = 1e-3  # pixels, likewise


def track(tracker: Tracker, sequence: Sequence) -> SequenceResult:
    """What a tracker says about one sequence, and how long it takes.

    The box of frame 0 is the true one, with which the tracker begins. Frames are decoded outside of the measured times; time 0
    is that of `init`, which `privkd.metrics.frames_per_second` leaves out.

    Args:
        tracker: its `init` is called once, its `update` for each further frame.
        sequence: whose target is there in frame 0.

    Returns:
        Boxes float64, shape (T, 4), all zero where the tracker did not claim that the target is visible; seconds, shape (T,).

    Raises:
        SequenceError: the target is absent in frame 0, or a frame cannot be read; it is named.
        TrackerError: the tracker raised an error, or gave something else than a `TrackResult`; the frame is named.
    """
    if not sequence.visible[0] or (sequence.boxes[0, 2:] <= 0).any():
        raise SequenceError(sequence.name, "its target is absent, but trackers begin there", frame=0)
    boxes, seconds = np.zeros((len(sequence), 4)), np.empty(len(sequence))
    boxes[0] = sequence.boxes[0]
    _, seconds[0] = _timed(
        sequence, 0, lambda frame: tracker.init(frame, sequence.boxes[0].copy(), language=sequence.language)
    )
    for t in range(1, len(sequence)):
        found, seconds[t] = _timed(sequence, t, tracker.update)
        if not isinstance(found, TrackResult):
            raise TrackerError(sequence.name, t, f"its tracker gave a {type(found).__name__}; give a TrackResult")
        if found.visible:
            boxes[t] = found.box
    return SequenceResult(sequence.name, boxes, seconds)


def track_all(
    tracker: Callable[[], Tracker], sequences: Iterable[Sequence], *, folder: str | os.PathLike[str] | None = None
) -> dict[str, SequenceResult]:
    """What a tracker says about each of some sequences.

    Args:
        tracker: makes a tracker, for example its class; it is called once per sequence.
        sequences: for example `Sequences`.
        folder: of the results of this tracker on these data. What lies in it is not computed again, so that a run that was
            stopped goes on; each result is written when its sequence ends, and is then what `SequenceResult.read` gives:
            boxes rounded to a thousandth of a pixel.

    Returns:
        Results by name of the sequence, in the order of the sequences.

    Raises:
        SequenceError: as of `track`, or a result in the folder is damaged or of another sequence.
        TrackerError: as of `track`.
        OSError: the folder cannot be written.
    """
    found = {}
    for sequence in sequences:
        kept = None if folder is None else _kept(Path(folder), sequence)
        if kept is None:
            with working(f"tracking {sequence.name}"):
                kept = track(tracker(), sequence)
            if folder is not None:
                kept.write(folder)
                kept = SequenceResult.read(folder, sequence.name)
        found[sequence.name] = kept
    return found


def _timed(sequence: Sequence, t: int, call: Callable[[np.ndarray], object]) -> tuple[object, float]:
    """The answer to a frame, and its time."""
    try:
        frame = sequence.frames[t]
    except (ValueError, OSError) as error:
        raise SequenceError(sequence.name, f"it cannot be read: {error}", frame=t) from error
    begin = time.perf_counter()
    try:
        answer = call(frame)
    except Exception as error:
        raise TrackerError(sequence.name, t, f"its tracker failed ({type(error).__name__}: {error})") from error
    return answer, max(time.perf_counter() - begin, _RESOLUTION)


def _kept(folder: Path, sequence: Sequence) -> SequenceResult | None:
    """The result that an earlier run wrote; none if it was stopped before the times, which come last."""
    try:
        result = SequenceResult.read(folder, sequence.name, frames=len(sequence))
    except FileNotFoundError:
        return None
    if np.abs(result.boxes[0] - sequence.boxes[0]).max() > _ROUNDED:
        raise SequenceError(
            sequence.name,
            f"its result in {folder} begins with another box, so that it is of other data; choose another folder",
            frame=0,
        )
    return None if result.seconds is None else result
