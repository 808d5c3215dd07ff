"""Training a recipe with differential privacy: nothing may be read off its rows but gradients per record."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from torch import nn

from accountants import check
from privkd.data.records import Records, require_declared_names
from privkd.errors import RecipeError
from privkd.recipes.catalogue import BUILT_IN
from privkd.recipes.recipe import Recipe
from privkd.trainer.guards import hushed
from privkd.trainer.seeding import seeded
from privkd.transcription.arguments import checked_delta

if TYPE_CHECKING:
    from privkd.private_training import PrivateGradients
    from privkd.trainer.task import Stage

Kind = TypeVar("Kind")


def private_recipe(recipe: Recipe[Kind], data: Kind) -> Recipe[Kind]:
    """The form of a recipe that may be trained with privacy on these data.

    Raises:
        ValueError: the recipe has no such form, or the classes of the records are not declared.
        RecipeError: its form reads off the data what no charge covers.
    """
    if recipe.private is None:
        raise ValueError(
            f"recipe {recipe.name!r} cannot be trained with privacy: it reads its data other than by gradients per record. Train "
            "it on public data, or without epsilon and give the result to privkd.transcribe"
        )
    private = recipe.private()
    if private.products is not None or not all(issubclass(kind, nn.Module) for kind in private.kinds.values()):
        raise RecipeError(
            f"recipe {recipe.name!r} keeps more than modules, and nothing bounds what else is made of private rows; its private "
            "form may deploy the modules that it trains, no more. Nothing was charged"
        )
    if private.stages is None or private.card.private_statistics:
        read = ", ".join(private.card.private_statistics) or "what its run does"
        raise RecipeError(
            f"the private form of recipe {recipe.name!r} still reads {read} off its data; nothing was charged"
        )
    _require_declared(recipe.name, data)
    return private


def private_stages(recipe: Recipe[Kind], data: Kind, *, seed: int) -> list[Stage]:
    """The one stage of a private recipe, which trains everything that the recipe deploys.

    What recipes of others say and warn while they look at the rows is kept back.

    Raises:
        RecipeError: it has several stages, or deploys a module that it does not train.
        TaskError: a recipe of others failed on these rows.
    """
    assert recipe.stages is not None
    make = recipe.stages
    with seeded(seed):
        stages = hushed(lambda: list(make(data)), lambda: 0, is_quiet=recipe.name not in BUILT_IN)
    trained = stages[0].task.modules if len(stages) == 1 else {}
    untrained = [name for name in recipe.kinds if name not in trained]
    if untrained:
        raise RecipeError(
            f"the private form of recipe {recipe.name!r} deploys {untrained}, which its one stage does not train; nothing was "
            "charged"
        )
    return stages


def _require_declared(name: str, data: object) -> None:
    """Refuse private data whose form one row may change.

    Raises:
        ValueError: they are no records, or the classes of the records are not declared.
    """
    if not isinstance(data, Records):
        raise ValueError(
            f"recipe {name!r} learns from {type(data).__name__}, and only Records say what of their form is public; train it on "
            "public data, or without epsilon and give the result to privkd.transcribe"
        )
    cure = "load them with classes=['cat', 'dog', ...], all names in the order of indices"
    require_declared_names(data, cure=cure)
    if data.labels is not None and (data.class_names is None or data.names_counted):
        raise ValueError(
            f"records {data.name!r} are private, and their number of classes is that of their largest label, which one record "
            f"may decide; {cure}"
        )


def private_gradients(rows: int, epsilon: float, delta: float | None) -> PrivateGradients:
    """The gradients of a private run over so many rows, calibrated to its budget."""
    from privkd.private_training import PrivateGradients

    check.real(epsilon=epsilon, above=0.0)
    return PrivateGradients(epsilon=epsilon, delta=checked_delta(delta, rows))
