"""`privkd report`: verify every release in a folder and write its report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privkd.cli.output import FALSE, emit, refusals


def report(
    directory: Annotated[Path, typer.Argument(help="a saved transcription, or a folder of them")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Verify every certificate in a folder and write report.html and report.json there.

    Exit codes: 0 every certificate was proven again from its ledger, 1 one was not (the report says which and
    why), 3 nothing was found or the folder cannot be read.

    In Python: privkd.report.report_of(directory)
    """
    with refusals():
        from privkd.report import report_of

        study = report_of(directory)
    page = directory / "report.html"
    releases = [{"name": r.name, "verified": r.verified, "problem": r.problem} for r in study.releases]
    rows = [
        (r.name, f"epsilon in {r.verified}" if r.verified else f"NOT VERIFIED: {r.problem}") for r in study.releases
    ]
    values = {"report": str(page), "releases": releases}
    emit(values, as_json=as_json, title=f"Report: {page}", rows=rows)
    raise typer.Exit(FALSE if study.problems else 0)
