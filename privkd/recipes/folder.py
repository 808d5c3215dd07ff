"""The folder of a recipe's run: whose it is, and what it holds at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from privkd.errors import CheckpointError
from privkd.plain import as_read
from privkd.recipes.products import save_products
from privkd.storage import is_draft, read_json, write_json

SCHEMA = "privkd.trained/1"
GUARANTEE = "none: whoever has these files may learn about the data that they were made from; privkd.transcribe gives a guarantee"

RELEASE = "release"
"""The folder, in that of a private run, of what may be published."""

_CONFIG = "config.json"


def claim(folder: Path, settings: Mapping[str, Any], *, is_first: bool = True) -> None:
    """Make the folder this run's, by its `config.json`; a folder of an equal run is gone on with.

    Args:
        folder: absent, empty, or of a run with equal settings.
        settings: JSON values.
        is_first: whether this process writes; others only look, at any time before or after.

    Raises:
        FileExistsError: something else is there.
        CheckpointError: another run is there; what differs is named.
    """
    plain = as_read(settings)
    if os.path.lexists(folder) and not folder.is_dir():
        raise FileExistsError(f"{folder} exists and is no folder; choose another name")
    if _is_free(folder):
        if is_first:
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, {**plain, "deployed": None}, GUARANTEE)
        return
    before = _read(folder)
    differing = list(_differences("", {name: before.get(name) for name in plain}, plain))
    if differing:
        raise CheckpointError(
            f"{folder} holds another run ({'; '.join(differing)}); choose another folder, or take back its settings"
        )


def complete(
    folder: Path,
    settings: Mapping[str, Any],
    products: Mapping[str, Any],
    kinds: Mapping[str, type],
    *,
    guarantee: str = GUARANTEE,
) -> None:
    """Write what is deployed, and then the names of its files into `config.json`.

    Args:
        folder: claimed before.
        settings: as then.
        products: by name; of a module, `NAME.safetensors` and `NAME.json` are what `load_teacher` reads.
        kinds: of the products.
        guarantee: what protects whoever is in the data, in words.
    """
    files = save_products(folder, products, kinds)
    _write(folder, {**settings, "deployed": files}, guarantee)


def finished(folder: Path) -> dict[str, Any]:
    """What `config.json` says of a finished run.

    Raises:
        FileNotFoundError: there is no such folder.
        FileExistsError: it holds no run of a recipe.
        CheckpointError: the run was not finished.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the folder that privkd train or recipes.train wrote")
    found = _read(folder)
    if found.get("deployed") is None:
        raise CheckpointError(f"the run in {folder} was not finished; start it again with the same settings to go on")
    return found


def _is_free(folder: Path) -> bool:
    """Whether nothing is there but what another process of this run may have begun with."""
    if not folder.is_dir():
        return True
    begun = [path for path in folder.iterdir() if not is_draft(path, of=_CONFIG)]
    return set(begun) <= {folder / "checkpoints"} and not any((folder / "checkpoints").glob("*"))


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = read_json(folder / _CONFIG, dict)
    except (OSError, CheckpointError):
        found = {}
    if found.get("schema") != SCHEMA:
        raise FileExistsError(
            f"{folder} exists and holds no run of a recipe (a {_CONFIG} with schema {SCHEMA!r}); choose another folder"
        )
    return found


def _write(folder: Path, content: Mapping[str, Any], guarantee: str) -> None:
    write_json(folder / _CONFIG, {"schema": SCHEMA, **content, "guarantee": guarantee})


def _differences(path: str, before: Any, now: Any) -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*before, *now)):
            yield from _differences(f"{path}.{name}" if path else name, before.get(name), now.get(name))
    elif before != now:
        yield f"{path} was {json.dumps(before)}, is {json.dumps(now)}"
