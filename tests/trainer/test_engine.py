"""The engine: it trains, repeats itself, touches no global state, and stops on NaN."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.errors import NonFiniteLoss
from privkd.trainer import Batch, Context, Task, Trainer, seeded


class Regression(Task):
    def __init__(self, seed=0, fail_at=None):
        with seeded(seed):
            self.net, self.anchor = nn.Linear(3, 1), nn.Linear(3, 1)
        super().__init__(
            modules={"net": self.net},
            optimizers=[torch.optim.SGD(self.net.parameters(), lr=0.1)],
            frozen={"anchor": self.anchor},
        )
        self.seen, self.fail_at = [], fail_at

    def step(self, batch: Batch, context: Context):
        x, y = batch.tensors
        self.seen.append(batch.index.clone())
        assert self.net.training
        assert not self.anchor.training
        assert not any(p.requires_grad for p in self.anchor.parameters())
        loss = functional.mse_loss(self.net(x).squeeze(1), y)
        if self.fail_at is not None and len(self.seen) >= self.fail_at:
            loss = loss * float("nan")
        return {"square": loss, "anchor": 0 * self.anchor(x).sum()}


def problem(n=50):
    rng = torch.Generator().manual_seed(1)
    x = torch.randn(n, 3, generator=rng)
    return x, x @ torch.tensor([1.0, -2.0, 0.5])


def test_it_learns_a_linear_map_and_leaves_modules_in_eval_mode():
    task = Regression()
    history = Trainer(steps=300, batch_size=10).run(task, problem())
    assert torch.allclose(task.net.weight, torch.tensor([[1.0, -2.0, 0.5]]), atol=1e-3)
    assert not task.net.training
    assert all(p.requires_grad for p in task.anchor.parameters())
    assert history[-1]["square"] < 1e-5 < history[0]["square"]
    assert [row["step"] for row in history] == sorted(row["step"] for row in history)
    assert history[-1]["step"] == 300


def test_equal_seeds_give_equal_weights_and_the_callers_random_state_stays():
    state = torch.get_rng_state()
    first, second, other = Regression(), Regression(), Regression()
    for task, seed in ((first, 3), (second, 3), (other, 4)):
        Trainer(steps=20, batch_size=10, seed=seed).run(task, problem())
    assert torch.equal(first.net.weight, second.net.weight)
    assert not torch.equal(first.net.weight, other.net.weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_pass_shows_every_row_once():
    task = Regression()
    Trainer(steps=10, batch_size=10).run(task, problem(50))
    for start in (0, 5):
        assert torch.cat(task.seen[start : start + 5]).sort().values.tolist() == list(range(50))
    assert torch.cat(task.seen[:5]).tolist() != torch.cat(task.seen[5:]).tolist()


def test_a_short_last_batch_is_dropped_and_small_data_are_used_whole():
    task = Regression()
    Trainer(steps=7, batch_size=20).run(task, problem(50))
    assert {len(i) for i in task.seen} == {20}
    small = Regression()
    Trainer(steps=3, batch_size=64).run(small, problem(5))
    assert {len(i) for i in small.seen} == {5}


def test_a_loss_that_is_not_finite_stops_the_run_and_is_named():
    with pytest.raises(NonFiniteLoss, match="square"):
        Trainer(steps=50, batch_size=10).run(Regression(fail_at=30), problem())


@pytest.mark.parametrize("data", [(torch.zeros(0, 3), torch.zeros(0)), (torch.zeros(3, 3), torch.zeros(4))])
def test_empty_or_uneven_data_are_refused(data):
    with pytest.raises(ValueError, match="rows"):
        Trainer(steps=1).run(Regression(), data)


@pytest.mark.parametrize("field", ["steps", "batch_size", "threads", "records"])
def test_settings_out_of_range_are_refused(field):
    with pytest.raises(ValueError, match=field):
        Trainer(**({"steps": 1} | {field: 0}))


def test_threads_are_put_back():
    before = torch.get_num_threads()
    Trainer(steps=1, threads=2).run(Regression(), problem())
    assert torch.get_num_threads() == before


@pytest.mark.proof
@pytest.mark.skipif(" " in torch.__file__, reason="torch.compile cannot link where the path of torch has a space")
def test_compiled_modules_learn_what_plain_ones_learn():
    compiled, plain = Regression(), Regression()
    compiled.step = lambda batch, context: {"square": functional.mse_loss(
        compiled.modules["net"](batch.tensors[0]).squeeze(1), batch.tensors[1])}  # fmt: skip
    plain.step = lambda batch, context: {"square": functional.mse_loss(
        plain.modules["net"](batch.tensors[0]).squeeze(1), batch.tensors[1])}  # fmt: skip
    Trainer(steps=30, batch_size=10, compile=True).run(compiled, problem())
    Trainer(steps=30, batch_size=10).run(plain, problem())
    assert type(compiled.modules["net"]) is nn.Linear
    assert torch.allclose(compiled.net.weight, plain.net.weight, atol=1e-5)
