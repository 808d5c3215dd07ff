"""Schedules are fractions of a stage: they multiply own rates as torch's schedulers do, whatever the number of steps."""

import math
import signal
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from trainer.tasks import Plain, rows

from privkd.errors import CheckpointError, TaskError, TrainingStopped
from privkd.trainer import Context, Schedule, Stage, Trainer, cosine, linear, per_epoch, steps_down

EPSILON = 2.0**-52


class Watched(Plain):
    """Remembers the rates of its steps."""

    def __init__(self, **options):
        super().__init__(**options)
        self.rates, self.fractions = [], []

    def step(self, batch, context):
        self.rates.append(self.optimizers["sgd"].param_groups[0]["lr"])
        self.fractions.append(context.fraction)
        return super().step(batch, context)


def scheduled(schedule, steps=12, **options):
    """The rates of a run of 3 steps per pass."""
    task = Watched(schedule=schedule, **options)
    Trainer(steps=steps, batch_size=16).run(task, rows())
    return task.rates


def by_torch(make, steps=12, lr=0.1):
    """The rates that a scheduler of torch gives, which steps once per batch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "twin"),
    [
        (cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)),
        (cosine(final=0.25), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12, eta_min=0.025)),
        (linear(final=0.5), lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.5, total_iters=12)),
        (steps_down(at=(0.5, 0.75)), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [6, 9], gamma=0.1)),
        (per_epoch(0.95), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, gamma=0.95)),
    ],
)
def test_rates_are_those_of_torch(schedule, twin):
    # torch's rates follow from each other, with about four roundings per step; the first ones are near 0.1.
    assert scheduled(schedule) == pytest.approx(by_torch(twin), rel=0, abs=0.1 * 4 * 12 * EPSILON)
    assert scheduled(schedule) != pytest.approx(by_torch(twin, lr=0.11), rel=0, abs=1e-4)


def test_weights_are_bit_for_bit_those_of_a_scheduler_with_the_same_formula():
    def formula(step):
        return (1.0 + math.cos(math.pi * (step / 12))) / 2.0

    class ByTorch(Watched):
        def __init__(self):
            super().__init__()
            self.schedulers = (torch.optim.lr_scheduler.LambdaLR(self.optimizers["sgd"], formula),)

    ours, theirs, other = Watched(schedule=cosine()), ByTorch(), Watched(schedule=linear())
    for task in (ours, theirs, other):
        Trainer(steps=12, batch_size=16).run(task, rows())
    assert ours.rates == theirs.rates
    assert torch.equal(ours.net.weight, theirs.net.weight)
    assert not torch.equal(ours.net.weight, other.net.weight)
    assert ours.fractions == [step / 12 for step in range(12)]


def test_a_warm_up_rises_in_a_line_and_loses_no_step():
    assert scheduled(linear(warm_up=0.25)) == pytest.approx(
        [0.1 * share for share in (1 / 4, 2 / 4, 3 / 4, *(1 - done / 9 for done in range(9)))], rel=8 * EPSILON
    )


@given(
    warm_up=st.floats(0, 1, exclude_max=True),
    final=st.floats(0, 1),
    steps=st.integers(1, 10_000),
    place=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from([cosine, linear]),
)
def test_scales_lie_between_0_and_1_and_fall_after_the_warm_up(warm_up, final, steps, place, kind):
    schedule, step = kind(warm_up=warm_up, final=final), min(int(place * steps), steps - 1)
    here, next_one = schedule.scale(step, steps, 0), schedule.scale(min(step + 1, steps - 1), steps, 0)
    assert 0.0 <= here <= 1.0 + EPSILON
    if step + 1 < int(warm_up * steps):
        assert next_one >= here
    elif step > int(warm_up * steps):
        assert next_one <= here + EPSILON


@given(steps=st.integers(1, 3000), tenth=st.integers(1, 9))
def test_moments_come_at_whole_tenths_of_the_steps_exactly(steps, tenth):
    down = [step for step in range(steps) if steps_down(at=(tenth / 10,)).scale(step, steps, 0) < 1]
    assert down == [step for step in range(steps) if 10 * step >= tenth * steps]


def test_every_group_keeps_its_own_rate_and_has_it_again_after_the_run():
    task = Watched(schedule={"sgd": steps_down(at=(0.5,), factor=0.5)})
    task.optimizers["sgd"] = torch.optim.SGD(
        [{"params": [task.net.weight], "lr": 0.2}, {"params": [task.net.bias], "lr": torch.tensor(0.4)}]
    )
    seen = []
    task.on_epoch_end = lambda context: seen.append([float(g["lr"]) for g in task.optimizers["sgd"].param_groups])
    for _ in range(2):  # a second run begins like the first one
        Trainer(steps=4, batch_size=64).run(task, rows())
    assert seen == [pytest.approx(pair) for pair in [[0.2, 0.4]] * 2 + [[0.1, 0.2]] * 2] * 2
    assert [float(group["lr"]) for group in task.optimizers["sgd"].param_groups] == pytest.approx([0.2, 0.4])


def test_a_failed_run_gives_own_rates_back():
    task = Watched(schedule=linear())
    task.on_epoch_end = lambda context: 1 / 0
    with pytest.raises(ZeroDivisionError):
        Trainer(steps=6, batch_size=16).run(task, rows())
    assert task.optimizers["sgd"].param_groups[0]["lr"] == 0.1


def test_stages_that_share_an_optimiser_begin_from_its_own_rate():
    first, second = Watched(schedule=linear()), Watched(schedule=cosine())
    second.net = second.modules["net"] = first.net
    second.optimizers["sgd"] = first.optimizers["sgd"]
    Trainer(steps=4, batch_size=16).run([Stage("a", first, rows()), Stage("b", second, rows(), steps=2)])
    assert first.rates[0] == second.rates[0] == 0.1
    assert second.rates[1] == pytest.approx(0.05)


@pytest.mark.parametrize("stop", [1, 7])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop):
    def run(folder, task):
        return Trainer(steps=12, batch_size=16, folder=folder).run(task, rows())

    whole, stopped, resumed = (Watched(schedule=cosine(warm_up=0.3), momentum=0.9) for _ in range(3))
    history = run(None, whole)
    stopped.on_epoch_start = lambda context: context.step + 3 > stop and signal.raise_signal(signal.SIGTERM)
    with pytest.raises(TrainingStopped):
        run(tmp_path, stopped)
    assert run(tmp_path, resumed) == history
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert len(resumed.rates) < 12
    assert resumed.rates == whole.rates[-len(resumed.rates) :]
    with pytest.raises(CheckpointError, match="schedules was"):
        run(tmp_path, Watched(schedule=cosine(warm_up=0.2), momentum=0.9))


@dataclass(frozen=True)
class Constant(Schedule):
    share: float

    def scale(self, step, steps, epoch):
        return self.share


def test_a_schedule_of_ones_own_is_used_and_compared(tmp_path):
    assert scheduled(Constant(0.5), steps=2) == [0.05, 0.05]
    Trainer(steps=2, batch_size=16, folder=tmp_path).run(Plain(schedule=Constant(0.5)), rows())
    with pytest.raises(CheckpointError, match="schedules was"):
        Trainer(steps=2, batch_size=16, folder=tmp_path).run(Plain(schedule=Constant(0.6)), rows())


def test_groups_that_appear_during_a_run_are_refused():
    task = Watched(schedule=linear())
    other = torch.nn.Linear(1, 1)
    task.modules["other"] = other
    task.on_epoch_end = lambda context: task.optimizers["sgd"].add_param_group({"params": list(other.parameters())})
    with pytest.raises(TaskError, match="had 1 parameter groups when the run began and has 2"):
        Trainer(steps=6, batch_size=16).run(task, rows())


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cosine(warm_up=1.0), ValueError, "warm_up"),
        (lambda: linear(warm_up=-0.1), ValueError, "warm_up"),
        (lambda: cosine(final=-0.1), ValueError, "final"),
        (lambda: cosine(final=math.nan), ValueError, "final"),
        (lambda: linear(final="0"), TypeError, "final"),
        (lambda: per_epoch(0.0), ValueError, "factor"),
        (lambda: steps_down(factor=0.0), ValueError, "factor"),
        (lambda: steps_down(at=()), ValueError, "rise"),
        (lambda: steps_down(at=(0.5, 0.5)), ValueError, "rise"),
        (lambda: steps_down(at=(0.75, 0.5)), ValueError, "rise"),
        (lambda: steps_down(at=(1.0,)), ValueError, "at=1.0"),
        (lambda: steps_down(at=0.5), TypeError, "tuple"),
        (lambda: Plain(schedule={"adam": cosine()}), ValueError, "no optimiser"),
        (lambda: Plain(schedule=0.5), TypeError, "schedule"),
    ],
)
def test_settings_out_of_range_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_schedule_beside_schedulers_is_refused():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ValueError, match="one of the two"):
        Plain(schedule=cosine(), schedulers=[torch.optim.lr_scheduler.ConstantLR(optimizer)])


def test_the_fraction_of_a_stage_is_that_of_its_steps():
    assert Context(3, 0, 12, torch.device("cpu"), torch.Generator()).fraction == 0.25
