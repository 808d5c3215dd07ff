"""Crops of photographs, and the same kind of crops with the traces that image generators leave in the spectrum.

Specification: FI-1 of this project. Photographs are the two that scikit-learn carries: china.jpg for training, flower.jpg for the
test; the further ones of the specification are not used.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.data.procedural.backgrounds import photograph, resized
from privkd.data.procedural.draws import Draws
from privkd.data.records import Records

SIDE = 64
_PHOTOGRAPHS = {"train": "china.jpg", "test": "flower.jpg"}
_SCALES = (1.0, 0.75, 0.5)


def upsampling_traces(images: Tensor) -> Tensor:
    """Generator A: 0.7 up2(down2(x)) + 0.3 x, with mean pooling down and bilinear interpolation up."""
    small = functional.avg_pool2d(images, 2)
    return 0.7 * functional.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False) + 0.3 * images


def missing_high_frequencies(images: Tensor) -> Tensor:
    """Generator B: Fourier amplitudes times 1 - 0.35 max(f - 0.2, 0), f the radial frequency over that of Nyquist."""
    return _filtered(images, lambda f: 1 - 0.35 * (f - 0.2).clamp(min=0))


def excess_high_frequencies(images: Tensor) -> Tensor:
    """Generator C: Fourier amplitudes times 1 + 0.45 max(f - 0.3, 0): the opposite sign, as a stress test."""
    return _filtered(images, lambda f: 1 + 0.45 * (f - 0.3).clamp(min=0))


def edge_preserving_smoothing(images: Tensor) -> Tensor:
    """Generator D: bilateral filter over 5 pixels, colour sigma 18 grey levels of 255 (L1 of RGB), spatial sigma 2 pixels."""
    padded = functional.pad(images, (2, 2, 2, 2), mode="reflect")
    height, width = images.shape[-2:]
    total, weights = torch.zeros_like(images), torch.zeros_like(images[:, :1])
    for down in range(-2, 3):
        for across in range(-2, 3):
            if down * down + across * across > 4:  # the window is a disc
                continue
            moved = padded[:, :, 2 + down : 2 + down + height, 2 + across : 2 + across + width]
            colour = (moved - images).abs().sum(1, keepdim=True) / (18 / 255)
            weight = torch.exp(-0.5 * colour.square() - (down * down + across * across) / (2 * 2.0**2))
            total, weights = total + weight * moved, weights + weight
    return total / weights


GENERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "A": upsampling_traces,
    "B": missing_high_frequencies,
    "C": excess_high_frequencies,
    "D": edge_preserving_smoothing,
}
"""What is done to a crop, by the letter of the specification: float images (n, 3, 64, 64) in [0, 1] give such images."""


def generated_images(count: int = 400, *, generator: str = "A", part: str = "train", seed: int = 0) -> Records:
    """Crops of a photograph, every second one "generated"; labels 0 "real" and 1 "generated".

    Args:
        count: number of images, >= 2.
        generator: a name of `GENERATORS`.
        part: "train" or "test", which are of two photographs.
        seed: integer >= 0; the crops are the same for every generator.

    Returns:
        Inputs of shape (count, 3, 64, 64), in [0, 1]; crops at scale 1, 3/4 or 1/2.

    Raises:
        TypeError: a number is no integer.
        ValueError: a number is out of range, or a name unknown.

    Example:
        >>> generated_images(4)
        Records(name='generated-images', n=4, shape=(3, 64, 64), labelled)
    """
    check.integer(count=count, at_least=2)
    if generator not in GENERATORS:
        raise ValueError(f"generator={generator!r} must be one of {', '.join(GENERATORS)}")
    if part not in _PHOTOGRAPHS:
        raise ValueError(f"part={part!r} must be 'train' or 'test'")
    draws = Draws(f"generated images {part}", seed)
    picture = photograph(_PHOTOGRAPHS[part]) / 255
    scaled = [resized(picture, *(round(scale * side) for side in picture.shape[:2])) for scale in _SCALES]
    sizes, places = draws.below(len(_SCALES), count), draws.uniform(0.0, 1.0, count, 2)
    crops = np.empty((count, 3, SIDE, SIDE), dtype=np.float32)
    for n, (size, place) in enumerate(zip(sizes, places, strict=True)):
        whole = scaled[size]
        top, left = (int(share * (side - SIDE + 1)) for share, side in zip(place, whole.shape[:2], strict=True))
        crops[n] = whole[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)
    images = torch.from_numpy(crops)
    images[1::2] = GENERATORS[generator](images[1::2])
    labels = torch.arange(count) % 2
    return Records(images.clamp(0, 1), labels, "generated-images", ("real", "generated"))


def _filtered(images: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
    height, width = images.shape[-2:]
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]) / 0.5
    return torch.fft.irfft2(torch.fft.rfft2(images) * gain(frequency), s=(height, width))
