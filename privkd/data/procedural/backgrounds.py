"""Pictures to put things in front of: two photographs that scikit-learn carries, and coloured clouds."""

from functools import cache

import numpy as np
import torch
from torch.nn import functional

from privkd.data.procedural.draws import Draws

PHOTOGRAPHS = ("china.jpg", "flower.jpg")


@cache
def photograph(name: str) -> np.ndarray:
    """One of scikit-learn's sample pictures, float32 (427, 640, 3), 0..255; not to be written to.

    Args:
        name: one of `PHOTOGRAPHS`.
    """
    from sklearn.datasets import load_sample_image

    picture = load_sample_image(name).astype(np.float32)
    picture.flags.writeable = False
    return picture


def resized(picture: np.ndarray, height: int, width: int, *, mode: str = "bilinear") -> np.ndarray:
    """A picture of another size, with a widened filter where it shrinks.

    Args:
        picture: float32, shape (h, w, channels).
        height: wanted, pixels.
        width: wanted, pixels.
        mode: "bilinear" or "bicubic".

    Returns:
        float32, shape (height, width, channels).
    """
    planes = torch.from_numpy(np.array(picture, dtype=np.float32)).permute(2, 0, 1)[None]
    shrinks = height < picture.shape[0] or width < picture.shape[1]
    done = functional.interpolate(planes, (height, width), mode=mode, align_corners=False, antialias=shrinks)
    return done[0].permute(1, 2, 0).numpy()


def clouds(draws: Draws, height: int, width: int, *, channels: int = 3, slope: float = 1.5) -> np.ndarray:
    """A random texture without edges: Gaussian noise whose amplitudes fall with frequency as 1 / f^slope.

    Args:
        draws: where the noise comes from.
        height: pixels.
        width: pixels.
        channels: independent textures side by side.
        slope: fall of the amplitudes; 0 is white noise.

    Returns:
        float32, shape (height, width, channels), mean 0 and standard deviation 1 in each channel.
    """
    noise = draws.gaussian(height, width, channels)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = np.inf  # takes the mean away
    spectrum = np.fft.rfft2(noise, axes=(0, 1)) / frequency[:, :, None] ** slope
    texture = np.fft.irfft2(spectrum, s=(height, width), axes=(0, 1))
    return (texture / texture.std(axis=(0, 1))).astype(np.float32)


def background(draws: Draws, *, smallest: tuple[int, int]) -> np.ndarray:
    """One of four backgrounds: a photograph reduced to between half and nine tenths of its size, or one of two kinds of clouds.

    Args:
        draws: which, how large, and the clouds.
        smallest: (height, width) that the background has at least, pixels.

    Returns:
        float32, shape (height, width, 3), 0..255.
    """
    kind, scale = draws.index(4), draws.number(0.5, 0.9)
    if kind < len(PHOTOGRAPHS):
        picture = photograph(PHOTOGRAPHS[kind])
        scale = max(scale, smallest[0] / picture.shape[0], smallest[1] / picture.shape[1])
        return resized(picture, *(int(np.ceil(scale * side)) for side in picture.shape[:2]))
    base = draws.uniform(60.0, 180.0, 3)
    contrast, slope = (35.0, 1.0) if kind == 2 else (25.0, 1.5)
    texture = clouds(draws, smallest[0] + 60, smallest[1] + 60, channels=4, slope=slope)
    # mostly light and dark, a little colour, as in nature
    return np.clip(base + contrast * (0.9 * texture[:, :, 3:] + 0.4 * texture[:, :, :3]), 0, 255).astype(np.float32)
