"""`privkd train`: from a recipe and a file of data to what it deploys, in a folder."""

from __future__ import annotations

import inspect
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from privkd.cli.output import Json, emit, refusals

if TYPE_CHECKING:
    from privkd.recipes import Recipe, Trained


def train(
    recipe: Annotated[str, typer.Argument(help="name, as in privkd recipes")],
    data: Annotated[str, typer.Option(help="file or folder of the recipe's kind of data, a bundled set, or example")],
    out: Annotated[Path, typer.Option(help="folder of the run; training that was stopped goes on in it")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="setting of the recipe, key=value")] = None,
    module: Annotated[
        list[str] | None, typer.Option(help="module to hand in, NAME=FILE, e.g. teacher=t.safetensors")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="names of all classes of text labels, with commas between")
    ] = None,
    epsilon: Annotated[float | None, typer.Option(help="train with differential privacy, budget in nats")] = None,
    delta: Annotated[
        float | None, typer.Option(help="failure mass with epsilon; by default at most 1 / (10 n)")
    ] = None,
    evaluate: Annotated[
        str | None, typer.Option(help="data for figures of merit and a picture, read like --data")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="optimiser steps of a stage, instead of the recipe's")] = None,
    epochs: Annotated[int | None, typer.Option(help="passes over the data, instead of the recipe's")] = None,
    batch_size: Annotated[int | None, typer.Option(help="rows per step, of all processes together")] = None,
    seed: Annotated[int, typer.Option(help="of fresh weights and of the order of rows")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, or a device of torch")] = "auto",
    precision: Annotated[str, typer.Option(help="fp32, or on an accelerator bf16 or fp16")] = "fp32",
    processes: Annotated[int, typer.Option(help="on this machine, started by torchrun")] = 1,
    sharded: Annotated[bool, typer.Option("--sharded", help="split weights over the processes (FSDP)")] = False,
    trackers: Annotated[
        list[str] | None, typer.Option("--tracker", help="show the run there, for example tensorboard, wandb or mlflow")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a recipe on data. WITHOUT --epsilon the result carries no privacy guarantee; transcribe gives one.

    In Python: privkd.recipes.train(privkd.recipes.build(recipe, settings), privkd.data.load(data, classes="found"),
    folder=out)
    """
    with refusals():
        from privkd.recipes import train as run
        from privkd.trainer.devices.launched import is_first_process

        given = {"steps": steps, "epochs": epochs, "batch_size": batch_size}
        given = {name: value for name, value in given.items() if value is not None}
        made, texts, rest = _recipe(recipe, settings or [], module or [], given)
        rows = _read(made, data, classes, is_private=epsilon is not None)
        shown = None if evaluate is None else _read(made, evaluate, classes, is_private=epsilon is not None)
        is_same = shown is not None and _require_others(rows, shown, is_private=epsilon is not None)
        if processes != 1 and made.stages is None:
            raise ValueError(
                f"--processes={processes} has no effect: {recipe!r} is no training of the trainer; leave it out"
            )
        if processes != 1:
            from privkd.cli.processes import launch

            options = {"data": data, "out": out, "seed": seed, "device": device, "precision": precision, **rest}
            others = {"classes": classes, "epsilon": epsilon, "delta": delta, "evaluate": evaluate}
            options |= {name: value for name, value in others.items() if value is not None}
            flags = [*(f"--tracker={name}" for name in trackers or ()), *(f"--module={text}" for text in module or ())]
            flags += [*(["--sharded"] if sharded else []), *(["--json"] if as_json else [])]
            launch(["train", recipe, *_options(options, texts), *flags], processes)
            return
        is_first = is_first_process()
        if not is_first:
            logging.getLogger("privkd").setLevel(logging.WARNING)  # progress is shown once
        trained = run(
            made,
            rows,
            folder=out,
            epsilon=epsilon,
            delta=delta,
            seed=seed,
            device=device,
            precision=precision,
            sharded=sharded,
            trackers=tuple(trackers or ()),
            **rest,
        )
        if is_first:
            _show(trained, out, shown, is_same=is_same, as_json=as_json)


def _recipe(
    name: str, settings: list[str], modules: list[str], given: dict[str, int]
) -> tuple[Recipe[Any], list[str], dict[str, Any]]:
    """The recipe, its settings as texts, and the given lengths that are not settings of its own."""
    from privkd.recipes import build
    from privkd.recipes.catalogue import config_class, get

    own = set(config_class(get(name)).__dataclass_fields__)
    texts = [*settings, *(f"{key}={value}" for key, value in given.items() if key in own)]
    return build(name, texts, **_modules(modules)), texts, {k: v for k, v in given.items() if k not in own}


def _modules(texts: list[str]) -> dict[str, Any]:
    """The modules of `NAME=FILE` texts."""
    from privkd.teachers import load_teacher

    found: dict[str, Any] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not name or not file or name in found:
            raise ValueError(f"--module={text!r} must be NAME=FILE, each name once, for example teacher=t.safetensors")
        found[name] = load_teacher(file)
    return found


def _read(recipe: Recipe[Any], source: str, classes: str | None, *, is_private: bool) -> Any:
    """Data of the recipe's kind; class names of text labels are taken from public data only."""
    from privkd.data import Records, read

    if source == "example":
        if recipe.example is None:
            raise ValueError(f"recipe {recipe.name!r} has no example data; give a file of {recipe.data.__name__}")
        return recipe.example()
    names = None if classes is None else [name.strip() for name in classes.split(",")]
    if recipe.data is Records or "classes" in inspect.signature(recipe.data.read).parameters:
        return read(recipe.data, source, classes=names if names is not None or is_private else "found")
    if classes is not None:
        raise ValueError(f"--classes names classes, which files of {recipe.data.__name__} have none of")
    return read(recipe.data, source)


def _require_others(rows: Any, shown: Any, *, is_private: bool) -> bool:
    """Whether figures are of the very rows that were learned from, which is refused of private ones.

    Raises:
        ValueError: they are private.
    """
    import torch

    from privkd.data.columns import has_columns

    is_same = False
    if has_columns(rows) and has_columns(shown):
        pairs = zip(rows.columns().values(), shown.columns().values(), strict=False)
        is_same = all(torch.equal(one, other) for one, other in pairs)
    if is_same and is_private:
        raise ValueError(
            "--evaluate names the rows that --epsilon protects, and nothing would protect figures of them; give other data, or "
            "leave it out"
        )
    return is_same


def _options(values: dict[str, object], settings: list[str]) -> list[str]:
    """Back to how they are typed; with `=`, so that a value may begin with a dash."""
    typed = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    return [*typed, *(f"--set={text}" for text in settings)]


def _show(trained: Trained, out: Path, data: Any, *, is_same: bool, as_json: bool) -> None:
    from privkd.recipes.folder import GUARANTEE, RELEASE

    last = trained.history[-1] if len(trained.history) else {}
    figures = {name: _plain(value) for name, value in last.items()}
    guarantee = GUARANTEE if trained.certificate is None else str(trained.certificate)
    files = {name: str(out / file) for name, file in trained.files.items()}
    values = {"recipe": trained.recipe.name, "directory": str(out), "deployed": files, "last": figures}
    if trained.certificate is not None:
        values["release"] = str(out / RELEASE)
    if data is not None and trained.recipe.evaluate is not None:
        values["evaluated on"] = "the rows that were learned from" if is_same else "data given with --evaluate"
        values["evaluated"] = {name: _plain(value) for name, value in trained.evaluate(data).items()}
    if data is not None and trained.recipe.picture is not None and trained.certificate is None:
        values["picture"] = str(out / "picture.png")
        trained.picture(data).savefig(values["picture"], dpi=150)
    said = ", of the rows that were learned from" if is_same else ""
    said = said if trained.certificate is None else ", which nothing protects"
    shown = {**figures, **{f"evaluated {name}{said}": value for name, value in values.get("evaluated", {}).items()}}
    rows = [
        *files.items(),
        *((name, values[name]) for name in ("release", "picture") if name in values),
        *((name, value if isinstance(value, str) else f"{value:.6g}") for name, value in shown.items()),
        ("guarantee", guarantee),
    ]
    emit({**values, "guarantee": guarantee}, as_json=as_json, title=f"Recipe {trained.recipe.name}: {out}", rows=rows)


def _plain(value: float | str) -> float | str:
    """JSON knows no infinities and no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
