"""The server's side of a federation: what travels, who takes part, what is said to them, and what is made of their answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import nn

from accountants import check
from privkd.federation.aggregation import weighted_mean
from privkd.federation.contracts import Arrays, FitResult, Scalar
from privkd.federation.exchange import floating_keys


class Strategy(ABC):
    """What the server does; pure, so that one strategy can serve any number of federations."""

    def shared_keys(self, model: nn.Module) -> tuple[str, ...]:
        """Which entries of the model's state travel; by default everything of floating point."""
        return floating_keys(model)

    def select(self, number: int, clients: int, generator: torch.Generator) -> list[int]:
        """Who takes part in a round: places in [0, clients), each once; by default all.

        Args:
            number: of the round, from 1.
            clients: how many there are.
            generator: the only source of randomness.
        """
        return list(range(clients))

    def configure(self, number: int, client: int) -> Mapping[str, Scalar]:
        """What a client is told in a round, beside `round`, `client` and `seed`; nothing by default."""
        return {}

    @abstractmethod
    def aggregate(self, number: int, arrays: Arrays, results: Sequence[FitResult]) -> Arrays:
        """The new common arrays.

        Args:
            number: of the round.
            arrays: the common ones until now, which stay as they are.
            results: of those who took part, in the order of their numbers; possibly none.
        """


class FedAvg(Strategy):
    """Federated averaging: the new model is the mean of those that the clients have trained from the old one.

    Args:
        fraction: of the clients that take part in each round, in (0, 1]; at least one does.
        weight: `examples` weighs clients by their rows, `uniform` all alike.
        shared: shell patterns of what travels, for example `("backbone.*",)`; everything else is each client's own.

    Raises:
        TypeError, ValueError: an argument is out of range.

    Source: McMahan et al., arXiv 1602.05629, algorithm 1 (fraction is C there).
    """

    def __init__(
        self,
        *,
        fraction: float = 1.0,
        weight: Literal["examples", "uniform"] = "examples",
        shared: Sequence[str] = ("*",),
    ) -> None:
        check.real(fraction=fraction, above=0.0, at_most=1.0)
        if weight not in ("examples", "uniform"):
            raise ValueError(f"weight={weight!r} must be examples or uniform")
        if isinstance(shared, str) or not shared:
            raise ValueError(f"shared={shared!r} must be one pattern or more in a tuple, for example ('backbone.*',)")
        self.fraction, self.shared = float(fraction), tuple(shared)
        self.weight: Literal["examples", "uniform"] = weight

    def shared_keys(self, model: nn.Module) -> tuple[str, ...]:
        return floating_keys(model, self.shared)

    def select(self, number: int, clients: int, generator: torch.Generator) -> list[int]:
        count = max(1, round(self.fraction * clients))
        return sorted(torch.randperm(clients, generator=generator)[:count].tolist())

    def aggregate(self, number: int, arrays: Arrays, results: Sequence[FitResult]) -> Arrays:
        return weighted_mean(results, self.weight) if results else arrays
