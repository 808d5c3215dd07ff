"""Box comparisons in the arithmetic of the MMOT evaluation toolkit, step by step, so that ties at thresholds fall alike.

The toolkit (github 983632847/Awesome-Multimodal-Object-Tracking) serves WebUAV-3M, WebUOT-1M, UW-COT220, VL-SOT500 and
UAV-Anti-UAV. It compares boxes as numbers also where the true box is all zeros, the mark of an absent target.
"""

from __future__ import annotations

import math

import numpy as np

from accountants.numerics.array_kinds import FloatArray


def scaled_distance(boxes: FloatArray, truth: FloatArray) -> FloatArray:
    """The distance of centres over the true size plus 1e-16, each centre scaled before the difference is taken."""
    size = truth[:, 2:] + 1e-16
    one = (boxes[:, :2] + (boxes[:, 2:] - 1) / 2) / size
    two = (truth[:, :2] + (truth[:, 2:] - 1) / 2) / size
    return np.sqrt(((one - two) ** 2).sum(axis=1))


def clipped_complete_iou(boxes: FloatArray, truth: FloatArray) -> FloatArray:
    """Complete IoU in [0, 1], shape (n,); NaN, which passes no threshold, where two boxes are empty."""
    with np.errstate(invalid="ignore", divide="ignore"):
        (low1, high1), (low2, high2) = (_corners(part) for part in (boxes, truth))
        shared = np.maximum(np.minimum(high1, high2) - np.maximum(low1, low2), 0.0).prod(axis=1)
        around = np.maximum(np.maximum(high1, high2) - np.minimum(low1, low2), 0.0)
        apart = (truth[:, :2] + truth[:, 2:] / 2) - (boxes[:, :2] + boxes[:, 2:] / 2)
        overlap = shared / (boxes[:, 2] * boxes[:, 3] + truth[:, 2] * truth[:, 3] - shared)
        angle = np.arctan(truth[:, 2] / truth[:, 3]) - np.arctan(boxes[:, 2] / boxes[:, 3])
        shape = (4 / math.pi**2) * angle**2
        weight = shape / (1 - overlap + shape + float(np.finfo(np.float64).eps))
        far = (apart[:, 0] ** 2 + apart[:, 1] ** 2) / (around[:, 0] ** 2 + around[:, 1] ** 2)
        return np.clip(overlap - far - weight * shape, 0.0, 1.0)


def _corners(boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Corners from the centre: not always the numbers that were given, in the last digit."""
    centre = boxes[:, :2] + boxes[:, 2:] / 2
    return centre - boxes[:, 2:] / 2, centre + boxes[:, 2:] / 2
