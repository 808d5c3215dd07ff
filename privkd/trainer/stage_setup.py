"""What a run gives to the loop of one of its stages, and how it comes about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from privkd.trainer.batch import Data
from privkd.trainer.batches.arrays import Batches
from privkd.trainer.batches.datasets import batches_of, rows_of
from privkd.trainer.devices.engine import Engine
from privkd.trainer.gradient_source import GradientRun, Setting
from privkd.trainer.made_up import rehearsal_rows
from privkd.trainer.rates import Rates
from privkd.trainer.seeding import generator_of, mixed
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.task import Context, Stage, Task


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


def set_up(
    stage: Stage,
    data: Data,
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
        stage: its task is placed already.
        data: of the stage.
        modules: those of the task, by name, without wrappers.
        rates: of the task's optimisers, from before the run.
        engine: where it happens.
        settings: of the run.
        seeds: of the run, and of the place of the stage in it.
        resumed: state of private gradients in the checkpoint that the run goes on from; None at its beginning.
    """
    batch_size = stage.batch_size or settings.batch_size
    generator = generator_of(mixed(*seeds, engine.process[0]))
    steps = _steps_of(stage, settings, rows_of(data))
    context = Context(0, 0, steps, engine.device, generator, gather=engine.gather)
    gradients = None
    if settings.privacy is not None:
        parts = settings.accumulate
        setting = Setting(
            task=stage.task,
            rows=rows_of(data),
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
    batches = batches_of(
        data,
        batch_size,
        mixed(*seeds),
        beside=stage.beside,
        device=engine.device,
        process=engine.process,
        workers=settings.workers,
        order=None if gradients is None else lambda rows: gradients,
    )
    return StageSetup(
        stage, stage.task, modules, rates, batches, rows_of(data) > 0, context, engine, settings, gradients
    )


def _steps_of(stage: Stage, settings: TrainerSettings, rows: int) -> int:
    """How many steps a stage takes: its own number, or that of the settings."""
    epochs = stage.epochs or (settings.epochs if stage.steps is None else None)
    if epochs is None:
        return stage.steps or settings.steps or 0
    batch_size = min(stage.batch_size or settings.batch_size, rows)
    return epochs * (max(1, rows // batch_size) if rows else 1)
