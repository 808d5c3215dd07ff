"""Many short runs one after another, for example of the clients of a federation, without the price of beginning each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import nn

from accountants import check
from privkd.errors import TaskError, TrainingStopped
from privkd.trainer.batch import Data
from privkd.trainer.batches.datasets import require_data
from privkd.trainer.checkpoints.stage_state import StageState
from privkd.trainer.devices.engine import Engine
from privkd.trainer.devices.placement import placed, threads_limited, unchanged
from privkd.trainer.guards import hushed, require_finite_weights, require_gradients_possible, translated
from privkd.trainer.history import History
from privkd.trainer.rates import Rates
from privkd.trainer.reports import Reports
from privkd.trainer.seeding import mixed, seeded
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.stage_loop import StageLoop
from privkd.trainer.stage_setup import set_up
from privkd.trainer.task import Stage, Task


@dataclass(slots=True)
class _Prepared:
    """A run of a task that has passed all checks.

    Attributes:
        stage: of the run.
        data: as they were given; of a tuple the stage has another one.
        loop: of the latest run, to begin again with.
    """

    stage: Stage
    data: Data
    loop: StageLoop | None = None


class Session:
    """Runs that share a device: `with trainer.session() as session: session.run(task, data, steps=1)`.

    The first run of a task places its modules and optimisers, and they stay there until the session ends; weights may be
    loaded into them between two runs. Frozen modules are looked at once before and once after the session, so they must stay
    as they are in between, too: where they change from round to round, every round is a session. What an optimiser
    remembers (momentum) goes on from run to run of its task. On a CPU, a run with the very tuple or data kind of the latest run of
    its task begins with what that one has made; do not exchange columns of a data kind that a session has seen.

    Args:
        settings: of all runs.
        engine: where they happen.
        stop: whether the program was asked to end.
    """

    def __init__(self, settings: TrainerSettings, engine: Engine, stop: Callable[[int], bool]) -> None:
        self._settings, self._engine, self._stop = settings, engine, stop
        self._modules: dict[int, Mapping[str, nn.Module]] = {}  # of every task by its id, without wrappers
        self._latest: dict[int, _Prepared] = {}  # run of every task, which keeps the task and so its id
        self._trained: set[nn.Parameter] = set()
        self._frozen: dict[int, nn.Module] = {}
        self._stack = ExitStack()
        self._runs = 0

    def __enter__(self) -> Session:
        self._stack.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)

    def run(
        self,
        task: Task,
        data: Data = (),
        *,
        steps: int | None = None,
        beside: Mapping[str, Data] | None = None,
        seed: int | None = None,
    ) -> History:
        """Train the modules in place, leaving them in eval mode on the device of the session.

        Args:
            task: what to learn.
            data: as for `Trainer.run`.
            steps: of this run, >= 1; None for the trainer's own steps or epochs.
            beside: further data sets, by name.
            seed: of the order of the rows and the randomness of the task, >= 0: the run is then that of a `Trainer` with this seed.
                None for one that follows from the trainer's seed and the number of the run in the session.

        Raises:
            ValueError: a number is out of range, or the data have no rows or different numbers of rows.
            TypeError: the data are something else.
            TaskError: as for `Trainer.run`; or a module is trained by one task of the session and frozen in another.
            NonFiniteLoss: a loss, a gradient or a weight became NaN or infinite.
            TrainingStopped: the process was asked to end.
        """
        require_gradients_possible()
        if seed is not None:
            check.integer(seed=seed, at_least=0)
        run = self._latest.get(id(task))
        if run is None or run.data is not data or run.stage.steps != steps or run.stage.beside or beside:
            run = self._prepared(task, data, steps, beside or {})
        modules = self._modules[id(task)]
        seed = mixed(self._settings.seed, self._runs) if seed is None else seed
        self._runs += 1
        for module in modules.values():
            module.train()
        try:
            with torch.enable_grad(), threads_limited(self._settings.threads), seeded(mixed(seed, 0)):
                return self._run(run, modules, seed)
        finally:
            for module in modules.values():
                module.eval()

    def _prepared(self, task: Task, data: Data, steps: int | None, beside: Mapping[str, Data]) -> _Prepared:
        """A run of a task, checked; the next one is the same if its data are."""
        for one in (data, *beside.values()):
            require_data(one)
        stage = Stage("training", task, data, steps=steps, beside=beside)
        if id(task) not in self._latest:
            self._place(stage)
        self._latest[id(task)] = made = _Prepared(stage, data)
        return made

    def _place(self, stage: Stage) -> None:
        """Bring the modules of a task to the device, for the rest of the session."""
        task, settings = stage.task, self._settings
        state = StageState(stage)
        state.require_owned()
        trained = {p for module in state.modules.values() for p in module.parameters()}
        fixed = {p for module in (*self._frozen.values(), *task.frozen.values()) for p in module.parameters()}
        if (self._trained | trained) & fixed:
            raise TaskError(
                f"{type(task).__name__} trains what another task of the session has frozen, or the other way round; freeze a copy, "
                "for example copy.deepcopy(module), or end the session in between"
            )
        new = {name: module for name, module in task.frozen.items() if id(module) not in self._frozen}
        self._stack.enter_context(unchanged(new))
        self._stack.enter_context(placed(task, self._engine, compiled=settings.compile))
        self._frozen |= {id(module): module for module in new.values()}
        self._trained |= trained
        self._modules[id(task)] = state.modules

    def _begin(self, run: _Prepared, modules: Mapping[str, nn.Module], rates: Rates, seed: int) -> StageLoop:
        """The loop of a run: that of the latest one again, where nothing that it was made of can have changed meanwhile."""
        is_same = (
            self._engine.device.type == "cpu" and not isinstance(run.data, Mapping) and not run.stage.task.schedules
        )
        if run.loop is None or not is_same or not run.loop.restart(seed):
            setup = set_up(run.stage, modules, rates, self._engine, self._settings, seeds=(seed, 0), resumed=None)
            run.loop = StageLoop(setup)
        return run.loop

    def _run(self, run: _Prepared, modules: Mapping[str, nn.Module], seed: int) -> History:
        settings, rates = self._settings, Rates(run.stage.task)
        reports = Reports(settings, is_writing=False)
        reports.disclose(settings.ledger)
        done = 0

        def go() -> None:
            nonlocal done
            loop = self._begin(run, modules, rates, seed)
            try:
                while not loop.is_over:
                    row = translated(loop.advance, loop.explained, is_private=settings.is_quiet)
                    done = loop.step
                    if row is not None:
                        reports.add(row)
                    if self._stop(done):
                        raise TrainingStopped(
                            f"stopped by a signal at step {done} of a run in a session; nothing is saved"
                        )
                require_finite_weights(modules, done)
            finally:
                rates.restore()
                loop.setup.batches.close()

        hushed(go, lambda: done + 1, is_quiet=settings.is_quiet)
        return reports.history
