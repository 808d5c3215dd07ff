"""A task may look at gradients between the backward pass and the step; tasks that do not are not changed."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from trainer.tasks import Plain, rows

from privkd.errors import NonFiniteLoss
from privkd.private_training import PrivateGradients
from privkd.trainer import Task, Trainer, Update, seeded
from privkd.trainer.devices.engine import OneProcess


class Empty(Plain):
    """Has the hook, and does nothing in it."""

    def before_step(self, optimizers, context):
        pass


class Moves(Task):
    """A maker and a critic; the critic moves twice."""

    def __init__(self):
        with seeded(2):
            self.maker, self.critic = nn.Linear(4, 4), nn.Linear(4, 1)
        modules = {"maker": self.maker, "critic": self.critic}
        super().__init__(
            modules=modules,
            optimizers={name: torch.optim.SGD(module.parameters(), lr=0.1) for name, module in modules.items()},
        )
        self.calls = []

    def step(self, batch, context):
        x, _ = batch.tensors
        for _ in range(2):
            yield Update({"critic": self.modules["critic"](self.modules["maker"](x).detach()).mean()}, ("critic",))
        yield Update({"maker": -self.modules["critic"](self.modules["maker"](x)).mean()}, ("maker",))


class EmptyMoves(Moves):
    def before_step(self, optimizers, context):
        self.calls.append((context.step, *optimizers))


def trained(task, **settings):
    Trainer(steps=6, batch_size=16, **settings).run(task, rows())
    return torch.cat([p.detach().reshape(-1) for module in task.modules.values() for p in module.parameters()])


@pytest.mark.parametrize("settings", [{}, {"accumulate": 4}, {"clip_norm": 0.05}])
@pytest.mark.parametrize(("without", "empty"), [(Plain, Empty), (Moves, EmptyMoves)])
def test_an_empty_hook_changes_no_bit(without, empty, settings):
    assert torch.equal(trained(without(), **settings), trained(empty(), **settings))


@pytest.mark.parametrize("settings", [{}, {"accumulate": 4}])
def test_it_is_called_once_per_update_with_the_optimisers_that_will_step(settings):
    task = EmptyMoves()
    trained(task, **settings)
    assert task.calls == [(step, name) for step in range(6) for name in ("critic", "critic", "maker")]


def test_gradients_of_all_parts_are_there_and_are_not_clipped_yet():
    seen = {}

    class Looking(Plain):
        def before_step(self, optimizers, context):
            assert not torch.is_grad_enabled()
            seen.setdefault(self.label, []).append(self.net.weight.grad.clone())

    for label, settings in {"whole": {}, "parts": {"accumulate": 4}, "clipped": {"clip_norm": 1e-3}}.items():
        task = Looking()
        task.label = label
        Trainer(steps=1, batch_size=16, **settings).run(task, rows())
    assert torch.allclose(seen["whole"][0], seen["parts"][0], atol=1e-6)
    assert torch.equal(seen["whole"][0], seen["clipped"][0])
    assert float(seen["whole"][0].norm()) > 1e-2  # the limit would have changed it


def test_what_it_changes_is_what_the_step_uses():
    class Halved(Plain):
        def before_step(self, optimizers, context):
            for p in self.net.parameters():
                p.grad.mul_(0.5)

    assert torch.equal(trained(Halved(lr=0.1)), trained(Plain(lr=0.05)))  # halves are exact
    assert not torch.equal(trained(Halved(lr=0.1)), trained(Plain(lr=0.1)))


def test_a_perturbation_of_weights_can_be_taken_back():
    """Random weight perturbation: gradients at w + e move w."""

    class Perturbed(Plain):
        def step(self, batch, context):
            self.noise = torch.ones_like(self.net.weight)
            with torch.no_grad():
                self.net.weight += self.noise
            return super().step(batch, context)

        def before_step(self, optimizers, context):
            self.net.weight -= self.noise

    task, (x, y) = Perturbed(), rows(16)
    start = task.net.weight.detach().clone()
    shifted = (start + 1.0).requires_grad_()
    functional.cross_entropy(functional.linear(x, shifted, task.net.bias.detach()), y).backward()
    Trainer(steps=1, batch_size=16).run(task, (x, y))
    # Rows come in another order, so that sums are rounded differently; 2**-24 per unit of weight, some ten times.
    assert torch.allclose(task.net.weight, start - 0.1 * shifted.grad, atol=16 * 2.0**-24)
    assert not torch.allclose(task.net.weight, start + 1.0 - 0.1 * shifted.grad, atol=1e-3)


def test_a_gradient_that_the_hook_breaks_is_refused_before_the_step():
    class Broken(Plain):
        def before_step(self, optimizers, context):
            self.net.weight.grad[0, 0] = torch.nan

    task = Broken()
    start = task.net.weight.detach().clone()
    with pytest.raises(NonFiniteLoss, match=r"gradient of net.weight"):
        Trainer(steps=1, batch_size=16).run(task, rows())
    assert torch.equal(task.net.weight, start)


def test_gradients_of_half_precision_have_their_true_size():
    engine = OneProcess(torch.device("cpu"), "fp16")
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    engine.backward((2.0 * weight).sum(), None)
    assert weight.grad.tolist() != [2.0] * 3
    engine.unscale(optimizer)
    assert weight.grad.tolist() == [2.0] * 3
    engine.step(optimizer, [weight], 12**0.5 / 2)  # half of their norm
    assert torch.allclose(weight.detach(), torch.zeros(3), atol=1e-6)


def test_private_runs_refuse_it():
    class Private(Empty):
        def per_record(self, batch, context):
            x, y = batch.tensors
            return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}

    task = Private()
    start = task.net.weight.detach().clone()
    with pytest.raises(ValueError, match=r"Private.before_step may change gradients after noise"):
        Trainer(steps=1, privacy=PrivateGradients(clip=1.0, multiplier=1.0)).run(task, rows())
    assert torch.equal(task.net.weight, start)
