"""`privkd audit`: prove or refute the claims of a ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from privkd.cli.output import FALSE, Json, emit, refusals


def audit(
    ledger: Annotated[Path, typer.Argument(help="a ledger.json, or the folder of a release")],
    opinions: Annotated[
        list[str],
        typer.Option(
            "--with",
            help="outside accountants to ask where they are known to be right: prv-accountant, dp-accounting; or none",
        ),
    ] = ["prv-accountant"],  # noqa: B006  typer never changes it
    as_json: Json = False,
) -> None:
    """Recompute what a ledger's events cost and judge every claim in it; for a folder, its certificate as well.

    Where it is known to be right, the accountant of another library, prv-accountant, is asked for its opinion.

    Of a release, the student, its generator, the history and config.json are compared with the digest that ends the ledger's
    chain. Whoever rewrites the whole chain can make them fit: note the digest that is printed here where nobody edits it.

    Exit codes: 0 every claim is proven, 1 a claim is false or void (the events are not what the data loader did, or a
    leak is disclosed), 2 a claim is neither proven nor refuted, 3 the ledger is damaged, edited or cannot be accounted
    (the entry is named).

    In Python: accountants.audit(accountants.Ledger.read(path), opinions=["prv-accountant"])
    """
    with refusals():
        from accountants import Ledger
        from accountants import audit as judge
        from privkd.progress import working
        from privkd.storage import opened

        path = _ledger_file(ledger)
        with opened(path):  # a pipe must not make the reader of ledgers wait
            events = Ledger.read(path)
        with working(f"recomputing the {len(events.events)} charges"):
            found = judge(events, opinions=[name for name in dict.fromkeys(opinions) if name != "none"])
        holds, said = _certificate(ledger)
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


def _certificate(folder: Path) -> tuple[bool | None, str]:
    """Whether the certificate in a folder follows from its ledger (None: not checked), and what to say about it."""
    from privkd.certificates.release_folder import CERTIFICATE, CONFIG, read_release, read_run
    from privkd.errors import CertificateError, CheckpointError

    if folder.is_dir() and not (folder / CERTIFICATE).exists() and (folder / CONFIG).exists():
        return False, f"does NOT hold: {CERTIFICATE} is missing from this release"
    if not folder.is_dir() or not (folder / CERTIFICATE).exists():
        return None, "not checked: give the folder of a release, which holds certificate.json beside the ledger"
    try:
        run = read_run(folder)
        files = read_release(folder) if run is None else run
        bound = files.certificate.verify()
    except (CertificateError, CheckpointError) as error:
        return False, f"does NOT hold: {error}"
    what = (
        "for the student beside it"
        if run is None
        else "for a run. Weights beside it are bound to nothing: audit a release"
    )
    return True, f"holds, recomputed {bound}, {what}. In the words of its author: {files.certificate}"


def _ledger_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    if (path / "ledger.json").is_file():
        return path / "ledger.json"
    inside = sorted(str(found) for found in path.glob("*/ledger.json"))
    hint = f"there are {', '.join(inside[:5])}" if inside else "privkd transcribe --out writes one"
    raise FileNotFoundError(f"{path} is a folder without ledger.json; {hint}")
