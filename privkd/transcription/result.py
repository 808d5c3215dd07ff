"""What `transcribe` returns, and how it lies on disk: all of it, or nothing.

A saved transcription is a folder of safetensors and JSON: `student.safetensors`, `ledger.json`, `certificate.json`,
`config.json`, `history.json`, and `generator.safetensors` where there is one. It is written under a temporary name and
renamed, so that a student can never be found without its ledger. Nothing is pickled, nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
            FileExistsError: something is there already.
        """
        target = Path(directory)
        if (
            target.exists()
            and not (overwrite and (target / _CONFIG).is_file())
            and (not target.is_dir() or any(target.iterdir()))
        ):
            raise FileExistsError(
                f"{target} exists; choose another folder, or pass overwrite=True to replace an earlier transcription"
            )
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

        save_model(self.student, str(folder / _STUDENT))
        config: dict[str, Any] = {"schema": _SCHEMA, "method": self.method, "inputs": self.spec.to_dict()}
        config["student"] = architecture_of(self.student)
        config["generator"] = None
        if self.generator is not None:
            save_model(self.generator, str(folder / _GENERATOR))
            config["generator"] = self.generator.config
        self.ledger.save(folder / _LEDGER)
        _dump(self.certificate.to_dict(), folder / _CERTIFICATE)
        _dump(self.history, folder / _HISTORY)
        config["sha256"] = {path.name: _sha256(path) for path in sorted(folder.iterdir())}
        _dump(config, folder / _CONFIG)
        for path in folder.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def load(directory: str | os.PathLike[str], *, student: nn.Module | None = None) -> Transcription:
    """Read a saved transcription; every file is checked before weights are read.

    Args:
        directory: a folder written by `Transcription.save`.
        student: a fresh module of the same class, for students that privkd did not build itself.

    Raises:
        CheckpointError: a file is missing or was changed, or the student is of another class.
        LedgerError: the ledger was edited; the entry is named.
        CertificateError: the certificate is not the ledger's.
    """
    folder = Path(directory)
    config = _read(folder / _CONFIG)
    if config.get("schema") != _SCHEMA:
        raise CheckpointError(f"{folder / _CONFIG} has schema {config.get('schema')!r}; this version reads {_SCHEMA!r}")
    module = _build_student(config.get("student"), student)
    ledger = Ledger.read(folder / _LEDGER)
    certificate = Certificate.from_dict(_read(folder / _CERTIFICATE), ledger)
    _check_files(folder, config)
    _fill(module, folder / _STUDENT)
    generator = None
    if config.get("generator") is not None:
        generator = SmallGenerator.from_config(config["generator"])
        _fill(generator, folder / _GENERATOR)
    return Transcription(
        student=module,
        generator=generator,
        certificate=certificate,
        ledger=ledger,
        history=_read(folder / _HISTORY),
        method=config["method"],
        spec=InputSpec.from_dict(config["inputs"]),
    )


def _build_student(saved: Any, given: nn.Module | None) -> nn.Module:
    if not isinstance(saved, dict) or "architecture" not in saved:
        raise CheckpointError("config.json names no student architecture")
    if given is not None:
        offered = architecture_of(given)
        if offered != saved:
            raise CheckpointError(f"the checkpoint holds {saved}, the given student is {offered}; no weights were read")
        return given
    if saved["architecture"] not in ARCHITECTURES:
        raise CheckpointError(
            f"the checkpoint holds a student of class {saved.get('class', saved['architecture'])!r}, which privkd does not build "
            "itself; no weights were read. Pass a fresh one: privkd.load(directory, student=MyNet())"
        )
    try:
        return ARCHITECTURES[saved["architecture"]](**saved["settings"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"the student's settings in config.json do not fit {saved['architecture']!r}: {error}"
        ) from error


def _fill(module: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(module, str(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit {type(module).__name__}: {error}") from error
    module.eval()


def _check_files(folder: Path, config: dict[str, Any]) -> None:
    expected = config.get("sha256")
    if not isinstance(expected, dict) or not {_STUDENT, _LEDGER, _CERTIFICATE, _HISTORY} <= set(expected):
        raise CheckpointError(f"{folder / _CONFIG} lists no checksums of its files; the folder is incomplete")
    for name, digest in expected.items():
        path = folder / Path(name).name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; the folder is incomplete")
        if _sha256(path) != digest:
            raise CheckpointError(f"{path} was changed after it was saved (sha256 differs)")


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise CheckpointError(f"{path} is larger than {_MAX_JSON} bytes, which no transcription writes")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing: not a folder written by Transcription.save") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error


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
