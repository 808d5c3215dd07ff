"""Private training of one or more processes, started by torchrun; the first one writes what came out.

Usage: shared_private_run.py OUT noise|sums|banded ...
"""

import os
import sys

import torch
from torch import nn

from privkd.mechanisms import SeededNoise
from privkd.private_training import Banded, PrivateGradients
from privkd.trainer import Task, Trainer, seeded

BATCH = 60


class Silent(SeededNoise):
    """Everybody's draws of batches, but no noise."""

    def normal(self, shape, *, std):
        return torch.zeros(shape, dtype=torch.float64)


class Linear(Task):
    def __init__(self, scale):
        rank = int(os.environ.get("RANK", "0"))
        with seeded(rank):  # different in every process: the first one's weights must win
            net = nn.Linear(20, 1)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        super().__init__(modules={"net": net}, optimizers=[optimizer])
        self.net, self.scale, self.seen = net, scale, []
        optimizer.register_step_pre_hook(lambda *_: self.seen.append(self.flat()))

    def flat(self):
        return torch.cat([p.grad.flatten().double() for p in self.net.parameters()])

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"square": self.scale * (self.modules["net"](x).squeeze(1) - y).square()}


def main(out: str, *runs: str) -> None:
    """Train again and again, and save what the optimiser saw."""
    rank = int(os.environ.get("RANK", "0"))
    torch.save({what: trained(what) for what in runs}, f"{out}.{rank}")


def trained(what: str) -> dict[str, object]:
    rank = int(os.environ.get("RANK", "0"))
    n, steps = 61, 100
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 20, generator=generator)
    # Full batches (q = 1) make the sums of one and of two processes equal.
    batch = {"sums": n, "noise": BATCH, "banded": 10}[what]
    source = Silent(5 + rank) if what == "sums" else SeededNoise(5 + rank)
    noise = Banded(3) if what == "banded" else None
    task = Linear(0.0 if what == "noise" else 1.0)
    private = PrivateGradients(multiplier=1.5, clip=0.4, delta=1e-3, source=source, noise=noise)
    history = Trainer(steps=steps, batch_size=batch, privacy=private, device="cpu").run(task, (x, x.sum(dim=1)))
    weights = torch.cat([p.detach().flatten() for p in task.net.parameters()])
    return {"seen": torch.stack(task.seen), "weights": weights, "epsilon": history.certificate.epsilon}


if __name__ == "__main__":
    main(*sys.argv[1:])
