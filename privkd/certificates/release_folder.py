"""The folder of a release, as it is written and read: safetensors and JSON.

It holds `student.safetensors`, `ledger.json`, `certificate.json`, `config.json`, `history.json`, and `generator.safetensors`
where there is one. It appears whole or not at all, and no student lies anywhere without its ledger. The ledger's chain ends
with a digest of everything else, so that whoever noted its head knows the weights, too. Nothing is pickled, nothing is
unpickled. This module needs no torch, so that a release is checked where none is installed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from accountants import Ledger
from accountants.check import shown
from accountants.ledger.chain import canonical_digest
from accountants.ledger.disclosures import Disclosure, Kind, read
from accountants.ledger.storage import MAX_BYTES
from privkd.certificates.certificate import Certificate
from privkd.errors import CheckpointError
from privkd.storage import opened, put_back, read_json, sha256_of, write_json

if TYPE_CHECKING:
    from torch import nn

SCHEMA = "privkd.release/1"
STUDENT, GENERATOR = "student.safetensors", "generator.safetensors"
LEDGER, CERTIFICATE, CONFIG, HISTORY = "ledger.json", "certificate.json", "config.json", "history.json"
ENSEMBLE = "ensemble.json"  # of a folder that is no release


def write_files(
    folder: Path,
    config: dict[str, Any],
    certificate: Certificate,
    student: nn.Module,
    generator: nn.Module | None,
    history: list[dict[str, float]],
) -> None:
    """Write a release into an empty folder, and disclose in its ledger the digest of what the chain does not hold itself."""
    from safetensors.torch import save_model

    ledger = cast(Ledger, certificate.ledger)
    _write_ledger(folder, ledger)  # first: even a draft left by a kill holds no student without its ledger
    save_model(student, str(folder / STUDENT))
    if generator is not None:
        save_model(generator, str(folder / GENERATOR))
    write_json(folder / HISTORY, history)
    digest = digest_of(config, folder)
    if _digest_in(ledger) != digest:
        ledger.disclose(digest)
    head = _write_ledger(folder, ledger)
    write_json(folder / CERTIFICATE, certificate.to_dict() | {"ledger_digest": head})
    sums = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
    write_json(folder / CONFIG, config | {"sha256": sums})


@dataclass(frozen=True)
class ReleaseFiles:
    """What a folder says of itself, with the checksums of its files checked; no weights are read.

    Attributes:
        folder: where they lie.
        config: of the student, the generator and the inputs.
        certificate: tied to the ledger; `certificate.verify()` is up to the caller.
        ledger: its chain is whole.
    """

    folder: Path
    config: dict[str, Any]
    certificate: Certificate
    ledger: Ledger

    def require_sealed(self) -> None:
        """Compare the student, its generator, the history and the config with the ledger's chain.

        Raises:
            CheckpointError: the chain was closed over others.
        """
        if _digest_in(self.ledger) != digest_of(self.config, self.folder):
            raise CheckpointError(
                f"the ledger in {self.folder} was closed over another student, generator, history or config than the ones beside "
                "it; do not use them, and ask whoever published the folder"
            )


def read_release(directory: str | os.PathLike[str]) -> ReleaseFiles:
    """Read and check everything in a release, without building networks: of weights only the digests are taken.

    Raises:
        CheckpointError: a file is missing or was changed, or the folder is no release; the message says what it is.
        LedgerError: the ledger was edited; the entry is named.
        CertificateError: the certificate is not the ledger's.
    """
    files = read_files(directory)
    files.require_sealed()
    return files


def read_files(directory: str | os.PathLike[str]) -> ReleaseFiles:
    """Read a release as `read_release` does, without comparing it with the digest in the ledger's chain."""
    folder, config = Path(directory), read_config(directory)
    files = ReleaseFiles(folder, config, *_certificate_and_ledger(folder))
    _check_sums(folder, config)
    return files


def read_run(directory: str | os.PathLike[str]) -> ReleaseFiles | None:
    """Certificate and ledger of the folder of a run with `privacy=`; None for any other folder.

    Such a folder holds no released student, and its `config.json`, if there is one, is that of a recipe: `config` is empty here.

    Raises:
        CheckpointError, LedgerError, CertificateError: as `read_release`.
    """
    folder = Path(directory)
    is_release = any((folder / name).exists() for name in (STUDENT, GENERATOR)) or is_transcription(folder)
    if is_release or not (folder / CERTIFICATE).exists():
        return None
    return ReleaseFiles(folder, {}, *_certificate_and_ledger(folder))


