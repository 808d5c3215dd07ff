"""Published systems as recipes: tasks, models and losses with a config; the trainer runs them.

Nothing below imports a recipe. Importing this package loads neither torch nor any recipe.
"""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.recipes.card import Card as Card
    from privkd.recipes.catalogue import build as build
    from privkd.recipes.catalogue import family_of as family_of
    from privkd.recipes.catalogue import get as get
    from privkd.recipes.catalogue import names as names
    from privkd.recipes.catalogue import register as register
    from privkd.recipes.config import configure as configure
    from privkd.recipes.recipe import Recipe as Recipe
    from privkd.recipes.trained import Trained as Trained
    from privkd.recipes.trained import load as load
    from privkd.recipes.training import train as train

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.recipes.config": "configure",
        "privkd.recipes.recipe": "Recipe",
        "privkd.recipes.card": "Card",
        "privkd.recipes.catalogue": "build family_of get names register",
        "privkd.recipes.trained": "Trained load",
        "privkd.recipes.training": "train",
    },
)
