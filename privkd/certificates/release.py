"""A release: a student, its generator, and why they may be seen; and the folder in which they lie.

A folder holds safetensors and JSON: `student.safetensors`, `ledger.json`, `certificate.json`, `config.json`, `history.json`,
and `generator.safetensors` where there is one. It appears whole or not at all, and no student lies anywhere without its
ledger. The ledger's chain ends with a digest of everything else, so that whoever noted its head knows the weights, too.
Nothing is pickled, nothing is unpickled. This module needs no torch, so that a release is checked where none is installed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accountants import Ledger
from accountants.check import shown
from accountants.ledger.chain import canonical_digest
from accountants.ledger.storage import MAX_BYTES
from privkd.certificates.certificate import Certificate
from privkd.errors import CertificateError, CheckpointError, GuaranteeError
from privkd.storage import draft_of, opened, put_back, read_json, sha256_of, write_json

if TYPE_CHECKING:
    from torch import nn

    from generators import SmallGenerator
    from privkd.data.input_spec import InputSpec

__all__ = ["Transcription", "is_transcription", "read_config", "read_release", "read_run", "require_free"]

SCHEMA = "privkd.release/1"
STUDENT, GENERATOR = "student.safetensors", "generator.safetensors"
LEDGER, CERTIFICATE, CONFIG, HISTORY = "ledger.json", "certificate.json", "config.json", "history.json"
ENSEMBLE = "ensemble.json"  # of a folder that is no release

_DIGEST = "release sha256:"
_IN_THE_CHAIN_ITSELF = (LEDGER, CERTIFICATE)  # whose digests cannot be in it; the certificate's seal is


@dataclass(frozen=True, kw_only=True, eq=False)
class Transcription:
    """A student that may be released, and why.

    Attributes:
        student: plain `nn.Module` in eval mode on the CPU; gives logits, shape (b, K), where it is a classifier.
        generator: makes synthetic inputs from latent vectors; None when public inputs were used.
        certificate: what is protected; `print(certificate)` says it in one sentence.
        ledger: every noisy release, in order; `certificate.verify()` recomputes epsilon from it.
        history: losses of the student on RELEASED answers; nothing here is computed from private values.
        method: how it was made: "votes", "cells", "gnmax", "dpsd", "certified", "private-training".
        spec: shape and range of one input; None where that is not known.
        label_names: names of the K classes in the order of the logits; None for numbers.

    Student and generator are what was certified when the release was made: `save` refuses those whose weights were changed
    in place since. A change by public means alone (pruning, rounding) is stated with a copy,
    `dataclasses.replace(release, student=changed_copy)`.
    """

    student: nn.Module
    generator: SmallGenerator | None
    certificate: Certificate
    ledger: Ledger
    history: list[dict[str, float]] = field(repr=False)
    method: str
    spec: InputSpec | None
    label_names: tuple[str, ...] | None = None
    _made: Mapping[str, tuple[nn.Module | None, bytes]] = field(default_factory=dict, repr=False)  # with their digests

    def __post_init__(self) -> None:
        made = dict(self._made)  # of the release that this one was made from by `dataclasses.replace`
        for name, module in self._networks.items():
            if name not in made or made[name][0] is not module:
                made[name] = (module, _fingerprint(module))
        object.__setattr__(self, "_made", made)

    @property
    def _networks(self) -> dict[str, nn.Module | None]:
        return {"student": self.student, "generator": self.generator}

    def save(self, directory: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write everything under one folder, or nothing; the ledger discloses the digest of what is written.

        Args:
            directory: the folder to make.
            overwrite: whether an earlier release there may be replaced; any other folder is never touched.

        Returns:
            The folder.

        Raises:
            FileExistsError: something else is there already.
            CertificateError: the certificate is another ledger's.
            GuaranteeError: student or generator were changed in place since the release was made.
        """
        self._require_unchanged()
        if self.certificate.ledger is not self.ledger:
            raise CertificateError(
                "the certificate belongs to another ledger than the one beside it, so that nobody could verify it; give both: "
                "dataclasses.replace(release, certificate=certificate, ledger=certificate.ledger)"
            )
        with draft_of(directory, allowed=lambda: require_free(directory, overwrite=overwrite)) as draft:
            self._write(draft)
        return Path(directory)

    def _require_unchanged(self) -> None:
        """What is written into weights after they were certified may be anything, also private records."""
        for name, module in self._networks.items():
            if _fingerprint(module) != self._made[name][1]:
                raise GuaranteeError(
                    f"the {name} was changed after the release was made, and the certificate speaks of what was made. Save it "
                    "before it is used elsewhere; if the change came from public data alone, say so with a copy: "
                    f"dataclasses.replace(release, {name}=copy.deepcopy(release.{name}))"
                )

    def _write(self, folder: Path) -> None:
        from safetensors.torch import save_model

        from privkd.networks import architecture_of

        self._write_ledger(folder)  # first: even a draft left by a kill holds no student without its ledger
        save_model(self.student, str(folder / STUDENT))
        if self.generator is not None:
            save_model(self.generator, str(folder / GENERATOR))
        write_json(folder / HISTORY, self.history)
        config: dict[str, Any] = {
            "schema": SCHEMA,
            "method": self.method,
            "inputs": None if self.spec is None else self.spec.to_dict(),
            "label_names": None if self.label_names is None else list(self.label_names),
            "student": architecture_of(self.student),
            "generator": None if self.generator is None else self.generator.config,
        }
        digest = _digest_of(config, folder)
        if _disclosed_in(self.ledger) != digest:
            self.ledger.disclose(digest)
        head = self._write_ledger(folder)
        write_json(folder / CERTIFICATE, self.certificate.to_dict() | {"ledger_digest": head})
        config["sha256"] = {path.name: sha256_of(path) for path in sorted(folder.iterdir())}
        write_json(folder / CONFIG, config)

    def _write_ledger(self, folder: Path) -> object:
        """A copy, since whoever goes on charging goes on with the ledger itself; gives the head of its chain."""
        document = self.ledger.to_dict()
        write_json(folder / LEDGER, document, at_most=MAX_BYTES)
        return document["head"]