def read_config(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """What a release says of its student, generator and inputs; nothing else is checked.

    Raises:
        CheckpointError: the folder is no release; the message says what it is.
    """
    folder = Path(directory)
    put_back(folder)
    try:
        config = read_json(folder / CONFIG, dict)
    except FileNotFoundError:
        if (folder / "checkpoints").is_dir():
            raise CheckpointError(
                f"{folder} is the folder of a run, with checkpoints that stay private, and no release. After a run with privacy=, "
                "history.release().save(directory) writes one; the same run, started again with its folder, goes on to "
                "its end, or gives its history at once"
            ) from None
        if (folder / ENSEMBLE).is_file():
            raise CheckpointError(
                f"{folder} is a saved ensemble, which is as private as its records, and no release: it is read by "
                "TeacherEnsemble.load, and teaches by privkd transcribe --teacher"
            ) from None
        raise CheckpointError(f"{folder / CONFIG} is missing: not a folder written by Transcription.save") from None
    if config.get("schema") != SCHEMA:
        raise CheckpointError(
            f"{folder / CONFIG} has schema {shown(config.get('schema'), 80)!r}; this version reads {SCHEMA!r}"
        )
    return config


def require_free(directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """The folder, if a release may be written there: absent, empty, or (with `overwrite`) an earlier one.

    Args:
        directory: where to write.
        overwrite: whether an earlier release may be replaced, with everything else that its folder holds.

    Raises:
        FileExistsError: something else is there.
    """
    target = Path(directory)
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return target
    if not is_transcription(target):
        raise FileExistsError(
            f"{target} exists and holds no transcription (a {CONFIG} with schema {SCHEMA!r}); choose another folder"
        )
    if not overwrite:
        raise FileExistsError(
            f"{target} exists; choose another folder, or replace the earlier transcription with overwrite=True (--overwrite)"
        )
    return target


def is_transcription(directory: str | os.PathLike[str]) -> bool:
    """Whether `Transcription.save` wrote this folder, by its config; nothing else is checked."""
    try:
        return bool(read_config(directory))
    except (CheckpointError, OSError):
        return False


def _write_ledger(folder: Path, ledger: Ledger) -> object:
    """Write a copy, since whoever goes on charging goes on with the ledger itself; the head of its chain."""
    document = ledger.to_dict()
    write_json(folder / LEDGER, document, at_most=MAX_BYTES)
    return document["head"]


def _certificate_and_ledger(folder: Path) -> tuple[Certificate, Ledger]:
    try:
        with opened(folder / LEDGER):  # a pipe must not make the reader of ledgers wait
            pass
        ledger = Ledger.read(folder / LEDGER)
        return Certificate.from_dict(read_json(folder / CERTIFICATE, dict), ledger), ledger
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} is missing; the folder is incomplete") from None


def _check_sums(folder: Path, config: dict[str, Any]) -> None:
    """Compare every file with its checksum in the config, which finds damage and no intention."""
    expected, needed = config.get("sha256"), {STUDENT, LEDGER, CERTIFICATE, HISTORY}
    if config.get("generator") is not None:
        needed.add(GENERATOR)
    if not isinstance(expected, dict) or set(expected) != needed:
        raise CheckpointError(f"{folder / CONFIG} lists no checksums of its files; the folder is incomplete")
    for name in sorted(needed):
        try:
            found = sha256_of(folder / name)
        except FileNotFoundError:
            raise CheckpointError(f"{folder / name} is missing; the folder is incomplete") from None
        if found != expected[name]:
            raise CheckpointError(f"{folder / name} was changed after it was saved (sha256 differs)")


def digest_of(config: dict[str, Any], folder: Path) -> str:
    """What a ledger discloses about everything in a release that its chain does not hold itself."""
    names = (STUDENT, HISTORY) if config.get("generator") is None else (STUDENT, HISTORY, GENERATOR)
    content = {
        "config": {name: value for name, value in config.items() if name != "sha256"},
        "sha256": {name: sha256_of(folder / name) for name in names},
    }
    return Disclosure(Kind.RELEASE, canonical_digest(content)).written


def _digest_in(ledger: Ledger) -> str | None:
    """What a ledger disclosed about a release last; later releases from the same ledger do not speak of this one."""
    return next((text for text in reversed(ledger.disclosed) if read(text).kind is Kind.RELEASE), None)
