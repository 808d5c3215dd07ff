"""A run that can be killed at any moment: dropout, momentum, a queue, an average, a scheduler, two optimisers."""

import sys

import torch
from torch import nn
from torch.nn import functional

from privkd.trainer import Batch, Context, Stage, Task, Trainer, Update, seeded


class Game(Task):
    """An auto-encoder against a critic, with a queue of codes."""

    def __init__(self):
        with seeded(3):
            self.coder = nn.Sequential(nn.Linear(16, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 16))
            self.critic = nn.Linear(16, 1)
        optimizers = {
            "coder": torch.optim.Adam(self.coder.parameters(), lr=1e-2),
            "critic": torch.optim.SGD(self.critic.parameters(), lr=1e-2, momentum=0.9),
        }
        super().__init__(
            modules={"coder": self.coder, "critic": self.critic},
            optimizers=optimizers,
            schedulers=[torch.optim.lr_scheduler.CosineAnnealingLR(optimizers["coder"], 200)],
            averaged={"coder": 0.9},
        )
        self.queue = torch.zeros(5, 16)

    def step(self, batch: Batch, context: Context):
        (x,) = batch.tensors
        x = x + 0.1 * torch.randn(x.shape, generator=context.generator)
        made = self.modules["coder"](x)
        critic = self.modules["critic"]
        yield Update({"critic": critic(made.detach()).mean() - critic(x).mean()}, ("critic",))
        self.queue = torch.cat([self.queue, made.detach()[:1]])[-5:]
        loss = (
            functional.mse_loss(made, x)
            - 0.1 * critic(made).mean()
            + 0.01 * (made.mean(0) - self.queue.mean(0)).square().mean()
        )
        context.log("size", made.abs().mean())
        yield Update({"coder": loss}, ("coder",))

    def validate(self, context: Context):
        return {"queue": float(self.queue.abs().mean())}

    def state_dict(self):
        return {"queue": self.queue}

    def load_state_dict(self, state):
        self.queue = state["queue"]


def main(folder: str) -> Game:
    """Run it, or go on with it."""
    first, second = Game(), Game()
    x = torch.randn(96, 16, generator=torch.Generator().manual_seed(0))
    stages = [Stage("first", first, (x,), steps=40), Stage("second", second, (x,), steps=60)]
    trainer = Trainer(steps=1, batch_size=16, folder=folder, checkpoint_every=3, records=10)
    trainer.run(stages)
    return second


if __name__ == "__main__":
    main(sys.argv[1])
