"""Things in front of a picture: masks over the lower face, rectangles. Each comes with its binary occlusion map."""

import math

import torch
from torch import Tensor

from accountants import check
from privkd.data.degradations.images import centres, require_generator, require_images, uniform


def lower_face_masks(images: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Faces behind masks over nose and mouth, and where the masks are.

    With pixel centres u (right) and v (down) in [-1, 1], a mask covers v > top + slope u, |u| < half, v < 0.92; top is drawn from
    U(-.02, .22), slope from U(-.15, .15), half from U(.5, .75). Its tone is clamp(U(0, 1) + U(0, .3) sin(U(2, 9) v + U(0, 2 pi))).

    Args:
        images: upright faces that fill the picture, shape (n, channels, height, width), float, in [0, 1].
        generator: where the masks come from, on the CPU.

    Returns:
        The masked images, and the occlusion map: 1 where a mask is, else 0, shape (n, 1, height, width), dtype of the images.

    Raises:
        TypeError: images are not float, or generator is none.
        ValueError: images are empty or leave [0, 1].

    Example:
        >>> masked, occluded = lower_face_masks(torch.zeros(2, 1, 32, 32), generator=torch.Generator().manual_seed(0))
        >>> masked.shape, occluded.shape, occluded[:, :, :15].any().item()
        (torch.Size([2, 1, 32, 32]), torch.Size([2, 1, 32, 32]), False)
    """
    require_images(images)
    require_generator(generator)
    u, v = centres(images)
    ranges = ((-0.02, 0.22), (-0.15, 0.15), (0.5, 0.75), (0.0, 1.0), (0.0, 0.3), (2.0, 9.0), (0.0, 2 * math.pi))
    top, slope, half, tone, depth, pitch, phase = (uniform(*span, images, generator=generator) for span in ranges)
    occluded = ((v > top + slope * u) & (u.abs() < half) & (v < 0.92)).to(images)
    colour = (tone + depth * torch.sin(pitch * v + phase)).clamp(0, 1)
    return images * (1 - occluded) + occluded * colour, occluded


def rectangles(
    images: Tensor, *, generator: torch.Generator, count: int = 1, smallest: float = 0.2, largest: float = 0.5
) -> tuple[Tensor, Tensor]:
    """Images behind random rectangles of one tone each, and where the rectangles are.

    Args:
        images: shape (n, channels, height, width), float, in [0, 1].
        generator: where sizes, places and tones come from, on the CPU.
        count: rectangles per image, >= 1; they may overlap, the later one is in front.
        smallest: smallest side as a share of the side of the image, in (0, 1].
        largest: largest side, in [smallest, 1]. Sides are rounded to pixels, at least one; the whole rectangle is inside.

    Returns:
        The images with rectangles, and the occlusion map: 1 where a rectangle is, else 0, shape (n, 1, height, width).

    Raises:
        TypeError: images are not float, generator is none, or count is no integer.
        ValueError: images are empty or leave [0, 1], count < 1, or the sides are out of range.
    """
    require_images(images)
    require_generator(generator)
    check.integer(count=count, at_least=1)
    check.real(smallest=smallest, above=0.0, at_most=1.0)
    check.real(largest=largest, at_least=smallest, at_most=1.0)
    occluded = torch.zeros_like(images[:, :1])
    for _ in range(count):
        inside = torch.ones_like(occluded, dtype=torch.bool)
        for dim in (2, 3):
            side = images.shape[dim]
            length = (uniform(smallest, largest, images, generator=generator) * side).round().clamp(min=1)
            # floor, so that every place of the first pixel is equally likely
            start = (uniform(0.0, 1.0, images, generator=generator) * (side - length + 1)).floor().clamp(max=side - 1)
            place = torch.arange(side).to(images).view([-1 if axis == dim else 1 for axis in range(4)])
            inside = inside & (place >= start) & (place < start + length)
        tone = uniform(0.0, 1.0, images, generator=generator)
        images = torch.where(inside, tone, images)
        occluded = torch.where(inside, 1.0, occluded)
    return images, occluded
