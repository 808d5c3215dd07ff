"""From a recipe and records to trained modules in a folder; one call, whatever the recipe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from privkd.data.records import Records
from privkd.errors import RecipeError
from privkd.recipes.folder import claim, complete
from privkd.recipes.recipe import Recipe
from privkd.trainer import History, Stage, Trainer, seeded

_LENGTHS = ("steps", "epochs")
_SHARED = ("batch_size", "accumulate", "clip_norm")  # fields of a config that belong to the trainer


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """The modules that a recipe trained, with NO privacy guarantee: whoever has the weights may learn about the records.

    Attributes:
        recipe: as it was run.
        modules: those to deploy, by name, in eval mode on the CPU.
        history: losses and figures over the run.
    """

    recipe: Recipe
    modules: dict[str, nn.Module]
    history: History


def train(
    recipe: Recipe,
    records: Records,
    *,
    folder: str | Path | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    sharded: bool = False,
    trackers: tuple[str, ...] = (),
) -> Trained:
    """Run a recipe on records.

    Under torchrun every process calls this with the same arguments, and the first one writes.

    Args:
        recipe: as `build` makes it.
        records: what it learns from.
        folder: where `NAME.safetensors` and `NAME.json` of every deployed module, `config.json`, `metrics.jsonl` and
            checkpoints go; a run that was stopped goes on from there. None keeps nothing on disk.
        steps: optimiser steps of every stage that has no number of its own, instead of the config's; or give `epochs`.
        epochs: passes over the data of each such stage.
        batch_size: rows per step, instead of the config's.
        seed: of fresh weights, the order of rows and the randomness of tasks, >= 0.
        device: of the computation; this and the following as for `Trainer`.
        precision: of the computation.
        sharded: whether the weights are split over the processes.
        trackers: where the run is shown.

    Raises:
        ValueError: an option is out of range or has no effect, or the records do not fit the recipe.
        FileExistsError: the folder holds something else.
        CheckpointError: the folder holds a run with other settings, or a checkpoint could not be written.
        RecipeError: the recipe's stages do not have the modules that it deploys.
        TrainingStopped, NonFiniteLoss, TaskError: as by `Trainer.run`.
    """
    with seeded(seed):
        stages = list(recipe.stages(records))
    modules = _deployed(recipe, stages)
    shared = {name: getattr(recipe.config, name) for name in _SHARED if hasattr(recipe.config, name)}
    if batch_size is not None:
        shared["batch_size"] = batch_size
    trainer = Trainer(
        **_length(recipe, stages, steps, epochs),
        **shared,
        seed=seed,
        device=device,
        precision=precision,
        sharded=sharded,
        trackers=trackers,
        folder=folder,
    )
    is_first = os.environ.get("RANK", "0") == "0"
    settings = _settings(trainer, recipe, records)
    if folder is not None:
        claim(Path(folder), settings, is_first=is_first)
    history = trainer.run(stages, description=recipe.name)
    if folder is not None and is_first:
        complete(Path(folder), settings, modules)
    return Trained(recipe=recipe, modules=modules, history=history)


def _deployed(recipe: Recipe, stages: Sequence[Stage]) -> dict[str, nn.Module]:
    """The modules to keep; of those with equal names, the last stage's. Looked for before the training, not after it."""
    known = {name: module for stage in stages for name, module in (stage.task.frozen | stage.task.modules).items()}
    missing = [name for name in recipe.deploy if name not in known]
    if missing:
        raise RecipeError(f"recipe {recipe.name!r} deploys {missing}, but its stages have the modules {sorted(known)}")
    return {name: known[name] for name in recipe.deploy}


def _length(recipe: Recipe, stages: Sequence[Stage], steps: int | None, epochs: int | None) -> dict[str, int | None]:
    """Steps or epochs for the trainer: the caller's, else the config's, for stages without a number of their own."""
    has_own = bool(stages) and all((stage.steps or stage.epochs) is not None for stage in stages)
    given = {name: value for name, value in (("steps", steps), ("epochs", epochs)) if value is not None}
    if given and has_own:
        shown = ", ".join(f"{name}={value}" for name, value in given.items())
        raise ValueError(
            f"{shown} has no effect: every stage of {recipe.name!r} has its own number; change its settings"
        )
    if given:
        return {"steps": steps, "epochs": epochs}
    if has_own:
        return {"steps": max(stage.steps or 1 for stage in stages)}
    found = {name: getattr(recipe.config, name, None) for name in _LENGTHS}
    if found == {"steps": None, "epochs": None}:
        raise ValueError(f"recipe {recipe.name!r} has no length of its own; give steps or epochs")
    return found


def _settings(trainer: Trainer, recipe: Recipe, records: Records) -> dict[str, Any]:
    """What must be equal for a folder to be of this run; nothing of the records but their form."""
    names = (*_LENGTHS, *_SHARED, "precision", "seed")
    return {
        "recipe": recipe.name,
        "config": asdict(recipe.config),
        "training": {name: getattr(trainer, name) for name in names},
        "records": {
            "rows": len(records),
            "shape": list(records.shape),
            "classes": None if records.labels is None else records.classes,
        },
    }
