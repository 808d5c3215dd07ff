"""Games, stages, averages, micro-batches, moments and guards of the optimiser loop."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.errors import NonFiniteLoss, OutOfMemory, TaskError
from privkd.trainer import Checkpoints, Stage, Task, Trainer, Update, seeded


def rows(n=48, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 4, generator=generator)
    return x, (x.sum(dim=1) > 0).long()


class Plain(Task):
    """A linear classifier; `loss` may be replaced."""

    def __init__(self, *, lr=0.1, momentum=0.0, **options):
        with seeded(1):
            self.net = nn.Linear(4, 2)
        super().__init__(
            modules={"net": self.net},
            optimizers={"sgd": torch.optim.SGD(self.net.parameters(), lr=lr, momentum=momentum)},
            **options,
        )

    def step(self, batch, context):
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](x), y)}


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


class Recording(Plain):
    def __init__(self, **options):
        super().__init__(**options)
        self.batches = []

    def step(self, batch, context):
        self.batches.append(batch.tensors)
        return super().step(batch, context)


@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_loop_is_the_one_written_by_hand(clip):
    task = Recording()
    Trainer(steps=20, batch_size=16, clip_norm=clip).run(task, rows())
    slow = by_hand(20, task.batches, clip=clip)
    assert torch.equal(task.net.weight, slow.weight)
    other = by_hand(20, task.batches, clip=None if clip else 0.05)
    assert not torch.allclose(task.net.weight, other.weight, atol=1e-4)


@pytest.mark.parametrize("parts", [2, 4])
def test_micro_batches_give_the_same_weights_up_to_rounding(parts):
    whole, split = Plain(), Plain()
    one = Trainer(steps=20, batch_size=16).run(whole, rows())
    two = Trainer(steps=20, batch_size=16, accumulate=parts).run(split, rows())
    assert torch.allclose(whole.net.weight, split.net.weight, atol=1e-6)
    assert two[-1]["cross-entropy"] == pytest.approx(one[-1]["cross-entropy"], abs=1e-6)
    with pytest.raises(TaskError, match="does not divide"):
        Trainer(steps=1, batch_size=16, accumulate=3).run(Plain(), rows())


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


class Frozen(Plain):
    def __init__(self, *, cheat):
        super().__init__()
        self.teacher, self.cheat = nn.BatchNorm1d(4), cheat
        self.frozen["teacher"] = self.teacher

    def step(self, batch, context):
        if self.cheat:
            self.teacher.train()
        x, y = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["net"](self.teacher(x)), y)}


def test_a_frozen_module_that_changed_is_told():
    Trainer(steps=2).run(Frozen(cheat=False), rows())
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


class Bad(Plain):
    def __init__(self, make):
        super().__init__()
        self.make = make

    def step(self, batch, context):
        return self.make(self, *batch.tensors, context.step)


def rooted(at):
    def root(task, x, y, step):
        loss = task.modules["net"](x).square().mean()
        if step == at:
            loss = loss + (task.modules["net"].weight * 0.0).abs().sum().sqrt()  # 0, with an infinite slope
        return {"fine": loss}

    return root


def test_a_gradient_that_is_not_finite_is_named_and_changes_nothing():
    task = Bad(rooted(10))
    with pytest.raises(NonFiniteLoss, match=r"gradient of net\.weight .* step 11"):
        Trainer(steps=15, batch_size=16).run(task, rows())
    assert torch.isfinite(task.net.weight).all()


@pytest.mark.parametrize("at", [3, 14])
def test_a_bad_gradient_between_two_looks_is_named_and_no_checkpoint_has_it(tmp_path, at):
    trainer = Trainer(steps=15, batch_size=16, folder=tmp_path, checkpoint_every=1)
    with pytest.raises(NonFiniteLoss, match=r"net\.weight is not finite after step"):
        trainer.run(Bad(rooted(at)), rows())
    step, state = Checkpoints(tmp_path / "checkpoints").latest()
    assert step == at
    assert torch.isfinite(state["stages"][0]["modules"]["net"]["weight"]).all()
    with pytest.raises(NonFiniteLoss, match=r"net\.weight is not finite since the step before|after step"):
        Trainer(steps=15, batch_size=16).run(Bad(rooted(at)), rows())


def test_a_loss_that_is_not_finite_is_named_before_anything_changes():
    def explode(task, x, y, step):
        fine = task.modules["net"](x).square().mean()
        return {"fine": fine, "other": fine * (math.inf if step == 2 else 1.0)}

    task = Bad(explode)
    with pytest.raises(NonFiniteLoss, match=r"other is not finite at step 3"):
        Trainer(steps=5, batch_size=16).run(task, rows())
    assert torch.isfinite(task.net.weight).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda task, x, y, step: {}, "no loss"),
        (lambda task, x, y, step: {"a": task.modules["net"](x)}, r"'a' is a tensor of shape \(16, 2\)"),
        (lambda task, x, y, step: {"a": 1.0}, "'a'.*float|'a': 1.0"),
        (lambda task, x, y, step: {"a": functional.cross_entropy(task.modules["net"](x), y + 5)}, r"int64 in \[0, 1\]"),
        (lambda task, x, y, step: {"a": task.modules["net"](x[:, :3]).mean()}, r"\(16, 4\) float32"),
    ],
)
def test_what_does_not_fit_is_told_before_the_first_update(make, message):
    task = Bad(make)
    before = task.net.weight.detach().clone()
    with pytest.raises(TaskError, match=message):
        Trainer(steps=5, batch_size=16).run(task, rows())
    assert torch.equal(task.net.weight, before)


def test_runs_on_private_data_write_no_losses_unless_asked(tmp_path):
    from accountants import Ledger

    ledger = Ledger(adjacency="add-remove")
    silent = Trainer(steps=4, folder=tmp_path / "a", ledger=ledger).run(Plain(), rows())
    assert all(set(row) == {"step"} for row in silent)
    assert "cross" not in (tmp_path / "a" / "metrics.jsonl").read_text()
    assert silent.leaks == ()
    loud = Trainer(steps=4, ledger=ledger, unsafe_logging=True).run(Plain(), rows())
    assert "cross-entropy" in loud[0]
    assert "without noise" in loud.leaks[0]
    assert sum("leak: " in text for text in ledger.disclosed) == 1
    Trainer(steps=4, ledger=ledger, unsafe_logging=True).run(Plain(), rows())
    assert sum("leak: " in text for text in ledger.disclosed) == 1  # said once


class Hungry(Plain):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def step(self, batch, context):
        if context.step == self.at:
            torch.empty(1 << 60)
        return super().step(batch, context)


@pytest.mark.parametrize("at", [0, 7])
def test_a_step_that_does_not_fit_into_memory_says_what_to_make_smaller_and_loses_nothing(tmp_path, at):
    trainer = Trainer(steps=9, batch_size=16, folder=tmp_path, checkpoint_every=3)
    with pytest.raises(OutOfMemory, match=f"step {at + 1} ran out of memory with 16 rows .* accumulate=2"):
        trainer.run(Hungry(at), rows())
    assert Checkpoints(tmp_path / "checkpoints").steps() == ([] if at == 0 else [3, 6])
    assert trainer.run(Hungry(at=-1), rows())[-1]["step"] == 9


@pytest.mark.parametrize(
    "settings",
    [{}, {"steps": 1, "epochs": 1}, {"steps": 1, "precision": "fp8"},
     {"steps": 1, "workers": -1}, {"steps": 1, "clip_norm": 0.0}, {"steps": 1, "keep": 0}, {"steps": 1, "accumulate": 0}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match="|".join([*settings, "steps"])):
        Trainer(**settings)


class Misfit(Plain):
    def step(self, batch, context):
        raise IndexError("Target 971 is out of bounds")


def test_errors_of_private_runs_keep_quiet_about_the_rows():
    from accountants import Ledger

    with pytest.raises(TaskError, match=r"Target 971.* in \[\d"):
        Trainer(steps=1, batch_size=4).run(Misfit(), rows())
    with pytest.raises(TaskError, match="unsafe_logging=True would show") as caught:
        Trainer(steps=1, batch_size=4, ledger=Ledger(adjacency="add-remove")).run(Misfit(), rows())
    assert "971" not in str(caught.value)
    assert " in [0, 1]" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_log_with_the_name_of_a_loss_is_refused():
    class Twice(Plain):
        def step(self, batch, context):
            context.log("cross-entropy", 7.0)
            return super().step(batch, context)

    with pytest.raises(TaskError, match="'cross-entropy' has the name of a loss"):
        Trainer(steps=2).run(Twice(), rows())


def test_a_stage_may_have_its_own_length_and_batches_and_data_of_what_came_before():
    seen = []

    class Watching(Plain):
        def step(self, batch, context):
            seen.append(len(batch.index))
            return super().step(batch, context)

    first = Watching()
    before = first.net.weight.detach().clone()

    def later():
        assert not torch.equal(before, first.net.weight)  # the first stage has learned
        return tuple(tensor[:6] for tensor in rows())

    stages = [Stage("a", first, rows(), epochs=2, batch_size=16), Stage("b", Watching(), later, steps=3)]
    Trainer(steps=50, batch_size=64).run(stages)
    n = len(rows()[0])
    assert seen == [16] * (2 * (n // 16)) + [6] * 3


@pytest.mark.parametrize("numbers", [{"steps": 0}, {"epochs": 0}, {"batch_size": 0}, {"steps": 1, "epochs": 1}])
def test_a_stage_with_impossible_numbers_is_refused(numbers):
    with pytest.raises(ValueError, match="|".join(numbers)):
        Stage("a", Plain(), rows(), **numbers)


def test_half_precision_without_an_accelerator_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is an accelerator")
    with pytest.raises(ValueError, match="needs an accelerator"):
        Trainer(steps=1, precision="bf16").run(Plain(), rows())


def test_evaluating_puts_modes_and_gradients_back():
    task = Plain()
    task.net.train()
    with task.evaluating():
        assert not task.net.training
        assert not torch.is_grad_enabled()
    assert task.net.training
    assert torch.is_grad_enabled()


def returning(value):
    class Odd(Plain):
        def step(self, batch, context):
            return value(self, batch) if callable(value) else value

    return Odd()


def yielding(*moves):
    class Odd(Plain):
        def step(self, batch, context):
            yield from (move(self, batch) for move in moves)

    return Odd()


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (returning(None), "gave NoneType; return named losses"),
        (returning(torch.zeros(())), "return named losses"),
        (yielding(), "gave no update"),
        (yielding(lambda task, batch: {"loss": task.net.weight.sum()}), "yield Update"),
        (yielding(lambda task, batch: Update({"loss": task.net.weight.sum()}, ("adam",))), r"optimisers \['adam'\]"),
    ],
)
def test_steps_of_another_kind_are_told_what_a_step_is(task, message):
    with pytest.raises(TaskError, match=message):
        Trainer(steps=1, batch_size=4).run(task, rows())


def test_optimizers_that_cannot_step_once_per_batch_are_refused():
    net = nn.Linear(1, 1)
    sgd = torch.optim.SGD(net.parameters(), lr=0.1)

    class Any(Task):
        pass

    for given, message in [
        ({"optimizers": []}, "optimizers is empty"),
        ({"optimizers": [torch.optim.LBFGS(net.parameters())]}, "LBFGS"),
        ({"optimizers": [sgd], "schedulers": [torch.optim.lr_scheduler.ReduceLROnPlateau(sgd)]}, "ReduceLROnPlateau"),
    ]:
        with pytest.raises(ValueError, match=message):
            Any(modules={"net": net}, **given)
    with pytest.raises(Exception, match="adam"):
        Update({}, "adam")


def test_logs_of_parts_of_a_batch_are_averaged():
    class Logging(Plain):
        def step(self, batch, context):
            context.log("first", float(batch.index.double().mean()))
            return super().step(batch, context)

    whole = Trainer(steps=3, batch_size=16, records=3).run(Logging(), rows())
    parts = Trainer(steps=3, batch_size=16, records=3, accumulate=4).run(Logging(), rows())
    assert parts.column("first") == pytest.approx(whole.column("first"))


def test_a_log_that_is_no_number_is_refused_at_once():
    class Logging(Plain):
        def step(self, batch, context):
            context.log("rows", batch.tensors[0])
            return super().step(batch, context)

    with pytest.raises(TaskError, match="log 'rows' is a tensor of shape"):
        Trainer(steps=50, batch_size=16).run(Logging(), rows())


def test_a_run_inside_a_run_stops_both_when_asked_to_end():
    import signal

    from privkd.errors import TrainingStopped

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


def test_a_buffer_that_is_not_finite_is_not_saved(tmp_path):
    class Broken(Plain):
        def __init__(self):
            super().__init__()
            self.net.register_buffer("running", torch.zeros(2))

        def step(self, batch, context):
            self.net.running.fill_(math.nan)
            return super().step(batch, context)

    with pytest.raises(NonFiniteLoss, match=r"net\.running"):
        Trainer(steps=5, folder=tmp_path, checkpoint_every=2).run(Broken(), rows())
    assert Checkpoints(tmp_path / "checkpoints").steps() == []


def test_large_finite_weights_are_finite():
    class Large(Plain):
        def __init__(self):
            super().__init__()
            self.net.register_buffer("large", torch.full((4,), 3e38))

    Trainer(steps=11, batch_size=8).run(Large(), rows())
