"""`privkd report`: verify every release in a folder and write its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privkd.cli.output import FALSE, Json, emit, refusals

if TYPE_CHECKING:
    from privkd.report import Release


def report(
    directory: Annotated[Path, typer.Argument(help="a saved release, or a folder of them")],
    epsilon: Annotated[
        float | None,
        typer.Option(help="largest epsilon at which a student is recommended; default: the earlier report's, or 3"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify every certificate in a folder and write report.html and report.json there.

    Accuracies and texts of an earlier report.json are shown as its author's; everything about privacy is recomputed.

    Exit codes: 0 every certificate was proven again from its ledger, 1 one was not (the report says which and
    why), 3 nothing was found or the folder cannot be read.

    In Python: privkd.report.report_of(directory, epsilon=epsilon)
    """
    with refusals():
        from privkd.report import report_of, verdict_of

        study = report_of(directory, epsilon=epsilon)
        verdict = verdict_of(study)
    page = directory / "report.html"
    releases = [{"name": r.name, "verified": r.verified, "problem": r.problem, "void": r.void} for r in study.releases]
    best = verdict.recommended.name if verdict.recommended is not None else None
    rows = [
        ("verdict", verdict.headline),
        *(("", line.text) for line in verdict.lines),
        ("recommended", " ".join((best or "none", *(f"({reason})" for reason in verdict.reasons)))),
        *((r.name, _said(r)) for r in study.releases),
    ]
    values = {"report": str(page), "verdict": verdict.headline, "recommended": best, "releases": releases}
    emit(values, as_json=as_json, title=f"Report: {page}", rows=rows)
    raise typer.Exit(FALSE if study.problems else 0)


def _said(release: Release) -> str:
    if release.problem:
        return f"NOT VERIFIED: {release.problem}"
    return f"VOID: {release.void}" if release.void else f"epsilon in {release.verified}"
