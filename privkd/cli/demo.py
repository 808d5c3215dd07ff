"""`privkd demo`: the main job on bundled real data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privkd.cli.output import refusals, show_table


def demo(
    out: Annotated[Path, typer.Option(help="folder for the students and the report")] = Path("out/demo"),
    seed: Annotated[int, typer.Option(help="of the data split and of public randomness; noise is never seeded")] = 0,
) -> None:
    """Transcribe teachers of handwritten digits under several guarantees, and write a report to open.

    Needs no network and less than two minutes on two cores.

    In Python: privkd.cli.digits_demo.run_demo(out, seed=seed)
    """
    with refusals():
        from privkd.certificates.scopes import percent_up
        from privkd.cli.digits_demo import run_demo
        from privkd.report import verdict_of
        from privkd.report.wording import protection, upward

        study = run_demo(out, seed=seed)
    rows = [
        (
            row.method,
            protection(row.scope).badge,
            upward(row.epsilon) if row.epsilon is not None else "-",
            f"{row.accuracy:.1%}" if row.accuracy is not None else "-",
            percent_up(row.ceiling) if row.ceiling is not None else "-",
        )
        for row in study.results
    ]
    show_table(study.title, ("student", "guarantee", "epsilon", "accuracy", "ceiling"), rows)
    verdict = verdict_of(study)
    typer.echo(f"{verdict.headline}.")
    for line in verdict.lines:
        typer.echo(f"- {line.text}")
    best = verdict.recommended
    if best is not None and best.certificate is not None:
        typer.echo(
            f"\nRecommended: {best.name}. {' '.join(verdict.reasons)}\nIts certificate: {best.certificate['sentence']}"
        )
    typer.echo("")
    for note in study.notes:
        typer.echo(f"- {note}")
    typer.echo(f"\nReport: {out / 'report.html'}")
