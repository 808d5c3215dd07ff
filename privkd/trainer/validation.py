"""When a stage is validated, what that gives, and which validation was the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from privkd.errors import TaskError
from privkd.trainer.batch_step import kind_of
from privkd.trainer.best import BestSoFar
from privkd.trainer.stage_setup import StageSetup
from privkd.trainer.task import overrides


class Validation:
    """The validations of one stage.

    Args:
        setup: of the stage.
        stretch: steps between two rows of history.
    """

    def __init__(self, setup: StageSetup, stretch: int) -> None:
        self._task, self._engine, self._context = setup.task, setup.engine, setup.context
        stage, per_epoch = setup.stage, setup.batches.steps_per_epoch
        # Without rows every step counts as a pass, and a validation after each would cost more than the training.
        self._every = stage.validate_every or (per_epoch if setup.has_rows else stretch)
        self._is_active = not setup.settings.is_quiet and overrides(setup.task, "validate")
        self._best = None
        if stage.keep_best is not None:
            self._figure = stage.keep_best.figure
            self._best = BestSoFar(stage.keep_best, setup.modules, setup.task.averages)

    def is_due(self, done: int) -> bool:
        """Whether the stage is validated after so many steps."""
        return self._is_active and (done % self._every == 0 or done == self._context.steps)

    def figures(self) -> Mapping[str, float]:
        """What the task's own validation of this process gives.

        Raises:
            TaskError: it gives something else than named numbers.
        """
        with self._task.evaluating():
            figures = self._task.validate(self._context)
        if not isinstance(figures, Mapping):
            raise TaskError(
                f"{type(self._task).__name__}.validate gave {kind_of(figures)}; return named numbers, or {{}}"
            )
        return figures

    def kept(self, figures: Mapping[str, float], done: int) -> dict[str, float]:
        """Keep the weights if figures of all processes after a step are the best; a column that says which step is.

        Raises:
            TaskError: the figure that decides is missing or NaN.
        """
        if self._best is None or not figures:
            return {}
        if self._best.look(figures, done):
            with self._engine.whole():
                self._best.take(figures[self._figure], done)
        return {"kept step": float(self._best.step)}

    def restore_best(self) -> None:
        """End the stage with the weights of its best validation, where it keeps them; modules are where they began.

        Raises:
            TaskError: no validation gave the figure.
        """
        if self._best is not None:
            self._best.restore()

    def state_dict(self) -> dict[str, Any] | None:
        """The best validation for a checkpoint; equal in all processes."""
        return None if self._best is None else self._best.state_dict()

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Take back what `state_dict` gave."""
        if self._best is not None:
            self._best.load_state_dict(state)
