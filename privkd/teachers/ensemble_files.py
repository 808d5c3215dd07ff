"""An ensemble as a folder: as private as the records that its teachers saw, and never forgetting what was released.

`ensemble.json` (schema `privkd.ensemble/1`) names every other file with its checksum; it is written last, by a rename, so
that a folder holds the old ensemble or the new one. Torch members are safetensors, scikit-learn members are `skops` files;
nothing is pickled. `ledger.json` counts the releases: a loaded ensemble is bound to it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from accountants import Ledger, check
from accountants.errors import LedgerError
from accountants.ledger.chain import LISTS
from privkd.errors import CheckpointError
from privkd.teachers.member_files import read_member, write_member
from privkd.teachers.shard_training import Member
from privkd.teachers.sharding import Manifest
from privkd.teachers.sidecar import read_object, require_file, sha256_of

SCHEMA = "privkd.ensemble/1"
INDEX, LEDGER = "ensemble.json", "ledger.json"
_MOST = 64 * 1024 * 1024  # bytes of the index: thousands of members with their layers
_FIELDS = ("schema", "read_me", "manifest", "input_shape", "members", "sha256", "ledger", "ledger_head")
_READ_ME = (
    "PRIVATE. These teachers remember their training records: keep this folder as you keep the records, and publish nothing of "
    "it. ledger.json counts everything that was released from these records: keep it with the folder, use no older copy of it."
)


@dataclass(frozen=True, slots=True)
class EnsembleParts:
    """What a folder holds.

    Attributes:
        members: the teachers.
        manifest: public facts about the shards.
        input_shape: shape of one input.
        ledger: bound to its file.
    """

    members: tuple[Member, ...]
    manifest: Manifest
    input_shape: tuple[int, ...]
    ledger: Ledger


def is_ensemble(directory: str | os.PathLike[str]) -> bool:
    """Whether a folder has the index of an ensemble; nothing of it is read."""
    return (Path(directory) / INDEX).is_file()


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
    if old is not None:
        _require_counted(_ledger_file(target, old), parts.ledger)
        _write_into(target, parts, final=target)
        _remove_members(target, old)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.parent / f".{target.name}.{secrets.token_hex(4)}.tmp"
        try:
            draft.mkdir(mode=0o700)
            _write_into(draft, parts, final=target)
            draft.rename(target)  # refused by the system if somebody has put something there meanwhile
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _sync(target.parent)
    return Ledger.open(_ledger_file(target, read_object(target / INDEX, most=_MOST)))


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
    index = _index_of(folder)
    try:
        manifest, shape = _manifest(index["manifest"]), _shape(index["input_shape"])
        digests = dict(index["sha256"])
        if len(index["members"]) != manifest.teachers:
            raise ValueError(f"{len(index['members'])} members are listed for teachers={manifest.teachers}")
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{folder / INDEX}: {error}") from error
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
    return EnsembleParts(members, manifest, shape, _opened(folder, index, ledger))


def _write_into(folder: Path, parts: EnsembleParts, *, final: Path) -> None:
    """Members into a new folder of their own, the ledger where it is not bound elsewhere, the index last."""
    inner = folder / f"members-{secrets.token_hex(4)}"
    inner.mkdir(mode=0o700)
    members = [
        write_member(member, folder, f"{inner.name}/{number:04d}") for number, member in enumerate(parts.members)
    ]
    shared = parts.ledger.path
    is_own = shared is None or shared.resolve() == (final / LEDGER).resolve()
    if shared is None:
        parts.ledger.save(folder / LEDGER)
    parts.ledger.refresh()
    index = {
        "schema": SCHEMA,
        "read_me": _READ_ME,
        "manifest": parts.manifest.to_dict(),
        "input_shape": list(parts.input_shape),
        "members": members,
        "sha256": {str(path.relative_to(folder)): sha256_of(path) for path in sorted(inner.iterdir())},
        "ledger": LEDGER if is_own else str(shared.resolve()),
        "ledger_head": parts.ledger.digest,
    }
    draft = folder / f".{INDEX}.{secrets.token_hex(4)}"
    draft.write_text(json.dumps(index, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for path in (*inner.iterdir(), draft):
        path.chmod(0o600)
        _sync(path)
    _sync(inner)
    os.replace(draft, folder / INDEX)
    _sync(folder)


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
    if index["ledger_head"] not in _heads(ledger):
        raise LedgerError(
            f"{path} lacks entries that were there when the ensemble was saved: an older copy, or another ledger"
        )
    return ledger


def _ledger_file(folder: Path, index: dict[str, Any]) -> Path:
    return folder / str(index["ledger"])  # an absolute path stays what it is


def _index_of(folder: Path) -> dict[str, Any]:
    index = read_object(folder / INDEX, most=_MOST)
    if index.get("schema") != SCHEMA:
        raise CheckpointError(f"{folder / INDEX} has schema {index.get('schema')!r}; this version reads {SCHEMA!r}")
    unknown, missing = sorted(set(index) - set(_FIELDS)), sorted(set(_FIELDS) - set(index))
    if unknown or missing:
        raise CheckpointError(f"{folder / INDEX} has unknown fields {unknown} and lacks {missing}")
    return index


def _manifest(values: dict[str, Any]) -> Manifest:
    manifest = Manifest(**values)
    check.integer(teachers=manifest.teachers, at_least=2)
    check.integer(records=manifest.records, at_least=manifest.teachers)
    check.integer(classes=manifest.classes, at_least=2)
    return manifest


def _shape(sides: list[int]) -> tuple[int, ...]:
    for side in sides:
        check.integer(input_shape=side, at_least=1)
    return tuple(sides)


def _require_unchanged(folder: Path, name: str, digest: object) -> None:
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise CheckpointError(f"{folder / INDEX} names {name!r}, which lies outside the folder")
    require_file(path)
    if sha256_of(path) != digest:
        raise CheckpointError(f"{path} was changed after the ensemble was saved (sha256 differs)")


def _remove_members(folder: Path, index: dict[str, Any]) -> None:
    for inner in {Path(name).parts[0] for name in index["sha256"]}:
        if inner.startswith("members-"):
            shutil.rmtree(folder / inner, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
