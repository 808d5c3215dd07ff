"""What all degradations ask of their images, and how they draw."""

import torch
from torch import Tensor

TOLERANCE = 1e-3  # how far outside [0, 1] a value may lie: resizing and arithmetic overshoot a little


def require_images(images: Tensor) -> None:
    """Refuse anything but float images in [0, 1].

    Args:
        images: shape (n, channels, height, width), n >= 1, a floating-point dtype, values in [0, 1] up to 1e-3.

    Raises:
        TypeError: not a tensor, or not of a floating-point dtype.
        ValueError: another shape, no image, NaN or infinite values, or values outside [0, 1].
    """
    if not isinstance(images, Tensor):
        raise TypeError(
            f"images (a {type(images).__name__}) must be a torch.Tensor of shape (n, channels, height, width)"
        )
    if not images.is_floating_point():
        raise TypeError(f"images.dtype={images.dtype} must be a floating-point type; divide uint8 images by 255")
    if images.ndim != 4 or images.numel() == 0:
        raise ValueError(
            f"images.shape={tuple(images.shape)} must be (n, channels, height, width) with n >= 1 and no empty side"
        )
    low, high = images.detach().amin().item(), images.detach().amax().item()
    if not -TOLERANCE <= low <= high <= 1 + TOLERANCE:  # NaN fails as well
        raise ValueError("images hold NaN, infinite values or values outside [0, 1]; scale them to [0, 1] first")


def require_generator(generator: torch.Generator) -> None:
    """Refuse anything but a generator of the CPU, on which one seed gives one view whatever the device of the images.

    Raises:
        TypeError: not a `torch.Generator`.
        ValueError: a generator of another device.
    """
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator (a {type(generator).__name__}) must be a torch.Generator, e.g. torch.Generator().manual_seed(0)"
        )
    if generator.device.type != "cpu":
        raise ValueError(
            f"generator.device={generator.device} must be cpu, so that one seed gives one view on every device"
        )


def uniform(low: float, high: float, images: Tensor, *, generator: torch.Generator) -> Tensor:
    """One number per image from U(low, high), shape (n, 1, 1, 1), with the dtype and on the device of the images."""
    drawn = torch.rand(len(images), 1, 1, 1, generator=generator)
    return (low + (high - low) * drawn).to(images)


def centres(images: Tensor) -> tuple[Tensor, Tensor]:
    """Pixel centres in [-1, 1]: u to the right, shape (1, 1, 1, width), and v downwards, shape (1, 1, height, 1).

    Example:
        >>> centres(torch.zeros(1, 1, 2, 4))[0].flatten().tolist()
        [-0.75, -0.25, 0.25, 0.75]
    """
    height, width = images.shape[-2:]
    across = (torch.arange(width) + 0.5) / width * 2 - 1
    down = (torch.arange(height) + 0.5) / height * 2 - 1
    return across.to(images).view(1, 1, 1, -1), down.to(images).view(1, 1, -1, 1)
