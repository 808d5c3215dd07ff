"""What a tracker is: it is given a box in one frame, and answers with a box in each of the frames that follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, eq=False, slots=True)
class TrackResult:
    """What a tracker says about one frame.

    Attributes:
        box: x, y, width and height in pixels, x and y of the top left corner counted from 0, float64, shape (4,); None where it
            has no idea.
        score: how sure it is; larger is surer, on a scale of its own.
        visible: whether it claims that the target is in the frame. A box without the claim is a guess, and is not scored.

    Raises:
        TypeError: the box is no array of float64, the score no float, or the claim no bool.
        ValueError: a box of another shape, not finite or without area, a score that is NaN, or a claim without a box.

    Example:
        >>> TrackResult(np.array([3.0, 4.0, 10.0, 8.0]), 7.5).visible
        True
    """

    box: np.ndarray | None
    score: float
    visible: bool = True

    def __post_init__(self) -> None:
        if type(self.visible) is not bool:
            raise TypeError(f"visible={self.visible!r} must be True or False")
        if not isinstance(self.score, float):
            raise TypeError(f"score is {type(self.score).__name__}; it must be a float")
        if math.isnan(self.score):
            raise ValueError("score is NaN; where there is no answer, give visible=False")
        if self.box is None:
            if self.visible:
                raise ValueError("visible=True needs a box; give visible=False where no target was found")
            return
        if not isinstance(self.box, np.ndarray) or self.box.dtype != np.float64:
            kind = self.box.dtype if isinstance(self.box, np.ndarray) else type(self.box).__name__
            raise TypeError(f"box is {kind}; it must be a numpy array of float64")
        if self.box.shape != (4,):
            raise ValueError(f"box.shape={self.box.shape} must be (4,): x, y, width, height")
        if not np.isfinite(self.box).all() or (self.box[2:] <= 0).any():
            raise ValueError(f"box={self.box.tolist()} must be finite, and its width and height above 0")


@runtime_checkable
class Tracker(Protocol):
    """A single-object tracker; `track` runs it over a sequence."""

    def init(self, frame: np.ndarray, box: np.ndarray, language: str | None = None) -> None:
        """Begin with a target; whatever was known of an earlier one is forgotten.

        Args:
            frame: shape (height, width, channels), uint8, or float in [0, 1]; 1, 3 or 4 channels.
            box: of the target, as in `TrackResult`.
            language: a sentence about the target.
        """
        ...

    def update(self, frame: np.ndarray) -> TrackResult:
        """Where the target is in the next frame, which has the shape and the dtype of the first."""
        ...


class TrackerError(RuntimeError):
    """A tracker failed, or its answer cannot be used.

    Attributes:
        sequence: name of the sequence.
        frame: position of the frame, from 0.
    """

    def __init__(self, sequence: str, frame: int, problem: str) -> None:
        super().__init__(f"sequence {sequence!r}, frame {frame} (counted from 0): {problem}")
        self.sequence, self.frame = sequence, frame


class StaticBox:
    """The tracker that says that nothing moves: what every other one must beat.

    Example:
        >>> tracker = StaticBox()
        >>> tracker.init(np.zeros((8, 8, 3), np.uint8), np.array([1.0, 2.0, 3.0, 4.0]))
        >>> tracker.update(np.zeros((8, 8, 3), np.uint8)).box.tolist()
        [1.0, 2.0, 3.0, 4.0]
    """

    def init(self, frame: np.ndarray, box: np.ndarray, language: str | None = None) -> None:
        self._box = box.copy()

    def update(self, frame: np.ndarray) -> TrackResult:
        return TrackResult(self._box.copy(), 0.0)
