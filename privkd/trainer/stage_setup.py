"""What a run gives to the loop of one of its stages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from privkd.trainer.batches.arrays import Batches
from privkd.trainer.devices.engine import Engine
from privkd.trainer.gradient_source import GradientRun
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.task import Context, Task

__all__ = ["StageSetup"]


@dataclass(frozen=True, kw_only=True)
class StageSetup:
    """A stage that is ready to begin.

    Attributes:
        task: what is learned; placed already.
        modules: those of the task, by name, without wrappers.
        batches: of any step.
        context: of the stage, before its first step.
        engine: where it happens.
        settings: of the run.
        gradients: of a private run; None for those of the mean losses.
    """

    task: Task
    modules: Mapping[str, nn.Module]
    batches: Batches
    context: Context
    engine: Engine
    settings: TrainerSettings
    gradients: GradientRun | None
