"""What all adapters of image encoders share: images in [0, 1] go in, and only the adapter knows how pixels are normalised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the pixels of ImageNet."""
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of the pixels that CLIP was trained on."""


class PixelAdapter(nn.Module):
    """A published image encoder that takes images in [0, 1]; it is in eval mode at first.

    Args:
        model: the encoder, which stays reachable for taps as "model.…".
        pixels: mean and standard deviation of the pixels that it was trained on, by channel.
        dim: size of what it answers.
        image_size: side of the square images that it takes, pixels; None where it takes others, too.

    Attributes:
        model: the encoder.
        dim: size of what it answers.
        image_size: side of its images, pixels.
    """

    model: Any
    mean: Tensor
    std: Tensor

    def __init__(self, model: nn.Module, pixels: Sequence[Sequence[float]], dim: int, image_size: int | None) -> None:
        super().__init__()
        self.model, self.dim, self.image_size = model, dim, image_size
        for name, values in zip(("mean", "std"), pixels, strict=True):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.eval()

    def normalised(self, x: Tensor) -> Tensor:
        """Pixels as the encoder wants them.

        Raises:
            TypeError: whole numbers.
            ValueError: anything but a batch of images of its channels and side.
        """
        name = type(self).__name__
        if not x.is_floating_point():
            raise TypeError(f"{name} was given {x.dtype}; it takes floats in [0, 1]: divide bytes by 255")
        channels, side = len(self.mean), self.image_size
        if x.dim() != 4 or x.shape[1] != channels or (side is not None and x.shape[2:] != (side, side)):
            sides = "h, w" if side is None else f"{side}, {side}"
            raise ValueError(
                f"{name} was given shape {tuple(x.shape)}; it takes images (b, {channels}, {sides}): resize them"
            )
        return (x - self.mean) / self.std
