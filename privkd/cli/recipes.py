"""`privkd recipes`: what `privkd train` can run, and with which settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from privkd.cli.output import Json, emit, refusals, show_table


def recipes(
    pattern: Annotated[str, typer.Argument(help='name, or shell pattern such as "*kd"')] = "*", as_json: Json = False
) -> None:
    """List recipes by family; if only one fits, print its card and its settings.

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
    if pattern != "*" and len(known) == 1 and not known[0]["problem"]:
        _show(known[0])
        return
    for family in sorted({recipe["family"] for recipe in known}):
        rows = [(one["name"], one["summary"] or one["problem"]) for one in known if one["family"] == family]
        show_table(f"Recipes: {family}", ("name", "summary"), rows)


def _show(recipe: dict[str, Any]) -> None:
    """The card of one recipe, and its settings."""
    rows = [("family", recipe["family"]), ("learns from", recipe["data"]), ("deploys", ", ".join(recipe["deploys"]))]
    rows += [("takes", f"--module {name}=FILE") for name in recipe["modules"]]
    rows += [(name, text) for name, text in recipe["card"]]
    rows.append(("trains with privacy", "yes: --epsilon" if recipe["private"] else "no"))
    show_table(f"Recipe {recipe['name']}", ("", ""), rows)
    if recipe["settings"]:
        settings = [tuple(setting.values()) for setting in recipe["settings"]]
        show_table("Settings, for --set name=value", ("name", "default", "allowed"), settings)


def _known(name: str) -> dict[str, Any]:
    """A recipe as JSON; `problem` says why it cannot be had."""
    from privkd.recipes import build, family_of, get
    from privkd.recipes.catalogue import modules_of
    from privkd.recipes.config import described

    known = {"name": name, "family": family_of(name), "summary": "", "problem": "", "settings": []}
    try:
        recipe, modules = build(name), modules_of(get(name))
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        return known | {"problem": f"cannot be used: {error}"}
    settings = [
        {"name": key, "default": default, "allowed": allowed}
        for key, default, allowed in described(type(recipe.config))
    ]
    return known | {
        "summary": recipe.card.title,
        "data": recipe.data.__name__,
        "deploys": list(recipe.kinds),
        "modules": list(modules),
        "private": recipe.private is not None,
        "card": recipe.card.rows(),
        "settings": settings,
    }
