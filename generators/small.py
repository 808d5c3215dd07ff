"""A small generator for vectors and images, for queries to a teacher when there is no public data."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_GRID = 8


class SmallGenerator(nn.Module):
    """Maps z ~ N(0, I) to inputs in [low, high].

    Images are made on a grid of at most 8x8 pixels and enlarged bilinearly: a public prior that neighbouring pixels are
    alike, and the reason why the network stays small.

    Args:
        shape: `(d,)` or `(channels, height, width)`.
        low: smallest output value.
        high: largest output value.
        latent: size of z.
        hidden: width of the hidden layer.

    Raises:
        ValueError: shape is neither a vector's nor an image's.
    """

    def __init__(
        self, shape: tuple[int, ...], *, low: float = 0.0, high: float = 1.0, latent: int = 64, hidden: int = 256
    ) -> None:
        super().__init__()
        shape = tuple(shape)
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise ValueError(f"shape={shape}; allowed are (d,) and (channels, height, width)")
        self.config: dict[str, Any] = {
            "shape": list(shape),
            "low": low,
            "high": high,
            "latent": latent,
            "hidden": hidden,
        }
        self.shape, self.low, self.high, self.latent = shape, low, high, latent
        self.grid = shape if len(shape) == 1 else (shape[0], min(_GRID, shape[1]), min(_GRID, shape[2]))
        self.net = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, math.prod(self.grid)), nn.Sigmoid()
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SmallGenerator:
        """A fresh generator from the settings in `config`."""
        settings = dict(config)
        return cls(tuple(settings.pop("shape")), **settings)

    def forward(self, z: Tensor) -> Tensor:
        """Inputs of shape (b, *shape) from latent vectors of shape (b, latent)."""
        return self.enlarged(self.coarse(z))

    def coarse(self, z: Tensor) -> Tensor:
        """Grid values in [0, 1], shape (b, grid size), before enlarging."""
        return self.net(z)

    def enlarged(self, coarse: Tensor) -> Tensor:
        """Inputs of shape (b, *shape) from grid values."""
        x = coarse.view(-1, *self.grid)
        if self.grid != self.shape:
            x = functional.interpolate(x, self.shape[1:], mode="bilinear", align_corners=False)
        return self.low + (self.high - self.low) * x

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """`count` synthetic inputs without gradient."""
        with torch.no_grad():
            return self(torch.randn(count, self.latent, generator=generator))
