"""Filters of the scattering transform: Morlet wavelets and the Gaussian low-pass, on a periodic grid.

Everything here is a fixed function of the grid; float64, numpy only. Frequencies are in radians per pixel.

Source: Bruna, Mallat, "Invariant scattering convolution networks", IEEE TPAMI 35(8), 2013. Bandwidths, angles and
normalisation follow kymatio 0.3.0 (Andreux et al., JMLR 21(60), 2020), so that published settings carry over.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PI = 3.1415  # of the normalisation only: the rounded value that the published filters were made with (3e-5 off)
_COPIES = 5  # periods of the grid that are summed; the widest envelope falls below 1e-7 before the outermost


def morlet(shape: tuple[int, int], *, scale: int, angle: float, slant: float) -> NDArray[np.float64]:
    """Fourier transform of one Morlet wavelet; real, since the wavelet is conjugate-symmetric.

    psi(u) = g(u) (exp(i <xi, u>) - beta), g a Gaussian envelope, beta such that psi sums to zero.

    Args:
        shape: rows and columns of the periodic grid.
        scale: j >= 0; envelope 0.8 * 2^j pixels, centre frequency (3 pi / 4) / 2^j.
        angle: direction of the oscillation, radians.
        slant: width over length of the envelope, in (0, 1].

    Returns:
        Values at the frequencies of `numpy.fft.fft2`, shape `shape`.
    """
    sigma, frequency = 0.8 * 2**scale, 0.75 * np.pi / 2**scale
    wave = _gabor(shape, sigma=sigma, angle=angle, frequency=frequency, slant=slant)
    envelope = _gabor(shape, sigma=sigma, angle=angle, frequency=0.0, slant=slant)
    return np.fft.fft2(wave - wave.sum() / envelope.sum() * envelope).real


def gaussian(length: int, *, scale: int) -> NDArray[np.float64]:
    """Fourier transform of the Gaussian low-pass of scale J, along one axis; the plane's is the product of two.

    Args:
        length: points of the periodic axis.
        scale: J >= 1; standard deviation 0.8 * 2^(J-1) pixels.

    Returns:
        Values at the frequencies of `numpy.fft.fft`, shape (length,).
    """
    sigma = 0.8 * 2 ** (scale - 1)
    density = np.exp(-(_positions(length) ** 2) / (2 * sigma**2)) / np.sqrt(2 * _PI * sigma**2)
    return np.fft.fft(density.reshape(_COPIES, length).sum(axis=0)).real


def coarsen(spectrum: NDArray[np.float64], halvings: int) -> NDArray[np.float64]:
    """The same filter for signals that were subsampled by 2^halvings along every axis.

    Frequencies which the coarse grid cannot hold are dropped, the others keep their values.

    Args:
        spectrum: Fourier values of a filter, every side divisible by 2^halvings.
        halvings: number of halvings, >= 0.

    Returns:
        Fourier values on the coarse grid, every side 2^halvings times shorter.
    """
    step = 2**halvings
    for axis, length in enumerate(spectrum.shape):
        start = length // (2 * step)
        spectrum = np.delete(spectrum, slice(start, start + length - length // step), axis=axis)
    return spectrum


def _gabor(shape: tuple[int, int], *, sigma: float, angle: float, frequency: float, slant: float) -> NDArray:
    rows, columns = _positions(shape[0])[:, None], _positions(shape[1])[None, :]
    along = rows * np.cos(angle) + columns * np.sin(angle)
    across = columns * np.cos(angle) - rows * np.sin(angle)
    envelope = np.exp(-(along**2 + (slant * across) ** 2) / (2 * sigma**2)) * slant / (2 * _PI * sigma**2)
    copies = (envelope * np.exp(1j * frequency * along)).reshape(_COPIES, shape[0], _COPIES, shape[1])
    return copies.sum(axis=(0, 2))


def _positions(length: int) -> NDArray[np.float64]:
    before = _COPIES // 2
    return np.arange(-before * length, (_COPIES - before) * length, dtype=float)
