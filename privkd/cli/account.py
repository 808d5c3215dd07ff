"""`privkd account` and `privkd calibrate`: epsilon of an expression, the parameter of a budget."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from privkd.cli.output import Json, emit, refusals

if TYPE_CHECKING:
    from collections.abc import Callable

    from accountants import Event

_Delta = Annotated[float, typer.Option(help="failure mass, below 1/n")]
_Adjacency = Annotated[str, typer.Option(help="add-remove, replace-one or zero-out")]


def account(
    expression: Annotated[str, typer.Argument(help='for example "gaussian(1.1).poisson(0.01) * 10000"')],
    delta: Annotated[float | None, typer.Option(help="failure mass, below 1/n: asks for epsilon")] = None,
    epsilon: Annotated[float | None, typer.Option(help="nats: asks for delta instead")] = None,
    adjacency: _Adjacency = "add-remove",
    method: Annotated[str, typer.Option(help="auto, or the name of one accountant")] = "auto",
    width: Annotated[float | None, typer.Option(help="largest width of the interval that is wanted")] = None,
    as_json: Json = False,
) -> None:
    """Print certified lower and upper epsilon of an expression at a delta, or delta at an epsilon.

    In Python: accountants.epsilon(accountants.parse(expression), delta, adjacency=adjacency)
    """
    if delta is not None and epsilon is None:
        asked, name, value = "epsilon", "delta", delta
    elif epsilon is not None and delta is None:
        asked, name, value = "delta", "epsilon", epsilon
    else:
        raise typer.BadParameter("pass either --delta (and get epsilon) or --epsilon (and get delta)")
    with refusals():
        import accountants
        from privkd.progress import working

        event = accountants.parse(expression)
        answer = accountants.epsilon if asked == "epsilon" else accountants.delta
        with working(f"computing {asked}"):
            bound = answer(event, value, adjacency=adjacency, method=method, width=width)
    values = {"expression": str(event), name: value, "adjacency": adjacency, **bound.to_dict()}
    rows = [(asked, str(bound)), (name, f"{value:g}"), ("adjacency", adjacency)]
    emit(values, as_json=as_json, title=str(event), rows=rows)


def calibrate(
    expression: Annotated[str, typer.Argument(help='one upper-case name is free: "gaussian(SIGMA) * 100"')],
    epsilon: Annotated[float, typer.Option(help="budget in nats, > 0")],
    delta: _Delta,
    adjacency: _Adjacency = "add-remove",
    as_json: Json = False,
) -> None:
    """Find the parameter that uses a budget up and never exceeds it; beside a * it is a count, a whole number.

    In Python: accountants.calibrate(lambda sigma: Gaussian(sigma) * 100, epsilon, delta, adjacency=adjacency)
    """
    with refusals():
        from accountants import calibrate as find
        from accountants import parse
        from privkd.progress import working

        name = _free_name(expression)
        place = re.compile(rf"\b{name}\b")
        is_count = re.search(rf"\*\s*{name}\b|\b{name}\s*\*", expression) is not None

        def fill(value: float) -> Event:
            return parse(place.sub(str(max(1, math.floor(value))) if is_count else repr(value), expression))

        _require_fillable(fill, lambda: parse(place.sub("2", expression)), name)
        with working(f"calibrating {name}"):
            found = find(fill, epsilon, delta, adjacency=adjacency, high=1e12 if is_count else None)
    value = math.floor(found.value) if is_count else found.value
    values = {
        "parameter": name,
        "value": value,
        "expression": str(found.event),
        "delta": delta,
        "adjacency": adjacency,
        "slack": found.slack,
        **found.bound.to_dict(),
    }
    rows = [
        (name, repr(value)),
        ("event", str(found.event)),
        ("epsilon", f"{found.bound} of {epsilon:g}"),
        ("delta", f"{delta:g}"),
        ("adjacency", adjacency),
    ]
    emit(values, as_json=as_json, title=expression, rows=rows)


def _require_fillable(fill: Callable[[float], Event], with_whole: Callable[[], Event], name: str) -> None:
    """Refuse an expression that is mistyped, in the parser's own words, or whose free name must be a whole number."""
    try:
        fill(0.5)
    except TypeError:
        with suppress(ValueError):
            with_whole()  # an expression that is mistyped elsewhere is refused here
        raise ValueError(
            f"{name} stands where a whole number is needed, which is not searched for; write a number there and leave "
            "another one free, or try some with privkd account (only beside a * a whole number may be free)"
        ) from None


def _free_name(expression: str) -> str:
    names = sorted(set(re.findall(r"\b[A-Z][A-Z0-9_]*\b(?!\s*\()", expression)))
    if len(names) != 1:
        raise ValueError(
            f"expression={expression[:60]!r} has the free names {names}; exactly one upper-case name is "
            "needed, as in 'gaussian(SIGMA) * 100'"
        )
    return names[0]
