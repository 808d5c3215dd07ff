"""One private run: clipped sums of its batches, noise, and the certificate."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from accountants import Ledger
from accountants.ledger.disclosures import is_seeded
from privkd.certificates.certificate import Certificate
from privkd.errors import TaskError
from privkd.mechanisms.gradient_noise import noisy_sum
from privkd.private_training.adaptive_clip import Quantile
from privkd.private_training.banded_noise import BandedNoise
from privkd.private_training.clipping.rules import Flat, as_rule
from privkd.private_training.run_ledgers import RunLedgers, for_ledger
from privkd.private_training.settings import PrivateSettings
from privkd.private_training.task_gradients import TaskGradients
from privkd.trainer.batch import Batch
from privkd.trainer.context import Context
from privkd.trainer.gradient_source import Setting

_ROUNDING = 2.0**-7
"""Share by which the noise is larger than what is charged: room for the rounding of sums over records."""

_CONDITIONS = (
    "every iterate of the training may be seen, but for those of a killed run after its last checkpoint, which nobody saw",
    "initial weights, buffers and the scaling of inputs do not depend on private records",
    "the task touches private rows in per_record alone, where the loss of a row depends on no other row",
    "settings were not chosen by looking at private records",
    "the number of records is public",
)
_OF_DATA_SETS = "the data set gives each row without regard to the others"


class PrivateRun:
    """Gradients of private records for the trainer; see `privkd.trainer.gradient_source.GradientRun`.

    Raises:
        ValueError: settings and run do not go together.
        BudgetExceeded: the ledger refuses; nothing was drawn.
        LedgerError: the ledger in the folder is not that of this run.
        CheckpointError: the run ended already, and would be continued from an earlier step.
        MixedRecordsError: a module mixes records.
    """

    def __init__(self, settings: PrivateSettings, setting: Setting) -> None:
        settings = for_ledger(settings, setting)
        self.settings, self._engine, self._planned = settings, setting.engine, setting.steps
        self.plan = settings.plan(
            rows=setting.rows, batch_size=setting.batch_size, steps=setting.steps, process=setting.engine.process
        )
        self._draws = self.plan.draws
        rule = Flat(settings.clip.start) if isinstance(settings.clip, Quantile) else as_rule(settings.clip)
        self._gradients = TaskGradients(setting, rule, settings.strategy, settings.views)
        if setting.resumed is None:
            self._gradients.rehearse(setting)
        self._banded = None if settings.noise is None else BandedNoise(settings.noise)
        state = setting.resumed or {"id": secrets.token_hex(8), "releases": 0}
        self._id, self._releases = str(state["id"]), int(state["releases"])
        self._of_data = (_OF_DATA_SETS,) if setting.is_read else ()
        if "draws" in state:
            self._draws.load_state_dict(state["draws"])
        if "bound" in state:
            self._gradients.clipper.rule = Flat(float(state["bound"]))
        if self._banded is not None and "banded" in state:
            self._banded.load_state_dict(state["banded"])
        # The charge comes last: whatever else refuses a run costs nothing.
        self._ledgers = RunLedgers(settings, setting, self.plan, run=self._id, releases=self._releases)
        self._is_new = False

    @property
    def ledger(self) -> Ledger:
        """The ledger of the certificate."""
        return self._ledgers.own

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the records, in expectation."""
        return self._draws.steps_per_epoch

    def at(self, step: int) -> Tensor:
        return self._draws.at(step)

    def fill(self, batch: Batch, context: Context) -> Mapping[str, Tensor | float]:
        """Put the noisy sum of clipped gradients, divided by the expected number of records, into every trained parameter."""
        if batch.beside:
            raise TaskError("a private run takes one data set: rows beside it would have influence that nothing bounds")
        if self._releases >= self._planned:
            raise TaskError(
                f"the run was charged for {self._planned} steps, and all of them are done; a task must not reset them"
            )
        self._releases += 1
        self._is_new = True
        if self._releases == self._planned:
            # Whatever changed since the last check is found before the certificate.
            self._gradients.clipper.check_next()
        clipped = self._gradients.sum(batch, context)
        self._require_same_parameters(clipped.gradients)
        total = torch.cat([gradient.flatten() for gradient in clipped.gradients.values()]).double()
        total = self._engine.sum(total).cpu()
        noisy, banded = total, self._banded  # only the first process draws: the noise is added once
        bound = clipped.rule.bound * (1.0 + _ROUNDING)
        if self._engine.process[0] == 0:
            noisy = noisy_sum(
                total,
                multiplier=self._gradient_multiplier,
                bound=bound,
                noise=self.settings.source,
                correlate=None if banded is None else lambda fresh: banded.correlated({"all": fresh})["all"],
            )
        if isinstance(self.settings.clip, Quantile):
            self._move_norm(self.settings.clip, clipped.norms, clipped.rule.bound)
        parameters = self._gradients.trained.values()
        parts = (self._engine.shared(noisy) / self._draws.divisor).split([p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            parameter.grad = part.reshape(parameter.shape).to(parameter.device, parameter.dtype)
        return {"loss": clipped.losses.mean()} if len(clipped.losses) else {}

    def certificate(self) -> Certificate:
        self._ledgers.end(is_new=self._is_new)
        self._is_new = False
        certificate = Certificate.from_ledger(
            self.ledger,
            scope=self.settings.unit,
            delta=self.settings.delta,
            basis="per-example-clipping",
            conditions=(*_CONDITIONS, *self._of_data, *self._ledgers.conditions()),
            secure_rng=not is_seeded(self.ledger),
        )
        claim = (certificate.epsilon, certificate.delta, certificate.accountant)
        # A run that is finished again claims nothing new, so that its certificate stays that of the ledger on disk.
        if not certificate.leaks and claim not in [(c.epsilon, c.delta, c.accountant) for c in self.ledger.claims]:
            self.ledger.claim(*claim)
        return certificate

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint; with correlated noise it is as private as the records."""
        state: dict[str, Any] = {"id": self._id, "releases": self._releases, "draws": self._draws.state_dict()}
        if isinstance(self.settings.clip, Quantile):
            state["bound"] = self._gradients.clipper.rule.bound
        if self._banded is not None:
            state["banded"] = self._banded.state_dict()
        return state

    @property
    def _gradient_multiplier(self) -> float:
        clip, multiplier = self.settings.clip, self.plan.multiplier
        return clip.gradient_multiplier(multiplier) if isinstance(clip, Quantile) else multiplier

    def _require_same_parameters(self, gradients: Mapping[str, Tensor]) -> None:
        names = list(self._gradients.trained)
        if list(gradients) != names:
            changed = ", ".join(sorted(set(names) ^ set(gradients)))
            raise TaskError(
                f"requires_grad of {changed} changed since the run began, but its plan is for the parameters of the first step; "
                "freeze and unfreeze layers between runs, with one ledger for both"
            )

    def _move_norm(self, clip: Quantile, norms: Tensor, bound: float) -> None:
        """The next clipping norm, from a noisy count that the event pays for."""
        below = self._engine.sum(clip.centred(norms, bound).reshape(1)).cpu()
        moved = torch.tensor([bound], dtype=torch.float64)
        if self._engine.process[0] == 0:
            moved[0] = clip.next(
                bound,
                float(below),
                multiplier=self.plan.multiplier,
                divisor=self._draws.divisor,
                noise=self.settings.source,
            )
        self._gradients.clipper.rule = Flat(float(self._engine.shared(moved)))
