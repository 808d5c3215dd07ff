"""A small U-Net whose encoder serves inpainters, denoisers and generative teachers alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check

_GROUPS = 4  # of the normalisation
_FREQUENCIES = 16  # of the time


class UNetEncoder(nn.Module):
    """Strided blocks that give one map each: widths w1, w2, ... at 1/2, 1/4, ... of the side.

    Args:
        channels: of the input; of an inpainter, the image and its mask.
        widths: channels of the maps, multiples of 4.
        timed: whether the input comes with a time in [0, 1], such as the noise level of a denoiser.

    Raises:
        ValueError: a width that is no multiple of 4; in `forward`, sides that the strides do not divide, or a time that is
            missing or not wanted.
    """

    def __init__(self, channels: int = 1, widths: Sequence[int] = (16, 32, 64), *, timed: bool = False) -> None:
        check.integer(channels=channels, at_least=1)
        if not widths or any(width < 1 or width % _GROUPS for width in widths):
            raise ValueError(
                f"widths={widths} must be multiples of {_GROUPS}, at least one: maps are normalised in groups"
            )
        super().__init__()
        self.channels = channels
        self.blocks = nn.ModuleList(_block(a, b, 2) for a, b in pairwise([channels, *widths]))
        self.time = nn.Sequential(nn.Linear(2 * _FREQUENCIES, widths[0]), nn.SiLU()) if timed else None
        self.shifts = nn.ModuleList(nn.Linear(widths[0], width) for width in widths) if timed else None

    def forward(self, x: Tensor, time: Tensor | None = None) -> list[Tensor]:
        """Maps, float32, from large to small, from inputs of shape (b, channels, height, width) and times of shape (b,)."""
        stride = 2 ** len(self.blocks)
        if x.dim() != 4 or x.shape[1] != self.channels or x.shape[2] % stride or x.shape[3] % stride:
            raise ValueError(
                f"the U-Net was given shape {tuple(x.shape)}; it takes (b, {self.channels}, height, width) with sides that are "
                f"multiples of {stride}: resize or pad the images"
            )
        if self.time is None and time is not None:
            raise ValueError("this U-Net takes no time; build it with timed=True, or leave the time out")
        if self.time is not None and (time is None or time.shape != x.shape[:1]):
            raise ValueError("this U-Net needs one time per row, shape (b,); give them, or build it without timed=True")
        state = None if time is None or self.time is None else self.time(_waves(time))
        maps = []
        for position, block in enumerate(self.blocks):
            x = block(x)
            if state is not None and self.shifts is not None:
                x = x + self.shifts[position](state)[:, :, None, None]
            maps.append(x)
        return maps


class UNetSmall(nn.Module):
    """Images from images of the same size: a `UNetEncoder` and, upwards, blocks that also see its maps.

    With one channel in and out it has 118,762 parameters; `encoder` alone is the descriptor that a student can learn from.

    Args:
        channels: of the input.
        outputs: channels of the answer.
        widths: as for `UNetEncoder`.
        timed: as for `UNetEncoder`.

    Attributes:
        config: the arguments, to build the network again.

    Raises:
        ValueError: as for `UNetEncoder`.

    Example:
        >>> network = UNetSmall()
        >>> [tuple(found.shape) for found in network.encoder(torch.zeros(2, 1, 32, 32))]
        [(2, 16, 16, 16), (2, 32, 8, 8), (2, 64, 4, 4)]
        >>> sum(weight.numel() for weight in network.parameters()), network(torch.zeros(2, 1, 32, 32)).shape
        (118762, torch.Size([2, 1, 32, 32]))
    """

    def __init__(
        self, channels: int = 1, outputs: int = 1, widths: Sequence[int] = (16, 32, 64), *, timed: bool = False
    ) -> None:
        check.integer(outputs=outputs, at_least=1)
        super().__init__()
        self.config = {"channels": channels, "outputs": outputs, "widths": list(widths), "timed": timed}
        self.encoder = UNetEncoder(channels, widths, timed=timed)
        self.decoder = nn.ModuleList(_block(a + b, b, 1) for a, b in pairwise(reversed(widths)))
        self.last = nn.Conv2d(widths[0] + channels, outputs, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor | None = None) -> Tensor:
        """Unbounded values, float32, shape (b, outputs, height, width); arguments as for the encoder."""
        *maps, state = self.encoder(x, time)
        for block, beside in zip(self.decoder, reversed(maps), strict=True):
            state = block(torch.cat([_doubled(state), beside], dim=1))
        return self.last(torch.cat([_doubled(state), x], dim=1))


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1), nn.GroupNorm(_GROUPS, outputs), nn.SiLU(),
        nn.Conv2d(outputs, outputs, 3, 1, 1), nn.GroupNorm(_GROUPS, outputs), nn.SiLU(),
    )  # fmt: skip


def _doubled(maps: Tensor) -> Tensor:
    return functional.interpolate(maps, scale_factor=2.0, mode="nearest")


def _waves(time: Tensor) -> Tensor:
    """Sines and cosines of the time at frequencies from 1 to 1,000 per unit, shape (b, 2 x 16)."""
    rates = torch.logspace(0, 3, _FREQUENCIES, device=time.device)
    angles = 2 * math.pi * time.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
