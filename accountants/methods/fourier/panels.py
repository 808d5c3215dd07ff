"""Where the quadrature puts its panels: how far out, and how narrow.

For x ~ N(0, sigma^2) the ratio of the mixture to its base is r(x) = 1 - q + q e^((2x - 1) / (2 sigma^2)); the integrand is
r^(s + i omega). Nothing here needs to be right: what the panels miss is bounded afterwards (`quadrature`).
"""

import math

import numpy as np

from accountants.errors import ResolutionError
from accountants.numerics.array_kinds import FloatArray, IntArray

LOG_TAIL = -41.5  # log of the relative mass that may lie outside the panels: 1e-18
ELLIPSE = 4.0  # Bernstein parameter of the ellipse around a panel on which the integrand is bounded
LENGTHWAYS, ACROSS = 0.5 * (ELLIPSE + 1.0 / ELLIPSE), 0.5 * (ELLIPSE - 1.0 / ELLIPSE)  # its half axes, of half a panel
_PHASE = 3.0  # log of the growth of e^(i omega loss) that a panel's ellipse may show at least
_MARGIN = 4.0  # of logs, between the error of one panel at the mode and that of all
_UNHEEDED = 6.0  # nats below the mode from which on the phase may turn faster
_LAXER = 0.6  # of every further nat, by which it may
_WIDEST = 0.8  # half width of a panel, of sigma and of sigma^2; the integrand has singularities pi sigma^2 off the axis
_GRID = 97  # points at which the local width of panels is worked out
_MAX_NODES = 2**22


def log_ratio(x: FloatArray, q: FloatArray, sigma: FloatArray) -> FloatArray:
    """log(1 - q + q e^((2x - 1) / (2 sigma^2))), accurate also where it is tiny and where the exponential overflows."""
    exponent = (x - 0.5) / (sigma * sigma)
    near = np.log1p(q * np.expm1(np.minimum(exponent, 30.0)))
    far = exponent > 30.0
    if far.any():
        shape = np.broadcast_to(q, x.shape)[far]
        near[far] = np.logaddexp(np.log1p(-shape), np.log(shape) + exponent[far])
    return near


def reach(
    q: FloatArray, sigma: FloatArray, exponents: tuple[float, float], log_tail: float
) -> tuple[FloatArray, FloatArray]:
    """Where the panels begin and end, so that the mass outside is relatively below the tail (checked afterwards)."""
    low_s, high_s = exponents
    plain = math.sqrt(-2.0 * log_tail)
    if high_s <= 0.0:
        left = np.sqrt(2.0 * (low_s * np.log1p(-q) - log_tail))
        return -sigma * left, np.maximum(1.0, sigma * plain)
    lifted = np.minimum(np.log(q) + 0.5 * (high_s * high_s - high_s) / (sigma * sigma), -(high_s - 1.0) * np.log(q))
    beyond = high_s + sigma * np.sqrt(2.0 * np.maximum(0.0, lifted - log_tail))
    return -sigma * plain, np.maximum(sigma * plain, np.where(lifted > log_tail, beyond, 0.0))


def panel_edges(
    q: FloatArray,
    sigma: FloatArray,
    low: FloatArray,
    high: FloatArray,
    exponents: tuple[float, float],
    omega: float | FloatArray,
    order: int,
    log_error: float,
) -> tuple[tuple[FloatArray, FloatArray], IntArray]:
    """Left and right ends of all panels, and the event of each: narrow where the phase turns fast."""
    grid = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, _GRID)
    square = (sigma * sigma)[:, None]
    widest = _WIDEST * np.minimum(sigma[:, None], square)
    ahead = grid + 2.0 * widest  # where the ratio is steeper
    exponent = (ahead - 0.5) / square + np.log(q)[:, None]
    share = np.exp(np.minimum(0.0, exponent - log_ratio(ahead, q[:, None], sigma[:, None])))
    # Where hardly any mass lies, the phase may turn faster than the nodes can follow.
    height = exponents[1] * log_ratio(grid, q[:, None], sigma[:, None]) - 0.5 * np.square(grid / sigma[:, None])
    allowed = max(_PHASE, log_error + 2.0 * order * math.log(ELLIPSE) - _MARGIN)
    phase = allowed + _LAXER * np.maximum(0.0, height.max(axis=1, keepdims=True) - height - _UNHEEDED)
    density = 1.0 / widest + ACROSS * np.reshape(omega, (-1, 1)) / phase * share / square
    # A law that is cut off may end where its tilted density rises steeply.
    density = density + ACROSS * np.maximum(0.0, exponents[1] * share - ahead) / phase / square
    if exponents[0] < 0.0:
        density = density + ACROSS * np.sqrt(-exponents[0] * share) / square
    steps = 0.25 * (density[:, 1:] + density[:, :-1]) * np.diff(grid, axis=1)
    counted = np.concatenate([np.zeros((len(q), 1)), np.cumsum(steps, axis=1)], axis=1)
    panels = np.ceil(counted[:, -1])
    if not panels.sum() * order <= _MAX_NODES:
        raise ResolutionError(
            f"{panels.sum() * order:.3g} quadrature nodes would be needed, above {_MAX_NODES}; use method='lattice'"
        )
    sizes = panels.astype(int)
    owner = np.repeat(np.arange(len(q)), sizes)
    # All events in one interpolation: rows are laid end to end, a unit apart so that they cannot mix.
    offset = np.concatenate([[0.0], np.cumsum(counted[:, -1] + 1.0)[:-1]])
    place = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    pitch = counted[:, -1] / panels
    left, right = (
        np.interp(offset[owner] + (place + side) * pitch[owner], (counted + offset[:, None]).ravel(), grid.ravel())
        for side in (0.0, 1.0)
    )
    # Neighbours must share their border to the last bit, and the last panel must end where the range does.
    right[:-1] = np.where(owner[1:] == owner[:-1], left[1:], high[owner[:-1]])
    right[-1] = high[-1]
    return (left, right), owner
