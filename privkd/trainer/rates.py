"""The learning rates of a task's optimisers while a stage goes on, and afterwards."""

from __future__ import annotations

from torch import Tensor

from privkd.errors import TaskError
from privkd.trainer.context import Context
from privkd.trainer.task import Task


class Rates:
    """The learning rates of a task's optimisers under its schedules.

    Args:
        task: before the run has touched it, so that the rates of its groups are their own.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._own = {
            name: [float(group["lr"]) for group in task.optimizers[name].param_groups] for name in task.schedules
        }

    def write(self, context: Context) -> None:
        """Give every group the rate of the step that comes.

        Raises:
            TaskError: an optimiser has got or lost groups since the run began.
        """
        for name, schedule in self._task.schedules.items():
            self._set(name, schedule.scale(context.step, context.steps, context.epoch))

    def restore(self) -> None:
        """Give every group its own rate back, so that another run with the task begins like this one."""
        for name in self._own:
            self._set(name, 1.0)

    def _set(self, name: str, scale: float) -> None:
        groups, own = self._task.optimizers[name].param_groups, self._own[name]
        if len(groups) != len(own):
            raise TaskError(
                f"optimizers[{name!r}] had {len(own)} parameter groups when the run began and has {len(groups)}: a schedule "
                "needs all of them from the beginning"
            )
        for group, rate in zip(groups, own, strict=True):
            if isinstance(group["lr"], Tensor):  # of an optimiser whose steps are captured
                group["lr"].fill_(scale * rate)
            else:
                group["lr"] = scale * rate
