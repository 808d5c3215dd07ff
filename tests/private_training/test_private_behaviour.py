"""How a private run trains: batches, views, broken records, averages, data sets, strategies."""

import pytest
import torch
from battery.private_runs import BATCH, Linear, N, NoNoise, rows, trained

from privkd.mechanisms import SeededNoise
from privkd.private_training import PrivateGradients, Quantile
from privkd.private_training.clipping.clipper import Clipper
from privkd.trainer import Trainer


def test_it_learns():
    task, history = trained(steps=300, multiplier=None, epsilon=8.0, clip=2.0)
    assert float((task.net.weight - 1.0).abs().max()) < 0.15
    assert history.certificate.epsilon <= 8.0


def test_micro_batches_and_views_change_nothing_that_they_should_not():
    whole, _ = trained()
    parts, _ = trained(trainer={"accumulate": 8})
    views, _ = trained(views=3)  # three equal views: their mean is the record's own gradient
    assert torch.allclose(whole.net.weight, parts.net.weight, atol=1e-6)
    assert torch.allclose(whole.net.weight, views.net.weight, atol=1e-5)


def test_views_are_averaged_before_they_are_clipped():
    class Augmented(Linear):
        def per_record(self, batch, context):
            x = batch.tensors[0]
            signs = torch.tensor([1.0, -1.0]).repeat(len(x) // 2)  # two views that pull against each other
            return {"pull": 1000.0 * signs * self.modules["net"](x).squeeze(1)}

    task = Augmented()
    trained(task, steps=1, views=2, source=NoNoise())
    assert float(task.seen[0].norm()) < 1e-3


def test_a_record_with_an_infinite_gradient_has_no_influence_and_the_run_goes_on():
    x, y = rows()
    x[7], y[9] = float("inf"), float("nan")
    broken, _ = trained(data=(x, y), batch_size=N)
    keep = [row for row in range(N) if row not in (7, 9)]
    assert bool(broken.net.weight.isfinite().all())
    clean = Linear()
    trained(clean, (x[keep], y[keep]), batch_size=N, steps=1, source=NoNoise())
    again = Linear()
    trained(again, (x, y), batch_size=N, steps=1, source=NoNoise())
    assert torch.allclose(clean.seen[0] * len(keep), again.seen[0] * N, rtol=1e-5)


def test_empty_batches_are_steps_with_noise_alone():
    task, _ = trained(data=rows(3), batch_size=1, steps=30, delta=1e-2)
    assert len(task.seen) == 30
    assert all(bool(one.isfinite().all()) and float(one.norm()) > 0 for one in task.seen)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_set_that_is_read_row_by_row_trains_alike(workers):
    class Read(torch.utils.data.Dataset):
        def __init__(self, n):
            self.data = rows(n)

        def __len__(self):
            return len(self.data[0])

        def __getitem__(self, row):
            return self.data[0][row], self.data[1][row]

    # Reading ahead draws batches before the noise of earlier steps, so the streams of one seed differ: no noise here.
    one, _ = trained(data=rows(4), batch_size=1, steps=12, delta=1e-2, source=NoNoise())
    two, _ = trained(data=Read(4), batch_size=1, steps=12, delta=1e-2, source=NoNoise(), trainer={"workers": workers})
    assert torch.allclose(one.net.weight, two.net.weight, atol=1e-6)


def test_averages_and_schedules_follow_the_noisy_weights():
    task = Linear(averaged={"net": 0.5})
    trained(task)
    assert not torch.equal(task.averages["net"].weight, task.net.weight)
    assert torch.allclose(task.averages["net"].weight, task.net.weight, atol=0.5)


def test_an_adaptive_norm_moves_in_the_run():
    class Watching(Linear):
        pass

    task = Watching()
    private = PrivateGradients(multiplier=0.5, clip=Quantile(start=100.0), source=SeededNoise(0))
    state = {}
    begin = PrivateGradients.begin

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivateGradients, "begin", lambda self, setting: state.setdefault("run", begin(self, setting)))
        Trainer(steps=50, batch_size=BATCH, privacy=private, device="cpu").run(task, rows())
    assert state["run"].state_dict()["bound"] < 30.0


def test_the_plain_run_of_such_a_task_minimises_the_means():
    task = Linear()
    history = Trainer(steps=200, batch_size=BATCH, device="cpu").run(task, rows())
    assert history[-1]["square"] < 1e-3
    assert torch.allclose(task.net.weight, torch.ones(1, 5), atol=0.05)


class Denoising(Linear):
    """Draws a level of noise for every record, as diffusion models do."""

    def per_record(self, batch, context):
        x, y = batch.tensors
        level = torch.rand(len(x), 1, generator=context.generator)
        return {"square": (self.modules["net"](x * level).squeeze(1) - y).square()}


def test_losses_that_draw_from_the_context_are_covered_record_by_record(monkeypatch):
    chosen = []
    original = Clipper.__call__

    def watched(self, *batch):
        result = original(self, *batch)
        chosen.append((self.strategy, self.reasons))
        return result

    monkeypatch.setattr(Clipper, "__call__", watched)
    trained(Denoising(), steps=4)
    assert [strategy for strategy, _ in chosen] == ["vmap"] * 4
    assert "random" in chosen[0][1][0]
