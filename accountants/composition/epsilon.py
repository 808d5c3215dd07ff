"""Epsilon and delta of any event: takes the tightest accountant that applies and keeps both ends certified.

Exact where an exact tool exists (Gaussians, randomized responses of one eps0), then Fourier inversion (sampled
Gaussians), then the lattice (everything with a known dominating pair), and Rényi curves where nothing else is left.
"""

from collections.abc import Callable

from accountants import check
from accountants.adjacency import Adjacency
from accountants.bound import Bound
from accountants.composition.choice import Options, delta_curve, epsilon_curve
from accountants.composition.failures import left_over, revealing_mass, split_failures
from accountants.composition.prepared import prepared, prepared_parts
from accountants.errors import UnsupportedEvent
from accountants.events import Event, merge_gaussians
from accountants.methods.method import Parts
from accountants.methods.renyi.conversion import quick_rdp_epsilon

_QUICK_MARGIN = 1e-6  # relative; far above every rounding allowance, far below what anybody budgets


def epsilon(
    event: Event, delta: float, *, adjacency: str = "add-remove", width: float | None = None, method: str = "auto"
) -> Bound:
    """Certified interval around the smallest epsilon for which the event is (epsilon, delta)-DP.

    Args:
        event: what was done.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: largest difference between the ends that is good enough, nats, > 0; max(2e-3, 2e-3 epsilon) by default.
            A smaller one may cost more time; a wider interval comes back where no accountant gets there.
        method: "auto", or one accountant: "gaussian" and "response" are exact up to rounding, "fourier" takes sampled
            Gaussians, "lattice" everything with a known dominating pair, "renyi" gives an upper end only.

    Returns:
        Bound in nats; infinite where no finite epsilon holds.

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve, or `method` does not apply to it.
        ResolutionError: no accountant that applies resolves the answer.
        ValueError: delta, adjacency, width or method is out of range.

    Example:
        >>> from accountants.events import Gaussian, RandomizedResponse
        >>> print(epsilon(Gaussian(sigma=1), delta=1e-5))
        [4.3771, 4.3772] (gaussian)
        >>> print(epsilon(Gaussian(sigma=1.1).poisson(q=0.01) * 10_000, delta=1e-5))
        [5.1925, 5.1926] (fourier)
        >>> print(epsilon(RandomizedResponse(k=10, eps0=0.5) * 100, 1e-5, adjacency="replace-one"))
        [13.169, 13.17] (response)
    """
    check.probability_mass(delta=delta)
    known = prepared(event, adjacency)
    return epsilon_curve(known, Options(method, width))(float(delta))


def delta(
    event: Event, epsilon: float, *, adjacency: str = "add-remove", width: float | None = None, method: str = "auto"
) -> Bound:
    """Certified interval around the smallest delta for which the event is (epsilon, delta)-DP.

    Args:
        event: what was done.
        epsilon: nats, >= 0.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: as for `epsilon`, nats: how far the curve may be shifted.
        method: as for `epsilon`.

    Returns:
        Bound on delta, in [0, 1].

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        UnsupportedEvent: a part has no curve, or `method` does not apply to it.
        ResolutionError: no accountant that applies resolves the answer.
        ValueError: epsilon, adjacency, width or method is out of range.

    Example:
        >>> from accountants.events import Gaussian
        >>> print(delta(Gaussian(sigma=1), epsilon=1))
        [0.12693, 0.12694] (gaussian)
    """
    check.real(epsilon=epsilon, at_least=0.0)
    known = prepared(event, adjacency)
    return delta_curve(known, Options(method, width))(float(epsilon))


def profile(
    event: Event, *, adjacency: str = "add-remove", width: float | None = None, method: str = "auto"
) -> Callable[[float], Bound]:
    """`delta` of one event as a function of epsilon, for many epsilons; quickest if asked from the largest one down.

    Args:
        event: what was done.
        adjacency: neighbouring relation, one of "add-remove", "replace-one", "zero-out".
        width: as for `delta`.
        method: as for `delta`.

    Returns:
        From epsilon, nats, >= 0, to a bound on delta, in [0, 1].

    Raises:
        AdjacencyError: a part is not stated for this adjacency.
        ValueError: adjacency, width or method is out of range. The function raises what `delta` raises.

    Example:
        >>> from accountants.events import Gaussian
        >>> delta_at = profile(Gaussian(sigma=1).poisson(q=0.01) * 1000)
        >>> [str(delta_at(epsilon)) for epsilon in (2.0, 1.0)]
        ['[0.0000026655, 0.0000026656] (fourier)', '[0.0026124, 0.0026125] (fourier)']
    """
    known = prepared(event, adjacency)
    ask = delta_curve(known, Options(method, width, is_shared=True))

    def delta_at(epsilon: float) -> Bound:
        check.real(epsilon=epsilon, at_least=0.0)
        return ask(float(epsilon))

    return delta_at


def epsilon_of_parts(
    parts: Parts,
    delta: float,
    adjacency: Adjacency,
    method: str = "auto",
    width: float | None = None,
    *,
    certain: Parts | None = None,
    needs_lower: bool = True,
) -> Bound:
    """`epsilon` of a normal form whose adjacency has been checked.

    Args:
        parts: as `events.normal_form` gives them.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
        method: one of METHODS.
        width: difference between the ends that is good enough, nats, or None.
        certain: what is certainly released, where the parts may cost more than what is; it gives the lower end.
        needs_lower: False spares the search for a lower end where Rényi accounting gives the upper one.

    Returns:
        Bound in nats.

    Raises:
        UnsupportedEvent: as for `epsilon`.
        ResolutionError: as for `epsilon`.
    """
    known = prepared_parts(parts, adjacency, certain)
    return epsilon_curve(known, Options(method, width, needs_lower=needs_lower))(delta)


def is_quickly_within(parts: Parts, epsilon: float, delta: float, adjacency: Adjacency) -> bool:
    """Whether a cheap, loose bound already shows the parts to cost at most epsilon; False means "not known".

    Args:
        parts: distinct events -> count.
        epsilon: budget in nats.
        delta: failure mass, in [0, 1).
        adjacency: neighbouring relation.
    """
    merged = merge_gaussians(parts)
    if delta == 0.0 or revealing_mass(merged) is not None:
        return False
    kept, failure = split_failures(merged)
    least, _ = left_over(delta, failure)
    try:
        return least > 0.0 and quick_rdp_epsilon(kept, least, adjacency) <= epsilon * (1.0 - _QUICK_MARGIN)
    except UnsupportedEvent:
        return False
