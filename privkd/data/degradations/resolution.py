"""Fewer pixels: exact mean pooling, bilinear resizing, Gaussian blur, and the three in the order of a camera."""

import torch
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.data.degradations.images import require_generator, require_images, uniform
from privkd.data.degradations.photometry import add_noise

_REACH = 3  # a Gaussian is cut at this many standard deviations


def area(images: Tensor, factor: int) -> Tensor:
    """Images whose pixels are the exact means of factor x factor blocks.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        factor: side of a block, pixels, >= 1; must divide height and width.

    Returns:
        Shape (n, channels, height / factor, width / factor).

    Raises:
        TypeError: images are not float, or factor is not an integer.
        ValueError: images are empty or leave [0, 1], or factor does not divide both sides (`bilinear` takes any size).

    Example:
        >>> area(torch.tensor([[[[0.0, 1.0], [1.0, 1.0]]]]), 2).item()
        0.75
    """
    require_images(images)
    check.integer(factor=factor, at_least=1)
    height, width = images.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(
            f"factor={factor} does not divide images of {height}x{width} pixels, so their means are not exact; "
            "crop or pad them, or resize with bilinear(images, (height, width))"
        )
    return functional.avg_pool2d(images, factor)


def bilinear(images: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Images resized bilinearly, with a widened filter where they shrink, so that nothing aliases.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        size: (height, width) wanted, pixels; one number for squares.

    Returns:
        Shape (n, channels, *size), values in [0, 1].

    Raises:
        TypeError: images are not float, or size holds no integers.
        ValueError: images are empty or leave [0, 1], or a side is < 1.
    """
    require_images(images)
    height, width = size if isinstance(size, tuple) else (size, size)
    check.integer(height=height, width=width, at_least=1)
    shrinks = height < images.shape[-2] or width < images.shape[-1]
    return functional.interpolate(images, (height, width), mode="bilinear", antialias=shrinks).clamp(0, 1)


def blur(images: Tensor, sigma: float | Tensor) -> Tensor:
    """Images convolved with a normalised Gaussian, cut at three standard deviations; borders are replicated.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        sigma: standard deviation, pixels, >= 0, for all images or one each, shape (n,); 0 leaves an image as it is.

    Returns:
        Same shape; constant images stay as they are.

    Raises:
        TypeError: images are not float, or sigma is no number.
        ValueError: images are empty or leave [0, 1], sigma is negative or not finite, or has another length.
    """
    require_images(images)
    n, channels, _, _ = images.shape
    if isinstance(sigma, Tensor):
        widths = sigma.detach().to(images).flatten()
        if len(widths) != n or not (torch.isfinite(widths) & (widths >= 0)).all():
            raise ValueError(f"sigma.shape={tuple(sigma.shape)} must be ({n},), one finite number >= 0 for each image")
    else:
        check.real(sigma=sigma, at_least=0.0)
        widths = torch.full((n,), float(sigma)).to(images)
    reach = max(1, int(torch.ceil(_REACH * widths.max()).item()))
    offsets = torch.arange(-reach, reach + 1).to(images)
    # A width of 0 is a kernel with a single 1: exp(-x^2 / tiny) is 0 beside the centre.
    kernel = torch.exp(-offsets.square() / (2 * widths[:, None].square()).clamp(min=1e-6))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = images.reshape(1, n * channels, *images.shape[-2:])
    for shape, padding in (((1, -1), (reach, reach, 0, 0)), ((-1, 1), (0, 0, reach, reach))):
        padded = functional.pad(planes, padding, mode="replicate")
        planes = functional.conv2d(padded, kernel.reshape(n * channels, 1, *shape), groups=n * channels)
    return planes.reshape(images.shape)


def low_resolution(
    images: Tensor, factor: int, *, generator: torch.Generator, blur_up_to: float = 0.0, noise: float = 0.02
) -> Tensor:
    """What a camera far away sees: blur of a random width, exact mean pooling, Gaussian noise, in this order.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        factor: side of the pooled blocks, pixels; must divide both sides.
        generator: where the widths and the noise come from, on the CPU.
        blur_up_to: the width of each blur is drawn from U(0, blur_up_to), pixels of `images`, >= 0.
        noise: standard deviation of the noise, >= 0; the sum is clamped to [0, 1].

    Returns:
        Shape (n, channels, height / factor, width / factor), in [0, 1].

    Raises:
        TypeError: an argument has another type.
        ValueError: an argument is out of range (see `area`, `blur`, `add_noise`).

    Example:
        >>> views = low_resolution(torch.rand(2, 1, 32, 32), 4, generator=torch.Generator().manual_seed(0))
        >>> views.shape
        torch.Size([2, 1, 8, 8])
    """
    require_images(images)
    require_generator(generator)
    check.real(blur_up_to=blur_up_to, noise=noise, at_least=0.0)
    if blur_up_to:
        images = blur(images, uniform(0.0, blur_up_to, images, generator=generator).flatten()).clamp(0, 1)
    return add_noise(area(images, factor), noise, generator=generator)
