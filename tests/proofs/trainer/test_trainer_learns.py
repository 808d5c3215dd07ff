"""The engine trains real tasks: a CNN on MNIST, and a small game on digits."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

from privkd.trainer import Task, Trainer, Update, seeded

pytestmark = pytest.mark.proof


class Images(Task):
    """A CNN of about 200 000 parameters, one-cycle Adam."""

    def __init__(self, steps, test):
        with seeded(0):
            self.net = nn.Sequential(
                nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(1568, 120), nn.ReLU(), nn.Linear(120, 10),
            )  # fmt: skip
        optimizer = torch.optim.Adam(self.net.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        super().__init__(modules={"net": self.net}, optimizers=[optimizer], schedulers=[schedule])
        self.test = test

    def step(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}

    def validate(self, context):
        x, y = self.test
        right = torch.cat([self.net(part).argmax(dim=1) for part in x.split(1000)]) == y
        return {"accuracy": float(right.float().mean())}


def test_a_cnn_reaches_98_5_percent_on_mnist(shared_file):
    with np.load(shared_file("data/mnist.npz")) as file:
        part = {name: torch.from_numpy(file[name]) for name in file.files}
    train = part["train_images"].float().div(255.0)[:, None], part["train_labels"].long()
    test = part["test_images"].float().div(255.0)[:, None], part["test_labels"].long()
    epochs = 3
    task = Images(epochs * (len(train[0]) // 128), test)
    history = Trainer(epochs=epochs, batch_size=128).run(task, train)
    assert history.column("accuracy")[-1] >= 0.985


class Adversaries(Task):
    """A small GAN on 8x8 digits: the generator learns where pixels are dark."""

    def __init__(self, *, plays=True):
        with seeded(1):
            self.maker = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 64), nn.Sigmoid())
            self.critic = nn.Sequential(nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
        optimizers = {
            "maker": torch.optim.Adam(self.maker.parameters(), lr=2e-3, betas=(0.5, 0.999)),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=2e-3, betas=(0.5, 0.999)),
        }
        super().__init__(modules={"maker": self.maker, "critic": self.critic}, optimizers=optimizers)
        self.plays = plays

    def step(self, batch, context):
        (real,) = batch.tensors
        critic, maker = self.modules["critic"], self.modules["maker"]
        made = maker(torch.randn(len(real), 16, generator=context.generator))
        yield Update(
            {"critic": functional.softplus(-critic(real)).mean() + functional.softplus(critic(made.detach())).mean()},
            ("critic",),
        )
        if self.plays:
            yield Update({"maker": functional.softplus(-critic(made)).mean()}, ("maker",))


def distance(task, real):
    """Between mean images, and between pixel spreads."""
    with torch.no_grad():
        made = task.maker(torch.randn(2000, 16, generator=torch.Generator().manual_seed(5)))
    return float((made.mean(0) - real.mean(0)).abs().mean() + (made.std(0) - real.std(0)).abs().mean())


def test_a_game_of_two_networks_learns_what_one_player_alone_does_not():
    real = torch.tensor(load_digits().data / 16.0, dtype=torch.float32)
    game, alone = Adversaries(), Adversaries(plays=False)
    for task in (game, alone):
        Trainer(steps=1500, batch_size=64).run(task, (real,))
    assert distance(game, real) < 0.12
    assert distance(alone, real) > 0.3
