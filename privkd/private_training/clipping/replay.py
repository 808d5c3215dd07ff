"""Passes that can be compared: they draw the same numbers, and begin with the same attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from privkd.private_training.clipping.job import Job
from privkd.trainer.seeding import random_state, restore_random_state


class Replay:
    """Remembers where the generators are: the global ones of torch, numpy and Python, and those of the caller.

    Args:
        generators: of the caller.

    Example:
        >>> replay = Replay()
        >>> first = torch.rand(3)
        >>> replay.rewind()
        >>> torch.equal(torch.rand(3), first)
        True
    """

    def __init__(self, generators: Sequence[torch.Generator] = ()) -> None:
        self._generators = tuple(generators)
        self._beginning = self.position()

    def position(self) -> dict[str, Any]:
        """Where they are now."""
        return {"global": random_state(), "own": [generator.get_state() for generator in self._generators]}

    def rewind(self) -> None:
        """Back to where they were at first."""
        restore_random_state(self._beginning["global"])
        for generator, state in zip(self._generators, self._beginning["own"], strict=True):
            generator.set_state(state)

    def drawn(self) -> tuple[bool, bool]:
        """Whether numbers were drawn since the beginning: from torch, numpy or the caller's generators; and from Python's own."""
        python = self.position()["global"]["python"] != self._beginning["global"]["python"]
        return not self.is_at(self._beginning), python

    def is_at(self, position: dict[str, Any]) -> bool:
        """Whether they are where they were then: two passes that drew equally many numbers end at the same place.

        Python's own generator is left out, as runtime type checkers draw from it.
        """
        now = self.position()
        return same(now["own"], position["own"]) and all(
            same(state, position["global"][name]) for name, state in now["global"].items() if name != "python"
        )


_SET_BY_CHECKS = ("training", "p", "dropout")


class Attributes:
    """Remembers to what the attributes of a model and of other objects were bound.

    What is bound is not copied: a list that grows stays longer.

    Args:
        model: with all its modules.
        keepers: other objects, such as the task.
    """

    def __init__(self, model: nn.Module, keepers: Sequence[object] = ()) -> None:
        objects = [*model.modules(), *(keeper for keeper in keepers if hasattr(keeper, "__dict__"))]
        self._bound = [(vars(held), dict(vars(held))) for held in objects]

    def put_back(self) -> None:
        """Bind them as they were, but for modes of modules and rates of dropout, which checks set themselves."""
        for held, before in self._bound:
            kept = {name: held[name] for name in _SET_BY_CHECKS if name in held}
            held.clear()
            held.update(before | kept)


@contextmanager
def without_dropout(model: nn.Module) -> Iterator[None]:
    """The rates of dropout layers, attention and recurrent layers are zero inside; modes stay as they are."""
    before: list[tuple[nn.Module, str, float]] = []
    for module in model.modules():
        name = "p" if isinstance(module, nn.modules.dropout._DropoutNd) else "dropout"
        if name == "p" or isinstance(module, nn.MultiheadAttention | nn.RNNBase):
            before.append((module, name, getattr(module, name)))
            setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, rate in before:
            setattr(module, name, rate)


@contextmanager
def undisturbed(job: Job) -> Iterator[None]:
    """Leave random generators, parameters, buffers and attributes as they were, whatever runs inside."""
    replay, kept = Replay(job.generators), Attributes(job.model, job.keepers)
    state = [(value, value.clone()) for value in model_state(job.model).values()]
    try:
        yield
    finally:
        kept.put_back()
        replay.rewind()
        with torch.no_grad():
            for held, value in state:
                if not same(held, value):
                    held.copy_(value)


def model_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, detached, by name."""
    return {name: value.detach() for name, value in (*model.named_parameters(), *model.named_buffers())}


def same(value: Any, other: Any) -> bool:
    """Whether two tensors, arrays, or lists of them are equal in every place; NaN is equal to itself."""
    if isinstance(value, Tensor):
        return value.shape == other.shape and bool(((value == other) | ((value != value) & (other != other))).all())
    if isinstance(value, np.ndarray):
        return np.array_equal(value, other)
    if isinstance(value, list | tuple):
        return len(value) == len(other) and all(map(same, value, other))
    return value == other
