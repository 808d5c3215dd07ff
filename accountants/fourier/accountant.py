"""The Fourier accountant: epsilon and delta of Gaussians and Poisson-sampled Gaussians, certified at both ends."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events import Event, Gaussian, PoissonSampled
from accountants.fourier.blur import Blur
from accountants.fourier.inversion import Aim, Contour, LossSum, period_of, with_short_period
from accountants.fourier.spectra import GaussianSpectrum, SampledSpectrum, Spectrum
from accountants.rounding import exp_up

__all__ = ["FourierAnswer", "Profile", "delta_of", "epsilon_of", "stranger"]

Parts = Mapping[Event, int]

_ULP = 2.0**-53
_WORST_SHARE = 0.01  # of delta that errors may make up
_LOG_SMALLEST = -550.0  # of delta; below it floats get coarse
_SIGMAS = (0.02, 1e8)  # below nothing is private and too many nodes are needed; above powers of sigma overflow
_SMALLEST_Q = 1e-12
_LARGEST_EPSILON = 1e12
_MISSED = 1e-10  # share of delta that losses cut off at the top may make up
_MISSED_BLURRED = 1e-3  # the same with noise: without the largest losses there is less to resolve
_LOG_FIRST_CUT = -650.0  # log of that share's mass before delta is known
_CUTS = 8  # rounds in which that share is found when delta is not known
_ROUNDS = 3  # the same with noise
_BLUR = 5e-4  # of epsilon, by which noise may shift it
_BLURRED_LINES = 2**18  # about as many are used where the noise is chosen by them
_NEARLY = 1e-4  # of delta, errors with which a contour made for another epsilon is good enough
_NEARLY_BLURRED = 5e-3  # the same with noise
_REFUSALS = 2  # after so many epsilons out of reach no further one is tried
_LOG_DECAY = -22.0  # of the noise's characteristic function at the last of them


@dataclass(frozen=True, slots=True)
class FourierAnswer:
    """Certified ends, and how they were computed.

    Attributes:
        lower: from below.
        upper: from above.
        settings: direction that binds, tilt, period, number of spectral lines and share of errors in delta; JSON-able.
    """

    lower: float
    upper: float
    settings: dict[str, object]


_NOTHING = FourierAnswer(0.0, 0.0, {})  # of a direction that does not matter


def stranger(parts: Parts, adjacency: Adjacency) -> Event | None:
    """The first part that this accountant cannot take, or None; it takes sampled Gaussians, add-remove or zero-out."""
    for part in parts:
        inner = part.event if isinstance(part, PoissonSampled) else part
        sampled = isinstance(part, PoissonSampled)
        if not isinstance(inner, Gaussian) or (sampled and adjacency is Adjacency.REPLACE_ONE):
            return part
    return None


def epsilon_of(
    parts: Parts, delta: float, adjacency: Adjacency, *, width: float | None = None, blur: bool = True
) -> FourierAnswer:
    """Certified interval around the smallest epsilon with delta(epsilon) <= delta.

    Args:
        parts: normal form -> count; no `stranger`, no sigma of 0.
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
    if log_delta < _LOG_SMALLEST:
        raise ResolutionError(f"delta={delta!r} is too close to the smallest float; use method='renyi'")
    found: list[FourierAnswer] = []
    for sign in _signs(parts):
        total = _total(parts, sign, log_delta + math.log(_MISSED))
        # A direction whose plain Chernoff bound at this epsilon is within delta cannot cost more.
        if found and _bound(total, total.tilt_for(found[0].lower), found[0].lower) <= delta * (1.0 - 4.0 * _ULP):
            continue
        try:
            found.append(_epsilon_on(Contour(total, total.aim_at_delta(delta)), delta))
        except ResolutionError:
            if not blur:
                raise
            total = _total(parts, sign, log_delta + math.log(_MISSED_BLURRED))
            found.append(_epsilon_on(_blurred(total, total.aim_at_delta(delta), width), delta))
    return _worse(found)


def delta_of(
    parts: Parts, epsilon: float, adjacency: Adjacency, *, width: float | None = None, blur: bool = True
) -> FourierAnswer:
    """Certified interval around delta(epsilon): one point of `Profile`, which see."""
    return Profile(parts, adjacency, width=width, blur=blur).delta(epsilon)


