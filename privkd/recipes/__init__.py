"""Published systems as recipes: tasks, models and losses with a config; the trainer runs them.

Nothing below imports a recipe. Importing this package loads neither torch nor any recipe.
"""

from typing import TYPE_CHECKING

_LAZY = {
    "Recipe": "privkd.recipes.recipe",
    "Trained": "privkd.recipes.training",
    "build": "privkd.recipes.registry",
    "configure": "privkd.recipes.config",
    "get": "privkd.recipes.registry",
    "names": "privkd.recipes.registry",
    "register": "privkd.recipes.registry",
    "train": "privkd.recipes.training",
}
__all__ = ["Recipe", "Trained", "build", "configure", "get", "names", "register", "train"]

if TYPE_CHECKING:
    from privkd.recipes.config import configure as configure
    from privkd.recipes.recipe import Recipe as Recipe
    from privkd.recipes.registry import build as build
    from privkd.recipes.registry import get as get
    from privkd.recipes.registry import names as names
    from privkd.recipes.registry import register as register
    from privkd.recipes.training import Trained as Trained
    from privkd.recipes.training import train as train


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
