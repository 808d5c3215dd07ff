"""Small clients that tests of the federation share."""

import torch
from torch import nn
from torch.nn import functional

from privkd.federation import EvalResult, FitResult
from privkd.trainer import Task, seeded
from privkd.trainer.seeding import generator_of


class Shifting:
    """Adds its number plus noise from its seed to every array; remembers how often, and writes to all that it is given."""

    def __init__(self, shift, weight=1.0):
        self.shift, self.weight, self.seen = shift, weight, []

    def fit(self, arrays, config, state):
        self.seen.append((dict(config), {name: value.clone() for name, value in arrays.items()}, dict(state)))
        noise = torch.rand((), generator=generator_of(config["seed"]))
        new = {name: value + self.shift + noise for name, value in arrays.items()}
        for value in arrays.values():
            value.fill_(float("nan"))
        config["round"] = -1
        times = state.get("times", 0) + 1
        state["times"] = -1
        memory = state.get("memory", torch.zeros(2)) + 1
        return FitResult(new, self.weight, {"noise": float(noise)}, {"times": times, "memory": memory})

    def evaluate(self, arrays, config, state):
        total = float(sum(value.sum() for value in arrays.values()))
        for value in (*arrays.values(), *(v for v in state.values() if isinstance(v, torch.Tensor))):
            value.fill_(float("nan"))
        state["times"] = 1000
        return EvalResult({"total": total}, self.weight)


def rows(n=40, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return x, (x.sum(dim=1) > 0).long()


class Net(nn.Module):
    """A backbone and a head."""

    def __init__(self):
        super().__init__()
        with seeded(1):
            self.backbone, self.head = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU()), nn.Linear(8, 2)

    def forward(self, x):
        return self.head(self.backbone(x))


class Classify(Task):
    def __init__(self, net=None, *, lr=0.1, momentum=0.9, **options):
        self.net = net or Net()
        optimizer = torch.optim.SGD(self.net.parameters(), lr=lr, momentum=momentum)
        super().__init__(modules={"net": self.net}, optimizers={"sgd": optimizer}, **options)

    def step(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


def accuracy(module, data):
    x, y = data
    with torch.no_grad():
        return {"accuracy": float((module(x).argmax(dim=1) == y).float().mean())}
