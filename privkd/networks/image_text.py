"""What encoders of images, frames and texts promise, and a small image-text encoder that keeps the promise."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check
from privkd.networks.text import TinyText, Vocabulary


@runtime_checkable
class FrameEncoder(Protocol):
    """One vector, or one map, per image.

    Attributes:
        dim: size of a vector, channels of a map.
    """

    dim: int

    def __call__(self, x: Tensor, /) -> Tensor:
        """Shape (b, dim) or (b, dim, h, w) from images in [0, 1], shape (b, C, H, W)."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """One vector per token of a text.

    Attributes:
        dim: size of a vector.
    """

    dim: int

    def __call__(self, texts: list[str], /) -> tuple[Tensor, Tensor]:
        """Tokens, shape (b, L, dim), and which of them are no filling, bool, shape (b, L)."""
        ...


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Images and texts in one space, where the cosine says how well they agree.

    Attributes:
        dim: size of the space.
        image_size: side of the images, pixels.
    """

    dim: int
    image_size: int

    def encode_image(self, x: Tensor) -> Tensor:
        """Unit vectors, shape (b, dim), from images in [0, 1], shape (b, 3, H, W)."""
        ...

    def encode_text(self, texts: list[str]) -> Tensor:
        """Unit vectors, shape (b, dim)."""
        ...

    def encode_patches(self, x: Tensor) -> Tensor:
        """One vector of the same space per place of the image, row by row, shape (b, N, dim)."""
        ...


class MiniCLIP(nn.Module):
    """A small `ImageTextEncoder`: four strided convolutions (32, 64, 96, 128) and a `TinyText`, both mapped into 64 numbers.

    It has 280,673 parameters with a vocabulary of 200 ids. It knows nothing before it is trained, by a symmetric contrastive
    loss on its logits.

    Args:
        vocabulary: which words are told apart.
        dim: size of the common space.
        image_size: side of the square images, pixels, >= 16.
        channels: of an image.

    Attributes:
        dim: size of the common space.
        image_size: side of the images.
        log_scale: logarithm of the factor 1 / tau on cosines, learned; tau = 0.07 at first.

    Raises:
        ValueError: a size out of range; when it is used, images of another shape or a text without words.

    Source: contrastive language-image pre-training (Radford et al., arXiv 2103.00020); the sizes are ours.

    Example:
        >>> network = MiniCLIP(Vocabulary(["red", "blue", "disc"]))
        >>> network(torch.zeros(3, 3, 64, 64), ["red disc", "blue disc", "disc"]).shape
        torch.Size([3, 3])
    """

    def __init__(self, vocabulary: Vocabulary, dim: int = 64, image_size: int = 64, channels: int = 3) -> None:
        check.integer(dim=dim, channels=channels, at_least=1)
        check.integer(image_size=image_size, at_least=16)
        super().__init__()
        self.dim, self.image_size, self.channels = dim, image_size, channels
        self.image = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU())
                for a, b in pairwise([channels, 32, 64, 96, 128])
            )
        )
        self.text = TinyText(vocabulary)
        self.project_image = nn.Linear(128, dim)
        self.project_text = nn.Linear(self.text.dim, dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, x: Tensor) -> Tensor:
        """Unit vectors, shape (b, dim), from images in [0, 1], shape (b, channels, side, side)."""
        return functional.normalize(self._places(x).mean(dim=1), dim=1, eps=1e-8)

    def encode_patches(self, x: Tensor) -> Tensor:
        """One vector of the same space per place, row by row, shape (b, N, dim); their mean has the image's direction."""
        return self._places(x)

    def encode_text(self, texts: list[str]) -> Tensor:
        """Unit vectors, shape (b, dim): the mean over the words of each text."""
        tokens, mask = self.text(texts)
        weights = mask[:, :, None].to(tokens)
        pooled = (tokens * weights).sum(dim=1) / weights.sum(dim=1)
        return functional.normalize(self.project_text(pooled), dim=1, eps=1e-8)

    def forward(self, x: Tensor, texts: list[str]) -> Tensor:
        """Cosines of every image with every text over tau, shape (images, texts); tau is held at 0.01 or above."""
        return self.log_scale.clamp(max=math.log(100)).exp() * self.encode_image(x) @ self.encode_text(texts).T

    def _places(self, x: Tensor) -> Tensor:
        shape = (self.channels, self.image_size, self.image_size)
        if x.dim() != 4 or tuple(x.shape[1:]) != shape:
            raise ValueError(
                f"MiniCLIP was given shape {tuple(x.shape)}; it takes images (b, {shape[0]}, {shape[1]}, {shape[2]})"
            )
        return self.project_image(self.image(x).flatten(2).transpose(1, 2))
