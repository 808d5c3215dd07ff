"""What a recipe is: stages for the trainer or a run of its own, made from one kind of data, and what is kept of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from torch import nn

from privkd.recipes.card import Card
from privkd.recipes.naming import check_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from privkd.trainer.task import Stage

Kind = TypeVar("Kind")

_TAKEN = ("certificate", "checkpoints", "config", "ledger", "metrics", "picture", "release")
"""Names of what lies in the folder of a run beside the products."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Generic[Kind]):
    """One system, ready to be trained or run.

    Attributes:
        name: under which it is registered.
        config: frozen dataclass of its settings. Fields that are called `steps`, `epochs`, `batch_size`, `accumulate`
            or `clip_norm` go to the trainer.
        data: the kind of data that it learns from, a class of `privkd.data`; its files are what `privkd train` reads.
        card: whose method it is, and what is known of it.
        stages: from the data to what the trainer runs, in order. It is called with a seed set, so fresh modules have
            repeatable weights. Or give `run`.
        run: from the data to the products by name, for a system that is no training: a tracker, a benchmark protocol,
            an aggregation, rounds of a federation. It is called with a seed set.
        deploy: what is kept. Names of modules, trained or frozen, of the stages; or a mapping from names to kinds: `nn.Module`,
            `dict` for tensors by name, or a class with `save(path)` and `load(path)`.
        products: what is kept beside modules, by name, from the stages once all of them are done; for example the masks that a
            task found.
        evaluate: figures of merit of what was kept on data that it has not learned from. Its first argument has the products
            by name, and in the program that trained them the modules that are not kept, too: a figure that needs one is left
            out where it is missing.
        picture: a figure that shows what was learned; arguments as of `evaluate`.
        example: small made-up or bundled data on which the defaults work: `--data example`.
        private: the same system with nothing read off its data but by gradients per record, for training with privacy; None for
            a system without such a form.

    Raises:
        TypeError: the config is not a frozen dataclass, a field has another type, or something cannot be called.
        ValueError: both or none of stages and run are given, a name is no plain word or is there twice, or nothing is
            deployed.
    """

    name: str
    config: Any
    data: type[Kind]
    card: Card
    stages: Callable[[Kind], Sequence[Stage]] | None = None
    run: Callable[[Kind], Mapping[str, Any]] | None = None
    deploy: tuple[str, ...] | Mapping[str, type]
    products: Callable[[Sequence[Stage]], Mapping[str, Any]] | None = None
    evaluate: Callable[[Mapping[str, Any], Kind], Mapping[str, float]] | None = None
    picture: Callable[[Mapping[str, Any], Kind], Figure] | None = None
    example: Callable[[], Kind] | None = None
    private: Callable[[], Recipe[Kind]] | None = None

    def __post_init__(self) -> None:
        check_name(name=self.name)
        if not is_frozen_dataclass(type(self.config)):
            raise TypeError(
                f"config of recipe {self.name!r} is {type(self.config).__name__}; an instance of a frozen dataclass is needed"
            )
        for field, kind in (("data", type), ("card", Card)):
            if not isinstance(getattr(self, field), kind):
                given = type(getattr(self, field)).__name__
                raise TypeError(f"{field} of recipe {self.name!r} is {given}; a {kind.__name__} is needed")
        if (self.stages is None) == (self.run is None):
            raise ValueError(
                f"recipe {self.name!r} has {'no' if self.run is None else 'both'} stages and run; give one"
            )
        for field in ("stages", "run", "products", "evaluate", "picture", "example", "private"):
            if getattr(self, field) is not None and not callable(getattr(self, field)):
                raise TypeError(f"{field} of recipe {self.name!r} must be a function")
        self._check_deploy()

    def _check_deploy(self) -> None:
        named = self.deploy if isinstance(self.deploy, Mapping) else dict.fromkeys(self.deploy, nn.Module)
        if not named or len(named) < len(self.deploy):
            raise ValueError(
                f"deploy={self.deploy!r} of recipe {self.name!r} must name at least one product, each once"
            )
        for name, kind in named.items():
            check_name(deploy=name)
            if name in _TAKEN:
                raise ValueError(f"deploy={name!r} of recipe {self.name!r} is the name of another file; rename it")
            if not is_product(kind):
                raise TypeError(
                    f"deploy of recipe {self.name!r} has {name!r} of the kind {kind!r}; give nn.Module, dict for tensors by name, "
                    "or a class with save and load"
                )
        object.__setattr__(self, "deploy", dict(named))

    @property
    def kinds(self) -> dict[str, type]:
        """What is deployed: names and kinds."""
        return dict(self.deploy)  # type: ignore[arg-type]  # made a mapping when it was checked


def is_product(kind: object) -> bool:
    """Whether things of a kind can be kept: modules, tensors by name, and what saves and loads itself."""
    if not isinstance(kind, type):
        return False
    saves = callable(getattr(kind, "save", None)) and callable(getattr(kind, "load", None))
    return kind is dict or saves or issubclass(kind, nn.Module)


def is_frozen_dataclass(kind: type) -> bool:
    """Whether a class is a dataclass whose instances cannot be changed."""
    return dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
