"""Recipes by name: those of privkd, those registered by the caller, and those of installed packages.

An installed package offers a recipe by an entry point of the group `privkd.recipes`, whose name is the recipe's and whose
value is a module, or a factory in it, that registers this name when it is imported:

```toml
[project.entry-points."privkd.recipes"]
skd = "my_package.skd"
```

Nothing is imported before its recipe is asked for, so a broken package breaks its own recipes only.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, TypeAlias, TypeVar

from torch import nn

from privkd.errors import RecipeError
from privkd.recipes.config import configure
from privkd.recipes.naming import check_name
from privkd.recipes.recipe import Recipe, is_frozen_dataclass

log = logging.getLogger("privkd")

GROUP = "privkd.recipes"
FAMILIES = {
    "baselines": ("classifier",),
    "distillation": ("skd",),
    "federated": ("fedavg",),
    "learners": ("dawid-skene",),
    "tracking": ("correlation-filter",),
}
"""The recipes of privkd by family; `dawid-skene` of the family learners is the file `learners/dawid_skene.py`."""

BUILT_IN = {
    name: f"privkd.recipes.{family}.{name.replace('-', '_')}"
    for family, members in FAMILIES.items()
    for name in members
}
OTHERS = "other packages"
"""The family of recipes that are not privkd's own."""

Factory = TypeVar("Factory", bound=Callable[..., Any])
Offer: TypeAlias = Any
"""An entry point: of the standard library, or of its backport, which answers in its place once anything has imported it."""

