"""What a run gives to the loop of one of its stages, and how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import nn
from torch.utils.data import Dataset

from privkd.errors import TaskError
from privkd.trainer.batch import Data
from privkd.trainer.batches.arrays import Batches
from privkd.trainer.batches.chosen_rows import ChosenRows
from privkd.trainer.batches.datasets import batches_of, rows_of
from privkd.trainer.batches.ordering import rows_per_step
from privkd.trainer.beside import as_beside
from privkd.trainer.context import Context
from privkd.trainer.devices.engine import Engine
from privkd.trainer.gradient_source import GradientRun, Setting
from privkd.trainer.made_up import rehearsal_rows
from privkd.trainer.rates import Rates
from privkd.trainer.seeding import generator_of, mixed
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.task import Stage, Task, overrides


@dataclass(frozen=True)
class StageSetup:
    """A stage that is ready to begin.

    Attributes:
        stage: as it was given.
        task: what is learned; placed already.
        modules: those of the task, by name, without wrappers.
        rates: of the task's optimisers.
        batches: of any step.
        has_rows: whether these come from data; else the task makes its own.
        context: of the stage, before its first step.
        engine: where it happens.
        settings: of the run.
        gradients: of a private run; None for those of the mean losses.
        chosen: the order of a task that chooses its rows; None for any other task.
    """

    stage: Stage
    task: Task
    modules: Mapping[str, nn.Module]
    rates: Rates
    batches: Batches
    has_rows: bool
    context: Context
    engine: Engine
    settings: TrainerSettings
    gradients: GradientRun | None
    chosen: ChosenRows | None


def set_up(
    stage: Stage,
    modules: Mapping[str, nn.Module],
    rates: Rates,
    engine: Engine,
    settings: TrainerSettings,
    *,
    seeds: tuple[int, int],
    resumed: Mapping[str, Any] | None,
) -> StageSetup:
    """Make a stage ready to begin; private gradients are planned and charged.

    Args:
        stage: its task is placed already, and its data are made.
        modules: those of the task, by name, without wrappers.
        rates: of the task's optimisers, from before the run.
        engine: where it happens.
        settings: of the run.
        seeds: of the run, and of the place of the stage in it.
        resumed: state of private gradients in the checkpoint that the run goes on from; None at its beginning.
    """
    data = cast("Data", stage.data)
    batch_size = rows_per_step(stage.order, stage.batch_size, settings.batch_size)
    generator = generator_of(mixed(*seeds, engine.process[0]))
    gradients, chosen, steps = None, None, 0
    if settings.privacy is not None:
        parts = settings.accumulate
        steps = _steps_of(stage, settings, max(1, rows_of(data) // min(batch_size, rows_of(data) or 1)))
        setting = Setting(
            task=stage.task,
            rows=rows_of(data),
            is_read=isinstance(data, Dataset),
            made_up=rehearsal_rows(data, engine.device, is_private=settings.is_quiet),
            batch_size=batch_size,
            steps=steps,
            at_once=None if parts == 1 else max(1, -(-batch_size // (parts * engine.process[1]))),
            engine=engine,
            generator=generator,
            ledger=settings.ledger,
            folder=None if settings.folder is None else Path(settings.folder),
            resumed=resumed,
        )
        gradients = settings.privacy.begin(setting)
    elif overrides(stage.task, "rows"):
        chosen = _chosen_rows(stage, batch_size, mixed(*seeds), engine)
    batches = batches_of(
        data,
        batch_size,
        mixed(*seeds),
        beside={name: as_beside(other) for name, other in stage.beside.items()},
        device=engine.device,
        process=engine.process,
        workers=settings.workers,
        order=gradients or chosen or stage.order,
        one_by_one=gradients is not None,
    )
    steps = steps or _steps_of(stage, settings, batches.steps_per_epoch)
    context = Context(0, 0, steps, engine.device, generator, gather=engine.gather)
    has_rows = rows_of(data) > 0
    return StageSetup(
        stage, stage.task, modules, rates, batches, has_rows, context, engine, settings, gradients, chosen
    )


def _chosen_rows(stage: Stage, batch_size: int, seed: int, engine: Engine) -> ChosenRows:
    """The order of a task that chooses its rows.

    Raises:
        TaskError: there are no rows to choose from, or they have an order already.
    """
    name, rows = type(stage.task).__name__, rows_of(cast("Data", stage.data))
    if not rows:
        raise TaskError(
            f"{name}.rows chooses rows, but stage {stage.name!r} has no data; give it data, or leave rows out"
        )
    if stage.order is not None:
        raise TaskError(f"{name}.rows chooses rows, which stage {stage.name!r} has an order for; give one of the two")
    return ChosenRows(rows, batch_size, seed, engine.process)


def _steps_of(stage: Stage, settings: TrainerSettings, per_epoch: int) -> int:
    """How many steps a stage takes: its own number, or that of the settings."""
    epochs = stage.epochs or (settings.epochs if stage.steps is None else None)
    return (stage.steps or settings.steps or 0) if epochs is None else epochs * per_epoch
