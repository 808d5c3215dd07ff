"""The Fourier accountant: epsilon and delta of Gaussians and Poisson-sampled Gaussians, certified at both ends."""

import math
from functools import partial

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events import Event, Gaussian, PoissonSampled
from accountants.methods.fourier.delta_curve import DeltaCurve
from accountants.methods.fourier.ends import LOG_SMALLEST, MISSED, MISSED_BLURRED, blurred, epsilon_on, worse
from accountants.methods.fourier.inversion import Contour
from accountants.methods.fourier.loss_sum import directions, loss_sum
from accountants.methods.method import Answer, Method, Parts
from accountants.numerics.rounding import ULP


def unsupported_part(parts: Parts, adjacency: Adjacency) -> Event | None:
    """The first part that this accountant cannot take, or None; it takes sampled Gaussians, add-remove or zero-out."""
    for part in parts:
        inner = part.event if isinstance(part, PoissonSampled) else part
        sampled = isinstance(part, PoissonSampled)
        if not isinstance(inner, Gaussian) or (sampled and adjacency is Adjacency.REPLACE_ONE):
            return part
    return None


def epsilon_of(
    parts: Parts, delta: float, adjacency: Adjacency, width: float | None = None, *, blur: bool = True
) -> Answer:
    """Certified interval around the smallest epsilon with delta(epsilon) <= delta.

    Args:
        parts: normal form -> count; no `unsupported_part`, no sigma of 0.
        delta: failure mass, in (0, 1).
        adjacency: add-remove or zero-out, where sampled parts are present.
        width: upper - lower that is good enough where the spectrum has to be blurred, nats; 0.0005 epsilon by default.
            The answer may be wider if that takes too many lines.
        blur: whether noise may be added where the spectrum does not decay; takes some tenths of a second.

    Returns:
        The interval in nats.

    Raises:
        ResolutionError: the errors cannot be bounded well enough.

    Example:
        >>> parts = {Gaussian(1.1).poisson(0.01): 10_000}
        >>> found = epsilon_of(parts, 1e-5, Adjacency.ADD_REMOVE)
        >>> round(found.lower, 6), round(found.upper, 6)
        (5.192583, 5.192583)
    """
    log_delta = math.log(delta)
    if log_delta < LOG_SMALLEST:
        raise ResolutionError(f"delta={delta!r} is too close to the smallest float; use method='renyi'")
    found: list[Answer] = []
    for sign in directions(parts):
        total = loss_sum(parts, sign, log_delta + math.log(MISSED))
        # A direction that a Chernoff bound shows to stay within delta at this epsilon cannot cost more.
        if found and total.best_chernoff(found[0].lower) <= delta * (1.0 - 4.0 * ULP):
            continue
        try:
            found.append(epsilon_on(Contour(total, total.aim_at_delta(delta)), delta))
        except ResolutionError:
            if not blur:
                raise
            total = loss_sum(parts, sign, log_delta + math.log(MISSED_BLURRED))
            found.append(epsilon_on(blurred(total, total.aim_at_delta(delta), width), delta))
    return worse(found)


def delta_of(
    parts: Parts, epsilon: float, adjacency: Adjacency, width: float | None = None, *, blur: bool = True
) -> Answer:
    """Certified interval around delta(epsilon): one point of a `DeltaCurve`, which see."""
    return DeltaCurve(parts, width, blur=blur).delta(epsilon)


def _method(*, blur: bool) -> Method:
    return Method(
        "fourier",
        unsupported_part,
        partial(epsilon_of, blur=blur),
        partial(delta_of, blur=blur),
        lambda parts, adjacency, width: DeltaCurve(parts, width, blur=blur).delta,
    )


FOURIER, FOURIER_WITHOUT_NOISE = _method(blur=True), _method(blur=False)
