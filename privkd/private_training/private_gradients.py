"""Training with differential privacy, as `Trainer(privacy=...)` takes it: settings from which a run begins."""

from __future__ import annotations

from dataclasses import dataclass

from privkd.private_training.private_run import PrivateRun
from privkd.private_training.settings import PrivateSettings
from privkd.trainer.gradient_source import Setting


@dataclass(frozen=True, kw_only=True)
class PrivateGradients(PrivateSettings):
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

    def begin(self, setting: Setting) -> PrivateRun:
        """Plan the run and charge its ledger; the trainer calls it before the first step."""
        return PrivateRun(self, setting)
