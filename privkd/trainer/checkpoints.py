"""Checkpoints of a run: written whole or not at all, checksummed, the last few kept, damaged ones skipped.

A checkpoint is a folder `step-000000120` with tensors (safetensors), everything else (JSON) and checksums of both; no
pickles, so that reading one cannot run code.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from accountants import check
from privkd.errors import CheckpointError

__all__ = ["Checkpoints"]

log = logging.getLogger("privkd")

_FILES = ("tensors.safetensors", "state.json")
_DAMAGE = (OSError, ValueError, KeyError, TypeError, SafetensorError)


class Checkpoints:
    """The checkpoints of one run in one folder.

    Args:
        folder: made if it does not exist.
        keep: how many of the latest stay, >= 1.
    """

    def __init__(self, folder: str | Path, *, keep: int = 3) -> None:
        check.integer(keep=keep, at_least=1)
        self.folder, self.keep = Path(folder), keep
        self.folder.mkdir(parents=True, exist_ok=True)

    def save(self, step: int, state: Mapping[str, Any]) -> Path:
        """Write a checkpoint and drop the oldest beyond `keep`.

        Args:
            step: of the whole run, >= 0; the name.
            state: tensors, numbers, strings, None, in dicts, lists and tuples.

        Raises:
            CheckpointError: the disk is full or the folder cannot be written; earlier checkpoints are untouched.
        """
        final = self.folder / f"step-{step:09d}"
        unfinished = self.folder / f".unfinished-{os.getpid()}"
        tensors: dict[str, Tensor] = {}
        text = json.dumps(_packed(state, tensors))
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            save_file(tensors, unfinished / _FILES[0])
            (unfinished / _FILES[1]).write_text(text)
            sums = {name: _checksum(unfinished / name) for name in _FILES}
            (unfinished / "checksums.json").write_text(json.dumps(sums))
            for path in (*unfinished.iterdir(), unfinished):
                _flush(path)
            if final.exists():  # of the same step of a run that went on from an earlier one
                shutil.rmtree(final)
            unfinished.rename(final)
            _flush(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            full = (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space" in str(error)
            why = "the disk is full" if full else str(error)
            raise CheckpointError(
                f"the checkpoint of step {step} was not written to {self.folder}: {why}; earlier checkpoints are whole: make "
                "room and start the run again to go on from the latest"
            ) from error
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self._path(old), ignore_errors=True)
        return final

    def steps(self) -> list[int]:
        """Of the checkpoints there are, rising."""
        return sorted(int(path.name[5:]) for path in self.folder.glob("step-*") if path.name[5:].isdigit())

    def latest(self) -> tuple[int, dict[str, Any]] | None:
        """Step and state of the latest undamaged checkpoint; None if there is none. Damaged ones are named in the log."""
        for leftover in self.folder.glob(".unfinished-*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a run that was killed while writing
        for step in reversed(self.steps()):
            try:
                return step, self._read(step)
            except _DAMAGE as error:
                log.warning("checkpoint %s is damaged (%s); the one before it is used", self._path(step), error)
        return None

    def _read(self, step: int) -> dict[str, Any]:
        folder = self._path(step)
        sums = json.loads((folder / "checksums.json").read_text())
        for name in _FILES:
            if sums[name] != _checksum(folder / name):
                raise ValueError(f"{name} does not match its checksum")
        return _unpacked(json.loads((folder / _FILES[1]).read_text()), load_file(folder / _FILES[0]))

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}"


def _packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON of nested state; tensors are moved out, keys other than strings and tuples are marked."""
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        case Mapping():
            return {"dict": [[_packed(key, tensors), _packed(one, tensors)] for key, one in value.items()]}
        case tuple():
            return {"tuple": [_packed(one, tensors) for one in value]}
        case list():
            return [_packed(one, tensors) for one in value]
        case float():
            return {"float": value.hex()}
        case None | bool() | int() | str():
            return value
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__}: give tensors, numbers, strings, dicts and lists")


def _unpacked(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpacked(one, tensors) for one in value]
    if not isinstance(value, dict):
        return value
    [(kind, inner)] = value.items()
    match kind:
        case "tensor":
            return tensors[inner]
        case "dict":
            return {_unpacked(key, tensors): _unpacked(one, tensors) for key, one in inner}
        case "tuple":
            return tuple(_unpacked(one, tensors) for one in inner)
        case "float":
            return float.fromhex(inner)
    raise ValueError(f"unknown kind {kind!r}")


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """To the disk itself, so that a rename cannot overtake the data."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
