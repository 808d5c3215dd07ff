"""The optimiser loop is the one written by hand: batches, micro-batches, games, averages, stages and moments."""

import copy
import signal

import pytest
import torch
from torch import nn
from torch.nn import functional
from trainer.tasks import Plain, Recording, rows

from privkd.errors import TaskError, TrainingStopped
from privkd.trainer import Stage, Task, Trainer, Update, seeded


def by_hand(steps, batches, lr=0.1, clip=None):
    """The same classifier with the loop written out."""
    with seeded(1):
        net = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for step in range(steps):
        batch = batches[step]
        optimizer.zero_grad()
        functional.cross_entropy(net(batch[0]), batch[1]).backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        optimizer.step()
    return net


@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_loop_is_the_one_written_by_hand(clip):
    task = Recording()
    history = Trainer(steps=20, batch_size=16, clip_norm=clip).run(task, rows())
    slow = by_hand(20, task.batches, clip=clip)
    assert torch.equal(task.net.weight, slow.weight)
    other = by_hand(20, task.batches, clip=None if clip else 0.05)
    assert not torch.allclose(task.net.weight, other.weight, atol=1e-4)
    assert history.column("step") == list(range(1, 21))
    assert not task.net.training


def test_equal_seeds_give_equal_weights_and_the_callers_random_state_stays():
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    first, second, other = Plain(), Plain(), Plain()
    for task, seed in ((first, 3), (second, 3), (other, 4)):
        Trainer(steps=20, batch_size=10, seed=seed, threads=2).run(task, rows())
    assert torch.equal(first.net.weight, second.net.weight)
    assert not torch.equal(first.net.weight, other.net.weight)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


def test_every_pass_shows_every_row_once_in_another_order():
    task = Recording()
    Trainer(steps=10, batch_size=10).run(task, rows(50))
    passes = [torch.cat(task.seen[start : start + 5]) for start in (0, 5)]
    assert all(shown.sort().values.tolist() == list(range(50)) for shown in passes)
    assert passes[0].tolist() != passes[1].tolist()


@pytest.mark.parametrize(("n", "size"), [(50, 20), (5, 5)])
def test_a_short_last_batch_is_dropped_and_small_data_are_used_whole(n, size):
    task = Recording()
    Trainer(steps=7, batch_size=20).run(task, rows(n))
    assert {len(index) for index in task.seen} == {size}


@pytest.mark.proof
@pytest.mark.skipif(" " in torch.__file__, reason="torch.compile cannot link where the path of torch has a space")
def test_compiled_modules_learn_what_plain_ones_learn():
    compiled, plain = Plain(), Plain()
    Trainer(steps=30, batch_size=10, compile=True).run(compiled, rows())
    Trainer(steps=30, batch_size=10).run(plain, rows())
    assert type(compiled.modules["net"]) is nn.Linear
    assert torch.allclose(compiled.net.weight, plain.net.weight, atol=1e-5)


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_give_the_same_weights_up_to_rounding(parts):
    whole, split = Plain(), Plain()
    one = Trainer(steps=20, batch_size=16).run(whole, rows())
    two = Trainer(steps=20, batch_size=16, accumulate=parts).run(split, rows())
    assert torch.allclose(whole.net.weight, split.net.weight, atol=1e-6)
    assert two[-1]["cross-entropy"] == pytest.approx(one[-1]["cross-entropy"], abs=1e-6)
    with pytest.raises(TaskError, match="does not divide"):
        Trainer(steps=1, batch_size=16, accumulate=3).run(Plain(), rows())


def test_logs_of_parts_of_a_batch_are_averaged():
    class Logging(Plain):
        def step(self, batch, context):
            context.log("first", float(batch.index.double().mean()))
            return super().step(batch, context)

    whole = Trainer(steps=3, batch_size=16, records=3).run(Logging(), rows())
    parts = Trainer(steps=3, batch_size=16, records=3, accumulate=4).run(Logging(), rows())
    assert parts.column("first") == pytest.approx(whole.column("first"))


class Game(Task):
    """Two players; each update must move its own player only."""

    def __init__(self):
        with seeded(2):
            self.maker, self.critic = nn.Linear(4, 4), nn.Linear(4, 1)
        super().__init__(
            modules={"maker": self.maker, "critic": self.critic},
            optimizers={
                "maker": torch.optim.SGD(self.maker.parameters(), lr=0.1),
                "critic": torch.optim.SGD(self.critic.parameters(), lr=0.1),
            },
        )
        self.seen = []

    def step(self, batch, context):
        x, _ = batch.tensors
        before = copy.deepcopy([self.maker.state_dict(), self.critic.state_dict()])
        made = self.modules["maker"](x)
        yield Update({"critic": self.modules["critic"](made).mean() - self.modules["critic"](x).mean()}, ("critic",))
        middle = copy.deepcopy([self.maker.state_dict(), self.critic.state_dict()])
        yield Update({"maker": -self.modules["critic"](self.modules["maker"](x)).mean()}, ("maker",))
        after = [self.maker.state_dict(), self.critic.state_dict()]
        self.seen.append([same(a, b) for a, b in zip(before, middle, strict=True)])
        self.seen.append([same(a, b) for a, b in zip(middle, after, strict=True)])


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_every_update_of_a_game_moves_its_own_player_only():
    task = Game()
    history = Trainer(steps=3, batch_size=16).run(task, rows())
    assert task.seen == [[True, False], [False, True]] * 3
    assert set(history[-1]) == {"step", "maker", "critic"}


