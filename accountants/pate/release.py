"""Release of a data-dependent cost with Gaussian noise as large as its smooth sensitivity (GNSS).

Published is ONE number, cost + S * m * (margin + N(0, 1)), with S the smooth sensitivity of the votes at hand and m the
noise multiplier: an upper confidence bound on the cost. S itself is private and is published in no other form, not even
as an error bar. Adding the margin to the released value lets it be as sensitive as cost + m * margin * S, which is paid.

Worst case: the neighbour's S is smaller by e^-beta, and the values differ by S (e^-beta + m margin (1 - e^-beta)). The
divergence of the two Gaussians is finite for alpha (1 - e^(-2 beta)) < 1 and equals, with v = 1 - alpha (1 - e^(-2 beta)),

    alpha (e^-beta / m + margin (1 - e^-beta))^2 / (2 v) - (alpha beta + log(v) / 2) / (alpha - 1).

Papernot et al. 2018, Theorem 23, as the code published with it computes it, has alpha e^(2 beta) / m^2 + (beta alpha -
log(1 - 2 alpha beta) / 2) / (alpha - 1) and no margin. That is NOT an upper bound: at alpha = 10, beta = 0.045, m = 5 it
gives 0.616 where two such Gaussians diverge by 1.372. The exact value is charged here.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from accountants import check
from accountants.bound import round_up
from accountants.events.claims import RDP
from accountants.numerics.array_kinds import FloatArray
from accountants.pate.gnmax import checked_orders
from accountants.pate.hidden_cost import PrivateCost

_SLACK = 1e-12  # relative, covers rounding
_SHARE = 0.3  # of beta * order by default: noise scales of neighbours differ little, and sensitivities decay fast
_ORDERS = 12  # of the event
_GRID = 2.0**-24  # of the public ceiling; hides the low-order bits of the released sum


@dataclass(frozen=True, slots=True)
class Smoothing:
    """How a data-dependent cost is to be released. Choose it without looking at the votes.

    Attributes:
        order: Rényi order of the published epsilon, > 1, fixed before the first answer.
        noise_multiplier: noise standard deviation / smooth sensitivity, > 0; the release costs about
            order / (2 noise_multiplier^2).
        beta: decay of the smooth sensitivity per changed record, > 0; None for 0.3 / order. The release has finite
            cost only for order * (1 - e^(-2 beta)) < 1.
    """

    order: float
    noise_multiplier: float
    beta: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", check.as_float(order=self.order, above=1.0))
        multiplier = check.as_float(noise_multiplier=self.noise_multiplier, above=0.0)
        object.__setattr__(self, "noise_multiplier", multiplier)
        if self.beta is not None:
            object.__setattr__(self, "beta", check.as_float(beta=self.beta, above=0.0))
        if not self.order * -math.expm1(-2.0 * self.decay) < 1.0:
            raise ValueError(
                f"beta={self.beta!r} at order={self.order!r} makes the release cost infinitely much; order * (1 - "
                f"e^(-2 beta)) must be below 1, for example beta={_SHARE / self.order:.3g}"
            )

    @property
    def decay(self) -> float:
        """Decay of the smooth sensitivity: beta, or its default."""
        return _SHARE / self.order if self.beta is None else self.beta


def release_renyi(alpha: ArrayLike, *, beta: float, noise_multiplier: float, margin: float = 0.0) -> FloatArray:
    """Rényi cost of releasing one number with Gaussian noise of `noise_multiplier` times its smooth sensitivity.

    Args:
        alpha: orders, > 1, a number or a vector.
        beta: smoothness, > 0.
        noise_multiplier: noise standard deviation / smooth sensitivity, > 0.
        margin: noise standard deviations added to the number before its release, >= 0.

    Returns:
        Nats, attained by two Gaussians that the conditions allow; infinite for alpha (1 - e^(-2 beta)) >= 1.

    Example:
        >>> release_renyi(10.0, beta=0.045, noise_multiplier=5.0).round(4)
        array([1.3716])
    """
    beta = check.as_float(beta=beta, above=0.0)
    noise_multiplier = check.as_float(noise_multiplier=noise_multiplier, above=0.0)
    margin = check.as_float(margin=margin, at_least=0.0)
    orders = checked_orders(alpha)
    shrunk = -math.expm1(-beta)
    moved = (1.0 - shrunk) / noise_multiplier + margin * shrunk
    variance = 1.0 + orders * math.expm1(-2.0 * beta)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shift = 0.5 * orders * moved * moved / variance
        spread = -(orders * beta + 0.5 * np.log(variance)) / (orders - 1.0)
        slack = _SLACK * (shift + (orders * beta - np.log(variance)) / (orders - 1.0) + 1.0 / variance)
        return np.where(variance > 0.0, np.maximum(spread, 0.0) + shift + slack, np.inf)


@dataclass(frozen=True, slots=True)
class PublishedEpsilon:
    """A data-dependent epsilon that may be published.

    It is about outputs drawn from the data set at hand: for every neighbour and every set of outputs (answers, test
    outcomes and this number), P[set] <= E_Q[e^epsilon on the set] + delta, where P is the law at the data set at hand,
    Q the neighbour's, and epsilon goes with the outputs. It is not differential privacy, which asks for the same with
    P and Q exchanged, and it does not enter a ledger's total. It covers the answers of its plan and this one release, and
    nothing else that was computed from the same votes.

    Attributes:
        epsilon: nats.
        delta: failure mass, the chance that the noise hid a larger cost included.
        order: Rényi order.
        cost: released upper confidence bound on the Rényi cost of the answers, nats.
        release_cost: Rényi cost of releasing it, nats; contained in epsilon.
        margin: standard deviations of noise by which `cost` is above the middle; it exceeds the true cost but for a chance
            of delta / 2.
    """

    epsilon: float
    delta: float
    order: float
    cost: float
    release_cost: float
    margin: float

    def __str__(self) -> str:
        return (
            f"data-dependent epsilon <= {round_up(self.epsilon)} (released through smooth sensitivity) at "
            f"delta = {self.delta:g} for outputs drawn from the data set at hand "
            f"(Rényi order {self.order:g}, upper confidence bound at {self.margin:.2f} standard deviations, "
            f"release cost {round_up(self.release_cost)} included); not a differential-privacy guarantee"
        )


@dataclass(frozen=True, slots=True, eq=False)
class CostPlan:
    """A planned release of a data-dependent cost: all but the draw, which a mechanism makes after charging `event()`.

    A second release from the same votes costs as much again, and its cost adds to every epsilon published before.

    Attributes:
        smoothing: order, noise and smoothness.
        delta: failure mass of the epsilon to publish, in (0, 1); half of it is for noise that hides a larger cost.
        ceiling: data-independent Rényi cost of the same answers at the order, nats; public.
        cost: PRIVATE Rényi cost at the order, hidden.
        sensitivity: PRIVATE smooth sensitivity of the cost, hidden.
    """

    smoothing: Smoothing
    delta: float
    ceiling: float
    cost: PrivateCost
    sensitivity: PrivateCost

    @property
    def margin(self) -> float:
        """Standard deviations of noise that the published cost is raised by: its chance to be too low is delta / 2."""
        return -float(ndtri(0.5 * self.delta))

    def event(self) -> RDP:
        """What the release costs, as an event to charge; the same for all votes, and in both directions."""
        end = 1.0 / -math.expm1(-2.0 * self.smoothing.decay)  # the cost is infinite from here on
        grid = 1.0 + (end - 1.0) * np.geomspace(1e-3, 0.98, _ORDERS)
        orders = sorted({self.smoothing.order, *grid.tolist()})
        return RDP(tuple(orders), tuple(float(value) for value in self._cost_of_release(orders)))

    def finish(self, draw: float) -> PublishedEpsilon:
        """The epsilon to publish, from one standard normal draw, which a mechanism makes after the charge.

        Args:
            draw: from N(0, 1), independent of everything; anything else protects nobody.

        Raises:
            ValueError: the draw is not finite.
        """
        noise = self.smoothing.noise_multiplier * (self.margin + check.as_float(draw=draw))
        found = self.cost.unsafe_value() + self.sensitivity.unsafe_value() * noise
        grid = _GRID * self.ceiling
        # Never above what holds for all votes, nor below 0: cutting a released number reveals nothing more.
        cost = min(max(math.ceil(found / grid) * grid if grid > 0.0 else found, 0.0), self.ceiling)
        order = float(self.smoothing.order)
        extra = float(self._cost_of_release([order])[0])
        return PublishedEpsilon(
            epsilon=renyi_epsilon(cost + extra, order, 0.5 * self.delta),
            delta=float(self.delta),
            order=order,
            cost=cost,
            release_cost=extra,
            margin=self.margin,
        )

    def _cost_of_release(self, orders: list[float]) -> FloatArray:
        smoothing = self.smoothing
        return release_renyi(
            orders, beta=smoothing.decay, noise_multiplier=smoothing.noise_multiplier, margin=self.margin
        )


def renyi_epsilon(cost: float, order: float, delta: float) -> float:
    """Epsilon at delta from a Rényi cost at one order, nats, rounded up.

    It also holds for a cost that goes with the outputs, as `accountants.pate.confident` describes.

    Source: Canonne, Kamath, Steinke 2020, Proposition 12.

    Example:
        >>> round(renyi_epsilon(0.5, 20.0, 1e-5), 4)
        0.897
    """
    above = order - 1.0
    terms = (cost, math.log1p(-1.0 / order), -math.log(delta) / above, -math.log(order) / above)
    return max(0.0, math.fsum(terms) + _SLACK * math.fsum(map(abs, terms)))
