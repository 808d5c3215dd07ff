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
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from accountants import Ledger, check
from accountants.errors import LedgerError
from accountants.ledger.chain import LISTS
from privkd.certificates.other_releases import require_ledger
from privkd.certificates.release_folder import ENSEMBLE
from privkd.data.labels import declared_classes
from privkd.errors import CheckpointError
from privkd.storage import draft_of, opened, put_back, read_json, sha256_of, write_bytes, write_json
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.files.description import require_file
from privkd.teachers.files.members import read_member, write_member
from privkd.teachers.files.weights import DECLARABLE
from privkd.teachers.member import Member
from privkd.teachers.row_digests import RowDigests
from privkd.teachers.shards import Manifest

SCHEMA = "privkd.ensemble/1"
_INDEX, _LEDGER = ENSEMBLE, "ledger.json"
_MOST = 64 * 2**20  # bytes of the index: thousands of members with their layers
_FIELDS = (
    *("schema", "read_me", "manifest", "input_shape", "members", "rows", "size"),
    *("sha256", "ledger", "ledger_head"),
)
_READ_ME = (
    "PRIVATE. These teachers remember their training records: keep this folder as you keep the records, and publish nothing of "
    "it. The ledger counts what was released from these records: never put an older copy of it in its place."
)


@dataclass(frozen=True, slots=True)
class EnsembleParts:
    """What a folder holds.

    Attributes:
        members: the teachers.
        manifest: public facts about the shards.
        input_shape: shape of one input.
        ledger: counts every release of the teachers.
        rows: digests of the private rows, if known.
        size: typical size of the private rows, if known (`privkd.data.ranges`).
    """

    members: tuple[Member, ...]
    manifest: Manifest
    input_shape: tuple[int, ...]
    ledger: Ledger
    rows: RowDigests | None
    size: float | None


def is_ensemble(directory: str | os.PathLike[str]) -> bool:
    """Whether a folder has the index of an ensemble; nothing of it is read."""
    return (Path(directory) / _INDEX).is_file()


def write_ensemble(parts: EnsembleParts, directory: str | os.PathLike[str], *, overwrite: bool) -> Ledger:
    """Write an ensemble, or nothing. The folder gets mode 0700.

    Args:
        parts: the ensemble.
        directory: the folder to make.
        overwrite: whether an ensemble there may be replaced.

    Returns:
        The ledger bound to its file: in the folder, or where the given one is bound to already.

    Raises:
        FileExistsError: something is there, and `overwrite` is not set or it is no ensemble.
        LedgerError: the ensemble there was charged for releases that this ledger does not count.
        TypeError: a member cannot be written.
    """
    target = Path(directory)
    old = _old_index(target, overwrite=overwrite)
    if old is None:
        with draft_of(target, allowed=lambda: _old_index(target, overwrite=False)) as draft:
            draft.chmod(0o700)
            _write_index(draft, _write_members(draft, parts), parts, final=target)
    else:
        _require_counted(_ledger_file(target, old), parts.ledger)
        described = _write_members(target, parts)
        try:
            _write_index(target, described, parts, final=target)
        except BaseException:
            _remove(target, described["sha256"])
            raise
        _remove(target, old["sha256"])
    return Ledger.open(_ledger_file(target, _index_of(target)))


def read_ensemble(
    directory: str | os.PathLike[str],
    *,
    make_model: Callable[[], Any] | None,
    trusted: Collection[str],
    ledger: Ledger | None,
) -> EnsembleParts:
    """The ensemble in a folder, its ledger bound to its file.

    Args:
        directory: a folder that `write_ensemble` made.
        make_model: builds a fresh network for members of a class that privkd does not build itself.
        trusted: names of types in `skops` files that may be built, beside those that skops trusts.
        ledger: the shared ledger, where the folder has none of its own and the file has moved.

    Raises:
        CheckpointError: a file is missing, changed or damaged, or a member needs `make_model` or `trusted`.
        LedgerError: the ledger is damaged, or lacks releases that the folder knows of.
    """
    folder = Path(directory)
    put_back(folder)
    index = _index_of(folder)
    try:
        manifest, shape = _manifest(index["manifest"]), _shape(index["input_shape"])
        digests, size = dict(index["sha256"]), _size(index["size"])
        if len(index["members"]) != manifest.teachers:
            raise ValueError(f"{len(index['members'])} members are listed for teachers={manifest.teachers}")
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / _INDEX}: {error}") from error
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
    return EnsembleParts(members, manifest, shape, _opened(folder, index, ledger), _rows(folder, index, digests), size)


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
        parts.ledger.save(folder / _LEDGER)
    parts.ledger.refresh()
    is_own = bound is None or bound.resolve() == (final / _LEDGER).resolve()
    index = {
        "schema": SCHEMA,
        "read_me": _READ_ME,
        "manifest": parts.manifest.to_dict(),
        "input_shape": list(parts.input_shape),
        **described,
        "size": parts.size,
        "ledger": _LEDGER if is_own else str(cast(Path, bound).resolve()),
        "ledger_head": parts.ledger.digest,
    }
    write_json(folder / _INDEX, index, at_most=_MOST)
    for name in (_INDEX, _LEDGER) if is_own else (_INDEX,):
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
    return _index_of(target)


