"""Noise that is correlated over steps, so that running sums of gradients carry less of it; no sampling is needed.

With C lower triangular, Toeplitz and banded, a run releases C^-1 (C x + z) = x + C^-1 z, where x are the sums of clipped
gradients and z is independent noise: one Gaussian release of C x. The noise of a step is cancelled in part by later ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from accountants import Event, MatrixFactorization, check
from privkd.mechanisms.sums import unit_sensitivity
from privkd.plain import make_plain


@dataclass(frozen=True, slots=True)
class Banded:
    """Banded Toeplitz factor: the first coefficients of the square root of the prefix-sum matrix.

    Attributes:
        bands: steps over which noise is correlated, >= 1; 1 is independent noise. A record must not take part twice within
            so many steps, so at most one pass over the data.

    Source: DP-FTRL by matrix factorization: Denisov et al., arXiv 2202.08312; bands and several passes: Choquette-Choo et
    al., arXiv 2306.08153, Theorem 2; coefficients of the square root: Fichtenberger et al., arXiv 2202.11205.

    Example:
        >>> Banded(3).coefficients()
        (1.0, 0.5, 0.375)
        >>> round(Banded(3).sensitivity(participations=4), 4)
        2.3585
    """

    bands: int

    def __post_init__(self) -> None:
        make_plain(self)
        check.integer(bands=self.bands, at_least=1)

    def coefficients(self) -> tuple[float, ...]:
        """First column of C: binom(2j, j) / 4^j for j < bands."""
        found = [1.0]
        for place in range(1, self.bands):
            found.append(found[-1] * (2 * place - 1) / (2 * place))
        return tuple(found)

    def sensitivity(self, *, participations: int) -> float:
        """L2 norm of C x for one record of unit norm, rounded up.

        Args:
            participations: steps that a record takes part in, >= 1, at least `bands` apart: their columns of C have no row
                in common, so that their squared norms add.
        """
        check.integer(participations=participations, at_least=1)
        column = math.fsum(value * value for value in self.coefficients())
        return math.sqrt(participations * column) * (1.0 + 1e-12)

    def event(self, multiplier: float, *, steps: int, steps_per_epoch: int, adjacency: str) -> Event:
        """Cost of a run in which every record takes part at most once per pass.

        Args:
            multiplier: standard deviation of z / clipping norm.
            steps: of the run.
            steps_per_epoch: steps between two participations of a record.
            adjacency: see `unit_sensitivity`.

        Raises:
            ValueError: a record would take part twice within the bands.
        """
        if self.bands > steps_per_epoch and steps > steps_per_epoch:
            raise ValueError(
                f"bands={self.bands} are more than the {steps_per_epoch} steps of a pass, so a record would take part twice within "
                "them; use fewer bands or smaller batches"
            )
        participations = math.ceil(steps / steps_per_epoch)
        used = Banded(min(self.bands, steps))  # a shorter run has no rows for the other coefficients
        return MatrixFactorization(
            multiplier / unit_sensitivity(adjacency), used.sensitivity(participations=participations)
        )


class BandedNoise:
    """C^-1 z, step by step, from the last noises: C n = z gives n_t = z_t - sum_j c_j n_(t-j).

    Args:
        design: the factor.

    The last noises are PRIVATE for as long as the run goes on: whoever has them can take a part of the noise away.
    """

    def __init__(self, design: Banded) -> None:
        self._coefficients = design.coefficients()
        self._last: list[dict[str, Tensor]] = []

    def correlated(self, fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The noise of the next step.

        Args:
            fresh: independent noise of this step, one tensor per parameter, float64.
        """
        made = {name: value.clone() for name, value in fresh.items()}
        for coefficient, before in zip(self._coefficients[1:], self._last, strict=False):
            for name, value in made.items():
                value.sub_(before[name], alpha=coefficient)
        self._last = [made, *self._last][: len(self._coefficients) - 1]
        return {name: value.clone() for name, value in made.items()}

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint, as private as the records."""
        return {"last": [dict(noises) for noises in self._last]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._last = [{name: torch.as_tensor(value) for name, value in noises.items()} for noises in state["last"]]
