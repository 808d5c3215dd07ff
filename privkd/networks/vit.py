"""Vision transformers for small images and clips: patches as tokens, positions in space and time, and an encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check
from privkd.networks.transformer import TransformerEncoder


class PatchTokenizer(nn.Module):
    """Images or clips cut into square patches that do not overlap, each mapped linearly to one token.

    Args:
        patch: side of a patch, pixels.
        channels: of the image.
        dim: size d of a token.

    Raises:
        ValueError: a size below 1; in `forward`, other channels or sides that are no multiples of `patch`.

    Example:
        >>> PatchTokenizer(12, 1, 64)(torch.zeros(2, 8, 1, 48, 36)).shape
        torch.Size([2, 8, 12, 64])
    """

    def __init__(self, patch: int, channels: int, dim: int) -> None:
        check.integer(patch=patch, channels=channels, dim=dim, at_least=1)
        super().__init__()
        self.patch, self.channels = patch, channels
        self.project = nn.Linear(channels * patch * patch, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens row by row, shape (..., N, d), from images of shape (..., channels, height, width)."""
        p = self.patch
        if x.dim() < 3 or x.shape[-3] != self.channels or x.shape[-2] % p or x.shape[-1] % p or not x.shape[-1]:
            raise ValueError(
                f"PatchTokenizer was given shape {tuple(x.shape)}; it takes (..., {self.channels}, height, width) with sides "
                f"that are multiples of patch={p}: resize or pad the images"
            )
        rows, columns = x.shape[-2] // p, x.shape[-1] // p
        cells = x.unflatten(-1, (columns, p)).unflatten(-3, (rows, p))  # (..., C, rows, p, columns, p)
        cells = cells.movedim((-4, -2), (-5, -4))  # (..., rows, columns, C, p, p)
        return self.project(cells.flatten(-3).flatten(-3, -2))


class FactorisedPositions(nn.Module):
    """Learned positions as the sum of a table of places, (rows, columns, d), and a table of times, (frames, d).

    A grid or a length of another size is served by bilinear interpolation (without aligned corners).

    Args:
        grid: rows and columns of the patches.
        dim: size d of a token.
        frames: of a clip; 1 for images.

    Raises:
        ValueError: a size below 1; in `forward`, tokens that are not `grid` many.
    """

    def __init__(self, grid: tuple[int, int], dim: int, frames: int = 1) -> None:
        check.integer(rows=grid[0], columns=grid[1], dim=dim, frames=frames, at_least=1)
        super().__init__()
        self.space = nn.Parameter(nn.init.trunc_normal_(torch.empty(*grid, dim), std=0.02))
        self.time = nn.Parameter(nn.init.trunc_normal_(torch.empty(frames, dim), std=0.02))

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens with their positions added, shape (b, frames, N, d), N = rows x columns of `grid`."""
        frames, count = tokens.shape[1:3]
        if tokens.dim() != 4 or count != grid[0] * grid[1]:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}; (b, frames, {grid[0] * grid[1]}, d) is needed")
        space = _resized(self.space, grid).flatten(0, 1)
        time = _resized(self.time[:, None], (frames, 1))
        return tokens + space + time


class TinyViT(nn.Module):
    """Frame and clip encoder with 3 layers of width 64; stands in for a large vision transformer, with the same interface.

    With grey frames of 48x48, patches of 12x12 and clips of 8 frames it has 111,424 parameters.

    Args:
        side: of the square frames, pixels, a multiple of `patch`; other multiples are served by interpolated positions.
        patch: side of a patch, pixels.
        channels: of a frame.
        frames: of a clip; 1 for images.
        dim: size d of a token.
        layers: how many.
        heads: of the attention.
        drop_path: as for `TransformerEncoder`.

    Attributes:
        config: the arguments, to build the network again.
        dim: size of the answer.

    Raises:
        ValueError: a size out of range, or a side that is no multiple of the patch.

    Example:
        >>> network = TinyViT(frames=8)
        >>> sum(weight.numel() for weight in network.parameters()), network(torch.zeros(2, 8, 1, 48, 48)).shape
        (111424, torch.Size([2, 64]))
    """

    def __init__(
        self,
        side: int = 48,
        patch: int = 12,
        channels: int = 1,
        frames: int = 1,
        *,
        dim: int = 64,
        layers: int = 3,
        heads: int = 4,
        drop_path: float = 0.0,
    ) -> None:
        check.integer(side=side, patch=patch, at_least=1)
        if side % patch:
            raise ValueError(f"side={side} must be a multiple of patch={patch}")
        super().__init__()
        sizes = {"side": side, "patch": patch, "channels": channels, "frames": frames}
        self.config = {**sizes, "dim": dim, "layers": layers, "heads": heads, "drop_path": drop_path}
        self.dim = dim
        self.tokenizer = PatchTokenizer(patch, channels, dim)
        self.positions = FactorisedPositions((side // patch, side // patch), dim, frames)
        self.first = nn.Parameter(nn.init.trunc_normal_(torch.empty(dim), std=0.02))
        self.encoder = TransformerEncoder(dim, layers, heads, ratio=2, drop_path=drop_path)

    def embed(self, x: Tensor) -> Tensor:
        """Tokens with their positions, shape (b, frames, N, d), from images (b, C, h, w) or clips (b, frames, C, h, w)."""
        if x.dim() not in (4, 5):
            raise ValueError(f"TinyViT was given shape {tuple(x.shape)}; it takes (b, C, h, w) or (b, frames, C, h, w)")
        clips = x if x.dim() == 5 else x[:, None]
        patch = self.tokenizer.patch
        return self.positions(self.tokenizer(clips), (x.shape[-2] // patch, x.shape[-1] // patch))

    def encode(self, tokens: Tensor) -> Tensor:
        """Any subset of tokens, shape (b, n, d), put behind one learned token and encoded: shape (b, 1 + n, d)."""
        return self.encoder(torch.cat([self.first.expand(tokens.shape[0], 1, -1), tokens], dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings, float32, shape (b, d): the first token's answer for an image or a clip as in `embed`."""
        return self.encode(self.embed(x).flatten(1, 2))[:, 0]


def _resized(table: Tensor, size: tuple[int, int]) -> Tensor:
    """A table of shape (rows, columns, d) at another size."""
    if tuple(table.shape[:2]) == tuple(size):
        return table
    return functional.interpolate(table.movedim(-1, 0)[None], size, mode="bilinear")[0].movedim(0, -1)
