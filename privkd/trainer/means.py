"""Means of losses and logs between two rows of history, over all processes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from privkd.errors import NonFiniteLoss, TaskError
from privkd.trainer.devices.engine import Engine
from privkd.trainer.history import Row

RESERVED = frozenset({"stage", "step", "epoch", "kept step"})
"""Columns of every history; they say nothing about the data."""


class RunningMeans:
    """Means of named numbers since the last row of history.

    Args:
        engine: of the run; a row has the means over all processes.
        is_quiet: whether nothing is even summed, because the rows are private and sums are part of checkpoints.
    """

    def __init__(self, engine: Engine, *, is_quiet: bool) -> None:
        self._engine, self.is_quiet = engine, is_quiet
        self._on_cpu = engine.device.type == "cpu"
        self._totals: dict[str, Tensor | float] = {}
        self._counts: dict[str, float] = {}

    def clear(self) -> None:
        """Forget what was added."""
        self._totals, self._counts = {}, {}

    def add(self, name: str, value: Tensor | float, weight: float = 1.0) -> None:
        """Add a value, multiplied by its weight already, to the sum of its name; a TaskError refuses names of columns."""
        if name in self._totals:
            self._totals[name] += value
            self._counts[name] += weight
            return
        if name in RESERVED:
            raise TaskError(f"{name!r} is a column of every history; give the loss or log another name")
        if not self.is_quiet:
            self._totals[name], self._counts[name] = 0.0 + value, weight

    def row(self, step: int, figures: Mapping[str, float]) -> Row:
        """The means since the last row, beside figures of a validation (see `shared`); every process must ask for it.

        Raises:
            NonFiniteLoss: a mean is not finite; on an accelerator nobody has looked before.
            TaskError: a figure has the name of another column.
        """
        totals = {name: (float(total), self._counts[name]) for name, total in self._totals.items()}
        self.clear()
        means = _merged(self._engine.gathered(totals))
        if not self._on_cpu and not all(math.isfinite(value) for value in means.values()):
            bad = ", ".join(name for name, value in means.items() if not math.isfinite(value))
            raise NonFiniteLoss(
                f"loss term {bad} was not finite in one of the steps up to {step}; lower the learning rate, or check "
                "the range of the inputs. Checkpoints written before are good"
            )
        twice = sorted((set(figures) & set(means)) | (set(figures) & RESERVED))
        if twice:
            raise TaskError(
                f"figures {twice} of validate have names of losses, logs or columns of every history; rename them"
            )
        return {"step": float(step), **means, **figures}

    def shared(self, figures: Mapping[str, float]) -> dict[str, float]:
        """Means over the processes of what the validation of each has given; every process must ask for them."""
        return _merged(self._engine.gathered({name: (float(value), 1.0) for name, value in figures.items()}))

    def state_dict(self) -> dict[str, Any]:
        """Sums and counts for a checkpoint."""
        return {"totals": {name: float(value) for name, value in self._totals.items()}, "counts": dict(self._counts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._totals, self._counts = dict(state["totals"]), dict(state["counts"])


def _merged(parts: Sequence[Mapping[str, tuple[float, float]]]) -> dict[str, float]:
    """Means by name over processes, of which each gives sums and counts of its own."""
    if len(parts) == 1:
        return {name: total / count for name, (total, count) in parts[0].items()}
    names = dict.fromkeys(name for part in parts for name in part)
    found = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: math.fsum(v for v, _ in pairs) / math.fsum(n for _, n in pairs) for name, pairs in found.items()}
