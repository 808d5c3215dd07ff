"""Channels of a patch that need no training: colours, and gradients by orientation."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional

ORIENTATIONS = 8
CHANNELS = 3 + ORIENTATIONS


def fixed_channels(patches: Tensor) -> Tensor:
    """Grey, red against green, yellow against blue, and how strong the gradient of grey is in each of eight directions.

    A gradient counts for the two directions beside it, in shares that sum to 1, as in histograms of oriented gradients (Dalal and
    Triggs, CVPR 2005); its strength is taken to the power 1/2 and smoothed over 3 x 3 cells.

    Args:
        patches: float, shape (n, 1 or 3, height, width), in [0, 1].

    Returns:
        Shape (n, 11, height, width). Colours of grey patches are 0.
    """
    red, green, blue = patches.expand(-1, 3, -1, -1).unbind(dim=1)
    grey = (red + green + blue) / 3
    across, down = (functional.conv2d(_padded(grey), kernel.to(grey)) for kernel in _sobel())
    strength = (across.square() + down.square() + 1e-12).sqrt()
    direction = torch.atan2(down, across) * (ORIENTATIONS / (2 * math.pi))
    bins = torch.arange(ORIENTATIONS, dtype=grey.dtype, device=grey.device)[None, :, None, None]
    away = torch.remainder(direction - bins + ORIENTATIONS / 2, ORIENTATIONS) - ORIENTATIONS / 2
    oriented = strength.sqrt() * (1 - away.abs()).clamp(min=0.0)
    smooth = _smoothed(_smoothed(oriented, -1), -2)
    return torch.cat([torch.stack([grey, red - green, (red + green) / 2 - blue], dim=1), smooth], dim=1)


def _smoothed(maps: Tensor, dim: int) -> Tensor:
    """Means of three cells in one direction; at the borders of two, over three."""
    size = maps.shape[dim]
    found = maps / 3
    found.narrow(dim, 1, size - 1).add_(maps.narrow(dim, 0, size - 1), alpha=1 / 3)
    found.narrow(dim, 0, size - 1).add_(maps.narrow(dim, 1, size - 1), alpha=1 / 3)
    return found


def _padded(grey: Tensor) -> Tensor:
    return functional.pad(grey[:, None], (1, 1, 1, 1), mode="replicate")


@functools.cache
def _sobel() -> tuple[Tensor, Tensor]:
    across = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])) / 8
    return across[None, None], across.T.contiguous()[None, None]
