"""Certified ends of epsilon and delta from a contour, with or without noise on top."""

import math
from collections.abc import Callable
from dataclasses import replace

from accountants.errors import ResolutionError
from accountants.methods.fourier.blur import Blur
from accountants.methods.fourier.inversion import Contour, period_of, with_short_period
from accountants.methods.fourier.loss_sum import Aim, LossSum, loss_sum
from accountants.methods.method import Answer, Parts
from accountants.numerics.rounding import ULP

LOG_SMALLEST = -550.0  # of delta; below it floats get coarse
MISSED = 1e-10  # share of delta that losses cut off at the top may make up
MISSED_BLURRED = 1e-3  # the same with noise: without the largest losses there is less to resolve
_WORST_SHARE = 0.01  # of delta that errors may make up
_ROUNDS = 3  # in which delta is found out where noise is needed
_BLUR = 5e-4  # of epsilon, by which noise may shift it
_BLURRED_LINES = 2**18  # about as many are used where the noise is chosen by them
_LOG_DECAY = -22.0  # of the noise's characteristic function at the last of them


def worse(found: list[Answer]) -> Answer:
    """Both ends of the direction that costs more."""
    binding = max(found, key=lambda answer: answer.upper)
    return replace(binding, lower=max(answer.lower for answer in found))


def epsilon_on(contour: Contour, delta: float) -> Answer:
    """The interval around epsilon, nats, off a contour that was prepared for this delta.

    Raises:
        ResolutionError: errors make up more than 1 % of delta.
    """
    middle = _newton(contour, delta)
    found = contour.at(middle)
    missed = contour.total.missed + (contour.blur.missed if contour.blur else 0.0)
    spread = (found.error + found.alias + missed) / delta
    if not spread <= _WORST_SHARE:
        raise ResolutionError(f"errors make up {spread:.2g} of delta; use method='lattice'")
    step = (2.0 * spread + 1e-12) / max(-found.slope, 1e-300) + 16.0 * ULP * abs(middle)
    upper = _first_certain(lambda point: _above(contour, point) <= delta, middle, step)
    shift = contour.blur.shift if contour.blur else 0.0
    lower = _first_certain(lambda point: _below(contour, point) >= delta, middle - shift, -step)
    return Answer(max(lower, 0.0), upper, "fourier", _settings(contour, spread))


def delta_on(contour: Contour, epsilon: float) -> Answer:
    """The interval around delta off a contour that was prepared for an epsilon near this one.

    Raises:
        ResolutionError: errors make up more than 1 % of delta.
    """
    found = contour.at(epsilon)
    share = (found.error + found.alias) / found.value if found.value > 0.0 else math.inf
    if not share <= _WORST_SHARE:
        raise ResolutionError("errors make up more than 1 % of delta; use method='lattice'")
    lower, upper = max(0.0, _below(contour, epsilon)), min(1.0, _above(contour, epsilon))
    return Answer(lower, upper, "fourier", _settings(contour, share))


def _settings(contour: Contour, share: float) -> dict[str, object]:
    return {
        "direction": contour.total.direction,
        "tilt": contour.tilt,
        "period": contour.period,
        "lines": len(contour.omega),
        "numeric_share_of_delta": share,
        "blur": contour.blur.shift if contour.blur else 0.0,
    }


def _newton(contour: Contour, delta: float) -> float:
    """Where the computed sum is delta, about; negative results are left alone until the end.

    Newton's steps on log delta, halved where they leave what is known to enclose the solution: where few large jumps
    matter the curve has steps.
    """
    epsilon, log_delta = contour.aim.epsilon, math.log(delta)
    reach, low, high = 3.0 * contour.deviation, -math.inf, math.inf
    for _ in range(100):
        found = contour.at(epsilon)
        if not found.value > 0.0 or not found.slope < 0.0:
            raise ResolutionError("the sum loses its sign near the solution; use method='lattice'")
        excess = math.log(found.value) - log_delta
        low, high = (epsilon, high) if excess > 0.0 else (low, epsilon)
        step = min(max(-excess / found.slope, -reach), reach)
        if abs(step) <= 1e-13 * (1.0 + abs(epsilon)):
            return epsilon + step
        epsilon = epsilon + step if low < epsilon + step < high else 0.5 * (low + high)
    raise ResolutionError("the epsilon of this delta was not found; use method='lattice'")


def _first_certain(holds: Callable[[float], bool], start: float, step: float) -> float:
    """The first of start + step, start + 2 step, ... where the condition is certain; 0 if it holds there already."""
    for _ in range(40):
        point = max(0.0, start + step)
        if holds(point):
            return point
        if step < 0.0 and point == 0.0:
            return 0.0
        step *= 2.0
    raise ResolutionError("no certain end was found near the solution; use method='lattice'")


def _above(contour: Contour, epsilon: float) -> float:
    found = contour.at(epsilon)
    return (found.value + found.error + contour.total.missed) * (1.0 + 8.0 * ULP)


def _below(contour: Contour, epsilon: float) -> float:
    shift, missed = (contour.blur.shift, contour.blur.missed) if contour.blur else (0.0, 0.0)
    found = contour.at((epsilon + shift) * (1.0 + 2.0 * ULP))
    return (found.value - found.error - found.alias - missed) * (1.0 - 8.0 * ULP)


def blurred(total: LossSum, aim: Aim, width: float | None) -> Contour:
    """A contour with noise, where the spectrum does not decay without."""
    aim = with_short_period(total, aim)
    period, _ = period_of(total, aim)
    wanted = 0.5 * width if width is not None else _BLUR * aim.epsilon
    least = Blur.shift_for(math.pi * _BLURRED_LINES / period, aim.log_delta, _LOG_DECAY)
    return Contour(total.blurred(Blur.of(max(wanted, least), aim.log_delta)), aim)


def blurred_at(parts: Parts, sign: int, epsilon: float, log_delta: float, width: float | None) -> Contour:
    """The same for an epsilon whose delta is not known: what it seems to be tells where to cut and how much noise fits."""
    contour = _blurred_for(parts, sign, epsilon, log_delta, width)
    for _ in range(_ROUNDS):
        value = contour.at(epsilon).value
        if not value > 0.0 or abs(math.log(value) - log_delta) < 1.0:
            break
        log_delta = max(math.log(value), LOG_SMALLEST)
        contour = _blurred_for(parts, sign, epsilon, log_delta, width)
    return contour


def _blurred_for(parts: Parts, sign: int, epsilon: float, log_delta: float, width: float | None) -> Contour:
    total = loss_sum(parts, sign, log_delta + math.log(MISSED_BLURRED))
    return blurred(total, replace(total.aim_at_delta(math.exp(log_delta)), epsilon=epsilon), width)
