"""A small task that tests of the trainer share, and its rows."""

import torch
from torch import nn
from torch.nn import functional

from privkd.trainer import Task, seeded


def rows(n=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return x, (x.sum(dim=1) > 0).long()


class Plain(Task):
    """A linear classifier."""

    def __init__(self, *, lr=0.1, momentum=0.0, **options):
        with seeded(1):
            self.net = nn.Linear(4, 2)
        super().__init__(
            modules={"net": self.net},
            optimizers={"sgd": torch.optim.SGD(self.net.parameters(), lr=lr, momentum=momentum)},
            **options,
        )

    def step(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


class Recording(Plain):
    """Remembers what it was shown."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seen, self.batches = [], []

    def step(self, batch, context):
        self.seen.append(batch.index)
        self.batches.append(batch.tensors)
        return super().step(batch, context)
