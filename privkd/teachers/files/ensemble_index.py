"""`ensemble.json`, the index of an ensemble's folder: what it may hold."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from accountants import check
from privkd.certificates.release import ENSEMBLE
from privkd.data.labels import declared_classes
from privkd.errors import CheckpointError
from privkd.storage import read_json
from privkd.teachers.shards import Manifest

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
