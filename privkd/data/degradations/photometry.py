"""Other light, other cameras: noise, and the photometric shift of the adaptation tests."""

import torch
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.data.degradations.images import require_generator, require_images


def add_noise(images: Tensor, sigma: float, *, generator: torch.Generator) -> Tensor:
    """Images with independent Gaussian noise on every pixel, clamped to [0, 1].

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        sigma: standard deviation of the noise, >= 0.
        generator: where the noise comes from, on the CPU.

    Raises:
        TypeError: images are not float, or generator is none.
        ValueError: images are empty or leave [0, 1], or sigma is negative or not finite.
    """
    require_images(images)
    require_generator(generator)
    check.real(sigma=sigma, at_least=0.0)
    return (images + sigma * torch.randn(images.shape, generator=generator).to(images)).clamp(0, 1)


def photometric_shift(images: Tensor, *, generator: torch.Generator) -> Tensor:
    """Images of a dimmer camera with less contrast: x' = 0.45 (0.5 x + 0.5 box3(x)) + 0.05 + N(0, 0.02), clamped to [0, 1].

    box3 is the mean over the 3x3 neighbourhood; borders are replicated.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        generator: where the noise comes from, on the CPU.

    Raises:
        TypeError: images are not float, or generator is none.
        ValueError: images are empty or leave [0, 1].

    Example:
        >>> shifted = photometric_shift(torch.ones(1, 1, 64, 64), generator=torch.Generator().manual_seed(0))
        >>> round(shifted.mean().item(), 2)
        0.5
    """
    require_images(images)
    require_generator(generator)
    smooth = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return add_noise(0.45 * (0.5 * images + 0.5 * smooth) + 0.05, 0.02, generator=generator)
