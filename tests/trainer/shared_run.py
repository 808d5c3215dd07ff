"""A classifier of digits, trained by as many processes as torchrun starts; the first one writes what came out."""

import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from privkd.trainer import Task, Trainer, seeded


class Digits(Task):
    def __init__(self):
        with seeded(0):
            self.net = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        optimizer = torch.optim.Adam(self.net.parameters(), lr=3e-3)
        super().__init__(modules={"net": self.net}, optimizers=[optimizer])

    def step(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


def main(out: str) -> None:
    """Train, and save weights and history once."""
    digits = load_digits()
    x = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    y = torch.tensor(digits.target)
    task = Digits()
    history = Trainer(steps=400, batch_size=64, device="cpu").run(task, (x[:1437], y[:1437]))
    accuracy = float((task.net(x[1437:]).argmax(dim=1) == y[1437:]).float().mean())
    import os

    if os.environ.get("RANK", "0") == "0":
        torch.save({"net": task.net.state_dict(), "history": history.rows, "accuracy": accuracy}, out)


if __name__ == "__main__":
    main(sys.argv[1])
