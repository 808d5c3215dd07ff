"""What a recipe is: stages for the trainer, made from records, and which modules are worth keeping."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from privkd.data.records import Records
    from privkd.trainer.task import Stage

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TAKEN = "config"  # the name of the file that describes the run, beside those of the modules


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One system, ready to be trained.

    Attributes:
        name: under which it is registered.
        config: frozen dataclass of its settings. Fields that are called `steps`, `epochs`, `batch_size`, `accumulate`
            or `clip_norm` go to the trainer.
        stages: from the records to what the trainer runs, in order. It is called with a seed set, so fresh modules have
            repeatable weights.
        deploy: names of the modules that are kept after training; each is a module, trained or frozen, of a stage.
        summary: one line for lists.

    Raises:
        TypeError: the config is not a frozen dataclass, or stages cannot be called.
        ValueError: a name is no plain word or is there twice, nothing is deployed, or the summary is not one line.
    """

    name: str
    config: Any
    stages: Callable[[Records], Sequence[Stage]]
    deploy: tuple[str, ...]
    summary: str

    def __post_init__(self) -> None:
        check_name(name=self.name)
        if not is_frozen_dataclass(type(self.config)):
            raise TypeError(
                f"config of recipe {self.name!r} is {type(self.config).__name__}; an instance of a frozen dataclass is needed"
            )
        if not callable(self.stages):
            raise TypeError(f"stages of recipe {self.name!r} must be a function from Records to stages")
        if not self.deploy or len(set(self.deploy)) < len(self.deploy):
            raise ValueError(f"deploy={self.deploy!r} of recipe {self.name!r} must name at least one module, each once")
        for module in self.deploy:
            check_name(deploy=module)
            if module == _TAKEN:
                raise ValueError(
                    f"deploy={module!r} of recipe {self.name!r} is the name of another file; rename the module"
                )
        if not self.summary.strip() or "\n" in self.summary:
            raise ValueError(f"summary={self.summary!r} of recipe {self.name!r} must be one line of text")


def is_frozen_dataclass(kind: type) -> bool:
    """Whether a class is a dataclass whose instances cannot be changed."""
    return dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


def check_name(**named: str) -> None:
    """Refuse a name that cannot be typed in a shell and be a part of a file name.

    Args:
        **named: the names, under what the message shall call them.

    Raises:
        TypeError: not a string.
        ValueError: other than letters, digits, `-` and `_`.
    """
    for label, name in named.items():
        if not isinstance(name, str):
            raise TypeError(f"{label} is {type(name).__name__}; a string is needed")
        if not _NAME.fullmatch(name):
            raise ValueError(f"{label}={name!r} must be letters, digits, - and _, for example 'skd'")
