"""Square windows of frames: cut out, scaled, and with boxes that go back and forth exactly.

Boxes are x, y, width, height with x, y the top left corner, in pixels; pixel i covers [i, i + 1), so that a frame of width w
reaches from 0 to w.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from accountants import check

SMALLEST_BOX = 2.0
"""Pixels a side. Larger bounds, as they are common, lose small objects."""


def context_side(width: float, height: float, factor: float) -> float:
    """The side of the square window around a box that gives it context on all sides.

    sqrt((w + m)(h + m)) with m = (factor - 1)(w + h) / 2, in pixels.

    Args:
        width: of the box, pixels, > 0.
        height: of the box, pixels, > 0.
        factor: >= 1; 2 for templates and 4 for search windows.

    Source: TransT (Chen et al., CVPR 2021), code.

    Example:
        >>> context_side(10, 10, 2), context_side(10, 10, 4)
        (20.0, 40.0)
    """
    check.real(width=width, height=height, above=0.0)
    check.real(factor=factor, at_least=1.0)
    margin = (factor - 1) * (width + height) / 2
    return math.sqrt((width + margin) * (height + margin))


def scaled_side(width: float, height: float, factor: float) -> float:
    """The side of the square window with `factor`^2 times the area of a box, rounded up to whole pixels.

    Args:
        width: of the box, pixels, > 0.
        height: of the box, pixels, > 0.
        factor: > 0.

    Source: OSTrack (Ye et al., ECCV 2022), code.

    Example:
        >>> scaled_side(10, 10, 2), scaled_side(9, 11, 2)
        (20.0, 20.0)
    """
    check.real(width=width, height=height, factor=factor, above=0.0)
    return float(math.ceil(math.sqrt(width * height) * factor))


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a frame, scaled to a square patch.

    Attributes:
        x: of the centre, pixels of the frame.
        y: of the centre, pixels of the frame.
        side: of the square, pixels of the frame, > 0.
        size: side of the patch, pixels, >= 1.

    Raises:
        ValueError: a value out of range.

    Example:
        >>> window = Window(50.0, 40.0, 20.0, 80)
        >>> box = window.into_patch(torch.tensor([50.0, 40.0, 5.0, 4.0]))
        >>> box.tolist(), window.into_frame(box).tolist()
        ([40.0, 40.0, 20.0, 16.0], [50.0, 40.0, 5.0, 4.0])
    """

    x: float
    y: float
    side: float
    size: int

    def __post_init__(self) -> None:
        check.real(x=self.x, y=self.y)
        check.real(side=self.side, above=0.0)
        check.integer(size=self.size, at_least=1)

    def into_patch(self, boxes: Tensor) -> Tensor:
        """Boxes of the frame, shape (..., 4), as boxes of the patch, in float64."""
        return (_boxes(boxes) - self._origin(boxes.device)) * (self.size / self.side)

    def into_frame(self, boxes: Tensor) -> Tensor:
        """Boxes of the patch, shape (..., 4), as boxes of the frame, in float64; the inverse of `into_patch`."""
        return _boxes(boxes) * (self.side / self.size) + self._origin(boxes.device)

    def crop(self, frame: Tensor) -> Tensor:
        """The patch, shape (C, size, size), interpolated linearly from a frame, float, shape (C, height, width).

        What lies outside the frame has the mean colour of the frame.

        Raises:
            ValueError: no frame of floats.
        """
        if frame.dim() != 3 or not frame.is_floating_point() or not frame.numel():
            raise ValueError(
                f"frame has shape {tuple(frame.shape)} and {frame.dtype}; floats (C, height, width) are needed"
            )
        height, width = frame.shape[1:]
        steps = (torch.arange(self.size, dtype=torch.float64) + 0.5) * (self.side / self.size) - self.side / 2
        # Without aligned corners, grid_sample has the frame from -1 to 1, edge to edge.
        columns, rows = 2 * (self.x + steps) / width - 1, 2 * (self.y + steps) / height - 1
        grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).to(frame)
        mean = frame.mean(dim=(1, 2), keepdim=True)
        return functional.grid_sample((frame - mean)[None], grid[None], align_corners=False)[0] + mean

    def _origin(self, device: torch.device) -> Tensor:
        corner = self.x - self.side / 2, self.y - self.side / 2
        return torch.tensor([*corner, 0.0, 0.0], dtype=torch.float64, device=device)


def clamp_box(box: Tensor, width: int, height: int) -> Tensor:
    """A box whose sides are at least 2 pixels and at most the frame's, and whose centre lies in the frame.

    Args:
        box: shape (..., 4).
        width: of the frame, pixels, >= 2.
        height: of the frame, pixels, >= 2.

    Example:
        >>> clamp_box(torch.tensor([-9.0, 5.0, 4.0, 0.5]), 100, 80).tolist()
        [-2.0, 4.25, 4.0, 2.0]
    """
    check.integer(width=width, height=height, at_least=2)
    box = _boxes(box)
    frame = box.new_tensor([width, height])
    sides = box[..., 2:].clamp(min=SMALLEST_BOX).minimum(frame)
    centre = (box[..., :2] + box[..., 2:] / 2).clamp(min=0.0).minimum(frame)
    return torch.cat([centre - sides / 2, sides], dim=-1)


def hann2d(n: int) -> Tensor:
    """The outer product of two symmetric Hann windows, shape (n, n): 1 in the middle, 0 at the border.

    Example:
        >>> hann2d(5)[2].tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    check.integer(n=n, at_least=1)
    window = torch.hann_window(n, periodic=False, dtype=torch.float64)
    return torch.outer(window, window).float()


def near_centre(score: Tensor, weight: float = 0.49) -> Tensor:
    """Scores of a square map mixed with a Hann window, (1 - weight) score + weight hann, against jumps of the peak.

    Args:
        score: shape (..., n, n), in [0, 1].
        weight: in [0, 1].

    Raises:
        ValueError: a map that is not square.
    """
    check.real(weight=weight, at_least=0.0, at_most=1.0)
    if score.dim() < 2 or score.shape[-1] != score.shape[-2]:
        raise ValueError(f"score has shape {tuple(score.shape)}; a square map (..., n, n) is needed")
    return (1 - weight) * score + weight * hann2d(score.shape[-1]).to(score)


def _boxes(boxes: Tensor) -> Tensor:
    if boxes.shape[-1:] != (4,):
        raise ValueError(f"boxes have shape {tuple(boxes.shape)}; x, y, width, height in the last dimension are needed")
    return boxes.double()
