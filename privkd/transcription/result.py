"""Reading a release: every file is checked before a network is built and weights are read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from accountants.text import shown
from generators import SmallGenerator
from privkd.errors import CheckpointError
from privkd.networks import ARCHITECTURES, architecture_of
from privkd.release import CONFIG, GENERATOR, HISTORY, STUDENT, Transcription, read_config, read_files
from privkd.release import is_transcription as is_transcription
from privkd.release import require_free as require_free
from privkd.storage import read_json
from privkd.teachers import InputSpec

_UNUSABLE = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, OverflowError, MemoryError)

Network = TypeVar("Network", bound=nn.Module)


def load(directory: str | os.PathLike[str], *, student: nn.Module | None = None) -> Transcription:
    """Read a saved release; every file is checked before a network is built and weights are read.

    Args:
        directory: a folder written by `Transcription.save`.
        student: a fresh module of the same class, for students that privkd did not build itself.

    Raises:
        CheckpointError: a file is missing or was changed, or the student is of another class.
        LedgerError: the ledger was edited; the entry is named.
        CertificateError: the certificate is not the ledger's.
    """
    folder = Path(directory)
    config = read_config(folder)
    _require_known(config.get("student"), student)
    files = read_files(folder)
    history = read_json(folder / HISTORY, list)
    try:
        method, names = config["method"], config.get("label_names")
        spec = None if config["inputs"] is None else InputSpec.from_dict(config["inputs"])
        if not isinstance(method, str) or not isinstance(names, list | None):
            raise TypeError("method must be a string, label_names a list or null")
        if not all(isinstance(row, dict) and all(map(_is_number, row.values())) for row in history):
            raise TypeError(f"{HISTORY} must hold objects with numbers")
    except _UNUSABLE as error:
        raise CheckpointError(f"{folder / CONFIG} has no usable method and inputs: {shown(error, 500)}") from error
    module = student if student is not None else _built(_student_of, config["student"], folder / STUDENT)
    _fill(module, folder / STUDENT)
    generator = None
    if config.get("generator") is not None:
        generator = _built(SmallGenerator.from_config, config["generator"], folder / GENERATOR)
        _fill(generator, folder / GENERATOR)
    files.require_sealed()
    return Transcription(
        student=module,
        generator=generator,
        certificate=files.certificate,
        ledger=files.ledger,
        history=history,
        method=method,
        spec=spec,
        label_names=None if names is None else tuple(map(str, names)),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _require_known(saved: Any, given: nn.Module | None) -> None:
    """Refuse a student that cannot be built, or another one than the given one."""
    if not isinstance(saved, dict) or "architecture" not in saved:
        raise CheckpointError("config.json names no student architecture")
    if given is not None:
        offered = architecture_of(given)
        if offered != saved:
            raise CheckpointError(
                f"the checkpoint holds {shown(saved, 300)}, the given student is {offered}; no weights were read"
            )
    elif saved["architecture"] not in list(ARCHITECTURES):
        raise CheckpointError(
            f"the checkpoint holds a student of class '{shown(saved.get('class', saved['architecture']), 200)}', which privkd does "
            "not build itself; no weights were read. Pass a fresh one: privkd.load(directory, student=MyNet())"
        )


def _student_of(saved: dict[str, Any]) -> nn.Module:
    return ARCHITECTURES[saved["architecture"]](**saved["settings"])


def _built(make: Callable[[Any], Network], saved: Any, weights: Path) -> Network:
    """A fresh network, once it is known to be no larger than the file of its weights."""
    numbers, tensors = _sizes(weights)
    try:
        _require_small(saved.get("settings", saved), numbers=numbers, tensors=tensors)
        with torch.device("meta"):  # shapes only: nothing is allocated
            needed = sum(value.numel() for value in make(saved).state_dict().values())
        if needed > numbers:
            raise ValueError(f"they need {needed} numbers, {weights.name} holds {numbers}")
        return make(saved)
    except _UNUSABLE as error:
        raise CheckpointError(f"the settings in {CONFIG} do not fit {weights.name}: {shown(error, 500)}") from error


def _require_small(settings: Any, *, numbers: int, tensors: int) -> None:
    """Refuse whole numbers that cannot be sizes of a network with this many weights and tensors."""
    for name, value in dict(settings).items():
        if name == "labels":  # names of classes, no sizes
            continue
        most = tensors if name == "layers" else numbers
        for size in value if isinstance(value, list) else [value]:
            if isinstance(size, int) and size > most:
                raise ValueError(f"{name}={size} is above {most}, which no network in that file has")


def _sizes(path: Path) -> tuple[int, int]:
    """How many numbers and how many tensors a safetensors file holds, from its header alone."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118  no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path.name} is damaged: {shown(error, 500)}") from error
    return sum(math.prod(shape) for shape in shapes), len(shapes)


def _fill(module: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(module, str(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit {type(module).__name__}: {shown(error, 500)}") from error
    module.eval()
