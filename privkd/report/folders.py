"""A report from what lies in a folder: no file is believed about privacy before it is proven again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from privkd import __version__
from privkd.errors import CheckpointError, PrivkdError
from privkd.release import read_config, read_release, read_run
from privkd.report.evidence import proven, release_of
from privkd.report.samples import samples_of
from privkd.report.study import Release, Result, Samples, Study
from privkd.report.writing import JSON_NAME, write_report
from privkd.scopes import Scope

_PARTS = ("certificate.json", "config.json", "ledger.json", "student.safetensors")
_MAX_JSON = 64 * 2**20
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError)  # what damaged files cause
_UNPROVEN = "no release in this folder proves a guarantee"


def report_of(directory: str | os.PathLike[str]) -> Study:
    """Verify every transcription in a folder and write its report (again).

    Certificates are recomputed from the ledgers. Accuracies cannot be: they are taken from an earlier
    `report.json` of the folder, if there is one, with every privacy number in it replaced by the verified
    one.

    Args:
        directory: a saved transcription, or a folder of them.

    Returns:
        What the report says; `problems` lists the releases whose claims do not hold.

    Raises:
        CheckpointError: no transcription is there, or `report.json` cannot be read.
        OSError: the folder cannot be read or written.
    """
    folder = Path(directory)
    recorded = _recorded(folder / JSON_NAME)
    found = _folders(folder)
    if not found:
        raise CheckpointError(
            f"no saved transcription in {folder} or its sub-folders; privkd.transcribe(...).save(directory) writes one"
        )
    pairs = [_read_release(path.name if path != folder else ".", path) for path in found]
    releases = _ordered([release for release, _ in pairs], recorded)
    samples = recorded.samples or next((made for _, made in pairs if made is not None), None)
    study = replace(
        recorded,
        results=_results(recorded.results, releases),
        releases=releases,
        samples=samples,
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        library_version=__version__,
    )
    write_report(folder, study)
    return study


def _folders(folder: Path) -> list[Path]:
    """The folder itself and its visible sub-folders, where at least one file of a transcription lies."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in (folder, *inside) if any((path / part).exists() for part in _PARTS)]


def _read_release(name: str, path: Path) -> tuple[Release, Samples | None]:
    from privkd import load

    try:
        unread = _without_weights(name, path)
        if unread is not None:
            return unread, None
        transcription = load(path)
        return release_of(name, transcription), samples_of(transcription)
    except (PrivkdError, *_UNREADABLE) as error:
        return _missing(name, "unknown", f"{type(error).__name__}: {error}"), None


def _without_weights(name: str, path: Path) -> Release | None:
    """A run that has released no student yet, or a student that only its owner can build; both verified."""
    run = read_run(path)
    if run is not None:
        remark = "; of a run, and no student is released in this folder: history.release().save(directory) writes one"
        return proven(name, "private-training", run.certificate, run.ledger, remark=remark)
    student = read_config(path).get("student")
    if not isinstance(student, Mapping) or student.get("architecture") != "foreign":
        return None
    files = read_release(path)
    remark = f"; weights not read: privkd.load('{path.name}', student=...) checks {student.get('class')}"
    return proven(name, str(files.config.get("method")), files.certificate, files.ledger, remark=remark)


def _ordered(found: list[Release], recorded: Study) -> tuple[Release, ...]:
    """The releases in the order of the earlier report; one that is gone stays visible."""
    by_name = {release.name: release for release in found}
    old = [by_name.pop(old.name, None) or _missing(old.name, old.method) for old in recorded.releases]
    return (*old, *by_name.values())


def _missing(name: str, method: str, problem: str = "its folder is not here any more") -> Release:
    return Release(name=name, method=method, certificate=None, charges=(), digest="", verified="", problem=problem)


def _recorded(path: Path) -> Study:
    """What an earlier report said, or an empty study."""
    if not path.exists():
        return Study(
            title=f"Privacy report of {path.parent.resolve().name}",
            summary="Every certificate below was recomputed from its ledger when this page was made.",
        )
    try:
        return Study.from_dict(_read_json(path))
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} cannot be read: {error}. Move it away to make a report without it") from error


def _results(recorded: tuple[Result, ...], releases: tuple[Release, ...]) -> tuple[Result, ...]:
    """The recorded rows with verified privacy numbers, and a row for every release that has none."""
    by_name = {release.name: release for release in releases}
    rows = [_reconciled(row, by_name.get(row.name)) for row in recorded]
    rowless = [release for release in releases if release.name not in {row.name for row in recorded}]
    empty = {"scope": "none", "epsilon": None, "delta": None, "accuracy": None}
    return (*rows, *(_reconciled(Result(name=r.name, method=r.method, **empty), r) for r in rowless))


def _reconciled(row: Result, release: Release | None) -> Result:
    if release is None and row.scope == Scope.NONE and row.epsilon is None:
        return row
    if release is None or release.problem or release.certificate is None:
        note = f"{_UNPROVEN} for this row. {row.note}".strip()
        return replace(row, scope="none", epsilon=None, delta=None, ceiling=None, note=note)
    claim = release.certificate
    epsilon = None if claim["epsilon"] == "inf" else float(claim["epsilon"])
    return replace(row, scope=str(claim["scope"]), epsilon=epsilon, delta=float(claim["delta"]))


def _read_json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _MAX_JSON:
        raise CheckpointError(f"{path} is larger than {_MAX_JSON} bytes, which no report needs")
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise CheckpointError(f"{path} holds {type(values).__name__}, not an object")
    return values
