"""What a checkpoint holds of a stage: modules, optimisers, schedulers, averages and memories."""

from __future__ import annotations

from typing import Any

from privkd.errors import TaskError
from privkd.trainer.checkpoints.state_format import require_storable
from privkd.trainer.task import Stage, average_of


class StageState:
    """The state of a stage, also while wrappers stand in its task for the modules and optimisers that it was given.

    Args:
        stage: before the run has touched it.
    """

    def __init__(self, stage: Stage) -> None:
        self.task, self._name = stage.task, stage.name
        self.modules, self._optimizers = dict(stage.task.modules), dict(stage.task.optimizers)

    def require_storable(self) -> None:
        """Refuse before the first step what would fail at the first checkpoint.

        Raises:
            TaskError: the task or a module has state that a checkpoint cannot hold.
        """
        state = {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "memories": {name: memory.state_dict() for name, memory in self.task.memories.items()},
            "task": self.task.state_dict(),
        }
        try:
            require_storable(state)
        except TypeError as error:
            raise TaskError(f"checkpoints of stage {self._name!r} are not possible: {error}") from None

    def require_owned(self) -> None:
        """Refuse parameters outside of the modules, which would be trained, but neither saved nor placed.

        Raises:
            TaskError: an optimiser moves such parameters.
        """
        known = {p for module in self.modules.values() for p in module.parameters()}
        astray = [
            name
            for name, optimizer in self._optimizers.items()
            if any(p not in known for group in optimizer.param_groups for p in group["params"])
        ]
        if astray:
            raise TaskError(
                f"the optimisers {astray} of {type(self.task).__name__} move parameters of no module in `modules`, which would not "
                "be saved: put them into a module, for example nn.ParameterDict, or take them out"
            )

    def state_dict(self) -> dict[str, Any]:
        """Everything that training has changed, but what the task itself remembers, which every process has of its own."""
        return {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "schedulers": [_without_functions(scheduler.state_dict()) for scheduler in self.task.schedulers],
            "averages": {name: module.state_dict() for name, module in self.task.averages.items()},
            "memories": {name: memory.state_dict() for name, memory in self.task.memories.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for scheduler, saved in zip(self.task.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        for name, memory in self.task.memories.items():
            memory.load_state_dict(state["memories"][name])
        for name, saved in state["averages"].items():
            average = average_of(self.modules[name])
            average.load_state_dict(saved)
            self.task.averages[name] = average


def _without_functions(state: dict[str, Any]) -> dict[str, Any]:
    """A scheduler's state without functions, which come with the scheduler itself."""
    return {name: value for name, value in state.items() if not callable(value)}
