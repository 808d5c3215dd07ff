"""`privkd train`: from a recipe and a file of records to trained modules in a folder."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privkd.cli.output import Json, emit, refusals

if TYPE_CHECKING:
    from privkd.recipes import Trained


def train(
    recipe: Annotated[str, typer.Argument(help="name, as in privkd recipes")],
    data: Annotated[str, typer.Option(help="file or folder of records, as privkd.data.load reads it, or digits")],
    out: Annotated[Path, typer.Option(help="folder of the run; a stopped run in it goes on")],
    settings: Annotated[list[str] | None, typer.Option("--set", help="setting of the recipe, key=value")] = None,
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
    """Train a recipe on records. The result carries NO privacy guarantee; transcribe gives one.

    In Python: privkd.recipes.train(privkd.recipes.build(recipe, settings), privkd.data.load(data, classes="found"),
    folder=out)
    """
    with refusals():
        from privkd.data import load
        from privkd.recipes import build
        from privkd.recipes import train as run
        from privkd.recipes.catalogue import config_class, get

        own = set(config_class(get(recipe)).__dataclass_fields__)
        given = {"steps": steps, "epochs": epochs, "batch_size": batch_size}
        given = {name: value for name, value in given.items() if value is not None}
        texts = [*(settings or []), *(f"{name}={value}" for name, value in given.items() if name in own)]
        made = build(recipe, texts)
        rest = {name: value for name, value in given.items() if name not in own}
        records = load(data, classes="found")
        if processes != 1:
            from privkd.cli.processes import launch

            options = {"data": data, "out": out, "seed": seed, "device": device, "precision": precision, **rest}
            flags = [*(f"--tracker={name}" for name in trackers or ()), *(["--sharded"] if sharded else [])]
            flags += ["--json"] if as_json else []
            launch(["train", recipe, *_options(options, texts), *flags], processes)
            return
        is_first = os.environ.get("RANK", "0") == "0"
        if not is_first:
            logging.getLogger("privkd").setLevel(logging.WARNING)  # progress is shown once
        trained = run(
            made,
            records,
            folder=out,
            seed=seed,
            device=device,
            precision=precision,
            sharded=sharded,
            trackers=tuple(trackers or ()),
            **rest,
        )
    if is_first:
        _show(trained, out, as_json=as_json)


def _options(values: dict[str, object], settings: list[str]) -> list[str]:
    """Back to how they are typed; with `=`, so that a value may begin with a dash."""
    typed = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    return [*typed, *(f"--set={text}" for text in settings)]


def _show(trained: Trained, out: Path, *, as_json: bool) -> None:
    from privkd.recipes.folder import GUARANTEE

    last = trained.history[-1] if len(trained.history) else {}
    figures = {name: _plain(value) for name, value in last.items()}
    files = {name: str(out / f"{name}.safetensors") for name in trained.modules}
    values = {"recipe": trained.recipe.name, "directory": str(out), "deployed": files, "last": figures}
    rows = [
        *((name, str(path)) for name, path in files.items()),
        *((name, value if isinstance(value, str) else f"{value:.6g}") for name, value in figures.items()),
        ("guarantee", GUARANTEE),
    ]
    emit({**values, "guarantee": GUARANTEE}, as_json=as_json, title=f"Recipe {trained.recipe.name}: {out}", rows=rows)


def _plain(value: float | str) -> float | str:
    """JSON knows no infinities and no NaN."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
