"""The privacy odometer: a running epsilon that stays true although releases and the end are chosen on the way."""

import math
from collections.abc import Sequence

import numpy as np

from accountants import check
from accountants.adjacency import Adjacency
from accountants.budgets.budget import BudgetRule, distinct_parts
from accountants.budgets.exact_sums import Spent
from accountants.budgets.rules import RenyiRule
from accountants.budgets.uncopied import Uncopied
from accountants.errors import UnsupportedEvent
from accountants.events import Event
from accountants.numerics.array_kinds import FloatArray

_ORDERS = tuple((1.0 + np.geomspace(1.0 / 16.0, 2048.0, 31)).tolist())  # a factor of sqrt(2) apart above 1
_SLACK = 1e-12  # relative, covers the rounding of sums, exponentials and logarithms
_STEPS = 50


class Odometer(Uncopied):
    """A running epsilon for releases that are chosen after earlier answers were seen, without a budget.

    `read`: with probability at least 1 - delta, the privacy loss L_t of all answers so far is at most the reading at that
    time, at ALL times t at once. `epsilon_if_stopped`: whenever and for whatever reason the releases end,
    P(A) <= E_Q[e^epsilon 1_A] + delta for every set A of answers; in particular, ending before it passes a number makes
    everything (that number, delta)-DP. The reading is the larger one and may be claimed in the same way. The second
    guarantee also holds with (epsilon_i, delta_i)-claims among the releases; the first needs none.

    Proof: let S_t(alpha) be the sum of the Rényi curves at alpha of the first t releases; it is known before the t-th
    answer. M_t(alpha) = e^((alpha - 1)(L_t - S_t(alpha))) never rises on average, and starts at 1; so does the mean M_t of
    M_t(alpha) over the fixed orders. By Ville's inequality M_t stays below 1 / delta at all times, except with probability
    delta. M_t grows with L_t, so L_t stays below the x at which the mean of e^((alpha - 1)(x - S_t(alpha))) is
    1 / delta: that x is the reading. At whatever time T it ends, the average of M_T is at most 1; the second epsilon is the
    smallest one with (1 - e^(epsilon - L_T))_+ <= delta M_T for every value of L_T. Both directions have their own L_t and
    the same S_t. Claims: a part F of delta is set aside for their failures, as in `accountants.budgets.budget`.

    The reading is at most min over alpha of S_t(alpha) + log(n / delta) / (alpha - 1) with n orders, hence below the
    one that rounds budgets up to powers of two, and at most the sum of the pure guarantees. It never falls, and is above the
    epsilon of the same releases as a plan: a number that is true at every time costs more than one at a time fixed in
    advance. With a budget, a `Filter` gets more out of it.

    All methods are thread-safe. An odometer cannot be copied or pickled, and a forked process cannot spend on it.

    Args:
        delta: failure mass, in (0, 1).
        adjacency: neighbouring relation of every event.
        orders: Rényi orders, > 1, public and fixed in advance; fewer, near the order that is best for what is expected,
            read lower. By default 31 from 1.06 to 2049, for epsilon from 0.01 to 100.
        failure: part of delta, in [0, delta), set aside for failures of claims; beyond it the reading is infinite.

    Raises:
        ValueError: an argument is out of range.

    Source: Feldman, Zrnic 2021 (Rényi odometer); Whitehouse, Ramdas, Rogers, Wu 2023 (time-uniform bounds); the mixture
    over orders is the method of mixtures of Robbins 1970.

    Example:
        >>> from accountants.events import Gaussian
        >>> odometer = Odometer(1e-5)
        >>> odometer.spend(Gaussian(sigma=20), count=10)
        >>> round(odometer.read(), 3), round(odometer.epsilon_if_stopped(), 3)
        (0.868, 0.722)
    """

    def __init__(
        self,
        delta: float,
        *,
        adjacency: str = "add-remove",
        orders: Sequence[float] | None = None,
        failure: float = 0.0,
    ) -> None:
        check.real(delta=delta, above=0.0, below=1.0)
        check.real(failure=failure, at_least=0.0, below=float(delta))
        self._orders = RenyiRule(_ORDERS if orders is None else tuple(orders))
        self._rule = BudgetRule(math.inf, float(delta), Adjacency(adjacency), self._orders, float(failure))
        self._spent = Spent.nothing(self._orders.size)
        self._note_process()

    @property
    def delta(self) -> float:
        """Failure mass of the reading."""
        return self._rule.delta

    @property
    def adjacency(self) -> Adjacency:
        """Neighbouring relation of every event."""
        return self._rule.adjacency

    def spend(self, event: Event, count: int = 1) -> None:
        """Count the event, or raise and change nothing; call this before the noise is drawn.

        Args:
            event: what is about to be done.
            count: how often, >= 0.

        Raises:
            UnsupportedEvent: no Rényi curve is known for a part of the event.
            LedgerError: a forked process spends.
            AdjacencyError: the event is not stated for the odometer's adjacency.
            ValueError: count is out of range.
        """
        added = self._rule.weigh(distinct_parts(event, count, self._rule.adjacency))
        if added.counted is None:
            raise UnsupportedEvent(
                f"{event!r} has no Rényi curve that an odometer could add up; nothing was spent. Odometer(..., failure=...) "
                "takes (epsilon, delta)-claims; other events need a Ledger or a Filter"
            )
        self._require_own_process()
        with self._changing():
            self._spent += added

    def read(self) -> float:
        """The reading now, nats, rounded up: true at all times at once; infinite if a release has no finite cost."""
        spent, usable = self._usable()
        if usable is None:
            return spent.pure_epsilon
        above, curve, log_level = usable
        return min(spent.pure_epsilon, max(0.0, _crossing(above, curve, log_level)))

    def epsilon_if_stopped(self) -> float:
        """Epsilon, nats, rounded up, that may be claimed if the releases end now, for whatever reason; below the reading."""
        spent, usable = self._usable()
        if usable is None:
            return spent.pure_epsilon
        above, curve, log_level = usable
        # With G(x) = delta times the mean of e^((alpha - 1)(x - S)), the smallest epsilon is the top of the concave
        # x + log(1 - G(x)), where G' = 1 - G: the mean with each term multiplied by alpha is 1 / delta. There it is
        # x + log G'(x), which rises with x, so that a point to the right of the top is on the safe side.
        point = _crossing(above, curve - np.log1p(above) / above, log_level)
        with np.errstate(over="ignore"):
            found = point + float(np.logaddexp.reduce(np.log(above) + above * (point - curve) - log_level))
        reading = max(0.0, _crossing(above, curve, log_level))
        return min(spent.pure_epsilon, reading, max(0.0, found + _SLACK * (1.0 + abs(found))))

    def _usable(self) -> tuple[Spent, tuple[FloatArray, FloatArray, float] | None]:
        """What is spent, and if that bounds anything: orders - 1, summed curves, log(number of orders / delta)."""
        spent = self._spent
        sums, left = self._rule.usable(spent)
        curve = np.array(() if sums is None else sums)
        finite = np.isfinite(curve)
        if not finite.any():
            return spent, None
        log_level = math.log(self._orders.size) - math.log(left)
        return spent, (np.array(self._orders.orders)[finite] - 1.0, curve[finite], log_level)

    def __repr__(self) -> str:
        return f"<Odometer delta={self.delta:g} {self.adjacency}, reading {self.read():.5g}>"


def _crossing(above: FloatArray, curve: FloatArray, log_level: float) -> float:
    """The x at which the sum of e^(above (x - curve)) reaches the level, rounded up.

    The log of the sum is convex and rising, so Newton's steps from the right stay on the right: each is an upper bound.
    """
    point = float((curve + log_level / above).min())
    for _ in range(_STEPS):
        with np.errstate(over="ignore"):  # to minus infinity: orders that do not count
            growth = above * (point - curve)
        top = growth.max()
        shares = np.exp(growth - top)
        total = shares.sum()
        step = float((top + math.log(total) - log_level) * total / (above * shares).sum())
        if step <= _SLACK * (1.0 + abs(point)):
            break
        point -= step
    # A rounding of the exponents counts by its quotient with the slope; terms with a share to speak of are within 40 of top.
    return point + _SLACK * (abs(point) + 0.05 / float(above.min()))
