"""A public staircase above the GNMax cost, on which neighbours are a known number of steps apart.

Let z(q) be the standard normal quantile with q / (classes - 1) above it. One record moves z by at most sqrt(2) / sigma:
it moves every lead by at most 2 votes, and x -> P[N(0, 1) > P^-1(x) - shift] is concave, so the sum over the other
classes moves most when they are equally likely (Papernot et al. 2018, Proposition 19). Cut the z axis into steps, STEPS
of which are one such move. Then

- the cost at the lower edge of a step bounds the cost of every vote table on it, because the theorem accepts any upper
  bound on q, and so does the smallest cost at any lower edge further down: the staircase falls with z by construction;
- neighbours stand at most STEPS apart, and the local sensitivity at a step is a difference of three known numbers.

So nothing has to be assumed about the shape of the cost; the published algorithm instead needs its cost and the growth of
its cost to be monotone in q.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtri_exp

from accountants.numerics.array_kinds import FloatArray
from accountants.pate.gnmax import gnmax_renyi

IntArray = NDArray[np.int64]

_STEPS = 64  # per move of one record
_MOST_STEPS = 2**18  # in a staircase
_FAR = 40.0  # beyond this quantile lies less than 1e-300
_BLUR = 1e-9  # relative, hundreds of times the error of a computed quantile


@dataclass(frozen=True, slots=True, eq=False)
class Staircase:
    """Costs of one Rényi order on steps of the z axis; public, since it depends on no votes.

    Attributes:
        start: z of the lower edge of step 0.
        width: of a step.
        blur: bound on the error of a computed z.
        costs: nats per step, non-increasing, shape (steps,).
        onward: largest local sensitivity on a step or any after it (more agreement), shape (steps,).
        backward: largest local sensitivity on a step or any before it (less agreement), shape (steps,).
    """

    start: float
    width: float
    blur: float
    costs: FloatArray
    onward: FloatArray
    backward: FloatArray

    @property
    def steepest(self) -> float:
        """Largest local sensitivity of any step, nats."""
        return float(self.onward[0])

    def step_of(self, z: FloatArray) -> IntArray:
        """The step on which vote tables of quantile z stand, moved towards less agreement by the blur."""
        return self._step(z - self.blur)

    def sensitivity(self, lowest: FloatArray, highest: FloatArray, distance: int) -> FloatArray:
        """Largest local sensitivity at any vote table within a distance, given the range of its z; shape of `lowest`.

        The range is widened by the blur, more at every distance, so that the range of a neighbour at a distance one
        larger contains this one even after rounding.
        """
        blur = (2 * distance + 1) * self.blur
        return np.minimum(self.onward[self._step(lowest - blur)], self.backward[self._step(highest + blur)])

    def _step(self, z: FloatArray) -> IntArray:
        found = np.floor((z - self.start) / self.width)
        return np.clip(found, 0, len(self.costs) - 1).astype(np.int64)


def staircase(sigma: float, *, classes: int, order: float, furthest: float) -> Staircase:
    """The staircase of GNMax at one order.

    Args:
        sigma: standard deviation of the noise on every count, in votes, > 0.
        classes: number of classes, >= 2.
        order: Rényi order, > 1.
        furthest: largest z of any possible vote table.

    Returns:
        A staircase; the first step holds the data-independent cost.
    """
    nearest = float(quantile(np.array([math.log1p(-1.0 / classes)]), classes)[0])
    blur = _BLUR * (1.0 + max(abs(nearest), furthest))
    move = math.sqrt(2.0) / sigma + 2.0 * blur
    reach = max(min(furthest, _FAR) - nearest, move)
    steps = int(min(_STEPS, max(1.0, _MOST_STEPS * move / reach)))
    width = move / steps * (1.0 + _BLUR)
    start = nearest - 2.0 * blur
    count = min(int(reach / width) + 2 * steps, 2 * _MOST_STEPS)
    edges = start + width * np.arange(count, dtype=np.float64)
    # An edge that is computed a little too high would belong to too small a q.
    log_q = math.log(classes - 1.0) + log_ndtr(-(edges - blur))
    at_edges = gnmax_renyi(np.minimum(log_q, -1e-9), sigma, order)[:, 0]
    at_edges[0] = order / sigma / sigma
    costs = np.minimum.accumulate(at_edges)
    here = np.arange(count)
    higher, lower = costs[np.maximum(here - steps, 0)], costs[np.minimum(here + steps, count - 1)]
    local = np.maximum(higher - costs, costs - lower)
    maximum = cast("Callable[[FloatArray], FloatArray]", np.maximum.accumulate)
    return Staircase(start, width, blur, costs, maximum(local[::-1])[::-1], maximum(local))


def quantile(log_q: FloatArray, classes: int) -> FloatArray:
    """The z with a standard normal mass of q / (classes - 1) above it, from log q."""
    return -ndtri_exp(log_q - math.log(classes - 1.0))
