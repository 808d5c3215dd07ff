"""One run: its stages, its history, and everything that a checkpoint must hold to go on as if nothing had happened."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from accountants.ledger.disclosures import Disclosure, Kind, disclose_once
from privkd.errors import CheckpointError, OutOfMemory, TaskError
from privkd.storage import write_json
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import batches_of, require_data, rows_of
from privkd.trainer.checkpoints.checkpoints import Checkpoints
from privkd.trainer.checkpoints.same_run import SETTINGS, differences, digest_of, fingerprint, has_ledger
from privkd.trainer.checkpoints.state_format import require_storable
from privkd.trainer.devices.engine import Engine
from privkd.trainer.gradient_source import GradientRun, Gradients, Setting
from privkd.trainer.guards import too_large
from privkd.trainer.history import History, MetricsFile, Row
from privkd.trainer.made_up import rehearsal_rows
from privkd.trainer.randomness import random_state, restore_random_state
from privkd.trainer.seeding import generator_of, mixed, seeded
from privkd.trainer.stage_loop import Loop
from privkd.trainer.task import Stage, Task

if TYPE_CHECKING:
    from accountants import Ledger
    from privkd.certificates.certificate import Certificate
    from privkd.trainer.devices.accelerated import Trackers
    from privkd.trainer.trainer import Trainer

__all__ = ["Run"]

_FORMAT = 2


class Run:
    """The state of a run between its steps.

    Args:
        trainer: settings.
        stages: in order.
        engine: where it happens.
        checkpoints: None keeps nothing on disk.
        seed: of orders and of what tasks draw; secret where rows are private and noised.
    """

    def __init__(
        self, trainer: Trainer, stages: Sequence[Stage], engine: Engine, checkpoints: Checkpoints | None, *, seed: int
    ) -> None:
        self.trainer, self.stages, self.engine, self.checkpoints = trainer, stages, engine, checkpoints
        self.is_private = has_ledger(trainer) and not trainer.unsafe_logging
        self.history = History()
        self._disclose(trainer.ledger)
        self._gradients: GradientRun | None = None
        self._made: str | None = None  # digest of the stage's rows, where they have to stay the same
        self._seed = seed
        self.position, self._done = 0, 0  # stages, and the steps of those that are done
        self._modules = [dict(stage.task.modules) for stage in stages]
        self._optimizers = [dict(stage.task.optimizers) for stage in stages]
        self._fingerprint = fingerprint(trainer, stages, engine.process[1])
        self._loop: Loop | None = None
        self._resumed: dict[str, Any] | None = None
        self._metrics: MetricsFile | None = None
        self._trackers: Trackers | None = None

    def resume(self) -> None:
        """Go on from the latest undamaged checkpoint, if there is one.

        Raises:
            CheckpointError: the folder holds another run.
        """
        found = None
        if self.checkpoints is not None:
            self._require_storable()
            is_first = self.engine.process[0] == 0
            found = self.checkpoints.latest() if is_first else None
            self.engine.gathered(None)  # the first process has put the folder in order
            found = found if is_first else self.checkpoints.latest()
        if found is not None:
            try:
                self._go_on(found[1])
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(
                    f"{self.trainer.folder} holds a run whose modules, optimisers or schedulers are others ({error!r}); take back "
                    "what was changed, or choose another folder"
                ) from error
        if self.trainer.folder is not None and self.engine.process[0] == 0:
            self._metrics = MetricsFile(Path(self.trainer.folder) / "metrics.jsonl", self.history)
            if self.trainer.trackers:
                from privkd.trainer.devices.accelerated import Trackers

                settings = {name: getattr(self.trainer, name) for name in SETTINGS}
                self._trackers = Trackers(self.trainer.trackers, Path(self.trainer.folder), settings)

    def _require_storable(self) -> None:
        """Before the first step, not at the first checkpoint.

        Raises:
            TaskError: a task or module has state that a checkpoint cannot hold.
        """
        for stage, modules in zip(self.stages, self._modules, strict=True):
            state = {
                "modules": {name: one.state_dict() for name, one in modules.items()},
                "task": stage.task.state_dict(),
            }
            try:
                require_storable(state)
            except TypeError as error:
                raise TaskError(f"checkpoints of stage {stage.name!r} are not possible: {error}") from None

    def _go_on(self, state: dict[str, Any]) -> None:
        differing = differences(state["fingerprint"], self._fingerprint)
        if state["format"] != _FORMAT or differing:
            raise CheckpointError(
                f"{self.trainer.folder} holds another run ({'; '.join(differing) or 'another format'}); choose another folder, "
                "delete this one, or take back its settings"
            )
        for stage, modules, optimizers, saved in zip(
            self.stages, self._modules, self._optimizers, state["stages"], strict=True
        ):
            _load(stage, modules, optimizers, saved)
        self.position, self._done = state["position"], state["done"]
        mine = state["processes"][self.engine.process[0]]
        for stage, remembered in zip(self.stages, mine["tasks"], strict=True):
            stage.task.load_state_dict(remembered)
        for stage in self.stages[: self.position]:  # as they are left when a stage is over
            for module in (*stage.task.modules.values(), *stage.task.averages.values()):
                module.eval()
        self.history.rows.extend(state["history"])
        self._resumed = state

    @property
    def step(self) -> int:
        """Steps done in the stage."""
        return 0 if self._loop is None else self._loop.step

    def too_large(self, error: BaseException) -> OutOfMemory | None:
        """The error for a step that did not fit into memory; None for any other error."""
        return too_large(
            error,
            step=self.step,
            rows=self.stages[self.position].batch_size or self.trainer.batch_size,
            accumulate=self.trainer.accumulate,
            is_saved=self.checkpoints is not None,
            is_private=self.is_private,
        )

    def data(self, position: int) -> Data:
        """The rows of a stage, before its modules are touched.

        What a function draws depends on the trainer's seed and the stage alone, so that it makes the same rows when the run
        goes on.

        Raises:
            TypeError: the function gives no data.
            CheckpointError: the rows are others than when the stage began.
            TaskError: an optimiser moves parameters that belong to no module of the task.
        """
        stage = self.stages[position]
        _require_owned(stage.task, self._modules[position], self._optimizers[position])
        self._made, data, privacy = None, stage.data, self.trainer.privacy
        if callable(data):
            with seeded(mixed(self.trainer.seed, position, 1)), torch.no_grad():
                data = data()
            require_data(data, private=privacy is not None)
        # Of private rows only where it is needed: whoever knows most of them could try the others with it.
        if callable(stage.data) if privacy is None else privacy.counts_passes:
            self._made = digest_of(data)
        before = None if self._resumed is None or self._resumed["position"] != position else self._resumed["made"]
        if before not in (None, self._made):
            raise CheckpointError(
                f"the data of stage {stage.name!r} differ from those that it began with, or come in another order; a function that "
                "makes them may depend on earlier stages alone, and rows that a script shuffles need a seed"
            )
        return data

    def loop(self, position: int, data: Data) -> Loop:
        """The loop of a stage, at its beginning or where the run was stopped."""
        stage, trainer = self.stages[position], self.trainer
        self.position = position
        batch_size = stage.batch_size or trainer.batch_size
        steps = self._length(stage, data, batch_size)
        order = None
        generator = generator_of(mixed(self._seed, position, self.engine.process[0]))
        if trainer.privacy is not None:
            self._gradients = self._begin(trainer.privacy, stage, data, batch_size, steps, generator)
            gradients = self._gradients
            order = lambda rows: gradients  # noqa: E731
        batches = batches_of(
            data,
            batch_size,
            mixed(self._seed, position),
            beside=stage.beside,
            device=self.engine.device,
            process=self.engine.process,
            workers=trainer.workers,
            order=order,
        )
        loop = Loop(
            stage.task,
            batches,
            self.engine,
            steps=steps,
            stretch=max(1, steps // trainer.records),
            generator=generator,
            accumulate=trainer.accumulate,
            clip_norm=trainer.clip_norm,
            averages=self._modules[position],
            is_private=self.is_private,
            gradients=self._gradients,
            report=lambda row: self._report(stage, row),
            checkpoint=self.save if self.checkpoints is not None else None,
            checkpoint_every=trainer.checkpoint_every,
        )
        if self._resumed is not None and self._resumed["position"] == position:
            mine = self._resumed["processes"][self.engine.process[0]]
            loop.load_state_dict(mine["loop"])
            if mine["random"] is not None:
                restore_random_state(mine["random"])
            self.engine.load_state_dict(self._resumed["engine"])
            self._resumed = None
        self._loop = loop
        if self._gradients is not None and loop.step == 0:
            self.save()  # so that a run which is killed early goes on, instead of being charged again
        return loop

    def finished(self, position: int) -> None:
        """Remember that a stage is done."""
        if self._loop is not None:
            if self.checkpoints is None:
                self._loop.refuse_broken()
            self.save()
            self._done += self._loop.steps
            self._loop.batches.close()
        if self._gradients is not None:
            certificate, averages = self._gradients.certificate(), self.stages[position].task.averages
            modules = self._modules[position] | {f"average of {name}": one for name, one in averages.items()}
            self.history.certify(certificate, modules)
            if self.trainer.folder is not None and self.engine.process[0] == 0:
                self._keep(certificate)
        self.position = position + 1

    def save(self) -> None:
        """Write a checkpoint; the first process does, all must call."""
        if self.checkpoints is None or self._loop is None:
            return
        mine = {
            "loop": self._loop.state_dict(),
            "random": None if self._gradients is not None else random_state(),  # drawn anew: nobody may foresee masks
            "tasks": [stage.task.state_dict() for stage in self.stages],
        }
        processes = self.engine.gathered(mine)
        with self.engine.whole():
            self._loop.refuse_broken()
            if self.engine.process[0] != 0:
                return
            state = {
                "format": _FORMAT,
                "fingerprint": self._fingerprint,
                "position": self.position,
                "done": self._done,
                "stages": [
                    _saved(stage, modules, optimizers)
                    for stage, modules, optimizers in zip(self.stages, self._modules, self._optimizers, strict=True)
                ],
                "engine": self.engine.state_dict(),
                "made": self._made,
                "leaks": list(self.history.leaks),
                "gradients": None if self._gradients is None else self._gradients.state_dict(),
                "processes": processes,
                "history": list(self.history.rows),
            }
            self.checkpoints.save(self._done + self._loop.step, state)

    def _length(self, stage: Stage, data: Data, batch_size: int) -> int:
        """Steps of a stage."""
        epochs = stage.epochs or (self.trainer.epochs if stage.steps is None else None)
        if epochs is None:
            return stage.steps or self.trainer.steps or 0
        rows = rows_of(data)
        return epochs * (max(1, rows // min(batch_size, rows)) if rows else 1)

    def _begin(
        self, privacy: Gradients, stage: Stage, data: Data, batch_size: int, steps: int, generator: torch.Generator
    ) -> GradientRun:
        """Private gradients, planned and charged."""
        trainer, resumed = self.trainer, self._resumed
        parts = trainer.accumulate
        run = privacy.begin(
            Setting(
                task=stage.task,
                rows=rows_of(data),
                made_up=rehearsal_rows(data, self.engine.device, is_private=self.is_private),
                batch_size=batch_size,
                steps=steps,
                at_once=None if parts == 1 else max(1, -(-batch_size // (parts * self.engine.process[1]))),
                engine=self.engine,
                generator=generator,
                ledger=trainer.ledger,
                folder=None if trainer.folder is None else Path(trainer.folder),
                resumed=None if resumed is None else resumed["gradients"],
            )
        )
        self._disclose(run.ledger)
        return run

    def _disclose(self, ledger: Ledger | None) -> None:
        """Write into the ledger that the run writes down what nothing protects, before it does."""
        if ledger is None or not self.trainer.unsafe_logging:
            return
        leak = "losses and logs of private records were written down without noise (unsafe_logging)"
        disclose_once(ledger, Disclosure(Kind.LEAK, leak))
        self.history.leaks = (leak,)

    def _report(self, stage: Stage, row: Row) -> None:
        if len(self.stages) > 1:
            row = {"stage": stage.name, **row}
        self.history.rows.append(row)
        if self._metrics is not None:
            self._metrics.append(row)
        if self._trackers is not None:
            self._trackers.log(row)

    def _keep(self, certificate: Certificate) -> None:
        """The certificate and its ledger, beside the checkpoints."""
        folder = Path(self.trainer.folder or ".")
        assert certificate.ledger is not None
        certificate.sealed()
        certificate.ledger.save(folder / "ledger.json")
        write_json(folder / "certificate.json", certificate.to_dict())

    def close(self) -> None:
        """Let go of the data, and let the trackers write what is left."""
        if self._loop is not None:
            self._loop.batches.close()
        if self._trackers is not None:
            self._trackers.finish()


def _require_owned(
    task: Task, modules: Mapping[str, torch.nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> None:
    """Parameters outside of `modules` would be trained, but neither saved nor placed."""
    known = {p for module in modules.values() for p in module.parameters()}
    strange = [
        name
        for name, one in optimizers.items()
        if any(p not in known for group in one.param_groups for p in group["params"])
    ]
    if strange:
        raise TaskError(
            f"the optimisers {strange} of {type(task).__name__} move parameters of no module in `modules`, which would not be "
            "saved: put them into a module, for example nn.ParameterDict, or take them out"
        )


def _saved(
    stage: Stage, modules: Mapping[str, torch.nn.Module], optimizers: Mapping[str, torch.optim.Optimizer]
) -> dict[str, Any]:
    task = stage.task
    return {
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in optimizers.items()},
        "schedulers": [_plain(scheduler.state_dict()) for scheduler in task.schedulers],
        "averages": {name: module.state_dict() for name, module in task.averages.items()},
    }


def _load(
    stage: Stage,
    modules: Mapping[str, torch.nn.Module],
    optimizers: Mapping[str, torch.optim.Optimizer],
    saved: dict[str, Any],
) -> None:
    for name, module in modules.items():
        module.load_state_dict(saved["modules"][name])
    for name, optimizer in optimizers.items():
        optimizer.load_state_dict(saved["optimizers"][name])
    for scheduler, state in zip(stage.task.schedulers, saved["schedulers"], strict=True):
        scheduler.load_state_dict(state)
    for name, state in saved["averages"].items():
        average = copy.deepcopy(modules[name]).requires_grad_(False)
        average.load_state_dict(state)
        stage.task.averages[name] = average


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    """A scheduler's state without functions, which come with the scheduler itself."""
    return {name: value for name, value in state.items() if not callable(value)}
