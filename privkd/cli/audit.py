"""`privkd audit`: prove or refute the claims of a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privkd.cli.output import FALSE, emit, refusals

if TYPE_CHECKING:
    from accountants import Ledger


def audit(
    ledger: Annotated[Path, typer.Argument(help="a ledger.json, or the folder of a release")],
    opinions: Annotated[
        list[str],
        typer.Option(
            "--with", help="also ask prv-accountant or dp-accounting, where they are known to be right; or none"
        ),
    ] = ["none"],  # noqa: B006  typer never changes it
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Recompute what a ledger's events cost and judge every claim in it; for a folder, its certificate as well.

    Exit codes: 0 every claim is proven, 1 a claim is false or void (the events are not what the data loader did, or a
    leak is disclosed), 2 a claim is neither proven nor refuted, 3 the ledger is damaged, edited or cannot be accounted
    (the entry is named).

    In Python: accountants.audit(accountants.Ledger.read(path), opinions=["prv-accountant"])
    """
    with refusals():
        from accountants import Ledger
        from accountants import audit as judge
        from privkd.progress import working

        path = _ledger_file(ledger)
        events = Ledger.read(path)
        with working(f"recomputing the {len(events.events)} charges"):
            found = judge(events, opinions=[name for name in opinions if name != "none"])
        holds, said = _certificate(path.with_name("certificate.json") if ledger.is_dir() else None, events)
    values = {"ledger": str(path), **found.to_dict(), "certificate": {"holds": holds, "finding": said}}
    rows = [
        *(("claim", str(verdict)) for verdict in found.verdicts),
        *(("opinion", str(opinion)) for verdict in found.verdicts for opinion in verdict.opinions),
        *(("error", error) for error in found.errors),
        ("certificate", said),
        *(("flag", flag) for flag in found.flags),
        ("digest", found.digest),
    ]
    emit(values, as_json=as_json, title=str(path), rows=rows)
    raise typer.Exit(FALSE if holds is False and found.exit_code == 0 else found.exit_code)


def _certificate(path: Path | None, ledger: Ledger) -> tuple[bool | None, str]:
    """Whether the certificate beside a ledger follows from it (None: not checked), and what to say about it."""
    from accountants.ledger.storage import read_document
    from privkd.certificate import Certificate
    from privkd.errors import CertificateError

    if path is None or not path.is_file():
        return None, "not checked: give the folder of a release, which holds certificate.json beside the ledger"
    try:
        certificate = Certificate.from_dict(read_document(path), ledger)
        return True, f"holds, recomputed {certificate.verify()}: {certificate}"
    except CertificateError as error:
        return False, f"does NOT hold: {error}"


def _ledger_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if (path / "ledger.json").is_file():
        return path / "ledger.json"
    inside = sorted(str(found) for found in path.glob("*/ledger.json"))
    hint = f"there are {', '.join(inside[:5])}" if inside else "privkd transcribe --out writes one"
    raise FileNotFoundError(f"{path} is a folder without ledger.json; {hint}")
