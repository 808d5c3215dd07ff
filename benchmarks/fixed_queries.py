"""Queries that know nothing of the teacher or of the student: what a data-free method has to beat."""

from __future__ import annotations

import torch
from torch import Tensor

import privkd
from privkd.generators import SmallGenerator, coverage_loss
from privkd.trainer import Batch, Context, Task, Trainer, seeded

QUERIES = 4000  # the default of the method that they are compared with
SPEC = privkd.InputSpec((64,), low=0.0, high=1.0)


def uniform_pixels(seed: int) -> Tensor:
    """Every pixel uniform in [0, 1]."""
    return torch.rand(QUERIES, 64, generator=torch.Generator().manual_seed(seed))


def coin_pixels(seed: int) -> Tensor:
    """Every pixel 0 or 1 with probability 1/2."""
    return (uniform_pixels(seed) < 0.5).float()


def frozen_generator(seed: int) -> Tensor:
    """Samples of a generator with its random initial weights."""
    with seeded(seed):
        generator = SmallGenerator(SPEC.shape, low=SPEC.low, high=SPEC.high)
    return generator.sample(QUERIES, generator=torch.Generator().manual_seed(seed))


def spread_generator(seed: int) -> Tensor:
    """Samples of a generator that was trained to spread and knows no student: 600 steps, as many as in a full run."""
    with seeded(seed):
        generator = SmallGenerator(SPEC.shape, low=SPEC.low, high=SPEC.high)
    Trainer(steps=600, seed=seed).run(Spread(generator))
    return generator.sample(QUERIES, generator=torch.Generator().manual_seed(seed))


class Spread(Task):
    """A generator with the spread term of the coverage loss alone: near-binary, decorrelated values."""

    def __init__(self, generator: SmallGenerator) -> None:
        optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3, betas=(0.5, 0.999))
        super().__init__(modules={"generator": generator}, optimizers=[optimizer])
        self._generator = generator

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        """The spread term on 256 samples."""
        device = next(self._generator.parameters()).device
        z = torch.randn(256, self._generator.latent, generator=context.generator).to(device)
        return {"spread": coverage_loss(torch.zeros(256, 10, device=device), self._generator.coarse(z))["spread"]}
