"""A head that finds one object on a map: where its centre is, how far off the grid, and how large it is."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from accountants import check


class CenterMaps(NamedTuple):
    """What a `CenterHead` says about every cell of a map with h x w cells.

    Attributes:
        score: of the centre lying there, logits, shape (b, 1, h, w).
        offset: of the centre from the cell's top left corner, x and y in cells, in (0, 1), shape (b, 2, h, w).
        size: width and height as parts of the map's, in (0, 1), shape (b, 2, h, w).
    """

    score: Tensor
    offset: Tensor
    size: Tensor

    def boxes(self, score: Tensor | None = None) -> Tensor:
        """The box at the best cell, x, y, width, height as parts of the map's sides, shape (b, 4).

        Args:
            score: by which cell is best, shape (b, 1, h, w), such as one mixed with a window; None for that of the head.
        """
        score = self.score if score is None else score
        height, width = score.shape[-2:]
        best = score.flatten(1).argmax(dim=1)
        picked = best[:, None, None].expand(-1, 2, 1)
        offset, size = (maps.flatten(2).gather(2, picked)[:, :, 0] for maps in (self.offset, self.size))
        corner = torch.stack([best % width, best // width], dim=1) + offset
        centre = corner / corner.new_tensor([width, height])
        return torch.cat([centre - size / 2, size], dim=1)


class CenterHead(nn.Module):
    """Three towers of two 3x3 convolutions and a 1x1 one on the map of a search window: score, offset and size.

    Args:
        inputs: channels of the map.
        hidden: channels within a tower.

    Raises:
        ValueError: a size below 1; in `forward`, a map of other channels.

    Source: OSTrack (Ye et al., ECCV 2022); towers are shorter here.

    Example:
        >>> CenterHead(64)(torch.zeros(2, 64, 12, 12)).boxes().shape
        torch.Size([2, 4])
    """

    def __init__(self, inputs: int, hidden: int = 32) -> None:
        check.integer(inputs=inputs, hidden=hidden, at_least=1)
        super().__init__()
        self.inputs = inputs
        self.score, self.offset, self.size = (_tower(inputs, hidden, outputs) for outputs in (1, 2, 2))

    def forward(self, maps: Tensor) -> CenterMaps:
        """The three maps, from one of shape (b, inputs, h, w)."""
        if maps.dim() != 4 or maps.shape[1] != self.inputs:
            raise ValueError(f"CenterHead was given shape {tuple(maps.shape)}; it takes maps (b, {self.inputs}, h, w)")
        return CenterMaps(self.score(maps), self.offset(maps).sigmoid(), self.size(maps).sigmoid())


def _tower(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    layers = []
    for a, b in ((inputs, hidden), (hidden, hidden)):
        layers += [nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(hidden, outputs, 1))
