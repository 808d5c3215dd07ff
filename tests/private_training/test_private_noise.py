"""The noise of a private run is there, in full, once, and it is added to the sum of clipped gradients: faults are seen."""

import math

import pytest
import torch
from battery.private_runs import BATCH, Linear, NoNoise, rows, trained

from privkd.mechanisms import SeededNoise
from privkd.private_training import private_run as run_module
from privkd.private_training.batches import PoissonDraws
from privkd.private_training.clipping.clipper import Clipper


def noise_is_right(clip=0.3, multiplier=1.7, steps=200):
    """Where gradients are zero, what the optimiser sees is N(0, (multiplier clip / batch)^2), independent over steps."""
    task = Linear(width=30, scale=0.0)
    trained(task, rows(width=30), steps=steps, clip=clip, multiplier=multiplier, source=SeededNoise(3))
    seen = torch.stack(task.seen) * BATCH / (clip * multiplier)
    count = seen.numel()
    assert seen.square().mean().item() == pytest.approx(1.0, abs=5 * math.sqrt(2 / count))
    assert abs(seen.mean().item()) < 5 / math.sqrt(count)
    neighbours = (seen[1:] * seen[:-1]).mean().item()
    assert abs(neighbours) < 5 / math.sqrt(count)


def sums_are_right(clip=0.5):
    """Without noise, the gradient is the sum of the sampled records' clipped gradients over the EXPECTED batch size."""
    task, data = Linear(), rows()
    draws, source = [], NoNoise()
    original = PoissonDraws._draw

    def drawn(self, step):
        draws.append(original(self, step))
        return draws[-1]

    before = {name: p.detach().clone() for name, p in task.net.named_parameters()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PoissonDraws, "_draw", drawn)
        trained(task, data, steps=1, clip=clip, source=source)
    total = torch.zeros(6, dtype=torch.float64)
    long = 0
    for row in draws[0].tolist():
        x, y = data[0][row].double(), data[1][row].double()
        slope = 2 * (before["weight"].double()[0] @ x + before["bias"].double()[0] - y)
        gradient = torch.cat([slope * x, slope.reshape(1)])
        long += bool(gradient.norm() > clip)
        total += gradient * min(1.0, clip / float(gradient.norm()))
    assert long > 0
    assert len(draws[0]) != BATCH  # so that dividing by the realised size would be seen
    assert torch.allclose(task.seen[0], total / BATCH, atol=1e-4 * clip / BATCH * len(draws[0]))


def test_the_noise_has_the_stated_size():
    noise_is_right()


def test_the_sum_is_that_of_clipped_records_over_the_expected_number():
    sums_are_right()


def forgotten(monkeypatch):
    monkeypatch.setattr(run_module, "noisy_sum", lambda total, **_: total)


def a_quarter(monkeypatch):
    honest = run_module.noisy_sum
    monkeypatch.setattr(
        run_module, "noisy_sum", lambda total, multiplier, **rest: honest(total, multiplier=multiplier / 4, **rest)
    )


def repeated(monkeypatch):
    honest, kept = run_module.noisy_sum, {}
    monkeypatch.setattr(
        run_module, "noisy_sum", lambda total, **rest: kept.setdefault("noise", honest(total, **rest) - total) + total
    )


def per_batch(monkeypatch):
    def clipped(self, *batch):
        plain = Clipper(self._job.model, self._job.loss_per_sample, 1e9, "loop")
        whole = plain.__class__._run(plain, batch) if len(batch[0]) else call(self, *batch)
        norm = math.sqrt(sum(float(g.square().sum()) for g in whole.gradients.values()))
        factor = min(1.0, self.rule.bound / max(norm, 1e-9))
        for value in whole.gradients.values():
            value.mul_(factor)
        object.__setattr__(whole, "rule", self.rule)
        return whole

    call = Clipper.__call__
    monkeypatch.setattr(Clipper, "__call__", clipped)


def realised_divisor(monkeypatch):
    fill = run_module.PrivateRun.fill

    def wrong(self, batch, context):
        result = fill(self, batch, context)
        for parameter in self._gradients.trained.values():
            parameter.grad *= self._draws.divisor / max(1, len(batch.index))
        return result

    monkeypatch.setattr(run_module.PrivateRun, "fill", wrong)


@pytest.mark.parametrize("fault", [forgotten, a_quarter, repeated])
def test_faults_in_the_noise_are_seen(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        noise_is_right()


@pytest.mark.parametrize("fault", [per_batch, realised_divisor])
def test_faults_in_the_sum_are_seen(fault, monkeypatch):
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        sums_are_right()
