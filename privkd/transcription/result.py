"""What `transcribe` returns, and how it lies on disk: all of it, or nothing.

A saved transcription is a folder of safetensors and JSON: `student.safetensors`, `ledger.json`, `certificate.json`,
`config.json`, `history.json`, and `generator.safetensors` where there is one. It is written under a temporary name and
renamed, so that a student can never be found without its ledger. Nothing is pickled, nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
from torch import nn

from accountants import Ledger
from generators import SmallGenerator
from privkd.certificate import Certificate
from privkd.errors import CheckpointError
from privkd.networks import ARCHITECTURES, architecture_of
from privkd.teachers import InputSpec

_SCHEMA = "privkd.transcription/1"
_STUDENT, _GENERATOR = "student.safetensors", "generator.safetensors"
_LEDGER, _CERTIFICATE, _CONFIG, _HISTORY = "ledger.json", "certificate.json", "config.json", "history.json"
_MAX_JSON = 64 * 1024 * 1024
_UNUSABLE = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, OverflowError, MemoryError)

Network = TypeVar("Network", bound=nn.Module)
Document = TypeVar("Document", dict, list)


@dataclass(frozen=True, kw_only=True, eq=False)
class Transcription:
    """A student that may be released, and why.

    Attributes:
        student: plain `nn.Module` in eval mode on the CPU; gives logits, shape (b, K).
        generator: makes synthetic inputs from latent vectors; None when public inputs were used.
        certificate: what is protected; `print(certificate)` says it in one sentence.
        ledger: every noisy release, in order; `certificate.verify()` recomputes epsilon from it.
        history: losses of the student on RELEASED answers; nothing here is computed from private values.
        method: how it was made: "votes", "cells", "gnmax", "dpsd", "certified".
        spec: shape and range of one input.
    """

    student: nn.Module
    generator: SmallGenerator | None
    certificate: Certificate
    ledger: Ledger
    history: list[dict[str, float]] = field(repr=False)
    method: str
    spec: InputSpec

    def save(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write everything under one folder, or nothing.

        Args:
            directory: the folder to make.
            overwrite: whether an earlier transcription there may be replaced; any other folder is never touched.

        Returns:
            The folder.

        Raises:
            FileExistsError: something else is there already.
        """
        target = require_free(directory, overwrite=overwrite)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
        draft.mkdir()
        try:
            self._write(draft)
            _swap(draft, target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return target

    def _write(self, folder: Path) -> None:
        from safetensors.torch import save_model

        self.ledger.save(folder / _LEDGER)  # first: even a draft left by a kill holds no student without its ledger
        _dump(self.certificate.to_dict(), folder / _CERTIFICATE)
        save_model(self.student, str(folder / _STUDENT))
        config: dict[str, Any] = {"schema": _SCHEMA, "method": self.method, "inputs": self.spec.to_dict()}
        config["student"] = architecture_of(self.student)
        config["generator"] = None
        if self.generator is not None:
            save_model(self.generator, str(folder / _GENERATOR))
            config["generator"] = self.generator.config
        _dump(self.history, folder / _HISTORY)
        config["sha256"] = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        _dump(config, folder / _CONFIG)
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def require_free(directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The folder, if a transcription may be written there: absent, empty, or (with `overwrite`) an earlier one.

    Args:
        directory: where to write.
        overwrite: whether an earlier transcription may be replaced, with everything else that its folder holds.

    Raises:
        FileExistsError: something else is there.
    """
    target = Path(directory)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return target
    if not is_transcription(target):
        raise FileExistsError(
            f"{target} exists and holds no transcription (a {_CONFIG} with schema {_SCHEMA!r}); choose another folder"
        )
    if not overwrite:
        raise FileExistsError(
            f"{target} exists; choose another folder, or pass overwrite=True to replace an earlier transcription"
        )
    return target


def is_transcription(directory: str | os.PathLike[str]) -> bool:
    """Whether `Transcription.save` wrote this folder, by its config; nothing else is checked."""
    try:
        return _read(Path(directory) / _CONFIG, dict).get("schema") == _SCHEMA
    except (CheckpointError, OSError):
        return False


def load(directory: str | os.PathLike[str], *, student: nn.Module | None = None) -> Transcription:
    """Read a saved transcription; every file is checked before a network is built and weights are read.

    Args:
        directory: a folder written by `Transcription.save`.
        student: a fresh module of the same class, for students that privkd did not build itself.

    Raises:
        CheckpointError: a file is missing or was changed, or the student is of another class.
        LedgerError: the ledger was edited; the entry is named.
        CertificateError: the certificate is not the ledger's.
    """
    folder = Path(directory)
    config = _read(folder / _CONFIG, dict)
    if config.get("schema") != _SCHEMA:
        raise CheckpointError(f"{folder / _CONFIG} has schema {config.get('schema')!r}; this version reads {_SCHEMA!r}")
    _require_known(config.get("student"), student)
    ledger = Ledger.read(folder / _LEDGER)
    certificate = Certificate.from_dict(_read(folder / _CERTIFICATE, dict), ledger)
    _check_files(folder, config)
    try:
        method, spec = str(config["method"]), InputSpec.from_dict(config["inputs"])
    except _UNUSABLE as error:
        raise CheckpointError(f"{folder / _CONFIG} has no usable method and inputs: {error}") from error
    module = student if student is not None else _built(_student_of, config["student"], folder / _STUDENT)
    _fill(module, folder / _STUDENT)
    generator = None
    if config.get("generator") is not None:
        generator = _built(SmallGenerator.from_config, config["generator"], folder / _GENERATOR)
        _fill(generator, folder / _GENERATOR)
    return Transcription(
        student=module,
        generator=generator,
        certificate=certificate,
        ledger=ledger,
        history=_read(folder / _HISTORY, list),
        method=method,
        spec=spec,
    )


def _require_known(saved: Any, given: nn.Module | None) -> None:
    """Refuse a student that cannot be built, or another one than the given one."""
    if not isinstance(saved, dict) or "architecture" not in saved:
        raise CheckpointError("config.json names no student architecture")
    if given is not None:
        offered = architecture_of(given)
        if offered != saved:
            raise CheckpointError(f"the checkpoint holds {saved}, the given student is {offered}; no weights were read")
    elif saved["architecture"] not in list(ARCHITECTURES):
        raise CheckpointError(
            f"the checkpoint holds a student of class {saved.get('class', saved['architecture'])!r}, which privkd does "
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
        raise CheckpointError(f"the settings in {_CONFIG} do not fit {weights.name}: {error}") from error


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
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name} is damaged: {error}") from error
    return sum(math.prod(shape) for shape in shapes), len(shapes)


def _fill(module: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(module, str(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit {type(module).__name__}: {error}") from error
    module.eval()


def _check_files(folder: Path, config: dict[str, Any]) -> None:
    expected, needed = config.get("sha256"), {_STUDENT, _LEDGER, _CERTIFICATE, _HISTORY}
    if config.get("generator") is not None:
        needed.add(_GENERATOR)
    if not isinstance(expected, dict) or not needed <= set(expected):
        raise CheckpointError(f"{folder / _CONFIG} lists no checksums of its files; the folder is incomplete")
    for name, digest in expected.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; the folder is incomplete")
        if _sha256(path) != digest:
            raise CheckpointError(f"{path} was changed after it was saved (sha256 differs)")


def _read(path: Path, kind: type[Document]) -> Document:
    """Strict JSON: no NaN, no infinities, no key twice, bounded in size and depth."""
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_JSON + 1)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: not a folder written by Transcription.save") from None
    if len(content) > _MAX_JSON:
        raise CheckpointError(f"{path} is larger than {_MAX_JSON} bytes, which no transcription writes")
    try:
        value = json.loads(
            content.decode("utf-8"), parse_constant=_refused, parse_float=_finite, object_pairs_hook=_unique
        )
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {type(error).__name__}: {error}") from error
    if not isinstance(value, kind):
        raise CheckpointError(f"{path} must hold a JSON {kind.__name__}, not {type(value).__name__}")
    return value


def _refused(token: str) -> NoReturn:
    raise ValueError(f"{token} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("one key occurs twice in an object")
    return found


def _dump(value: Any, path: Path) -> None:
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _swap(draft: Path, target: Path) -> None:
    """Put the finished folder in place; an older one is moved away first, so the target is old, absent or new."""
    if not target.exists():
        draft.rename(target)
        return
    old = target.parent / f".{target.name}.{secrets.token_hex(4)}.old"
    target.rename(old)
    draft.rename(target)
    shutil.rmtree(old, ignore_errors=True)
