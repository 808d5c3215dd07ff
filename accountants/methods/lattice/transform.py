"""Composition: the law of a sum of independent losses by one windowed Fourier transform of tilted lattice laws."""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from accountants.errors import ResolutionError
from accountants.methods.lattice.composed import ComposedLaw, decayed_gains
from accountants.methods.lattice.first_look import Window, log_mgf
from accountants.methods.lattice.law import LatticeLaw
from accountants.numerics.array_kinds import FloatArray
from accountants.numerics.rounding import ULP

MAX_CELLS = 2**21  # of one window: about a quarter of a second for each distinct event
_FORGOTTEN = -85.0  # log of a spectral weight that is dropped: 1e-37, far below the rounding of the transform


def compose(laws: Sequence[LatticeLaw], counts: Sequence[int], window: Window, *, sign: float) -> ComposedLaw:
    """The law of the sum of counts[i] independent losses of laws[i].

    Args:
        laws: all with the same step.
        counts: >= 1 each.
        window: where to look; if the whole range of the sum is shorter, that is taken.
        sign: +1.0 for laws from above, -1.0 for laws from below, which leave out mass at infinity.

    Raises:
        ResolutionError: the window needs more than MAX_CELLS cells.
    """
    step, tilt = laws[0].step, window.tilt
    base = math.fsum(count * law.origin for law, count in zip(laws, counts, strict=True))
    lowest = sum(count * law.first for law, count in zip(laws, counts, strict=True))
    longest = sum(count * (len(law.mass) - 1) for law, count in zip(laws, counts, strict=True)) + 1
    first, last = math.floor((window.low - base) / step), math.ceil((window.high - base) / step) + 1
    first = min(first, lowest + longest - 2)  # estimates may point beyond the largest loss
    is_whole = longest <= last - first
    if is_whole:
        first, last = lowest, lowest + longest
    if last - first > MAX_CELLS:
        raise ResolutionError(f"the window needs {last - first} cells, above {MAX_CELLS}; ask for a larger width")
    size = cast("int", next_fast_len(max(last - first, 8), real=True))
    spectrum, cell_error, log_scale, relative = _spectrum(laws, counts, tilt, size)
    # Cell i of the transform holds the sum lowest + i modulo size; put the window in order.
    mass = np.roll(np.asarray(irfft(spectrum, size)), -((first - lowest) % size))
    has_top = first + size >= lowest + longest
    mass = np.maximum(mass[: lowest + longest - first if has_top else size], 0.0)
    points = base + (first + np.arange(len(mass), dtype=np.float64)) * step
    gains, sums = decayed_gains(mass, step, tilt)
    above = below = wrapped = 0.0
    if not is_whole:
        ends = float(points[0]), float(points[-1]) + step
        above, below = _beyond(laws, counts, window, log_scale, ends)
        above = 0.0 if has_top else above
        below = below if first > lowest else 0.0
        wrapped = 2.0 / max(math.expm1(min(tilt * size * step, 700.0)), 1e-300)
    reach = max(abs(float(points[0])), abs(float(points[-1]))) + abs(base)
    return ComposedLaw(
        step=step,
        points=points,
        gains=gains,
        sums=sums,
        tilt=tilt,
        log_scale=log_scale,
        cell_error=cell_error,
        above=2.0 * above,
        below=below,
        wrapped=wrapped,
        relative=relative + 8.0 * ULP * (len(mass) + 64.0 + abs(log_scale) + tilt * reach),
        infinity=_infinity(laws, counts) if sign > 0.0 else 0.0,
        shift=_shift(laws, counts) + 8.0 * ULP * reach,
        is_whole=is_whole,
        has_top=has_top,
    )


def _spectrum(
    laws: Sequence[LatticeLaw], counts: Sequence[int], tilt: float, size: int
) -> tuple[np.ndarray, float, float, float]:
    """Spectrum of the tilted sum, bound on the error of each of its masses, log scale, relative error of masses."""
    frequencies = size // 2 + 1
    log_size, phase = np.zeros(frequencies), np.zeros(frequencies)
    log_most, growth, rounding = np.zeros(frequencies), np.zeros(frequencies), np.zeros(frequencies)
    log_scale, relative = 0.0, 0.0
    # Every output of a fast transform is a sum along paths of log2 n products; inputs are positive and add up to 1.
    unit = 8.0 * ULP * math.log2(2.0 * size)
    for law, count in zip(laws, counts, strict=True):
        log_mean = float(log_mgf(law, np.array([tilt]))[0][0])
        # The power of a sum is taken in logs: counts reach 10^11, where a product would underflow.
        tilted = law.mass * np.exp(np.minimum(tilt * law.points - log_mean, 709.0))  # larger only where the mass is 0
        if len(tilted) > size:
            tilted = np.pad(tilted, (0, -len(tilted) % size)).reshape(-1, size).sum(axis=0)
        factor = np.asarray(rfft(tilted, size))
        modulus = np.abs(factor)
        log_modulus = np.log(np.maximum(modulus, 1e-290))
        log_size += count * log_modulus
        phase += np.remainder(count * np.angle(factor), 2.0 * math.pi)
        # With errors of `unit` the power can become (|G| + unit)^count, at a rate of count / (|G| + unit).
        log_most += count * np.log(modulus + unit)
        growth += (count * unit) / (modulus + unit)
        rounding += (4.0 * ULP * count) * (4.0 - log_modulus)
        reach = max(map(abs, law.ends))
        relative += count * (law.mass_error + 4.0 * ULP * (8.0 + abs(log_mean) + tilt * reach))
        log_scale += count * log_mean
    kept = log_size > _FORGOTTEN
    spectrum = np.zeros(frequencies, dtype=np.complex128)
    weight = np.exp(log_size[kept])
    spectrum[kept] = weight * np.exp(1j * phase[kept])
    error = np.exp(np.minimum(log_most, 1.0)) * np.where(kept, growth, 1.0)
    error[kept] += weight * (rounding[kept] + unit)
    return spectrum, 2.0 * float(error.sum()) / size, log_scale, math.expm1(min(relative, 1.0))


def _beyond(
    laws: Sequence[LatticeLaw],
    counts: Sequence[int],
    window: Window,
    log_scale: float,
    ends: tuple[float, float],
) -> tuple[float, float]:
    """Chernoff bounds on the tilted mass at and above the upper end, and below the lower end."""
    tilts = np.array([window.tilt + window.right, window.tilt - window.left])
    log_mgfs: FloatArray = sum(
        (count * log_mgf(law, tilts)[0] for law, count in zip(laws, counts, strict=True)), np.zeros(2)
    )
    room = 1e-9 + 1e-12 * abs(log_scale)  # for rounding
    above = float(log_mgfs[0]) - log_scale - window.right * ends[1] + room
    below = float(log_mgfs[1]) - log_scale + window.left * ends[0] + room
    return math.exp(min(above, 0.0)), math.exp(min(below, 0.0))


def _infinity(laws: Sequence[LatticeLaw], counts: Sequence[int]) -> float:
    """P-mass of an infinite sum, rounded up."""
    logs = (count * math.log1p(-min(law.infinity, 0.5)) for law, count in zip(laws, counts, strict=True))
    return -math.expm1(math.fsum(logs)) * (1.0 + 16.0 * ULP)


def _shift(laws: Sequence[LatticeLaw], counts: Sequence[int]) -> float:
    """Bound on what rounding of the losses adds up to."""
    shifts = (count * (law.shift + 4.0 * ULP * abs(law.origin)) for law, count in zip(laws, counts, strict=True))
    return math.fsum(shifts) * (1.0 + 16.0 * ULP)
