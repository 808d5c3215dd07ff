"""`privkd recipes`: what `privkd train` can run, and with which settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from privkd.cli.output import Json, emit, refusals, show_table


def recipes(
    pattern: Annotated[str, typer.Argument(help='name, or shell pattern such as "*kd"')] = "*", as_json: Json = False
) -> None:
    """List recipes; if only one fits, its settings too.

    A recipe that cannot be loaded is listed with the reason and does not hide the others.

    In Python: privkd.recipes.names(pattern), privkd.recipes.build(name)
    """
    with refusals():
        from privkd.recipes import names

        found = names(pattern)
        if not found:
            raise ValueError(f"no recipe fits {pattern!r}; there are {', '.join(names())}")
        known = [_known(name) for name in found]
    if as_json:
        emit({"recipes": known}, as_json=True, title="", rows=())
        return
    show_table(
        "Recipes", ("name", "summary"), [(recipe["name"], recipe["summary"] or recipe["problem"]) for recipe in known]
    )
    if len(known) == 1 and known[0]["settings"]:
        rows = [tuple(setting.values()) for setting in known[0]["settings"]]
        show_table("Settings, for --set name=value", ("name", "default", "allowed"), rows)


def _known(name: str) -> dict[str, Any]:
    """A recipe as JSON; `problem` says why it cannot be had."""
    from privkd.recipes import build
    from privkd.recipes.config import described

    try:
        recipe = build(name)
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        return {"name": name, "summary": "", "problem": f"cannot be used: {error}", "settings": []}
    settings = [
        {"name": key, "default": default, "allowed": allowed}
        for key, default, allowed in described(type(recipe.config))
    ]
    return {"name": name, "summary": recipe.summary, "problem": "", "settings": settings}