def _require_counted(path: Path, ledger: Ledger) -> None:
    """Refuse to replace an ensemble whose releases the new ledger does not count: they would be forgotten."""
    if ledger.path is not None and ledger.path.resolve() == path.resolve():
        return
    if not path.exists():
        raise LedgerError(
            f"{path} is missing: what was released from the ensemble there is unknown. Remove the folder yourself"
        )
    old = Ledger.read(path)
    if (old.charges or old.disclosed) and old.digest not in _heads(ledger):
        raise LedgerError(
            f"{path} counts {len(old.charges)} charges that the ledger of this ensemble does not know, and they would be "
            "forgotten. Fit with ledger=Ledger.open(...), one for everything that is done to these records; or save to "
            "another folder"
        )


def _heads(ledger: Ledger) -> set[str]:
    """Every digest that the ledger has had: each entry carries its own hash and the one before."""
    document = ledger.to_dict()
    entries = [entry for name in LISTS for entry in cast(list[dict[str, str]], document[name])]
    return {ledger.digest, *(entry[side] for entry in entries for side in ("hash", "previous"))}


def _opened(folder: Path, index: dict[str, Any], given: Ledger | None) -> Ledger:
    path = _ledger_file(folder, index)
    if given is None and not path.is_file():
        raise LedgerError(
            f"{path}, the ledger of this ensemble, is missing; without it, what was released before is unknown. Put it back, "
            "or pass ledger=Ledger.open(...) where it has moved"
        )
    ledger = given if given is not None else Ledger.open(path)
    ledger.refresh()
    try:
        records = index["manifest"]["records"]
        require_ledger(ledger, adjacency=TeacherEnsemble.adjacency, unit="training-record", n=records)
    except ValueError as error:
        raise LedgerError(f"{path} does not count this ensemble: {error}") from error
    if index["ledger_head"] not in _heads(ledger):
        raise LedgerError(
            f"{path} lacks entries that were there when the ensemble was saved: an older copy, or another ledger"
        )
    return ledger


def _ledger_file(folder: Path, index: dict[str, Any]) -> Path:
    return folder / str(index["ledger"])  # an absolute path stays what it is


def _index_of(folder: Path) -> dict[str, Any]:
    try:
        index = read_json(folder / _INDEX, dict, at_most=_MOST)
    except FileNotFoundError:
        raise CheckpointError(f"{folder / _INDEX} is missing: not a folder that TeacherEnsemble.save wrote") from None
    if index.get("schema") != SCHEMA:
        raise CheckpointError(f"{folder / _INDEX} has schema {index.get('schema')!r}; this version reads {SCHEMA!r}")
    unknown, missing = sorted(set(index) - set(_FIELDS)), sorted(set(_FIELDS) - set(index))
    if unknown or missing:
        raise CheckpointError(f"{folder / _INDEX} has unknown fields {unknown} and lacks {missing}")
    for name, kind in (("members", list), ("sha256", dict), ("manifest", dict), ("input_shape", list), ("ledger", str)):
        if not isinstance(index[name], kind):
            raise CheckpointError(f"{folder / _INDEX}: {name} must be a JSON {kind.__name__}")
    return index


def _manifest(values: dict[str, Any]) -> Manifest:
    read: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    manifest = Manifest(**read)
    check.integer(teachers=manifest.teachers, at_least=2)
    check.integer(records=manifest.records, at_least=manifest.teachers)
    check.integer(classes=manifest.classes, at_least=2)
    for name in ("keyed", "declared_classes"):
        if not isinstance(values[name], bool):
            raise TypeError(f"{name}={values[name]!r} must be true or false")
    if manifest.labels is not None and declared_classes(manifest.labels).count != manifest.classes:
        raise ValueError(f"{len(manifest.labels)} labels for classes={manifest.classes}")
    if not isinstance(manifest.shards_hash, str):
        raise TypeError(f"shards_hash={manifest.shards_hash!r} must be text")
    return manifest


def _shape(sides: list[int]) -> tuple[int, ...]:
    for side in sides:
        check.integer(input_shape=side, at_least=1)
    return tuple(sides)


def _size(value: Any) -> float | None:
    if value is not None:
        check.real(size=value, at_least=0.0)
    return value


def _rows(folder: Path, index: dict[str, Any], digests: Collection[str]) -> RowDigests | None:
    name = index["rows"]
    if name is None:
        return None
    if not isinstance(name, str) or name not in digests:
        raise CheckpointError(f"{folder / _INDEX}: the file rows={name!r} has no checksum")
    try:
        with opened(folder / name) as file:
            return RowDigests.from_bytes(file.read())
    except ValueError as error:
        raise CheckpointError(f"{folder / name}: {error}") from error


def _require_unchanged(folder: Path, name: str, digest: object) -> None:
    if Path(name).name != name:
        raise CheckpointError(f"{folder / _INDEX} names {name!r}, which is no file of the folder itself")
    require_file(folder / name)
    if sha256_of(folder / name) != digest:
        raise CheckpointError(f"{folder / name} was changed after the ensemble was saved (sha256 differs)")


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Delete files of an ensemble that is no more; what cannot be deleted harms nobody."""
    for name in names:
        if Path(name).name == name:
            with suppress(OSError):
                (folder / name).unlink()