_factories: dict[str, Callable[..., Any]] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Make a recipe known under a name.

    ```python
    @register("skd")
    def skd(config: SKDConfig = SKDConfig(), *, teacher: nn.Module | None = None) -> Recipe[PairedViews]: ...
    ```

    Parameters after the config are modules that a caller may hand in; without one, the recipe trains its own.

    Args:
        name: letters, digits, `-` and `_`.

    Returns:
        A decorator that leaves the factory as it is.

    Raises:
        TypeError: the factory's first parameter has no frozen dataclass as default, or another one is not by keyword with the
            default None.
        ValueError: the name is taken, or is no plain word.
    """

    def remember(factory: Factory) -> Factory:
        check_name(name=name)
        if name in _factories or BUILT_IN.get(name, factory.__module__) != factory.__module__:
            owner = _path_of(_factories[name]) if name in _factories else BUILT_IN[name]
            raise ValueError(f"recipe {name!r} is registered already, by {owner}; choose another name")
        config_class(factory)
        _factories[name] = factory
        return factory

    return remember


def names(pattern: str = "*") -> list[str]:
    """The names of all recipes that can be asked for, sorted; nothing is imported.

    Args:
        pattern: shell pattern, for example `"*kd"`.

    Example:
        >>> names("class*")
        ['classifier']
    """
    found = {*BUILT_IN, *_factories, *_offered()}
    return sorted(name for name in found if fnmatchcase(name, pattern))


def get(name: str) -> Callable[..., Recipe]:
    """The factory of a recipe; it takes the config, or nothing for the defaults.

    Raises:
        ValueError: there is no such recipe; the message has the closest names.
        RecipeError: the package that offers it cannot be loaded or does not register it; both are named.
    """
    if name in _factories:
        return _factories[name]
    offers = _offered().get(name, [])
    if name in BUILT_IN:
        for offer in offers:
            log.warning("entry point %s is not used: privkd itself has a recipe %r", _in_words(offer), name)
        import_module(BUILT_IN[name])
    elif offers:
        _load(name, offers)
    else:
        close = get_close_matches(name, names(), n=3, cutoff=0.0)
        raise ValueError(f"recipe {name!r} is unknown; closest: {', '.join(close)}; see `privkd recipes`")
    if name not in _factories:
        owner = _in_words(offers[0]) if offers else BUILT_IN[name]
        raise RecipeError(
            f"{owner} was loaded, but registered no recipe {name!r}; its module must use @register({name!r})"
        )
    return _factories[name]


def family_of(name: str) -> str:
    """The family of a recipe, by its name alone; nothing is imported.

    Example:
        >>> family_of("classifier")
        'baselines'
    """
    return BUILT_IN[name].split(".")[-2] if name in BUILT_IN else OTHERS


def build(name: str, settings: Iterable[str] = (), **modules: Any) -> Recipe:
    """A recipe by name, with some settings.

    Args:
        name: one of `names()`.
        settings: `key=value` texts, as `configure` takes them.
        **modules: trained modules to hand in, under the names that `modules_of` tells, for example `teacher=network`.

    Raises:
        TypeError: something else than a module was handed in.
        ValueError: unknown name, key or module, or a value that does not fit.
        RecipeError: it cannot be loaded, or its factory does not return the recipe of this name.

    Example:
        >>> build("classifier", ["epochs=3"]).config.epochs
        3
    """
    factory = get(name)
    taken = modules_of(factory)
    for key, module in modules.items():
        if key not in taken:
            there = f"; it takes {', '.join(taken)}" if taken else "; it takes none"
            raise ValueError(f"recipe {name!r} takes no module {key!r}{there}")
        if not isinstance(module, nn.Module):
            raise TypeError(f"{key} is {type(module).__name__}; a torch.nn.Module is needed")
    made = factory(configure(config_class(factory), settings), **modules)
    if not isinstance(made, Recipe) or made.name != name:
        what = f"the recipe {made.name!r}" if isinstance(made, Recipe) else type(made).__name__
        raise RecipeError(
            f"{_path_of(factory)} is registered as {name!r} and returned {what}; a Recipe of that name is needed"
        )
    return made


def config_class(factory: Callable[..., Any]) -> type:
    """The class of a factory's config, which is that of the default.

    Raises:
        TypeError: there is no such default, or further parameters are no modules to hand in.
    """
    parameters = list(inspect.signature(factory).parameters.values())
    are_modules = all(other.kind is other.KEYWORD_ONLY and other.default is None for other in parameters[1:])
    if not parameters or not is_frozen_dataclass(type(parameters[0].default)) or not are_modules:
        raise TypeError(
            f"{_path_of(factory)} must have one parameter, whose default is a frozen dataclass, as in "
            "`def skd(config: SKDConfig = SKDConfig()) -> Recipe`; modules to hand in come after it, by keyword: "
            "`*, teacher: nn.Module | None = None`"
        )
    return type(parameters[0].default)


def modules_of(factory: Callable[..., Any]) -> tuple[str, ...]:
    """The names of the modules that a caller may hand to a factory."""
    return tuple(inspect.signature(factory).parameters)[1:]


def _load(name: str, offers: list[Offer]) -> None:
    """Import what an entry point names; whatever it registered is forgotten if it fails."""
    if len(offers) > 1:
        raise RecipeError(
            f"recipe {name!r} is offered twice, by {' and by '.join(map(_in_words, offers))}; uninstall one"
        )
    before = dict(_factories)
    try:
        offers[0].load()
    except Exception as error:
        _factories.clear()
        _factories.update(before)
        raise RecipeError(
            f"entry point {_in_words(offers[0])} cannot be loaded ({type(error).__name__}: {error}); update or uninstall it; all "
            "other recipes still work"
        ) from error


def _offered() -> dict[str, list[Offer]]:
    found: dict[str, list[Offer]] = {}
    for offer in entry_points(group=GROUP):
        found.setdefault(offer.name, []).append(offer)
    return found


def _in_words(offer: Offer) -> str:
    package = "" if offer.dist is None else f" of {offer.dist.name} {offer.dist.version}"
    return f"{offer.name!r} = {offer.value}{package}"


def _path_of(factory: Callable[..., Any]) -> str:
    return f"{factory.__module__}.{factory.__qualname__}"
