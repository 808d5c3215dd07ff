"""A run with a memory of its rows, by as many processes as torchrun starts; each writes what it remembers to OUT.RANK.

Usage: shared_memory.py OUT FOLDER STEPS
"""

import os
import sys

import torch
from torch import nn

from privkd.trainer import RowMemory, Task, Trainer, seeded


class Remembering(Task):
    def __init__(self):
        with seeded(0):
            net = nn.Linear(2, 1)
        super().__init__(
            modules={"net": net},
            optimizers=[torch.optim.SGD(net.parameters(), lr=0.01)],
            memories={"loss": RowMemory(20, fill=9.0), "times": RowMemory(20, dtype=torch.int64, fill=0)},
        )

    def step(self, batch, context):
        losses = self.modules["net"](batch["x"]).squeeze(1).square()
        self.memories["loss"].write(batch.index, losses, context)
        self.memories["times"].write(batch.index, self.memories["times"][batch.index] + 1, context)
        return {"square": losses.mean()}

    def rows(self, context):  # processes that disagree take the choice of the first one
        rank = int(os.environ.get("RANK", "0"))
        return self.memories["loss"].values.argsort()[rank : rank + 17]


def main(out: str, folder: str, steps: str) -> None:
    """Train, and save."""
    task = Remembering()
    data = {"x": torch.randn(20, 2, generator=torch.Generator().manual_seed(0))}
    Trainer(steps=int(steps), batch_size=8, device="cpu", folder=folder, checkpoint_every=3).run(task, data)
    found = {name: memory.values for name, memory in task.memories.items()}
    torch.save(found | task.modules["net"].state_dict(), f"{out}.{os.environ.get('RANK', '0')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