class Profile:
    """Delta as a function of epsilon; what was prepared for one epsilon is used for those near it.

    Args:
        parts: normal form -> count; no `stranger`, no sigma of 0.
        adjacency: add-remove or zero-out, where sampled parts are present.
        width: as for `epsilon_of`: how far the curve may be shifted.
        blur: as for `epsilon_of`.
    """

    def __init__(self, parts: Parts, adjacency: Adjacency, *, width: float | None = None, blur: bool = True) -> None:
        self.parts, self.width, self.blur = parts, width, blur
        self.whole = {sign: _total(parts, sign, _LOG_FIRST_CUT) for sign in _signs(parts)}
        self.contours: dict[int, list[Contour]] = {sign: [] for sign in self.whole}
        self.refused: list[ResolutionError] = []

    def delta(self, epsilon: float) -> FourierAnswer:
        """Certified interval around delta(epsilon), inside [0, 1].

        Args:
            epsilon: nats, >= 0.

        Raises:
            ResolutionError: the errors cannot be bounded well enough, here or at several epsilons before.
        """
        if epsilon > _LARGEST_EPSILON:
            raise ResolutionError(f"epsilon={epsilon:g} is too large for quadrature; use method='renyi'")
        found: list[FourierAnswer] = []
        for sign, whole in self.whole.items():
            answer = self._known(sign, epsilon)
            if answer is None:
                # A direction whose plain Chernoff bound is below the other's delta cannot cost more.
                needless = found and any(
                    _bound(whole, tilt(epsilon), epsilon) <= found[0].lower for tilt in (whole.known_tilt, whole.tilt_for)
                )
                answer = _NOTHING if needless else self._new(sign, epsilon)
            found.append(answer)
        return _worse(found)

    def _known(self, sign: int, epsilon: float) -> FourierAnswer | None:
        """What an earlier contour says, if that is nearly as good as one made for this epsilon."""
        for contour in self.contours[sign]:
            at = contour.at(epsilon)
            missed, nearly = contour.total.missed, _NEARLY
            if contour.blur:
                missed, nearly = missed + contour.blur.missed, _NEARLY_BLURRED
            if at.value > 0.0 and at.error + at.alias + missed <= nearly * at.value:
                return _delta_on(contour, epsilon)
        return None

    def _new(self, sign: int, epsilon: float) -> FourierAnswer:
        """What a contour for this epsilon says."""
        if len(self.refused) >= _REFUSALS:
            raise self.refused[-1]
        try:
            total, aim = self._cut_for(sign, epsilon)
            if total.cumulants(aim.tilt).mean < epsilon or aim.log_delta < _LOG_SMALLEST:
                # Beyond the largest loss, or so small that only a bound is left.
                return FourierAnswer(0.0, _bound(total, aim.tilt, epsilon), {"direction": total.direction})
            try:
                contour = Contour(total, aim)
                answer = _delta_on(contour, epsilon)
            except ResolutionError:
                if not self.blur:
                    raise
                contour = _blurred_at(self.parts, sign, epsilon, aim.log_delta, self.width)
                answer = _delta_on(contour, epsilon)
        except ResolutionError as error:
            self.refused.append(error)
            raise
        self.contours[sign].append(contour)
        return answer

    def _cut_for(self, sign: int, epsilon: float) -> tuple[LossSum, Aim]:
        """The sum of losses, cut off where hardly anything of delta(epsilon) comes from: that is found out on the way."""
        total, log_cut = self.whole[sign], math.inf
        aim = total.aim_at_epsilon(epsilon)
        for _ in range(_CUTS if sign > 0 else 0):
            wanted = max(aim.log_delta, _LOG_SMALLEST) + math.log(_MISSED)
            if wanted >= log_cut:
                break
            log_cut = wanted - 1.0
            total = _total(self.parts, sign, log_cut)
            aim = total.aim_at_epsilon(epsilon)
        return total, aim


def _blurred(total: LossSum, aim: Aim, width: float | None) -> Contour:
    """A contour with noise, where the spectrum does not decay without."""
    aim = with_short_period(total, aim)
    period, _ = period_of(total, aim)
    wanted = 0.5 * width if width is not None else _BLUR * aim.epsilon
    least = Blur.shift_for(math.pi * _BLURRED_LINES / period, aim.log_delta, _LOG_DECAY)
    return Contour(total.blurred(Blur.of(max(wanted, least), aim.log_delta)), aim)


def _blurred_at(parts: Parts, sign: int, epsilon: float, log_delta: float, width: float | None) -> Contour:
    """The same for an epsilon whose delta is not known: what it seems to be tells where to cut and how much noise fits."""
    contour = _blurred_for(parts, sign, epsilon, log_delta, width)
    for _ in range(_ROUNDS):
        value = contour.at(epsilon).value
        if not value > 0.0 or abs(math.log(value) - log_delta) < 1.0:
            break
        log_delta = max(math.log(value), _LOG_SMALLEST)
        contour = _blurred_for(parts, sign, epsilon, log_delta, width)
    return contour


