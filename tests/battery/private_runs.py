"""A small private run that many tests share: a linear task, its rows, and sources of noise to look at it with."""

import torch
from torch import nn

from privkd.mechanisms import SeededNoise
from privkd.mechanisms.noise import NoiseSource
from privkd.private_training import PrivateGradients
from privkd.trainer import Task, Trainer, seeded

N, BATCH, STEPS = 400, 40, 20


class Linear(Task):
    """Squared error of a linear map; remembers the gradients that its optimiser sees."""

    def __init__(self, width=5, out=1, scale=1.0, **options):
        with seeded(0):
            net = nn.Linear(width, out)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        super().__init__(modules={"net": net}, optimizers=[optimizer], **options)
        self.net, self.scale, self.seen = net, scale, []
        optimizer.register_step_pre_hook(lambda *_: self.seen.append(self.flat()))

    def flat(self):
        return torch.cat([p.grad.flatten().double() for p in self.net.parameters()])

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"square": self.scale * (self.modules["net"](x).squeeze(1) - y).square()}


class Interrupted(Linear):
    """Stops the run once at each of some steps, at the first pass over a batch; files in a folder tell that it has."""

    def __init__(self, folder, *steps):
        super().__init__()
        self.folder, self.steps, self.taken = folder, steps, {}

    def per_record(self, batch, context):
        mark = self.folder / f"stopped-{context.step}"
        if context.step in self.steps and not mark.exists():
            mark.touch()
            raise KeyboardInterrupt
        self.taken[context.step] = batch.index  # the last pass of a step is the one that trains; checks come before
        return super().per_record(batch, context)


def rows(n=N, width=5):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, width, generator=generator)
    return x, x.sum(dim=1)


def trained(task=None, data=None, *, steps=STEPS, batch_size=BATCH, trainer=None, **settings):
    task = task or Linear()
    settings = {"multiplier": 1.0, "source": SeededNoise(0)} | settings
    private = PrivateGradients(**settings)
    history = Trainer(steps=steps, batch_size=batch_size, privacy=private, device="cpu", **(trainer or {})).run(
        task, data or rows()
    )
    return task, history


class NoNoise(NoiseSource):
    """Samples, but adds nothing: for looking at the sums alone."""

    secure = False

    def __init__(self):
        self._inner = SeededNoise(0)

    def words(self, count):
        return self._inner.words(count)

    def normal(self, shape, *, std):
        return torch.zeros(shape, dtype=torch.float64)
