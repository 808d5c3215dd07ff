"""The weights of the best validation of a stage, which the stage ends with."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from privkd.errors import TaskError
from privkd.plain import make_plain


@dataclass(frozen=True)
class Best:
    """Which validation of a stage is the best one; `Stage(keep_best=Best("accuracy"))` ends with its weights.

    Args:
        figure: a name that `Task.validate` gives; of rows that neither train nor test, since the choice fits them.
        which: "largest" or "smallest".

    Raises:
        ValueError: the name is empty, or `which` is something else.
    """

    figure: str
    which: Literal["largest", "smallest"] = "largest"

    def __post_init__(self) -> None:
        make_plain(self)
        if not isinstance(self.figure, str) or not self.figure:
            raise ValueError(f"figure={self.figure!r} must be the name of a figure that validate gives")
        if self.which not in ("largest", "smallest"):
            raise ValueError(f"which={self.which!r} must be 'largest' or 'smallest'")

    def is_better(self, value: float, other: float) -> bool:
        """Whether a figure is better than another one; an equal one is not, so that the earlier is kept."""
        return value > other if self.which == "largest" else value < other


class BestSoFar:
    """Weights of the best validation up to now, on the CPU.

    Args:
        best: which one it is.
        modules: of the task, by name, without wrappers.
        averages: of the task, by name.
    """

    def __init__(self, best: Best, modules: Mapping[str, nn.Module], averages: Mapping[str, nn.Module]) -> None:
        self._best, self._modules, self._averages = best, modules, averages
        self._kept: dict[str, Any] | None = None

    @property
    def step(self) -> int:
        """The step after which the kept validation was."""
        assert self._kept is not None
        return self._kept["step"]

    def look(self, figures: Mapping[str, float], step: int) -> bool:
        """Whether the figures after a step are the best so far; `take` the weights then.

        Raises:
            TaskError: the figure is not among them, or NaN.
        """
        name = self._best.figure
        if name not in figures:
            raise TaskError(
                f"keep_best needs the figure {name!r}, and validate gave {sorted(figures)} after step {step}; name one of these"
            )
        if math.isnan(figures[name]):
            raise TaskError(f"keep_best cannot compare the figure {name!r}, which is NaN after step {step}")
        return self._kept is None or self._best.is_better(figures[name], self._kept["value"])

    def take(self, value: float, step: int) -> None:
        """Keep the weights as they are now."""
        self._kept = {
            "step": step,
            "value": value,
            "modules": {name: _copied(module) for name, module in self._modules.items()},
            "averages": {name: _copied(module) for name, module in self._averages.items()},
        }

    def restore(self) -> None:
        """Give modules and averages the kept weights.

        Raises:
            TaskError: no validation gave the figure.
        """
        if self._kept is None:
            raise TaskError(
                f"keep_best needs the figure {self._best.figure!r}, and no validation of the stage gave any figure"
            )
        for name, module in self._modules.items():
            module.load_state_dict(self._kept["modules"][name])
        for name, average in self._averages.items():
            average.load_state_dict(self._kept["averages"][name])

    def state_dict(self) -> dict[str, Any] | None:
        """What is kept, for a checkpoint."""
        return self._kept

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Take back what `state_dict` gave."""
        self._kept = state


def _copied(module: nn.Module) -> dict[str, Any]:
    """A module's state on the CPU, which training does not change any more."""
    return {
        name: value.detach().to("cpu", copy=True) if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in module.state_dict().items()
    }
