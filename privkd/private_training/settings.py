"""Training with differential privacy: the settings, and what they come to for a data set and a number of steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from accountants import Bound, Event, Ledger, calibrate, check
from accountants import epsilon as epsilon_of
from accountants.ledger.disclosures import disclose_seeded
from privkd.mechanisms.noise import NoiseSource, SystemNoise
from privkd.plain import make_plain, plain
from privkd.private_training.adaptive_clip import Quantile
from privkd.private_training.banded_noise import Banded
from privkd.private_training.batches import SAMPLINGS, CyclicDraws, Draws, draws_for
from privkd.private_training.clipping.rules import Rule, as_rule

if TYPE_CHECKING:
    from privkd.private_training.private_run import PrivateRun
    from privkd.trainer.gradient_source import Setting

__all__ = ["Plan", "PrivateGradients"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a private run will do and cost.

    Attributes:
        multiplier: standard deviation of the noise / clipping norm; for `Quantile` of both of its releases together.
        event: of the whole run.
        bound: certified epsilon of it, nats.
        draws: the batches.
    """

    multiplier: float
    event: Event
    bound: Bound
    draws: Draws


@dataclass(frozen=True, kw_only=True)
class PrivateGradients:
    """Every record's gradient is clipped, Gaussian noise is added to the sum (DP-SGD), and the whole run is charged first.

    For `Trainer(privacy=...)`. The task must say its losses record by record (`Task.per_record`). All iterates are covered,
    not only the last one, and so is whatever is computed from them (averages of weights, schedules).

    Args:
        epsilon: budget of the run in nats, > 0: the noise is calibrated to it, never above it. Or give `multiplier`.
        multiplier: standard deviation of the noise / clipping norm, > 0, instead of a budget.
        delta: failure mass, in (0, 1), below 1 / number of records.
        clip: L2 norm at which each record's gradient is clipped; a rule (`Flat`, `PerLayer`, `Automatic`); or `Quantile`, a
            norm that adapts and pays for it.
        sampling: "poisson" (add-remove, zero-out, replace-one), "fixed-size" (replace-one) or "shuffled" (zero-out: no
            amplification). Batches are drawn from the noise source. With `noise=Banded(...)` the batches are the same in
            every pass, and this stays as it is.
        adjacency: which change counts as neighbouring; by default the first one that the sampling is stated for.
        noise: None for independent noise in every step, or `Banded(bands)` for noise that is correlated over steps.
        strategy: how clipped sums are computed, see `Clipper`.
        views: copies of each record that the task sees at once, K >= 1, for example to augment each in its own way: the
            gradient of a record is their mean, clipped once.
        unit: what one row of the data is, as the scope of the certificate: "training-record" or "training-user".
        source: where noise and batches come from; seeded ones void the certificate and are for tests.

    Raises:
        ValueError: a setting is out of range, or two of them exclude each other.

    Source: Abadi et al., arXiv 1607.00133; De et al., arXiv 2204.13650.
    """

    epsilon: float | None = None
    multiplier: float | None = None
    delta: float = 1e-5
    clip: float | Rule | Quantile = 1.0
    sampling: str = "poisson"
    adjacency: str | None = None
    noise: Banded | None = None
    strategy: str = "auto"
    views: int = 1
    unit: str = "training-record"
    source: NoiseSource = field(default_factory=SystemNoise, repr=False)

    def __post_init__(self) -> None:
        make_plain(self)
        if (self.epsilon is None) == (self.multiplier is None):
            raise ValueError(
                f"epsilon={self.epsilon!r}, multiplier={self.multiplier!r}: give exactly one, a budget or the noise itself"
            )
        for name in ("epsilon", "multiplier"):
            if getattr(self, name) is not None:
                check.real(**{name: getattr(self, name)}, above=0.0, below=math.inf)
        check.real(delta=self.delta, above=0.0, below=1.0)
        check.integer(views=self.views, at_least=1)
        if not isinstance(self.clip, Quantile):
            as_rule(self.clip)
        if self.sampling not in SAMPLINGS:
            raise ValueError(f"sampling={self.sampling!r} must be one of {', '.join(SAMPLINGS)}")
        if self.noise is not None and isinstance(self.clip, Quantile):
            raise ValueError(
                "clip=Quantile(...) releases a count in every step, which Banded noise does not cover; use one"
            )
        if self.noise is not None and self.sampling != "poisson":
            raise ValueError(f"sampling={self.sampling!r} has no meaning with Banded noise, which needs cyclic batches")
        if self.unit not in ("training-record", "training-user"):
            raise ValueError(f"unit={self.unit!r} must be 'training-record' or 'training-user'")
        kinds = CyclicDraws.adjacencies if self.noise is not None else SAMPLINGS[self.sampling].adjacencies
        if self.adjacency is not None and self.adjacency not in kinds:
            what = "Banded noise" if self.noise is not None else f"sampling={self.sampling!r}"
            raise ValueError(
                f"adjacency={self.adjacency!r} is not covered by {what}; it is stated for {', '.join(kinds)}"
            )

    def plan(self, *, rows: int, batch_size: int, steps: int, process: tuple[int, int] = (0, 1)) -> Plan:
        """Noise and cost of a run, without any data.

        Args:
            rows: number of records, >= 1; public.
            batch_size: records per step, on average.
            steps: of the run.
            process: (rank, world).

        Raises:
            ValueError: a number is out of range, or does not go with the settings.
            CalibrationError: no noise meets the budget.

        Example:
            >>> plan = PrivateGradients(epsilon=3.0, delta=1e-5).plan(rows=60_000, batch_size=600, steps=1000)
            >>> round(plan.multiplier, 2), plan.bound.upper <= 3.0
            (0.81, True)
        """
        rows, batch_size, steps = plain(rows), plain(batch_size), plain(steps)
        check.integer(rows=rows, at_least=1)
        check.integer(batch_size=batch_size, at_least=1)
        check.integer(steps=steps, at_least=1)
        if self.delta >= 1.0 / rows:
            raise ValueError(
                f"delta={self.delta:g} must be below 1/{rows}: it would allow one record to be published outright"
            )
        draws = draws_for(self.sampling if self.noise is None else "cyclic", rows, batch_size, self.source, process)
        if process[1] > 1 and not draws.several:
            raise ValueError(f"sampling={self.sampling!r} runs in one process; several need 'poisson'")
        adjacency = self.adjacency or draws.adjacencies[0]

        def event(multiplier: float) -> Event:
            if self.noise is None:
                return draws.event(multiplier, steps, adjacency)
            return self.noise.event(multiplier, steps=steps, steps_per_epoch=draws.steps_per_epoch, adjacency=adjacency)

        if self.multiplier is not None:
            made = event(self.multiplier)
            return Plan(self.multiplier, made, epsilon_of(made, self.delta, adjacency=adjacency), draws)
        found = calibrate(event, self.epsilon or 0.0, self.delta, adjacency=adjacency)
        return Plan(found.value, found.event, found.bound, draws)

    def begin(self, setting: Setting) -> PrivateRun:
        """What the trainer calls before the first step: plans, and charges the ledger. See `Gradients.begin`."""
        from privkd.private_training.private_run import PrivateRun

        return PrivateRun(self, setting)

    def new_ledger(self, plan: Plan, *, steps: int) -> Ledger:
        """An empty ledger for such a run, with the epsilon as its budget and what the loader will do."""
        adjacency = self.adjacency or plan.draws.adjacencies[0]
        ledger = Ledger(
            adjacency=adjacency,
            epsilon=self.epsilon,
            delta=self.delta,
            unit=self.unit,
            n=plan.draws.rows,
            sampler=plan.draws.sampler(steps),
        )
        if not self.source.secure:
            disclose_seeded(ledger)
        return ledger

    @property
    def counts_passes(self) -> bool:
        """See `Gradients`: records take part once in every pass, while other batches are drawn and paid for one by one."""
        return self.noise is not None or self.sampling == "shuffled"

    def to_dict(self) -> dict[str, Any]:
        """The settings as text, to tell runs apart."""
        names = [name for name in self.__dataclass_fields__ if name != "source"]
        return {name: repr(getattr(self, name)) for name in names} | {"secure": self.source.secure}
