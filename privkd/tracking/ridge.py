"""A correlation filter over several channels, as a ridge regression over all cyclic shifts, solved in the Fourier domain.

MOSSE (Bolme et al., CVPR 2010): the filter is a ratio whose numerator and denominator are running averages. KCF/DCF (Henriques et
al., TPAMI 2015, arXiv 1404.7584): it is the ridge regression over the cyclic shifts of a patch. Several channels with one common
denominator: DSST (Danelljan et al., BMVC 2014).
"""

from __future__ import annotations

import torch
from torch import Tensor

from accountants import check

_SIDELOBE = 5  # the peak and so many cells on each side are no sidelobe: 11 x 11, as MOSSE has it


class RidgeFilter:
    """The filter that answers a patch with a Gaussian around its target.

    Of one patch x with channels d it minimises || sum_d w_d * x_d - y ||^2 + ridge sum_d || w_d ||^2, exactly; over several it
    averages numerators and denominators, which is no longer exact for more than one channel.

    Args:
        size: side of the patches, cells, >= 13.
        sigma: standard deviation of y, cells, > 0.
        ridge: > 0, on the scale of sums over the cells of a patch.

    Raises:
        TypeError, ValueError: an argument is out of range.
    """

    def __init__(self, size: int, sigma: float, ridge: float) -> None:
        check.integer(size=size, at_least=2 * _SIDELOBE + 3)
        check.real(sigma=sigma, ridge=ridge, above=0.0)
        self.size, self.ridge = size, ridge
        self.wanted = torch.fft.rfft2(gaussian_label(size, sigma))
        self._numerator: Tensor | None = None
        self._denominator: Tensor | None = None

    def learn(self, features: Tensor, rate: float) -> None:
        """Take a patch whose target is in the middle into the running averages; the first one has all the weight.

        Args:
            features: float32, shape (channels, size, size).
            rate: weight of this patch, in [0, 1].
        """
        spectrum = torch.fft.rfft2(features)
        numerator, denominator = spectrum.conj() * self.wanted, spectrum.abs().square().sum(dim=0)
        if self._numerator is None or self._denominator is None:
            self._numerator, self._denominator = numerator, denominator
            return
        self._numerator = torch.lerp(self._numerator, numerator, rate)
        self._denominator = torch.lerp(self._denominator, denominator, rate)

    def response(self, features: Tensor) -> Tensor:
        """How much each cyclic shift of a patch looks like the target, which has moved by (row, column) where it is largest.

        Args:
            features: shape (..., channels, size, size).

        Returns:
            Shape (..., size, size); index 0 is no shift, and indices above size / 2 are shifts up or to the left.

        Raises:
            RuntimeError: nothing was learned yet.
        """
        if self._numerator is None or self._denominator is None:
            raise RuntimeError("the filter has learned nothing yet; call learn first")
        answer = (self._numerator * torch.fft.rfft2(features)).sum(dim=-3) / (self._denominator + self.ridge)
        return torch.fft.irfft2(answer, s=(self.size, self.size))


def gaussian_label(size: int, sigma: float) -> Tensor:
    """What the filter shall answer, shape (size, size): a Gaussian around index (0, 0), across the borders.

    Example:
        >>> label = gaussian_label(16, 2.0)
        >>> float(label[0, 0]), bool(label[1, 0] == label[-1, 0])
        (1.0, True)
    """
    shift = torch.fft.fftfreq(size, 1 / size)
    line = torch.exp(-shift.square() / (2 * sigma**2))
    return torch.outer(line, line)


def peak_of(response: Tensor) -> tuple[float, float, float]:
    """Where a response is largest, and how much it stands out.

    Args:
        response: shape (n, n), with index 0 for no shift.

    Returns:
        Shift in rows and in columns, between -n / 2 and n / 2, to a part of a cell (a parabola through the neighbours), and the
        peak-to-sidelobe ratio of MOSSE: (peak - mean) / standard deviation of the cells outside of 11 x 11 around the peak.
    """
    n = response.shape[0]
    row, column = divmod(int(response.argmax()), n)
    middle = torch.roll(response, (n // 2 - row, n // 2 - column), (0, 1))
    near = middle[n // 2 - 1 : n // 2 + 2, n // 2 - 1 : n // 2 + 2].tolist()
    down = _vertex(near[0][1], near[1][1], near[2][1])
    across = _vertex(near[1][0], near[1][1], near[1][2])
    sidelobe = torch.ones_like(middle, dtype=torch.bool)
    inner = slice(n // 2 - _SIDELOBE, n // 2 + _SIDELOBE + 1)
    sidelobe[inner, inner] = False
    rest = middle[sidelobe]
    ratio = (near[1][1] - float(rest.mean())) / max(float(rest.std(correction=0)), 1e-12)
    return _signed(row, n) + down, _signed(column, n) + across, ratio


def _vertex(before: float, at: float, after: float) -> float:
    """The place of the vertex of a parabola through three values, the largest in the middle, in [-0.5, 0.5]."""
    bend = before - 2 * at + after
    return min(max(0.5 * (before - after) / bend, -0.5), 0.5) if bend < 0 else 0.0


def _signed(index: int, n: int) -> int:
    return index - n if index > n // 2 else index
