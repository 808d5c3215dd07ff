"""`privkd plot`: pictures of what an expression or a ledger guarantees."""

from __future__ import annotations

import io
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from accountants.check import shown
from privkd.cli.output import emit, refusals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from accountants import Event, Ledger

_SUFFIXES = (".png", ".svg", ".pdf")
_POINTS = 65


class Kind(StrEnum):
    """What is drawn."""

    CURVE = "curve"
    TRADEOFF = "tradeoff"
    BUDGET = "budget"


def plot(
    subject: Annotated[str, typer.Argument(help='an expression such as "gaussian(1.1) * 10", or a ledger file')],
    out: Annotated[Path, typer.Option(help="file to write: .png, .svg or .pdf")],
    kind: Annotated[Kind, typer.Option(help="what to draw; budget needs a ledger")] = Kind.CURVE,
    delta: Annotated[float | None, typer.Option(help="failure mass to mark; default: the ledger's own")] = None,
    adjacency: Annotated[str | None, typer.Option(help="of an expression; default: add-remove")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the numbers as one JSON object")] = False,
) -> None:
    """Draw delta against epsilon, the best membership attack, or how a ledger's budget was spent.

    Bands are certified intervals: the truth lies inside, the guarantee is the outer line.

    In Python: privkd.report.profile_curve(epsilons, accountants.curve(event, epsilons), ax), and likewise
    attack_curve(accountants.tradeoff(event, fprs), ax) and budget_curve(accountants.spending(ledger), ax)
    """
    with refusals():
        from privkd.progress import working

        if out.suffix.lower() not in _SUFFIXES:
            raise ValueError(f"out={out} must end with one of {', '.join(_SUFFIXES)}")
        event, relation, ledger = _read(subject, adjacency)
        used = ledger.delta if delta is None and ledger is not None else delta
        if kind is Kind.BUDGET:
            if ledger is None:
                raise ValueError("kind=budget needs a ledger file, not an expression; kinds of both: curve, tradeoff")
            title = f"{ledger.unit}, {relation}"
            with working("drawing the budget"):
                values = _draw(out, title, lambda ax: _budget(ledger, used, ax))
        else:
            draw = {Kind.CURVE: _curve, Kind.TRADEOFF: _tradeoff}[kind]
            title = f"{subject if len(subject) <= 60 else subject[:57] + '...'}, {relation}"
            with working(f"drawing the {kind}"):
                values = _draw(out, title, lambda ax: draw(event, relation, used, ax))
    values = {"kind": str(kind), "out": str(out), "adjacency": relation, "delta": used, **values}
    emit(values, as_json=as_json, title=title, rows=[("picture", str(out)), *_summary(values)])


def _read(subject: str, adjacency: str | None) -> tuple[Event, str, Ledger | None]:
    """The event, its adjacency and the ledger that it comes from, if any."""
    from accountants import Ledger, parse

    path = Path(subject)
    if path.suffix == ".json" or path.is_dir():
        ledger = Ledger.read(path / "ledger.json" if path.is_dir() else path)
        if adjacency not in (None, str(ledger.adjacency)):
            raise ValueError(
                f"adjacency={adjacency!r}, but {path} is stated for {str(ledger.adjacency)!r}; leave it away"
            )
        return ledger.total, str(ledger.adjacency), ledger
    return parse(subject), adjacency or "add-remove", None


def _curve(event: Event, adjacency: str, delta: float | None, ax: Axes) -> dict[str, Any]:
    import numpy as np

    from accountants import epsilon
    from accountants.guarantees.profile import curve, reach
    from privkd.report import profile_curve

    marked = None if delta is None else (epsilon(event, delta, adjacency=adjacency).upper, delta)
    end = reach(event, 1e-8 if not delta else max(1e-2 * delta, 1e-12), adjacency=adjacency) or 1.0
    epsilons = [float(point) for point in np.linspace(0.0, end, _POINTS)]
    deltas = curve(event, epsilons, adjacency=adjacency)
    profile_curve(epsilons, deltas, ax, marked=marked)
    return {"epsilons": epsilons, "deltas": [bound.to_dict() for bound in deltas]}


def _tradeoff(event: Event, adjacency: str, delta: float | None, ax: Axes) -> dict[str, Any]:
    import numpy as np

    from accountants.guarantees.tradeoff import tradeoff
    from privkd.report import attack_curve

    marked = (1e-3, 1e-2, 0.1)
    found = tradeoff(event, sorted({*np.geomspace(1e-5, 1.0, _POINTS).tolist(), *marked}), adjacency=adjacency)
    attack_curve(found, ax, marked=marked)
    return found.to_dict()


def _budget(ledger: Ledger, delta: float | None, ax: Axes) -> dict[str, Any]:
    from accountants.ledger.spending import spending
    from privkd.report import budget_curve

    spent = spending(ledger, delta)
    budget_curve(spent, ax, budget=ledger.budget, delta=delta)
    shown = [{"charges": charges, "epsilon": bound.to_dict()} for charges, bound in spent]
    return {"budget": ledger.budget, "spent": shown}


def _draw(out: Path, title: str, fill: Callable[[Axes], dict[str, Any]]) -> dict[str, Any]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from privkd.report.legends import as_label
    from privkd.storage import write_bytes

    # White behind everything, so that the picture can be read on a dark page too.
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "privkd", "font.size": 11, "figure.facecolor": "white"}
    with rc_context(style):
        figure = Figure(figsize=(7.0, 4.6))
        ax = figure.add_subplot()
        values = fill(ax)
        ax.set_title(as_label(shown(title)), loc="left", fontsize=11, wrap=True)  # a unit comes from a file
        content = io.BytesIO()
        figure.savefig(content, format=out.suffix[1:].lower(), dpi=160, bbox_inches="tight")
    write_bytes(out, content.getvalue())
    return values


def _summary(values: dict[str, Any]) -> list[tuple[str, str]]:
    """A few numbers of the picture, for people."""
    from privkd.report.wording import upward

    if "tprs" in values:
        ceilings = dict(zip(values["fprs"], values["tprs"], strict=True))
        shown = [(f"TPR at FPR {rate:g}", f"at most {upward(ceilings[rate]['upper'])}") for rate in (1e-3, 1e-2, 0.1)]
        return [*shown, ("advantage", f"at most {upward(values['advantage']['upper'])}")]
    if "spent" in values:
        budget = "no budget" if values["budget"] is None else f"of {values['budget']:g}"
        return [("spent", f"{upward(values['spent'][-1]['epsilon']['upper'])}, {budget}")]
    return []
