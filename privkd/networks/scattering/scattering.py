"""The scattering transform of images: fixed wavelet filters, moduli and averages; nothing is learned.

Each record is transformed by itself with filters that no data has shaped, so the features of private records are as
private as the records, and training on them costs what training on the records would.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check
from privkd.networks.scattering import morlet
from privkd.progress import track

_CHUNK_PIXELS = 2**16  # pixels per chunk: the second order holds angles^2 times as many complex numbers
_MANY_CHUNKS = 64  # from here on a call takes seconds and shows its progress
_SMALLEST = 1e-30  # under a root, so that a black image has gradient 0 and not 0/0


class Scattering(nn.Module):
    """Two-dimensional scattering transform, a module without parameters.

    Order 0 is a local average of the image, order 1 of |image * wavelet|, order 2 of ||image * wavelet| * wavelet| with
    a coarser second wavelet; averages reach over 2^J pixels and are taken every 2^J pixels.

    Values equal those of `Scattering2D(J, shape, L=angles)` of kymatio 0.3.0 to float32 accuracy, so that published
    settings for such features hold; the code is our own, since that package no longer imports beside current SciPy.

    Args:
        shape: rows and columns of the images, each more than 2^J.
        order: largest order kept, 1 or 2.
        J: log2 of the averaging scale, >= 1.
        angles: directions L of the wavelets, >= 1; the bandwidths were designed for 8.

    Attributes:
        paths: output channels per image channel; 81 for order 2, J 2 and 8 angles. First order 0, then order 1 (scale
            before angle), then order 2 (first wavelet before second).

    Source: Bruna, Mallat, IEEE TPAMI 35(8), 2013; under differential privacy Tramer, Boneh, arXiv 2011.11660.

    >>> Scattering((28, 28))(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 81, 7, 7])
    """

    def __init__(self, shape: tuple[int, int] = (28, 28), *, order: int = 2, J: int = 2, angles: int = 8) -> None:
        super().__init__()
        check.integer(J=J, at_least=1)
        check.integer(angles=angles, at_least=1)
        if order not in (1, 2):
            raise ValueError(f"order={order!r}; 1 or 2: higher orders hold next to no energy and are not computed")
        rows, columns = shape
        check.integer(rows=rows, at_least=2**J + 1)
        check.integer(columns=columns, at_least=2**J + 1)
        self.shape, self.order, self.J, self.angles = (rows, columns), order, J, angles
        self.paths = 1 + J * angles + (angles**2 * J * (J - 1) // 2 if order == 2 else 0)
        # the grid is periodic: the outermost averages see the opposite side, so they lie outside the image and are cut
        self._padded = ((rows + 2**J) // 2**J + 1) * 2**J, ((columns + 2**J) // 2**J + 1) * 2**J
        for scale in range(J):
            for halvings in range(max(scale, 1) if order == 2 else 1):
                self._keep(f"wavelet_{scale}_{halvings}", self._wavelets(scale, halvings))
        for halvings in range(J):
            self._keep(f"average_rows_{halvings}", self._average(self._padded[0], halvings))
            self._keep(f"average_columns_{halvings}", self._average(self._padded[1], halvings))

    def extra_repr(self) -> str:
        return f"{self.shape}, order={self.order}, J={self.J}, angles={self.angles}"

    def forward(self, images: Tensor) -> Tensor:
        """Features of a batch of any size, computed in chunks; differentiable.

        Args:
            images: float32, shape (n, c, h, w) with (h, w) the module's shape.

        Returns:
            float32, shape (n, c * paths, h // 2^J, w // 2^J); the paths of one image channel lie side by side.

        Raises:
            ValueError: another shape, or a type that is no float32.
        """
        if images.dim() != 4 or tuple(images.shape[2:]) != self.shape or images.dtype != torch.float32:
            raise ValueError(
                f"images of shape {tuple(images.shape)} and type {images.dtype}; "
                f"give float32 of shape (n, c, {self.shape[0]}, {self.shape[1]}) or build Scattering(shape) anew"
            )
        at_once = max(1, _CHUNK_PIXELS // (self._padded[0] * self._padded[1]))
        planes = images.flatten(0, 1).split(at_once)
        shown = len(planes) >= _MANY_CHUNKS
        chunks = []
        with track("scattering features", len(planes)) if shown else nullcontext(lambda: None) as advance:
            for chunk in planes:
                chunks += [self._transform(chunk)] if len(chunk) else []
                advance()
        size = [len(images), images.shape[1] * self.paths, *(side // 2**self.J for side in self.shape)]
        return torch.cat(chunks).reshape(size) if chunks else images.new_zeros(size)

    def _transform(self, planes: Tensor) -> Tensor:
        """(n, h, w) -> (n, paths, h // 2^J, w // 2^J)."""
        below = [padded - side for padded, side in zip(self._padded, self.shape, strict=True)]
        border = (below[1] // 2, below[1] - below[1] // 2, below[0] // 2, below[0] - below[0] // 2)
        padded = functional.pad(planes[:, None], border, mode="reflect")
        spectrum = torch.fft.fft2(padded)
        zeroth, first, second = self._smooth(padded, 0), [], []
        for scale in range(self.J):
            moduli = self._moduli(spectrum, scale, 0)
            first.append(self._smooth(moduli, scale))
            if self.order == 2 and scale + 1 < self.J:
                inner = torch.fft.fft2(moduli)[:, :, None]
                pairs = [self._smooth(self._moduli(inner, j, scale), j) for j in range(scale + 1, self.J)]
                second.append(torch.cat(pairs, dim=2).flatten(1, 2))
        return torch.cat([zeroth, *first, *second], dim=1)

    def _moduli(self, spectrum: Tensor, scale: int, halvings: int) -> Tensor:
        """|signal * wavelet| for every angle of a scale, subsampled to 2^scale pixels; signal at 2^halvings pixels.

        Subsampling is done in Fourier space, where it adds the frequencies that become one.
        """
        step = 2 ** (scale - halvings)
        wavelets = getattr(self, f"wavelet_{scale}_{halvings}")
        height, width = wavelets.shape[-2] // step, wavelets.shape[-1] // step
        parts = torch.view_as_real(spectrum).flatten(-2)  # re, im, re, ...: real factors, not complex ones, are fast
        tops, lefts = range(0, height * step, height), range(0, width * step, width)
        windows = [(..., slice(u, u + height), slice(v, v + width)) for u in tops for v in lefts]
        total = parts[windows[0]] * wavelets[windows[0]]
        for window in windows[1:]:
            total.addcmul_(parts[window], wavelets[window])
        signal = torch.fft.ifft2(torch.view_as_complex(total.unflatten(-1, (-1, 2))))
        energy = signal.real.square().addcmul_(signal.imag, signal.imag)
        return energy.add_(_SMALLEST).sqrt_()  # four times as fast as the complex absolute value

    def _smooth(self, signal: Tensor, halvings: int) -> Tensor:
        """Local averages every 2^J pixels, without the border; one matrix per axis, since a Gaussian factorises."""
        across = signal @ getattr(self, f"average_columns_{halvings}")
        return (across.mT @ getattr(self, f"average_rows_{halvings}")).mT

    def _wavelets(self, scale: int, halvings: int) -> np.ndarray:
        first = int(self.angles / 2 - 1)  # the published order of angles: falling, zero on the way
        angles = [(first - index) * np.pi / self.angles for index in range(self.angles)]
        slant = 4.0 / self.angles
        bank = [morlet.morlet(self._padded, scale=scale, angle=angle, slant=slant) for angle in angles]
        filters = np.stack([morlet.coarsen(wavelet, halvings) for wavelet in bank])
        # subsampling averages the frequencies that it adds; every value twice, for real and imaginary parts
        return filters.repeat(2, axis=-1) / 4 ** (scale - halvings)

    def _average(self, length: int, halvings: int) -> np.ndarray:
        """Matrix (length / 2^halvings, kept averages): a circular convolution, read every 2^J pixels, borders cut."""
        kernel = np.fft.ifft(morlet.coarsen(morlet.gaussian(length, scale=self.J), halvings)).real
        centres = np.arange(1, length // 2**self.J - 1) * 2 ** (self.J - halvings)
        return kernel[(centres[None, :] - np.arange(len(kernel))[:, None]) % len(kernel)]

    def _keep(self, name: str, values: np.ndarray) -> None:
        # filters follow from the arguments: they move with the module, but no file needs them
        self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)
