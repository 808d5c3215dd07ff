"""Delta of Gaussians and Poisson-sampled Gaussians as a function of epsilon."""

import math

from accountants.errors import ResolutionError
from accountants.methods.fourier.ends import LOG_SMALLEST, MISSED, blurred_at, delta_on, worse
from accountants.methods.fourier.inversion import Contour
from accountants.methods.fourier.loss_sum import Aim, LossSum, directions, loss_sum
from accountants.methods.method import Answer, Parts

_LARGEST_EPSILON = 1e12  # nats
_LOG_FIRST_CUT = -650.0  # log of the mass that is cut off at the top before delta is known
_CUTS = 8  # rounds in which that is found out
_NEARLY = 1e-4  # of delta, errors with which a contour made for another epsilon is good enough
_NEARLY_BLURRED = 5e-3  # the same with noise
_REFUSALS = 2  # after so many epsilons out of reach no further one is tried
_NOTHING = Answer(0.0, 0.0, "fourier")  # of a direction that does not matter


class DeltaCurve:
    """Delta as a function of epsilon; what was prepared for one epsilon is used for those near it.

    Args:
        parts: normal form -> count; nothing that the accountant does not support, no sigma of 0.
        width: as for `epsilon_of`: how far the curve may be shifted.
        blur: as for `epsilon_of`.
    """

    def __init__(self, parts: Parts, width: float | None = None, *, blur: bool = True) -> None:
        self.parts, self.width, self.blur = parts, width, blur
        self.whole = {sign: loss_sum(parts, sign, _LOG_FIRST_CUT) for sign in directions(parts)}
        self.contours: dict[int, list[Contour]] = {sign: [] for sign in self.whole}
        self.refused: list[ResolutionError] = []

    def delta(self, epsilon: float) -> Answer:
        """The interval at one epsilon, inside [0, 1].

        Args:
            epsilon: nats, >= 0.

        Raises:
            ResolutionError: the errors cannot be bounded well enough, here or at several epsilons before.
        """
        if epsilon > _LARGEST_EPSILON:
            raise ResolutionError(f"epsilon={epsilon:g} is too large for quadrature; use method='renyi'")
        found: list[Answer] = []
        for sign, whole in self.whole.items():
            answer = self._known(sign, epsilon)
            if answer is None:
                # A direction whose plain Chernoff bound is below the other's delta cannot cost more.
                needless = found and (
                    whole.chernoff(whole.known_tilt(epsilon), epsilon) <= found[0].lower
                    or whole.best_chernoff(epsilon) <= found[0].lower
                )
                answer = _NOTHING if needless else self._new(sign, epsilon)
            found.append(answer)
        return worse(found)

    def _known(self, sign: int, epsilon: float) -> Answer | None:
        """What an earlier contour says, if that is nearly as good as one made for this epsilon."""
        for contour in self.contours[sign]:
            at = contour.at(epsilon)
            missed, nearly = contour.total.missed, _NEARLY
            if contour.blur:
                missed, nearly = missed + contour.blur.missed, _NEARLY_BLURRED
            if at.value > 0.0 and at.error + at.alias + missed <= nearly * at.value:
                return delta_on(contour, epsilon)
        return None

    def _new(self, sign: int, epsilon: float) -> Answer:
        """What a contour for this epsilon says."""
        if len(self.refused) >= _REFUSALS:
            raise self.refused[-1]
        try:
            total, aim = self._cut_for(sign, epsilon)
            if total.cumulants(aim.tilt).mean < epsilon or aim.log_delta < LOG_SMALLEST:
                # Beyond the largest loss, or so small that only a bound is left.
                return Answer(0.0, total.chernoff(aim.tilt, epsilon), "fourier", {"direction": total.direction})
            try:
                contour = Contour(total, aim)
                answer = delta_on(contour, epsilon)
            except ResolutionError:
                if not self.blur:
                    raise
                contour = blurred_at(self.parts, sign, epsilon, aim.log_delta, self.width)
                answer = delta_on(contour, epsilon)
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
            wanted = max(aim.log_delta, LOG_SMALLEST) + math.log(MISSED)
            if wanted >= log_cut:
                break
            log_cut = wanted - 1.0
            total = loss_sum(self.parts, sign, log_cut)
            aim = total.aim_at_epsilon(epsilon)
        return total, aim
