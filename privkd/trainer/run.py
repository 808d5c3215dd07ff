"""One run: its stages one after another, its reports, and its checkpoints, from which it goes on bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from privkd.errors import CheckpointError, TrainingStopped
from privkd.progress import track
from privkd.trainer.checkpoints.checkpoints import Checkpoints
from privkd.trainer.checkpoints.same_run import differences, fingerprint
from privkd.trainer.checkpoints.stage_state import StageState
from privkd.trainer.devices.engine import Engine
from privkd.trainer.devices.placement import placed, unchanged
from privkd.trainer.guards import hushed, require_finite_weights, translated
from privkd.trainer.history import History
from privkd.trainer.made_data import digests_of, require_same, with_data
from privkd.trainer.rates import Rates
from privkd.trainer.reports import Reports
from privkd.trainer.seeding import random_state, restore_random_state
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.stage_loop import StageLoop
from privkd.trainer.stage_setup import set_up
from privkd.trainer.task import Stage

T = TypeVar("T")

_FORMAT = 3  # of the state in a checkpoint


class Run:
    """A whole run, with its folder.

    Args:
        settings: of the run.
        stages: in order.
        engine: where it happens.
        checkpoints: None keeps nothing on disk.
        stop: whether the run was asked to end, by the steps done in the stage.
        seed: of orders and of what tasks draw; secret where rows are private and noised.
    """

    def __init__(
        self,
        settings: TrainerSettings,
        stages: Sequence[Stage],
        engine: Engine,
        checkpoints: Checkpoints | None,
        *,
        stop: Callable[[int], bool],
        seed: int,
    ) -> None:
        self._settings, self._stages, self._engine, self._checkpoints = settings, stages, engine, checkpoints
        self._stop, self._seed = stop, seed
        self._is_first = engine.process[0] == 0
        self._reports = Reports(settings, is_writing=self._is_first)
        self._reports.disclose(settings.ledger)
        self._states = [StageState(stage) for stage in stages]
        self._rates = [Rates(stage.task) for stage in stages]
        self._fingerprint = hushed(
            lambda: fingerprint(settings, stages, engine.process[1]), lambda: 0, is_quiet=settings.is_quiet
        )
        self._position, self._done = 0, 0  # stages, and the steps of those that are done
        self._loop: StageLoop | None = None
        self._digests: dict[str, str | None] = {}  # of the stage's rows, where they have to stay the same
        self._resumed: dict[str, Any] | None = None  # the checkpoint, until its stage has begun

    def go(self, description: str) -> History:
        """Run all stages that are left, from the latest whole checkpoint on.

        Args:
            description: what the progress display says.
        """
        self._resume()
        while self._position < len(self._stages):
            stage = self._stages[self._position]
            label = description if len(self._stages) == 1 else f"{description}: {stage.name}"
            made = self._quietly(self._made)
            is_wrapped = self._settings.privacy is None
            with (
                unchanged(stage.task.frozen),
                placed(stage.task, self._engine, compiled=self._settings.compile, wrapped=is_wrapped),
            ):
                try:
                    loop = self._begin(made)  # it knows what may be said, for example of a rehearsal on made-up rows
                    self._quietly(partial(self._train, loop, label))
                finally:
                    self._rates[self._position].restore()
            self._quietly(self._finish)
        return self._reports.history

    def close(self) -> None:
        """Let go of the data, and let the trackers write what is left."""
        if self._loop is not None:
            self._loop.setup.batches.close()
        self._reports.close()

    def _quietly(self, call: Callable[[], T]) -> T:
        """What a call of task or data gives; of private rows without texts of errors and warnings, which may quote them."""
        return hushed(
            call, lambda: 1 + (0 if self._loop is None else self._loop.step), is_quiet=self._settings.is_quiet
        )

    def _resume(self) -> None:
        """Go on from the latest undamaged checkpoint, if there is one.

        Raises:
            TaskError: a stage has state that a checkpoint cannot hold.
            CheckpointError: the folder holds another run.
        """
        found = None
        if self._checkpoints is not None:
            for state in self._states:
                state.require_storable()
            found = self._checkpoints.latest() if self._is_first else None
            self._engine.gathered(None)  # the first process has put the folder in order
            found = found if self._is_first else self._checkpoints.latest()
        if found is not None:
            try:
                self._load(found[1])
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(
                    f"{self._settings.folder} holds a run whose modules, optimisers or schedulers are others ({error!r}); take "
                    "back what was changed, or choose another folder"
                ) from error
        self._reports.open()

    def _load(self, saved: dict[str, Any]) -> None:
        differing = differences(saved["fingerprint"], self._fingerprint)
        if saved["format"] != _FORMAT or differing:
            raise CheckpointError(
                f"{self._settings.folder} holds another run ({'; '.join(differing) or 'another format'}); choose another folder, "
                "delete this one, or take back its settings"
            )
        for state, stage_saved in zip(self._states, saved["stages"], strict=True):
            state.load_state_dict(stage_saved)
        self._position, self._done = saved["position"], saved["done"]
        mine = saved["processes"][self._engine.process[0]]
        for stage, remembered in zip(self._stages, mine["tasks"], strict=True):
            stage.task.load_state_dict(remembered)
        for stage in self._stages[: self._position]:  # as they are left when a stage is over
            for module in (*stage.task.modules.values(), *stage.task.averages.values()):
                module.eval()
        self._reports.history.rows.extend(saved["history"])
        self._resumed = saved

    def _made(self) -> Stage:
        """The stage with its rows, before its modules are touched.

        Raises:
            TypeError: a function gives no data.
            CheckpointError: the rows are others than when the stage began.
            TaskError: an optimiser moves parameters that belong to no module of the task.
        """
        stage, privacy = self._stages[self._position], self._settings.privacy
        self._states[self._position].require_owned()
        made = with_data(stage, self._settings.seed, self._position, is_private=privacy is not None)
        # Of private rows only where it is needed: whoever knows most of them could try the others with it.
        self._digests = digests_of(stage, made, all_rows=None if privacy is None else privacy.counts_passes)
        if self._resumed is not None:
            require_same(self._resumed["made"], self._digests, stage.name)
        return made

    def _train(self, loop: StageLoop, label: str) -> None:
        """All steps of the stage that are left."""
        step, is_quiet = partial(self._step, loop), self._settings.is_quiet
        with track(label, loop.context.steps - loop.step) as advance:
            while not loop.is_over:
                translated(step, loop.explained, is_private=is_quiet)
                advance()
                if self._stop(loop.step):
                    self._save(loop)
                    raise TrainingStopped(
                        f"stopped by a signal at step {loop.step} of {loop.context.steps}; "
                        + (
                            "nothing is saved"
                            if self._checkpoints is None
                            else f"the run is saved in {self._settings.folder}: start it again to go on"
                        )
                    )

    def _begin(self, made: Stage) -> StageLoop:
        """The loop of the stage with its rows, at its beginning or where the run was stopped."""
        resumed, self._resumed = self._resumed, None
        setup = set_up(
            made,
            self._states[self._position].modules,
            self._rates[self._position],
            self._engine,
            self._settings,
            seeds=(self._seed, self._position),
            resumed=None if resumed is None else resumed["gradients"],
        )
        if setup.gradients is not None:
            self._reports.disclose(setup.gradients.ledger)
        loop = StageLoop(setup)
        if resumed is not None:
            mine = resumed["processes"][self._engine.process[0]]
            loop.load_state_dict(mine["loop"])
            loop.validation.load_state_dict(resumed["best"])
            if mine["random"] is not None:
                restore_random_state(mine["random"])
            self._engine.load_state_dict(resumed["engine"])
        self._loop = loop
        if setup.gradients is not None and loop.step == 0:
            self._save(loop)  # so that a run which is killed early goes on, instead of being charged again
        return loop

    def _step(self, loop: StageLoop) -> None:
        """One step, and what is to be written after it."""
        row = loop.advance()
        if row is not None:
            name = {"stage": self._stages[self._position].name} if len(self._stages) > 1 else {}
            self._reports.add(name | row)
        every = self._settings.checkpoint_every or loop.stretch
        if loop.step % every == 0 and not loop.is_over:
            self._save(loop)

    def _save(self, loop: StageLoop) -> None:
        """Write a checkpoint; the first process does, all must call."""
        if self._checkpoints is None:
            return
        gradients = loop.setup.gradients
        mine = {
            "loop": loop.state_dict(),
            "random": None if gradients is not None else random_state(),  # drawn anew: nobody may foresee masks
            "tasks": [stage.task.state_dict() for stage in self._stages],
        }
        processes = self._engine.gathered(mine)
        with self._engine.whole():
            require_finite_weights(self._states[self._position].modules, loop.step)
            if not self._is_first:
                return
            state = {
                "format": _FORMAT,
                "fingerprint": self._fingerprint,
                "position": self._position,
                "done": self._done,
                "stages": [state.state_dict() for state in self._states],
                "engine": self._engine.state_dict(),
                "best": loop.validation.state_dict(),
                "made": self._digests,
                "leaks": list(self._reports.history.leaks),
                "gradients": None if gradients is None else gradients.state_dict(),
                "processes": processes,
                "history": list(self._reports.history.rows),
            }
            self._checkpoints.save(self._done + loop.step, state)

    def _finish(self) -> None:
        """The end of the stage: its last checkpoint, and what it guarantees."""
        loop, state = self._loop, self._states[self._position]
        assert loop is not None
        require_finite_weights(state.modules, loop.step)  # also where an earlier step is kept
        loop.validation.restore_best()
        self._save(loop)
        self._done += loop.context.steps
        loop.setup.batches.close()
        if loop.setup.gradients is not None:
            averages = {f"average of {name}": module for name, module in loop.setup.task.averages.items()}
            self._reports.certify(loop.setup.gradients.certificate(), state.modules | averages)
        self._position += 1
