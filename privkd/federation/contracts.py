"""What the two sides of a federation say to each other; no engine, no network, no training loop.

Only numbers travel: tensors by name, and scalars. Whatever moves them between machines can be put in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

Scalar: TypeAlias = "bool | int | float | str"
Arrays: TypeAlias = "dict[str, Tensor]"
"""Entries of a `state_dict` that travel: floating point, on the CPU."""
State: TypeAlias = "dict[str, Tensor | Scalar]"
"""What one client remembers from round to round and tells nobody: tensors and scalars, no modules or other objects."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """What a client has after a round of training.

    Attributes:
        arrays: new values of the arrays that it was sent.
        weight: of the client in a mean, > 0: how many rows it has trained on.
        metrics: what it reports, for example its mean loss. Nothing protects these numbers.
        state: stays with the client until its next round.
    """

    arrays: Arrays
    weight: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    state: State = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvalResult:
    """How well a client does on rows of its own that it has not trained on.

    Attributes:
        metrics: figures of merit by name. Nothing protects these numbers.
        weight: of the client in a mean, > 0: how many rows it has tested on.
    """

    metrics: Mapping[str, float]
    weight: float


@runtime_checkable
class Client(Protocol):
    """One holder of data. It may write to everything that it is given: all of it is its own copy."""

    def fit(self, arrays: Arrays, config: Mapping[str, Scalar], state: State) -> FitResult:
        """Train for a round.

        Args:
            arrays: the common ones.
            config: what the strategy says to this client in this round; `round` counts from 1, `client` is its number, and `seed`
                the only source of randomness that makes a run repeatable.
            state: what its latest `fit` gave; empty in its first round.
        """
        ...

    def evaluate(self, arrays: Arrays, config: Mapping[str, Scalar], state: State) -> EvalResult:
        """Test the common arrays, or what it makes of them with its own state, which stays as it is."""
        ...
