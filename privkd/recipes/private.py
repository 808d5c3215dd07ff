"""Training a recipe with differential privacy: nothing may be read off its rows but gradients per record."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from accountants import check
from privkd.data.records import Records, require_declared_names
from privkd.errors import RecipeError
from privkd.recipes.recipe import Recipe
from privkd.transcription.arguments import checked_delta

if TYPE_CHECKING:
    from privkd.private_training import PrivateGradients

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
    if private.stages is None or private.card.private_statistics:
        read = ", ".join(private.card.private_statistics) or "what its run does"
        raise RecipeError(
            f"the private form of recipe {recipe.name!r} still reads {read} off its data; nothing was charged"
        )
    if isinstance(data, Records):
        cure = "load them with classes=['cat', 'dog', ...], all names in the order of indices"
        require_declared_names(data, cure=cure)
        if data.labels is not None and data.class_names is None:
            raise ValueError(
                f"records {data.name!r} are private, and their number of classes is that of their largest label, which one record "
                f"may decide; {cure}"
            )
    return private


def private_gradients(rows: int, epsilon: float, delta: float | None) -> PrivateGradients:
    """The gradients of a private run over so many rows, calibrated to its budget."""
    from privkd.private_training import PrivateGradients

    check.real(epsilon=epsilon, above=0.0)
    return PrivateGradients(epsilon=epsilon, delta=checked_delta(delta, rows))
