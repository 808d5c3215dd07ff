"""Which frames of a clip are looked at, and which part of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from accountants import check

Box = tuple[float, float, float, float]
Cropper = Callable[[np.ndarray], Box | None]


@dataclass(frozen=True)
class UniformFrames:
    """Frames from the middle of `count` equal parts of a clip: the same each time, for tests.

    Attributes:
        count: frames per clip, >= 1.

    Example:
        >>> UniformFrames(4).positions(16)
        [2, 6, 10, 14]
    """

    count: int

    def __post_init__(self) -> None:
        check.integer(count=self.count, at_least=1)

    def positions(self, frames: int) -> list[int]:
        """Positions in a clip of so many frames.

        Raises:
            ValueError: the clip is shorter.
        """
        if frames < self.count:
            raise ValueError(f"a clip of {frames} frames is shorter than the {self.count} that are sampled")
        return [(2 * part + 1) * frames // (2 * self.count) for part in range(self.count)]


@dataclass(frozen=True)
class RandomStart:
    """Frames at equal distances from a random start: for training.

    The start comes from torch's global generator, which the trainer seeds for every batch.

    Attributes:
        count: frames per clip, >= 1.
        stride: distance of neighbours in frames, >= 1.
    """

    count: int
    stride: int = 1

    def __post_init__(self) -> None:
        check.integer(count=self.count, stride=self.stride, at_least=1)

    def positions(self, frames: int) -> list[int]:
        """Positions in a clip of so many frames.

        Raises:
            ValueError: the clip is shorter than `(count - 1) * stride + 1`.
        """
        span = (self.count - 1) * self.stride + 1
        if frames < span:
            raise ValueError(
                f"a clip of {frames} frames is shorter than the {span} that {self.count} at stride {self.stride} span"
            )
        start = int(torch.randint(frames - span + 1, ()))
        return list(range(start, start + span, self.stride))


@dataclass(frozen=True)
class FaceCrop:
    """A part of all frames of a clip, resized: found once, in frame 0, as a box found anew in each frame would shake the face.

    Attributes:
        cropper: gives the box (x, y, width, height) in pixels for a frame (height, width, channels), as stored; None: no face.
        size: height and width of the result, each >= 1.
        margin: by which the sides of the box grow about its centre, >= 1; what would lie outside the frame is cut off.
    """

    cropper: Cropper
    size: tuple[int, int]
    margin: float = 1.3

    def __post_init__(self) -> None:
        for side in self.size:
            check.integer(size=side, at_least=1)
        check.real(margin=self.margin, at_least=1.0, at_most=100.0)

    def bounds(self, frame: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns of the part, at least one pixel each.

        Raises:
            ValueError: no face was found, or the box is not finite, empty, or outside the frame.
        """
        box = self.cropper(frame)
        if box is None:
            raise ValueError(
                "no face was found in frame 0; leave the clip out, or give a cropper that falls back to the whole frame"
            )
        x, y, width, height = (check.as_float(box=float(side)) for side in box)
        if width <= 0 or height <= 0:
            raise ValueError(f"the cropper gave a box of width {width:g} and height {height:g}; both must be above 0")
        rows = _grown(y, height, self.margin, frame.shape[0])
        columns = _grown(x, width, self.margin, frame.shape[1])
        if rows.start >= rows.stop or columns.start >= columns.stop:
            raise ValueError("the cropper gave a box outside the frame")
        return rows, columns

    def resized(self, clip: Tensor) -> Tensor:
        """Float frames (t, channels, height, width) at the size, bilinear with smoothing where they shrink."""
        return interpolate(clip, self.size, mode="bilinear", align_corners=False, antialias=True)


def _grown(start: float, length: float, margin: float, most: int) -> slice:
    centre, half = start + length / 2, length * margin / 2
    return slice(max(0, int(np.floor(centre - half))), min(most, int(np.ceil(centre + half))))
