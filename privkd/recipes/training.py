"""From a recipe and data to what is deployed, in a folder; one call, whatever the recipe."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from torch import nn

from privkd.data.records import Records
from privkd.recipes.folder import GUARANTEE, RELEASE, claim, complete
from privkd.recipes.private import private_gradients, private_recipe, private_stages
from privkd.recipes.products import require_products
from privkd.recipes.recipe import Recipe
from privkd.recipes.trained import Trained, require_kind
from privkd.trainer import Stage, Trainer, seeded
from privkd.trainer.devices.launched import is_first_process

if TYPE_CHECKING:
    from accountants import Ledger

Kind = TypeVar("Kind")

_LENGTHS = ("steps", "epochs")
_SHARED = ("batch_size", "accumulate", "clip_norm")  # fields of a config that belong to the trainer


def train(
    recipe: Recipe[Kind],
    data: Kind,
    *,
    folder: str | Path | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    ledger: Ledger | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "fp32",
    sharded: bool = False,
    trackers: tuple[str, ...] = (),
) -> Trained:
    """Run a recipe on data.

    Under torchrun every process calls this with the same arguments, and the first one writes.

    Args:
        recipe: as `build` makes it.
        data: what it learns from, of the kind that `recipe.data` names.
        folder: where the files of every product (of a module `NAME.safetensors` and `NAME.json`), `config.json`,
            `metrics.jsonl` and checkpoints go; a run that was stopped goes on from there. With epsilon, `release/NAME` is what may
            be published, as `privkd.load`, `privkd audit` and `privkd report` read it. None keeps nothing on disk.
        epsilon: budget in nats, > 0, to train with differential privacy (DP-SGD): the result then has a certificate, in the
            folder as well. None, the default, guarantees nothing.
        delta: failure mass with epsilon; by default the largest power of ten that is at most 1 / (10 n).
        ledger: to charge; with epsilon only. By default one of its own, beside the checkpoints.
        steps: optimiser steps of every stage that has no number of its own, instead of the config's; or give `epochs`.
        epochs: passes over the data of each such stage.
        batch_size: rows per step, instead of the config's.
        seed: of fresh weights, the order of rows and the randomness of tasks, >= 0.
        device: of the computation; this and the following as for `Trainer`.
        precision: of the computation.
        sharded: whether the weights are split over the processes.
        trackers: where the run is shown.

    Raises:
        TypeError: another kind of data.
        ValueError: an option is out of range or has no effect, or the data do not fit the recipe; with epsilon: it cannot be
            trained with privacy, or the classes of the records are not declared.
        FileExistsError: the folder holds something else.
        CheckpointError: the folder holds a run with other settings, or a checkpoint could not be written.
        RecipeError: the recipe did not make what it deploys.
        TrainingStopped, NonFiniteLoss, TaskError: as by `Trainer.run`.
    """
    require_kind(recipe, data)
    privacy = None
    if epsilon is not None:
        recipe = private_recipe(recipe, data)
        privacy = private_gradients(len(cast(Sized, data)), epsilon, delta)
    elif delta is not None or ledger is not None:
        raise ValueError("delta and ledger belong to a private run; give epsilon, too")
    if recipe.stages is None:
        unused = {"steps": steps, "epochs": epochs, "batch_size": batch_size, "sharded": sharded or None}
        unused |= {"trackers": trackers or None, "precision": None if precision == "fp32" else precision}
        return _run(recipe, data, folder, seed=seed, unused=unused | {"device": None if device == "auto" else device})
    if privacy is not None:
        stages = private_stages(recipe, data, seed=seed)
    else:
        with seeded(seed):
            stages = list(recipe.stages(data))
    if recipe.products is None:  # before the training, not after it
        require_products(recipe.name, recipe.kinds, _modules(stages))
    trainer = Trainer(
        **_length(recipe, stages, steps, epochs),
        **_shared(recipe, batch_size, is_private=privacy is not None),
        seed=seed,
        device=device,
        precision=precision,
        sharded=sharded,
        trackers=trackers,
        folder=folder,
        privacy=privacy,
        ledger=ledger,
    )
    return _trained(recipe, data, stages, trainer)


def _trained(recipe: Recipe[Kind], data: Kind, stages: list[Stage], trainer: Trainer) -> Trained:
    """Run the stages, and keep what is deployed."""
    folder, settings = trainer.folder, _settings(trainer, recipe, data)
    if folder is not None:
        claim(Path(folder), settings, is_first=is_first_process())
    history = trainer.run(stages, description=recipe.name)
    modules = _modules(stages)
    made = {**modules, **(recipe.products(stages) if recipe.products is not None else {})}
    deployed = require_products(recipe.name, recipe.kinds, made)
    helpers = {name: module for name, module in modules.items() if name not in deployed}
    trained = Trained(recipe=recipe, deployed=deployed, helpers=helpers, history=history)
    _keep(trained, folder, settings)
    return trained


def _shared(recipe: Recipe[Any], batch_size: int | None, *, is_private: bool) -> dict[str, Any]:
    """Settings of the trainer that a config has, or the caller instead of it."""
    shared = {name: getattr(recipe.config, name) for name in _SHARED if hasattr(recipe.config, name)}
    if batch_size is not None:
        shared["batch_size"] = batch_size
    if is_private:
        shared.pop("clip_norm", None)  # every record's gradient is clipped instead
    return shared


def _run(recipe: Recipe[Kind], data: Kind, folder: str | Path | None, *, seed: int, unused: dict[str, Any]) -> Trained:
    """Run a system that is no training."""
    given = [name for name, value in unused.items() if value is not None]
    if given:
        raise ValueError(
            f"{', '.join(given)} of no effect: {recipe.name!r} is no training; change its settings instead"
        )
    settings = {"recipe": recipe.name, "config": asdict(recipe.config), "training": {"seed": seed}}
    settings["records"] = _form(data)
    if folder is not None:
        claim(Path(folder), settings, is_first=is_first_process())
    assert recipe.run is not None
    with seeded(seed):
        made = recipe.run(data)
    trained = Trained(recipe=recipe, deployed=require_products(recipe.name, recipe.kinds, made))
    _keep(trained, folder, settings)
    return trained


def _keep(trained: Trained, folder: str | Path | None, settings: dict[str, Any]) -> None:
    """Write what is deployed; of several processes the first does."""
    if folder is None or not is_first_process():
        return
    certificate = trained.certificate
    guarantee = (
        GUARANTEE if certificate is None else f"of what lies in {RELEASE}/, and of nothing else here: {certificate}"
    )
    complete(Path(folder), settings, trained.deployed, trained.recipe.kinds, guarantee=guarantee)
    if certificate is not None:
        for name in trained.modules:
            trained.history.release(name).save(Path(folder) / RELEASE / name, overwrite=True)


def _modules(stages: Sequence[Stage]) -> dict[str, nn.Module]:
    """The modules of all stages, by name; of those with equal names, the last stage's."""
    return {name: module for stage in stages for name, module in (stage.task.frozen | stage.task.modules).items()}


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


def _settings(trainer: Trainer, recipe: Recipe[Any], data: object) -> dict[str, Any]:
    """What must be equal for a folder to be of this run; nothing of the data but their form."""
    names = (*_LENGTHS, *_SHARED, "precision", "seed")
    training: dict[str, Any] = {name: getattr(trainer, name) for name in names}
    if trainer.privacy is not None:
        training["privacy"] = trainer.privacy.to_dict()
    return {"recipe": recipe.name, "config": asdict(recipe.config), "training": training, "records": _form(data)}


def _form(data: object) -> dict[str, Any]:
    rows = len(cast(Sized, data))
    if not isinstance(data, Records):
        return {"kind": type(data).__name__, "rows": rows}
    classes = None if data.labels is None else data.classes
    return {"rows": rows, "shape": list(data.shape), "classes": classes}
