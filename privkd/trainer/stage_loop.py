"""The optimiser loop of one stage: its steps, and the moments between them."""

from __future__ import annotations

from typing import Any

from privkd.errors import PrivkdError
from privkd.trainer.batch_step import BatchStep
from privkd.trainer.batches.arrays import ArrayBatches
from privkd.trainer.batches.chosen_rows import positions
from privkd.trainer.batches.ordering import rows_per_step
from privkd.trainer.guards import misfit, partly_used, too_large, translated
from privkd.trainer.history import Row
from privkd.trainer.means import RunningMeans
from privkd.trainer.seeding import generator_of, mixed
from privkd.trainer.stage_setup import StageSetup
from privkd.trainer.task import follow_averages
from privkd.trainer.validation import Validation


class StageLoop:
    """One stage of a run, step by step. It knows no folder and no checkpoint.

    Args:
        setup: of the stage.
    """

    def __init__(self, setup: StageSetup) -> None:
        self.setup, self.context = setup, setup.context
        self._task, self._engine, self._batches = setup.task, setup.engine, setup.batches
        self.stretch = max(1, setup.context.steps // setup.settings.records)  # steps between two rows
        self._chosen = setup.chosen
        self.validation = Validation(setup, self.stretch)
        self._is_quiet = setup.settings.is_quiet
        self._means = RunningMeans(self._engine, is_quiet=self._is_quiet)
        self._batch_step = BatchStep(setup, self._means)

    @property
    def step(self) -> int:
        """Steps done."""
        return self.context.step

    @property
    def is_over(self) -> bool:
        """Whether all steps are done."""
        return self.context.step >= self.context.steps

    def restart(self, seed: int) -> bool:
        """Go back to the beginning with other seeds; whether that gives the loop that `set_up` would make anew.

        Args:
            seed: of the run; the loop is that of its first stage, in one process.
        """
        if not isinstance(self._batches, ArrayBatches) or not self._batches.reseed(mixed(seed, 0)):
            return False
        context = self.context
        context.step, context.epoch, context.logs = 0, 0, {}
        context.generator = generator_of(mixed(seed, 0, 0))
        self._means.clear()
        return True

    def advance(self) -> Row | None:
        """Do one optimiser step, with all that is due around it; gives the row of history that is due after it.

        Raises:
            NonFiniteLoss: a loss or a gradient is not finite; nothing was changed by this step.
            TaskError: the first batch does not fit the task.
        """
        context, task, per_epoch = self.context, self._task, self._batches.steps_per_epoch
        if task.schedules:
            self.setup.rates.write(context)
        if context.step % per_epoch == 0:
            task.on_epoch_start(context)
            if self._chosen is not None:
                mine = positions(task.rows(context), self._chosen.rows, type(task).__name__)
                self._chosen.choose(self._engine.gathered(mine)[0])
        batch = self._batches.at(context.step)
        if context.step == 0:  # no weight has changed yet, so that what does not fit lies in task and batch
            translated(
                lambda: self._batch_step.take(batch),
                lambda error: misfit(error, task, batch, is_private=self._is_quiet),
                is_private=self._is_quiet,
            )
        else:
            self._batch_step.take(batch)
        for scheduler in task.schedulers:
            scheduler.step()
        if task.averages:
            follow_averages(task, self.setup.modules)
        context.step += 1
        return self._moments(per_epoch)

    def explained(self, error: Exception) -> PrivkdError | None:
        """The error in place of one that says nothing of the run; None for any other."""
        settings = self.setup.settings
        stage = self.setup.stage
        rows = rows_per_step(stage.order, stage.batch_size, settings.batch_size)
        return partly_used(error, self._task) or too_large(error, settings, step=self.step + 1, rows=rows)

    def _moments(self, per_epoch: int) -> Row | None:
        """Call what is due after a step; gives the row of history that is."""
        context, done, is_last = self.context, self.context.step, self.is_over
        if done % per_epoch == 0 or is_last:
            self._task.on_epoch_end(context)
        is_validated = self.validation.is_due(done)
        figures = self._means.shared(self.validation.figures()) if is_validated else {}
        context.epoch = done // per_epoch
        if not (figures or is_last or done % self.stretch == 0):
            return None
        row = self._means.row(done, figures)  # it looks at the losses first, which say more than what was kept
        return {**row, **self.validation.kept(figures, done)}

    def state_dict(self) -> dict[str, Any]:
        """Where the loop is, for a checkpoint."""
        return {
            "step": self.context.step,
            "epoch": self.context.epoch,
            # Not of private runs: nobody may foresee what is drawn after a stop.
            "generator": None if self.setup.gradients is not None else self.context.generator.get_state(),
            "chosen": None if self._chosen is None else self._chosen.chosen,
            **self._means.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.context.step, self.context.epoch = state["step"], state["epoch"]
        if state["generator"] is not None:
            self.context.generator.set_state(state["generator"])
        if self._chosen is not None:
            self._chosen.choose(state["chosen"])
        self._means.load_state_dict(state)