def _blurred_for(parts: Parts, sign: int, epsilon: float, log_delta: float, width: float | None) -> Contour:
    total = _total(parts, sign, log_delta + math.log(_MISSED_BLURRED))
    return _blurred(total, replace(total.aim_at_delta(math.exp(log_delta)), epsilon=epsilon), width)


def _bound(total: LossSum, tilt: float, epsilon: float) -> float:
    """Upper bound on delta(epsilon) that needs no contour; any tilt will do, one near the saddle point is best."""
    return min(1.0, exp_up(min(0.0, total.log_chernoff(tilt, epsilon))) * (1.0 + 4.0 * _ULP) + total.missed)


def _worse(found: list[FourierAnswer]) -> FourierAnswer:
    """Both ends of the direction that costs more."""
    lower, upper = max(one.lower for one in found), max(one.upper for one in found)
    binding = max(range(len(found)), key=lambda index: found[index].upper)
    return FourierAnswer(lower, upper, found[binding].settings)


def _signs(parts: Parts) -> tuple[int, ...]:
    """Directions: +1 where the record is removed everywhere, -1 where it is added; one will do if nothing is sampled.

    The two are never mixed before composition: which of them is worse may depend on epsilon.
    """
    return (1, -1) if any(isinstance(part, PoissonSampled) for part in parts) else (1,)


def _total(parts: Parts, sign: int, log_cut: float) -> LossSum:
    """The sum of losses in one direction."""
    counts: dict[tuple[float, float], int] = {}
    spectra: list[Spectrum] = []
    for part, count in parts.items():
        if isinstance(part, PoissonSampled):
            sigma = cast("Gaussian", part.event).sigma
            if not (_SIGMAS[0] <= sigma <= _SIGMAS[1] and part.q >= _SMALLEST_Q):
                raise ResolutionError(f"{part!r} is out of reach of quadrature; use method='renyi'")
            counts[sigma, part.q] = counts.get((sigma, part.q), 0) + count
        else:
            spectra.append(GaussianSpectrum(math.sqrt(count) / cast("Gaussian", part).sigma))
    if counts:
        spectra.append(SampledSpectrum(counts, sign, log_cut))
    return LossSum(spectra, ("symmetric" if not counts else "remove" if sign > 0 else "add"))


def _epsilon_on(contour: Contour, delta: float) -> FourierAnswer:
    middle = _newton(contour, delta)
    found = contour.at(middle)
    missed = contour.total.missed + (contour.blur.missed if contour.blur else 0.0)
    spread = (found.error + found.alias + missed) / delta
    if not spread <= _WORST_SHARE:
        raise ResolutionError(f"errors make up {spread:.2g} of delta; use method='lattice'")
    step = (2.0 * spread + 1e-12) / max(-found.slope, 1e-300) + 16.0 * _ULP * abs(middle)
    upper = _first_certain(lambda point: _above(contour, point) <= delta, middle, step)
    shift = contour.blur.shift if contour.blur else 0.0
    lower = _first_certain(lambda point: _below(contour, point) >= delta, middle - shift, -step)
    return FourierAnswer(max(lower, 0.0), upper, _settings(contour, spread))


def _delta_on(contour: Contour, epsilon: float) -> FourierAnswer:
    found = contour.at(epsilon)
    share = (found.error + found.alias) / found.value if found.value > 0.0 else math.inf
    if not share <= _WORST_SHARE:
        raise ResolutionError("errors make up more than 1 % of delta; use method='lattice'")
    return FourierAnswer(
        max(0.0, _below(contour, epsilon)), min(1.0, _above(contour, epsilon)), _settings(contour, share)
    )


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
    """Where the computed sum is delta, about; negative results are left alone until the end."""
    epsilon, log_delta = contour.aim.epsilon, math.log(delta)
    reach = 3.0 * contour.deviation
    for _ in range(60):
        found = contour.at(epsilon)
        if not found.value > 0.0 or not found.slope < 0.0:
            raise ResolutionError("the sum loses its sign near the solution; use method='lattice'")
        step = (log_delta - math.log(found.value)) / found.slope
        epsilon += min(max(step, -reach), reach)
        if abs(step) <= 1e-13 * (1.0 + abs(epsilon)):
            return epsilon
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
    return (found.value + found.error + contour.total.missed) * (1.0 + 8.0 * _ULP)


def _below(contour: Contour, epsilon: float) -> float:
    shift, missed = (contour.blur.shift, contour.blur.missed) if contour.blur else (0.0, 0.0)
    found = contour.at((epsilon + shift) * (1.0 + 2.0 * _ULP))
    return (found.value - found.error - found.alias - missed) * (1.0 - 8.0 * _ULP)