def test_games_in_micro_batches_move_in_step():
    whole, split = Game(), Game()
    Trainer(steps=5, batch_size=16).run(whole, rows())
    Trainer(steps=5, batch_size=16, accumulate=4).run(split, rows())
    assert torch.allclose(whole.maker.weight, split.maker.weight, atol=1e-6)
    assert torch.allclose(whole.critic.weight, split.critic.weight, atol=1e-6)


def test_averages_follow_with_their_decay():
    task = Recording(averaged={"net": 0.5})
    start = task.net.weight.detach().clone()
    Trainer(steps=3, batch_size=16).run(task, rows())
    average = start
    for steps in (1, 2, 3):
        average = 0.5 * average + 0.5 * by_hand(steps, task.batches).weight.detach()
    assert torch.allclose(task.averages["net"].weight, average, atol=1e-6)
    assert not torch.allclose(task.averages["net"].weight, task.net.weight, atol=1e-4)
    with pytest.raises(ValueError, match="decay"):
        Plain(averaged={"net": 1.0})
    with pytest.raises(ValueError, match="names no module"):
        Plain(averaged={"nets": 0.9})


def test_stages_run_in_order_and_share_modules():
    first = Plain()
    second = Plain()
    second.net = second.modules["net"] = first.net
    second.optimizers["sgd"] = torch.optim.SGD(first.net.parameters(), lr=0.0)
    history = Trainer(steps=10, batch_size=16).run(
        [Stage("learn", first, rows(), steps=6), Stage("rest", second, rows())]
    )
    assert [row["stage"] for row in history] == ["learn"] * 6 + ["rest"] * 10
    assert history[-1]["step"] == 10.0
    alone = Plain()
    Trainer(steps=6, batch_size=16).run(alone, rows())
    assert torch.equal(alone.net.weight, first.net.weight)


def test_a_stage_may_have_its_own_length_and_batches_and_data_of_what_came_before():
    first, second = Recording(), Recording()
    before = first.net.weight.detach().clone()

    def later():
        assert not torch.equal(before, first.net.weight)  # the first stage has learned
        return tuple(tensor[:6] for tensor in rows())

    stages = [Stage("a", first, rows(), epochs=2, batch_size=16), Stage("b", second, later, steps=3)]
    Trainer(steps=50, batch_size=64).run(stages)
    assert [len(index) for index in first.seen] == [16] * 6
    assert [len(index) for index in second.seen] == [6] * 3


class Frozen(Plain):
    def __init__(self, *, cheat):
        super().__init__()
        self.teacher, self.cheat = nn.BatchNorm1d(4), cheat
        self.frozen["teacher"] = self.teacher

    def step(self, batch, context):
        assert not self.teacher.training
        assert not any(p.requires_grad for p in self.teacher.parameters())
        if self.cheat:
            self.teacher.train()
        x, y = batch.tensors
        loss = functional.cross_entropy(self.modules["net"](self.teacher(x)), y)
        self.teacher.eval()
        return {"cross-entropy": loss}


def test_frozen_modules_get_their_gradients_back_and_a_changed_one_is_named():
    fair = Frozen(cheat=False)
    Trainer(steps=2).run(fair, rows())
    assert all(p.requires_grad for p in fair.teacher.parameters())
    with pytest.raises(TaskError, match=r"changed.*teacher"):
        Trainer(steps=2).run(Frozen(cheat=True), rows())


class Moments(Plain):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_epoch_start(self, context):
        self.calls.append(f"start {context.step}")

    def on_epoch_end(self, context):
        self.calls.append(f"end {context.step}")

    def validate(self, context):
        assert not self.modules["net"].training
        assert not torch.is_grad_enabled()
        return {"accuracy": 0.25}

    def step(self, batch, context):
        assert self.modules["net"].training
        context.log("steps so far", context.step)
        return super().step(batch, context)


def test_moments_are_called_around_every_pass_and_figures_are_reported():
    task = Moments()
    history = Trainer(epochs=2, batch_size=16, records=1).run(task, rows())
    assert task.calls == ["start 0", "end 3", "start 3", "end 6"]
    assert [row["step"] for row in history] == [3.0, 6.0]
    assert history.column("accuracy") == [0.25, 0.25]
    assert history.column("steps so far") == [1.0, 4.0]
    assert "accuracy" in str(history)
    with pytest.raises(KeyError, match="known: step"):
        history.column("accurracy")


def test_evaluating_puts_modes_and_gradients_back():
    task = Plain()
    task.net.train()
    with task.evaluating():
        assert not task.net.training
        assert not torch.is_grad_enabled()
    assert task.net.training
    assert torch.is_grad_enabled()


def test_unlabelled_rows_come_beside_labelled_ones():
    seen = []

    class Both(Plain):
        def step(self, batch, context):
            extra = batch.beside["unlabelled"]
            assert torch.equal(extra.tensors[0], unlabelled[extra.index])
            seen.append(extra.index)
            return super().step(batch, context)

    unlabelled = torch.randn(100, 4)
    Trainer(steps=6, batch_size=16).run(Both(), rows(), beside={"unlabelled": (unlabelled,)})
    assert len(torch.cat(seen).unique()) == 96  # one pass of its own, six batches of sixteen


def test_a_run_inside_a_run_stops_both_when_asked_to_end():
    class Outer(Plain):
        def step(self, batch, context):
            if context.step == 3:
                inner = Plain()
                inner.on_epoch_start = lambda _: signal.raise_signal(signal.SIGTERM)
                with pytest.raises(TrainingStopped):
                    Trainer(steps=5).run(inner, rows())
            return super().step(batch, context)

    with pytest.raises(TrainingStopped, match="at step 4 of 9"):
        Trainer(steps=9).run(Outer(), rows())
