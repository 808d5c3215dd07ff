"""A classifier of digits, trained by as many processes as torchrun starts; the first one writes what came out.

Usage: shared_run.py OUT [FOLDER] [sharded] [dropout] [twice] [killed=STEP]: the last ends all processes by SIGTERM to one of them.
"""

import os
import signal
import sys

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from privkd.trainer import Task, Trainer, seeded


class Digits(Task):
    def __init__(self, dropout, killed):
        with seeded(0):
            first = nn.Sequential(nn.Linear(64, 33), nn.ReLU(), nn.Dropout(dropout))
            self.net = nn.Sequential(first, nn.Linear(33, 10))
        optimizer = torch.optim.Adam(self.net.parameters(), lr=6e-3)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 100, gamma=0.5)
        super().__init__(modules={"net": self.net}, optimizers=[optimizer], schedulers=[schedule])
        self.killed, self.seen = killed, 0

    def step(self, batch, context):
        x, y = batch.tensors
        if context.step == self.killed and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        self.seen += int(batch.index.sum())  # of this process alone
        context.log("seen", float(self.seen))
        context.log("rows", context.gather(batch.index).unique().numel())
        noise = 0.01 * torch.randn(x.shape, generator=context.generator) if self.net[0][2].p else 0.0
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x + noise), y)}

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        self.seen = state["seen"]


def main(out: str, *words: str) -> None:
    """Train, and save weights and history once."""
    folder = next((word for word in words if "/" in word), None)
    killed = next((int(word.removeprefix("killed=")) for word in words if word.startswith("killed=")), -1)
    digits = load_digits()
    x = torch.tensor(digits.data / 16.0, dtype=torch.float32)
    y = torch.tensor(digits.target)
    task = Digits(0.2 if "dropout" in words else 0.0, killed)
    trainer = Trainer(steps=200, batch_size=64, device="cpu", folder=folder, sharded="sharded" in words)
    if "twice" in words:
        trainer.run(Digits(0.0, -1), (x[:1437], y[:1437]))
    history = trainer.run(task, (x[:1437], y[:1437]))
    accuracy = float((task.net(x[1437:]).argmax(dim=1) == y[1437:]).float().mean())
    if os.environ.get("RANK", "0") == "0":
        torch.save({"net": task.net.state_dict(), "history": history.rows, "accuracy": accuracy}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