def _fingerprint(module: nn.Module | None) -> bytes:
    """Of weights, buffers and settings, which is what a folder holds of a network."""
    if module is None:
        return b""
    from generators import SmallGenerator
    from privkd.networks import architecture_of
    from privkd.networks.fingerprint import digest

    settings = module.config if isinstance(module, SmallGenerator) else architecture_of(module)
    return digest(module) + repr(settings).encode()


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
        if _disclosed_in(self.ledger) != _digest_of(self.config, self.folder):
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
    """As `read_release`, before the digest in the ledger's chain is compared."""
    folder, config = Path(directory), read_config(directory)
    files = ReleaseFiles(folder, config, *_certificate_and_ledger(folder))
    _check_sums(folder, config)
    return files


def read_run(directory: str | os.PathLike[str]) -> ReleaseFiles | None:
    """Certificate and ledger of the folder of a run with `privacy=`; None for any other folder.

    Such a folder holds no released student: its config is empty.

    Raises:
        CheckpointError, LedgerError, CertificateError: as `read_release`.
    """
    folder = Path(directory)
    if not (folder / CERTIFICATE).exists() or any((folder / name).exists() for name in (CONFIG, STUDENT, GENERATOR)):
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


def _certificate_and_ledger(folder: Path) -> tuple[Certificate, Ledger]:
    try:
        with opened(folder / LEDGER):  # a pipe must not make the reader of ledgers wait
            pass
        ledger = Ledger.read(folder / LEDGER)
        return Certificate.from_dict(read_json(folder / CERTIFICATE, dict), ledger), ledger
    except FileNotFoundError as error:
        raise CheckpointError(f"{error.filename} is missing; the folder is incomplete") from None


def _check_sums(folder: Path, config: dict[str, Any]) -> None:
    """Every file against its checksum in the config, which finds damage and no intention."""
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


def _digest_of(config: dict[str, Any], folder: Path) -> str:
    """The disclosure about everything that the chain does not hold itself."""
    names = (STUDENT, HISTORY) if config.get("generator") is None else (STUDENT, HISTORY, GENERATOR)
    content = {
        "config": {name: value for name, value in config.items() if name != "sha256"},
        "sha256": {name: sha256_of(folder / name) for name in names},
    }
    return f"{_DIGEST} {canonical_digest(content)}"


def _disclosed_in(ledger: Ledger) -> str | None:
    """What the ledger disclosed about a release last; later releases from the same ledger do not speak of this one."""
    return next((text for text in reversed(ledger.disclosed) if text.startswith(_DIGEST)), None)
