"""`privkd audit`: prove or refute the claims of a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privkd.cli.output import emit, refusals


def audit(
    ledger: Annotated[Path, typer.Argument(help="a ledger.json, or the folder of a release")],
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Recompute what a ledger's events cost and judge every claim in it.

    Exit codes: 0 every claim is proven, 1 a claim is false, 2 a claim is neither proven nor refuted, 3 the
    ledger is damaged, edited or cannot be accounted (the entry is named).

    In Python: accountants.audit(accountants.Ledger.read(path))
    """
    with refusals():
        from accountants import Ledger
        from accountants import audit as judge

        path = _ledger_file(ledger)
        found = judge(Ledger.read(path))
    values = {"ledger": str(path), **found.to_dict()}
    rows = [
        *(("claim", str(verdict)) for verdict in found.verdicts),
        *(("flag", flag) for flag in found.flags),
        ("digest", found.digest),
    ]
    emit(values, as_json=as_json, title=str(path), rows=rows)
    raise typer.Exit(found.exit_code)


def _ledger_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if (path / "ledger.json").is_file():
        return path / "ledger.json"
    inside = sorted(str(found) for found in path.glob("*/ledger.json"))
    hint = f"there are {', '.join(inside[:5])}" if inside else "privkd transcribe --out writes one"
    raise FileNotFoundError(f"{path} is a folder without ledger.json; {hint}")
