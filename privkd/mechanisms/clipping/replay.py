"""Going back to the state of all random generators: passes that are compared must draw the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from privkd.trainer.randomness import random_state, restore_random_state

__all__ = ["Replay"]


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
        return {"global": random_state(), "own": [one.get_state() for one in self._generators]}

    def rewind(self) -> None:
        """Back to where they were at first."""
        restore_random_state(self._beginning["global"])
        for generator, state in zip(self._generators, self._beginning["own"], strict=True):
            generator.set_state(state)

    def is_at(self, position: dict[str, Any]) -> bool:
        """Whether they are where they were then: two passes that drew equally many numbers end at the same place.

        Python's own generator is left out, as runtime type checkers draw from it.
        """
        now = self.position()
        return _same(now["own"], position["own"]) and all(
            _same(state, position["global"][name]) for name, state in now["global"].items() if name != "python"
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return one == other
