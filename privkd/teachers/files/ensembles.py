"""An ensemble as a folder: as private as the records that its teachers saw, and never forgetting what was released.

`ensemble.json` (schema `privkd.ensemble/1`) names every other file with its checksum. Torch members are safetensors,
scikit-learn members are `skops` files; nothing is pickled. `ledger.json` counts the releases, and a saved or loaded ensemble
is bound to it. A folder is written whole and renamed; one that is replaced keeps its ledger where it is and gets its new
index last, so that it holds the old ensemble or the new one.
"""

from __future__ import annotations

import os
import secrets
import warnings
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from accountants import Ledger
from privkd.certificates.release_folder import ENSEMBLE
from privkd.errors import CheckpointError
from privkd.storage import draft_of, opened, put_back, sha256_of, write_bytes, write_json
from privkd.teachers.files.description import require_file
from privkd.teachers.files.ensemble_index import (
    LEDGER,
    MOST_BYTES,
    READ_ME,
    SCHEMA,
    is_ensemble,
    ledger_file,
    opened_ledger,
    read_index,
    require_counted,
    stated_facts,
)
from privkd.teachers.files.members import read_member, write_member
from privkd.teachers.files.weights import DECLARABLE
from privkd.teachers.fitting import EnsembleParts
from privkd.teachers.member import MakeModel
from privkd.teachers.row_digests import RowDigests


def write_ensemble(parts: EnsembleParts, directory: str | os.PathLike[str], *, overwrite: bool) -> Ledger:
    """Write an ensemble, or nothing, and give its ledger, bound to its file; see `TeacherEnsemble.save`."""
    target = Path(directory)
    old = _old_index(target, overwrite=overwrite)
    if old is None:
        with draft_of(target, allowed=lambda: _old_index(target, overwrite=False)) as draft:
            draft.chmod(0o700)
            _write_index(draft, _write_members(draft, parts), parts, final=target)
    else:
        require_counted(ledger_file(target, old), parts.ledger)
        described = _write_members(target, parts)
        try:
            _write_index(target, described, parts, final=target)
        except BaseException:
            _remove(target, described["sha256"])
            raise
        _remove(target, old["sha256"])
    return Ledger.open(ledger_file(target, read_index(target)))


def read_ensemble(
    directory: str | os.PathLike[str], *, make_model: MakeModel | None, trusted: Collection[str], ledger: Ledger | None
) -> EnsembleParts:
    """The ensemble in a folder, its ledger bound to its file; see `TeacherEnsemble.load`."""
    folder = Path(directory)
    put_back(folder)
    index = read_index(folder)
    manifest, shape, size = stated_facts(index, where=folder / ENSEMBLE)
    digests = index["sha256"]
    for name, digest in digests.items():
        _require_unchanged(folder, name, digest)
    members = tuple(
        read_member(
            stored,
            folder,
            listed=digests,
            classes=manifest.classes,
            input_shape=shape,
            make_model=make_model,
            trusted=trusted,
        )
        for stored in index["members"]
    )
    return EnsembleParts(
        members, manifest, shape, opened_ledger(folder, index, ledger), _rows(folder, index, digests), size
    )


def _write_members(folder: Path, parts: EnsembleParts) -> dict[str, Any]:
    """Write every member and the digests under names of their own, and return how the index describes them."""
    mark = secrets.token_hex(4)
    written: list[str] = []
    members: list[dict[str, Any]] = []
    unknown: set[str] = set()
    try:
        for number, member in enumerate(parts.members):
            stored, types = write_member(member, folder, f"{mark}-{number:04d}")
            members.append(stored)
            written += [stored["file"]] if "file" in stored else []
            unknown |= set(types)
        if parts.rows is not None:
            written.append(f"{mark}-rows.bin")
            write_bytes(folder / written[-1], parts.rows.to_bytes())
        for name in written:
            (folder / name).chmod(0o600)
            with (folder / name).open("rb") as file:
                os.fsync(file.fileno())
    except BaseException:
        _remove(folder, [path.name for path in folder.glob(f"{mark}-*")])
        raise
    _tell_needs({stored["class"] for stored in members if "class" in stored} - set(DECLARABLE), unknown)
    rows = None if parts.rows is None else written[-1]
    return {"members": members, "rows": rows, "sha256": {name: sha256_of(folder / name) for name in written}}


def _tell_needs(classes: set[str], types: set[str]) -> None:
    """Say when saving what loading will need."""
    if classes:
        warnings.warn(
            f"members of the class {', '.join(sorted(classes))} cannot be described as data: load the folder with "
            "TeacherEnsemble.load(directory, make_model=...), or privkd transcribe --model module:function",
            stacklevel=5,
        )
    if types:
        warnings.warn(
            f"skops does not trust the types {', '.join(sorted(types))}: load the folder with "
            f"TeacherEnsemble.load(directory, trusted={sorted(types)!r}); for the command line, in a function that you give as "
            "--teacher module:function",
            stacklevel=5,
        )


def _write_index(folder: Path, described: dict[str, Any], parts: EnsembleParts, *, final: Path) -> None:
    """The index, after the ledger where that has no file yet. From now on the folder holds this ensemble."""
    bound = parts.ledger.path
    if bound is None:
        parts.ledger.save(folder / LEDGER)
    parts.ledger.refresh()
    is_own = bound is None or bound.resolve() == (final / LEDGER).resolve()
    index = {
        "schema": SCHEMA,
        "read_me": READ_ME,
        "manifest": parts.manifest.to_dict(),
        "input_shape": list(parts.input_shape),
        **described,
        "size": parts.size,
        "ledger": LEDGER if is_own else str(cast(Path, bound).resolve()),
        "ledger_head": parts.ledger.digest,
    }
    write_json(folder / ENSEMBLE, index, at_most=MOST_BYTES)
    for name in (ENSEMBLE, LEDGER) if is_own else (ENSEMBLE,):
        with suppress(OSError):  # the index stands; the folder itself is closed to others
            (folder / name).chmod(0o600)


def _old_index(target: Path, *, overwrite: bool) -> dict[str, Any] | None:
    """The index of the ensemble that is to be replaced; None where there is nothing."""
    if not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir())):
        return None
    if not target.is_dir() or not is_ensemble(target):
        raise FileExistsError(f"{target} exists and holds no ensemble; choose another folder")
    if not overwrite:
        raise FileExistsError(f"{target} exists; choose another folder, or pass overwrite=True to replace the ensemble")
    return read_index(target)


def _rows(folder: Path, index: dict[str, Any], digests: Collection[str]) -> RowDigests | None:
    name = index["rows"]
    if name is None:
        return None
    if not isinstance(name, str) or name not in digests:
        raise CheckpointError(f"{folder / ENSEMBLE}: the file rows={name!r} has no checksum")
    try:
        with opened(folder / name) as file:
            return RowDigests.from_bytes(file.read())
    except ValueError as error:
        raise CheckpointError(f"{folder / name}: {error}") from error


def _require_unchanged(folder: Path, name: str, digest: object) -> None:
    if Path(name).name != name:
        raise CheckpointError(f"{folder / ENSEMBLE} names {name!r}, which is no file of the folder itself")
    require_file(folder / name)
    if sha256_of(folder / name) != digest:
        raise CheckpointError(f"{folder / name} was changed after the ensemble was saved (sha256 differs)")


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Delete files of an ensemble that is no more; what cannot be deleted harms nobody."""
    for name in names:
        if Path(name).name == name:
            with suppress(OSError):
                (folder / name).unlink()
