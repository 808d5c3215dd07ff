"""A report from what lies in a folder: no file is believed about privacy before it is proven again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from accountants import check
from accountants.check import shown
from privkd import __version__
from privkd.certificates.release_folder import read_config, read_release, read_run
from privkd.certificates.scopes import Scope
from privkd.errors import CheckpointError, PrivkdError
from privkd.report.evidence import proven, release_of
from privkd.report.rows import proven_rows
from privkd.report.samples import samples_of
from privkd.report.study import SCHEMA, WANTED_EPSILON, Release, Result, Samples, Study
from privkd.report.visible import visible
from privkd.report.wording import RUN
from privkd.report.writing import JSON_NAME, MAX_JSON, write_report
from privkd.storage import read_json

_PARTS = ("certificate.json", "config.json", "ledger.json", "student.safetensors")
_SCHEMAS = (SCHEMA, "privkd.report/1")
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError)  # what damaged files cause


def report_of(directory: str | os.PathLike[str], *, epsilon: float | None = None) -> Study:
    """Verify every release in a folder and write its report (again).

    Everything that is shown as proven is recomputed from the ledgers now. What cannot be, texts and accuracies, is taken
    from an earlier `report.json` of the folder, if there is one, and shown as words of the folder's author; nothing else in
    that file is read. Characters that cannot be seen are shown as escapes.

    Args:
        directory: a saved release, or a folder of them.
        epsilon: the largest epsilon, nats, > 0, at which a student is recommended; default: that of the earlier report,
            else 3.

    Returns:
        What the report says; `problems` lists the releases whose claims do not hold.

    Raises:
        CheckpointError: no release is there, or `report.json` cannot be read.
        ValueError: epsilon is not positive.
        OSError: the folder cannot be read or written.
    """
    if epsilon is not None:
        check.real(epsilon=epsilon, above=0.0)
    folder = Path(directory)
    recorded = _recorded(folder / JSON_NAME)
    found = _folders(folder)
    if not found:
        raise CheckpointError(
            f"no saved release in {folder} or its sub-folders; privkd.transcribe(...).save(directory) writes one"
        )
    pairs = [_read_release(name, path) for name, path in _named(folder, found).items()]
    releases = _ordered([release for release, _ in pairs], recorded)
    study = replace(
        recorded,
        results=proven_rows(recorded.results, releases),
        releases=releases,
        samples=next((made for _, made in pairs if made is not None), None),
        wanted_epsilon=recorded.wanted_epsilon if epsilon is None else float(epsilon),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        library_version=__version__,
    )
    write_report(folder, study)
    return visible(study)


def _folders(folder: Path) -> list[Path]:
    """The folder itself and its visible sub-folders, where at least one file of a transcription lies."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is not a folder")
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [path for path in (folder, *inside) if any((path / part).exists() for part in _PARTS)]


def _named(folder: Path, found: list[Path]) -> dict[str, Path]:
    """Folders by the names under which they are reported: "." for the folder itself."""
    named = {shown(path.name) if path != folder else ".": path for path in found}
    if len(named) < len(found):
        raise CheckpointError(f"two folders in {shown(folder)} have names that look alike; rename one of them")
    return named


def _read_release(name: str, path: Path) -> tuple[Release, Samples | None]:
    from privkd import load

    try:
        unread = _without_weights(name, path)
        if unread is not None:
            return unread, None
        transcription = load(path)
        return release_of(name, transcription), samples_of(transcription)
    except (PrivkdError, *_UNREADABLE) as error:
        return _missing(name, "unknown", f"{type(error).__name__}: {shown(error)[:2000]}"), None


def _without_weights(name: str, path: Path) -> Release | None:
    """A run that has released no student yet, or a student that only its owner can build; both verified."""
    run = read_run(path)
    if run is not None:
        remark = "; of a run, and no student is released in this folder: history.release().save(directory) writes one"
        return proven(name, RUN, run.certificate, run.ledger, remark=remark)
    student = read_config(path).get("student")
    if not isinstance(student, Mapping) or student.get("architecture") != "foreign":
        return None
    files = read_release(path)
    remark = "; weights compared by their digest, not loaded: "
    remark += f"privkd.load('{path.name}', student=...) checks {student.get('class')}"
    return proven(name, str(files.config.get("method")), files.certificate, files.ledger, remark=remark)


def _ordered(found: list[Release], recorded: Study) -> tuple[Release, ...]:
    """The releases in the order of the earlier report; one that is gone stays visible."""
    by_name = {release.name: release for release in found}
    old = [by_name.pop(old.name, None) or _missing(old.name, old.method) for old in recorded.releases]
    return (*old, *by_name.values())


def _missing(name: str, method: str, problem: str = "its folder is not here any more") -> Release:
    return Release(name=name, method=method, certificate=None, charges=(), digest="", verified="", problem=problem)


def _recorded(path: Path) -> Study:
    """The words of an earlier report, or an empty study. Its numbers on privacy, verdicts and pictures are not read."""
    if not path.exists():
        return Study(title=path.parent.resolve().name, summary="")
    try:
        return _words(read_json(path, dict, at_most=MAX_JSON))
    except _UNREADABLE as error:
        said = shown(error)[:500]
        raise CheckpointError(f"{path} cannot be read: {said}. Move it away to make a report without it") from error


def _words(values: Mapping[str, Any]) -> Study:
    if values.get("schema") not in _SCHEMAS:
        raise ValueError(f"schema={values.get('schema')!r}; this version reads {', '.join(_SCHEMAS)}")
    rows = []
    for row in values["results"]:
        is_plain = not row["name"] and row["scope"] == Scope.NONE and row["epsilon"] is None
        scope = "none" if is_plain else "unproven"  # until a release of that name proves something
        own = {name: row[name] for name in ("name", "method", "accuracy", "note")}
        rows.append(Result(**own, scope=scope, epsilon=None, delta=None))
    return Study(
        title=values["title"],
        summary=values["summary"],
        results=tuple(rows),
        releases=tuple(_missing(release["name"], release["method"]) for release in values["releases"]),
        notes=tuple(values["notes"]),
        not_protected=tuple(values["not_protected"]),
        wanted_epsilon=values.get("wanted_epsilon", WANTED_EPSILON),
    )
