"""The index of an ensemble's folder, `ensemble.json`, and the ledger that it names, of which no release may be forgotten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast

from accountants import Ledger, check
from accountants.errors import LedgerError
from accountants.ledger.chain import LISTS
from privkd.certificates.release_folder import ENSEMBLE
from privkd.data.labels import declared_classes
from privkd.errors import CheckpointError
from privkd.storage import read_json
from privkd.teachers.fitting import counting_ledger
from privkd.teachers.shards import Manifest

LEDGER = "ledger.json"
SCHEMA = "privkd.ensemble/1"
MOST_BYTES = 64 * 2**20  # bytes of the index: thousands of members with their layers
_FIELDS = (
    *("schema", "read_me", "manifest", "input_shape", "members", "rows", "size"),
    *("sha256", "ledger", "ledger_head"),
)
READ_ME = (
    "PRIVATE. These teachers remember their training records: keep this folder as you keep the records, and publish nothing of "
    "it. The ledger counts what was released from these records: never put an older copy of it in its place."
)


def is_ensemble(directory: str | os.PathLike[str]) -> bool:
    """Whether a folder has the index of an ensemble; nothing of it is read."""
    return (Path(directory) / ENSEMBLE).is_file()


def read_index(folder: Path) -> dict[str, Any]:
    """The index of a folder, with the kinds of its fields checked.

    Raises:
        CheckpointError: missing, damaged, of another schema, a field missing, unknown or of another kind.
    """
    try:
        index = read_json(folder / ENSEMBLE, dict, at_most=MOST_BYTES)
    except FileNotFoundError:
        raise CheckpointError(f"{folder / ENSEMBLE} is missing: not a folder that TeacherEnsemble.save wrote") from None
    if index.get("schema") != SCHEMA:
        raise CheckpointError(f"{folder / ENSEMBLE} has schema {index.get('schema')!r}; this version reads {SCHEMA!r}")
    unknown, missing = sorted(set(index) - set(_FIELDS)), sorted(set(_FIELDS) - set(index))
    if unknown or missing:
        raise CheckpointError(f"{folder / ENSEMBLE} has unknown fields {unknown} and lacks {missing}")
    for name, kind in (("members", list), ("sha256", dict), ("manifest", dict), ("input_shape", list), ("ledger", str)):
        if not isinstance(index[name], kind):
            raise CheckpointError(f"{folder / ENSEMBLE}: {name} must be a JSON {kind.__name__}")
    return index


def stated_facts(index: dict[str, Any], *, where: Path) -> tuple[Manifest, tuple[int, ...], float | None]:
    """The manifest, the shape of one input and the typical size of the private rows, if known.

    Raises:
        CheckpointError: one of them is impossible.
    """
    try:
        manifest, shape, size = _manifest(index["manifest"]), tuple(index["input_shape"]), index["size"]
        for side in shape:
            check.integer(input_shape=side, at_least=1)
        if size is not None:
            check.real(size=size, at_least=0.0)
        if len(index["members"]) != manifest.teachers:
            raise ValueError(f"{len(index['members'])} members are listed for teachers={manifest.teachers}")
    except (TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{where}: {error}") from error
    return manifest, shape, size


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


def require_counted(path: Path, ledger: Ledger) -> None:
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


def opened_ledger(folder: Path, index: dict[str, Any], given: Ledger | None) -> Ledger:
    """The ledger of an ensemble that is read, or the given one, with every entry that was there when it was saved."""
    path = ledger_file(folder, index)
    if given is None and not path.is_file():
        raise LedgerError(
            f"{path}, the ledger of this ensemble, is missing; without it, what was released before is unknown. Put it back, "
            "or pass ledger=Ledger.open(...) where it has moved"
        )
    ledger = given if given is not None else Ledger.open(path)
    ledger.refresh()
    try:
        counting_ledger(ledger, records=index["manifest"]["records"])
    except ValueError as error:
        raise LedgerError(f"{path} does not count this ensemble: {error}") from error
    if index["ledger_head"] not in _heads(ledger):
        raise LedgerError(
            f"{path} lacks entries that were there when the ensemble was saved: an older copy, or another ledger"
        )
    return ledger


def ledger_file(folder: Path, index: dict[str, Any]) -> Path:
    """Where the ledger lies."""
    return folder / str(index["ledger"])  # an absolute path stays what it is
