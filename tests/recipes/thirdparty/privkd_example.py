"""A package of somebody else: one recipe in two stages, with what any recipe may use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from privkd.data import Records
from privkd.recipes import Card, Recipe, register
from privkd.trainer import Stage, Task


@dataclass(frozen=True, kw_only=True)
class CentroidsConfig:
    """Settings."""

    steps: int = 200
    polish: int = 10
    clip_norm: float | None = 5.0
    rates: tuple[float, float] = (1.0, 0.3)


class Near(Task):
    """Class centres near the records of their class; each record is of the class whose centre is nearest."""

    def __init__(self, centres: nn.Module, rate: float) -> None:
        optimizer = torch.optim.SGD(centres.parameters(), lr=rate)
        super().__init__(modules={"centres": centres}, optimizers=[optimizer])

    def step(self, batch, context):
        inputs, labels = batch.tensors
        return {"distance": (inputs - self.modules["centres"](labels)).square().sum(dim=1).mean()}


@register("centroids")
def centroids(config: CentroidsConfig = CentroidsConfig()) -> Recipe:
    """The recipe `centroids`."""

    def stages(records):
        centres = nn.Embedding(records.classes, records.shape[0])
        data = (records.inputs, records.labels)
        return [
            Stage("rough", Near(centres, config.rates[0]), data),
            Stage("fine", Near(centres, config.rates[1]), data, steps=config.polish),
        ]

    return Recipe(
        name="centroids",
        config=config,
        data=Records,
        card=Card(title="one centre for each class"),
        stages=stages,
        deploy=("centres",),
    )
