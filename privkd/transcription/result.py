"""Reading a release: every file is checked before a network is built and weights are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from accountants.check import shown
from generators import SmallGenerator
from privkd.certificates.release import Transcription
from privkd.certificates.release_folder import CONFIG, GENERATOR, HISTORY, STUDENT, read_config, read_files
from privkd.certificates.release_folder import is_transcription as is_transcription
from privkd.certificates.release_folder import require_free as require_free
from privkd.errors import CheckpointError
from privkd.networks import architecture_of
from privkd.storage import read_json
from privkd.teachers import InputSpec
from privkd.teachers.files.weights import DECLARABLE, built_within, declared_network, fill

_UNUSABLE = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, OverflowError, MemoryError)


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
    if student is not None:
        module = student
        fill(module, folder / STUDENT)
    else:
        module = _student_of(config["student"], folder / STUDENT, spec)
    generator = None
    if config.get("generator") is not None:
        generator = _generator_of(config["generator"], folder / GENERATOR)
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
    elif saved["architecture"] not in list(DECLARABLE):
        raise CheckpointError(
            f"the checkpoint holds a student of class '{shown(saved.get('class', saved['architecture']), 200)}', which privkd does "
            "not build itself; no weights were read. Pass a fresh one: privkd.load(directory, student=MyNet())"
        )


def _student_of(saved: dict[str, Any], weights: Path, spec: InputSpec | None) -> nn.Module:
    settings = saved.get("settings")
    if not isinstance(settings, dict):
        raise CheckpointError(f"{CONFIG} has no settings of the student's architecture")
    return declared_network(saved["architecture"], settings, weights, inputs=spec)


def _generator_of(saved: Any, weights: Path) -> SmallGenerator:
    if not isinstance(saved, dict):
        raise CheckpointError(f"{CONFIG} has no settings of the generator")
    generator = built_within(lambda: SmallGenerator.from_config(saved), saved, weights)
    fill(generator, weights)
    return generator
