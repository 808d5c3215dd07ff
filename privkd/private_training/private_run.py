"""One private run: clipped sums of its batches, noise, and the certificate."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from accountants import Ledger
from accountants.ledger.disclosures import is_seeded
from privkd.certificates.certificate import Certificate
from privkd.errors import TaskError
from privkd.mechanisms.noise import NoiseSource, coarsen
from privkd.private_training.adaptive_clip import Quantile
from privkd.private_training.banded_noise import BandedNoise
from privkd.private_training.charging import RunLedgers, for_ledger
from privkd.private_training.clipping.clipped_sum import ClippedSum
from privkd.private_training.clipping.clipper import Clipper
from privkd.private_training.clipping.replay import Attributes
from privkd.private_training.clipping.rules import Flat, as_rule
from privkd.private_training.rehearsal import Watched, refuse_half_default, rehearse
from privkd.trainer.batch import Batch
from privkd.trainer.gradient_source import Setting
from privkd.trainer.task import Context, Task

if TYPE_CHECKING:
    from privkd.private_training.settings import PrivateGradients

__all__ = ["PrivateRun"]

_ROUNDING = 2.0**-7
"""Share by which the noise is larger than what is charged: room for the rounding of sums over records."""

_CONDITIONS = (
    "every iterate of the training may be seen, but for those of a killed run after its last checkpoint, which nobody saw",
    "initial weights, buffers and the scaling of inputs do not depend on private records",
    "the task touches private rows in per_record alone, where the loss of a row depends on no other row",
    "settings were not chosen by looking at private records",
    "the number of records is public",
)


class PrivateRun:
    """Gradients of private records for the trainer; see `privkd.trainer.gradient_source.GradientRun`.

    Args:
        settings: what was asked for.
        setting: what the run says of itself.

    Raises:
        ValueError: settings and run do not go together.
        BudgetExceeded: the ledger refuses; nothing was drawn.
        LedgerError: the ledger in the folder is not that of this run.
        CheckpointError: the run ended already, and would be continued from an earlier step.
        MixedRecordsError: a module mixes records.
    """

    def __init__(self, settings: PrivateGradients, setting: Setting) -> None:
        settings = for_ledger(settings, setting)
        self.settings, self._engine, self._task = settings, setting.engine, setting.task
        self._planned = setting.steps
        plan = settings.plan(
            rows=setting.rows, batch_size=setting.batch_size, steps=setting.steps, process=setting.engine.process
        )
        self.plan, self._draws = plan, plan.draws
        rule = Flat(settings.clip.start) if isinstance(settings.clip, Quantile) else as_rule(settings.clip)
        self._model = _Holder(setting.task.modules)
        self._trained = {name: p for name, p in self._model.named_parameters() if p.requires_grad}
        self._frozen = [module for one in setting.task.frozen.values() for module in one.modules()]
        self._context: Context | None = None
        self._clipper = Clipper(
            self._model,
            self._losses,
            rule,
            settings.strategy,
            views=settings.views,
            at_once=setting.at_once,
            generators=(setting.generator,),
            keepers=(setting.task,),
        )
        self._watched: Watched | None = None
        self._require_moved()
        self._require_dense()
        if setting.resumed is None:
            self._rehearse(setting)
        self._banded = None if settings.noise is None else BandedNoise(settings.noise)
        state = setting.resumed or {"id": secrets.token_hex(8), "releases": 0}
        self._releases = int(state["releases"])
        if "draws" in state:
            self._draws.load_state_dict(state["draws"])
        self._id = str(state["id"])
        if "bound" in state:
            self._clipper.rule = Flat(float(state["bound"]))
        if self._banded is not None and "banded" in state:
            self._banded.load_state_dict(state["banded"])
        self._ledgers = RunLedgers(settings, setting, plan, run=self._id, releases=self._releases)
        self._is_new = False

    @property
    def ledger(self) -> Ledger:
        """See `GradientRun`: that of the certificate."""
        return self._ledgers.own

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the records, in expectation."""
        return self._draws.steps_per_epoch

    def at(self, step: int) -> Tensor:
        """Rows of a step, int64."""
        return self._draws.at(step)

    def fill(self, batch: Batch, context: Context) -> Mapping[str, Tensor | float]:
        """See `GradientRun`: the noisy sum of clipped gradients, divided by the expected number of records."""
        if batch.beside:
            raise TaskError("a private run takes one data set: rows beside it would have influence that nothing bounds")
        if self._releases >= self._planned:
            raise TaskError(
                f"the run was charged for {self._planned} steps, and all of them are done; a task must not reset them"
            )
        self._releases += 1
        self._is_new = True
        if self._releases == self._planned:
            self._clipper.check_next()  # whatever changed since the last check is found before the certificate
        clipped = self._clipped((batch.index.to(context.device), *batch.tensors), context)
        names = list(self._trained)
        if list(clipped.gradients) != names:
            odd = ", ".join(sorted(set(names) ^ set(clipped.gradients)))
            raise TaskError(
                f"requires_grad of {odd} changed since the run began, but its plan is for the parameters of the first step; "
                "freeze and unfreeze layers between runs, with one ledger for both"
            )
        total = torch.cat([clipped.gradients[name].flatten() for name in names]).double()
        total = self._engine.sum(total).cpu()
        noisy = total  # only the first process draws: the noise is added once
        bound = clipped.rule.bound * (1.0 + _ROUNDING)
        if self._engine.process[0] == 0:
            noisy = _noised(total, bound, self._gradient_multiplier, self.settings.source, self._banded)
        if isinstance(self.settings.clip, Quantile):
            self._move(clipped.norms, clipped.rule.bound)
        noisy = self._engine.shared(noisy) / self._draws.divisor
        for name, part in zip(names, noisy.split([self._trained[name].numel() for name in names]), strict=True):
            parameter = self._trained[name]
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
            conditions=(*_CONDITIONS, *self._ledgers.conditions()),
            secure_rng=not is_seeded(self.ledger),
        )
        claim = (certificate.epsilon, certificate.delta, certificate.accountant)
        # A run that is finished again claims nothing new, so that its certificate stays that of the ledger on disk.
        if not certificate.leaks and claim not in [(c.epsilon, c.delta, c.accountant) for c in self.ledger.claims]:
            self.ledger.claim(*claim)
        return certificate

    def state_dict(self) -> dict[str, Any]:
        """See `GradientRun`; with correlated noise it is as private as the records."""
        state: dict[str, Any] = {"id": self._id, "releases": self._releases, "draws": self._draws.state_dict()}
        if isinstance(self.settings.clip, Quantile):
            state["bound"] = self._clipper.rule.bound
        if self._banded is not None:
            state["banded"] = self._banded.state_dict()
        return state

    @property
    def _gradient_multiplier(self) -> float:
        clip = self.settings.clip
        multiplier = self.plan.multiplier
        return clip.gradient_multiplier(multiplier) if isinstance(clip, Quantile) else multiplier

    def _clipped(self, rows: tuple[Tensor, ...], context: Context) -> ClippedSum:
        """The clipped sum; what modules keep of rows in their attributes (features, attention maps) is taken from them."""
        kept = Attributes(self._model, self._frozen)
        self._context = context
        try:
            return self._clipper(*_viewed(rows, self.settings.views))
        finally:
            self._context = None
            kept.put_back()

    def _rehearse(self, setting: Setting) -> None:
        """Whatever made-up rows can tell, before the charge."""
        refuse_half_default()
        task, rows = setting.task, setting.rows
        kinds = [task.made_up(made) for made in setting.made_up]
        if type(task).made_up is not Task.made_up:
            kinds = kinds[:1]
        batches = [((torch.arange(len(kind[0])) % rows).to(setting.engine.device), *kind) for kind in kinds if kind]
        context = Context(0, 0, setting.steps, setting.engine.device, setting.generator, gather=setting.engine.gather)
        is_told = type(task).on_epoch_start is not Task.on_epoch_start
        kept = Attributes(self._model, self._frozen)
        self._context, self._watched = context, Watched()
        try:
            with setting.engine.autocast():
                rehearse(
                    task,
                    self._clipper,
                    [_viewed(one, self.settings.views) for one in batches],
                    self._watched,
                    (lambda: task.on_epoch_start(context)) if is_told else None,
                )
        finally:
            self._context = self._watched = None
            kept.put_back()

    def _losses(self, model: nn.Module, index: Tensor, *tensors: Tensor) -> Tensor:
        """Sum of the task's named losses, one number per row."""
        assert self._context is not None
        if self._watched is not None:
            self._watched.tensor = index
        losses = self._task.per_record(Batch(index, tensors), self._context)
        if self._watched is not None:
            self._watched.tensor = None
        if not isinstance(losses, Mapping):
            raise TaskError(
                f"{type(self._task).__name__}.per_record gave {type(losses).__name__}; return named losses, for example "
                "{'cross-entropy': losses}"
            )
        strange = [name for name, loss in losses.items() if not isinstance(loss, Tensor) or loss.shape != index.shape]
        if strange or not losses:
            raise TaskError(
                f"{type(self._task).__name__}.per_record gave {', '.join(map(repr, strange)) or 'no loss'}, which is not one "
                "number per row, which it must be for a batch of one row, too: use reduction='none', average over all other "
                "dimensions, and squeeze a dimension by its number"
            )
        values = list(losses.values())
        return values[0] if len(values) == 1 else torch.stack(values).sum(0)

    def _move(self, norms: Tensor, bound: float) -> None:
        """The next clipping norm, from a noisy count that the event pays for."""
        clip = self.settings.clip
        assert isinstance(clip, Quantile)
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
        self._clipper.rule = Flat(float(self._engine.shared(moved)))

    def _require_moved(self) -> None:
        """Parameters that no optimiser moves would use up the clipping norm for nothing."""
        moved = {id(p) for one in self._task.optimizers.values() for group in one.param_groups for p in group["params"]}
        still = [name for name, p in self._trained.items() if id(p) not in moved]
        if still:
            shown = ", ".join(still[:3]) + " ..." * (len(still) > 3)
            raise TaskError(
                f"no optimiser of {type(self._task).__name__} moves {shown}: their gradients would use up the clipping norm; set "
                "requires_grad_(False), or put their module into frozen"
            )

    def _require_dense(self) -> None:
        """Noise reaches every number, so that no gradient of a private run is sparse."""
        sparse = [name for name, one in self._task.optimizers.items() if isinstance(one, torch.optim.SparseAdam)]
        if sparse:
            raise TaskError(
                f"optimizers {', '.join(map(repr, sparse))} are SparseAdam, which takes sparse gradients only; noise reaches "
                "every row of a table, so private gradients are dense: use Adam. Nothing was charged"
            )


class _Holder(nn.Module):
    """The modules of a task as one, so that their parameters have names."""

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        for name, module in modules.items():
            if hasattr(self, path := name.replace(".", "_")):
                raise TaskError(
                    f"two modules of the task would be called {path!r}; give names that differ by more than a dot"
                )
            self.add_module(path, module)


def _viewed(rows: tuple[Tensor, ...], views: int) -> tuple[Tensor, ...]:
    """Every row K times, shape (b, K, ...); as it is for one view."""
    return rows if views == 1 else tuple(one.unsqueeze(1).expand(-1, views, *one.shape[1:]) for one in rows)


def _noised(total: Tensor, bound: float, multiplier: float, source: NoiseSource, banded: BandedNoise | None) -> Tensor:
    """The sum with noise, float64; rounded to a public grid that hides the low-order bits."""
    fresh = source.normal((total.numel(),), std=multiplier)
    if banded is not None:
        fresh = banded.correlated({"all": fresh})["all"]
    return coarsen(fresh.mul_(bound).add_(total), std=multiplier * bound)
