"""What a recipe made: products to deploy, figures of merit, a picture; and how it comes back from its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from privkd.errors import CheckpointError, RecipeError
from privkd.recipes.catalogue import config_class, family_of, get
from privkd.recipes.config import from_values
from privkd.recipes.folder import finished
from privkd.recipes.products import file_of, load_products
from privkd.recipes.recipe import Recipe
from privkd.trainer.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from privkd.certificates.certificate import Certificate


@dataclass(frozen=True, kw_only=True, eq=False)
class Trained:
    """What a recipe made. Without a certificate it has NO privacy guarantee: whoever has it may learn about the data.

    Attributes:
        recipe: as it was run.
        deployed: the products that are kept, by name; modules are in eval mode on the CPU.
        helpers: modules that were trained or used and are not kept; empty for one that was loaded.
        history: losses and figures over the run; empty for a system that is no training, and for one that was loaded.
        certificate: of a run with privacy, what it guarantees about the modules. None without, and for one that was loaded: these
            files are bound to no ledger, and `privkd.load(folder / "release" / NAME)` reads those that are.
    """

    recipe: Recipe[Any]
    deployed: dict[str, Any]
    helpers: dict[str, nn.Module] = field(default_factory=dict)
    history: History = field(default_factory=History)

    @property
    def modules(self) -> dict[str, nn.Module]:
        """The modules among the products, by name."""
        return {name: product for name, product in self.deployed.items() if isinstance(product, nn.Module)}

    @property
    def files(self) -> dict[str, str]:
        """The names of the products' files, or folders, in the folder of the run."""
        return {name: file_of(name, kind) for name, kind in self.recipe.kinds.items()}

    @property
    def certificate(self) -> Certificate | None:
        """What the run guarantees about its modules; None without privacy."""
        return self.history.certificate

    def evaluate(self, data: Any) -> dict[str, float]:
        """Figures of merit on data that the system has not learned from. Nothing protects the figures.

        Raises:
            TypeError: another kind of data than the recipe's.
            RecipeError: the recipe has no figures, or gave something else than finite or infinite numbers by name.
        """
        figures = self._asked("evaluate", data)
        if not isinstance(figures, Mapping) or any(math.isnan(float(value)) for value in figures.values()):
            raise RecipeError(
                f"evaluate of recipe {self.recipe.name!r} gave {figures!r}; numbers by name are needed, and none of them NaN"
            )
        return {name: float(value) for name, value in figures.items()}

    def picture(self, data: Any) -> Figure:
        """A figure that shows what was learned, on data of the recipe's kind; errors as of `evaluate`."""
        return self._asked("picture", data)

    def _asked(self, what: str, data: Any) -> Any:
        function = getattr(self.recipe, what)
        if function is None:
            raise RecipeError(f"recipe {self.recipe.name!r} has no {what}")
        require_kind(self.recipe, data)
        return function({**self.helpers, **self.deployed}, data)


def require_kind(recipe: Recipe[Any], data: object) -> None:
    """Refuse data of another kind than a recipe learns from.

    Raises:
        TypeError: both kinds are named.
    """
    if not isinstance(data, recipe.data):
        kind = recipe.data.__name__
        raise TypeError(
            f"recipe {recipe.name!r} learns from {kind}, got {type(data).__name__}; "
            f"privkd.data.read({kind}, source) reads files of that kind"
        )


def load(folder: str | Path, **modules: nn.Module) -> Trained:
    """What `train` wrote into a folder; without a certificate (see `Trained`).

    Args:
        folder: of a finished run.
        **modules: fresh modules, under the names of products whose class no file can describe; they receive the weights.

    Raises:
        FileNotFoundError, FileExistsError: there is no such folder, or it holds something else.
        CheckpointError: the run was not finished, or a file is missing or damaged.
        ValueError, RecipeError: the recipe is not there, or has no such settings any more.
    """
    path = Path(folder)
    saved = finished(path)
    name, values = saved.get("recipe"), saved.get("config")
    if not isinstance(name, str) or not isinstance(values, dict):
        raise CheckpointError(f"config.json in {path} names no recipe and its config; it was changed by hand")
    factory = get(name)
    recipe = factory(from_values(config_class(factory), values))
    unknown = sorted(set(modules) - set(recipe.kinds))
    if unknown:
        raise ValueError(f"recipe {name!r} ({family_of(name)}) deploys {sorted(recipe.kinds)}, not {unknown}")
    return Trained(recipe=recipe, deployed=load_products(path, recipe.kinds, modules))
