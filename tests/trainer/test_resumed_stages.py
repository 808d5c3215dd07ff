"""A run of several stages that is stopped in a later one ends as if it had not been; one that is another is refused."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from privkd.errors import CheckpointError, TaskError
from privkd.trainer import Stage, Task, Trainer, seeded

X = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))


class Learner(Task):
    def __init__(self, target, *, lr=0.05, net=None, **options):
        with seeded(1):
            net = net or nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 4))
        super().__init__(
            modules={"net": net}, optimizers={"sgd": torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)}, **options
        )
        self.net, self.target, self.stop_at = net, target, None

    def step(self, batch, context):
        if context.step == self.stop_at:
            raise KeyboardInterrupt
        (x,) = batch.tensors
        return {"square": functional.mse_loss(self.modules["net"](x), self.target(x))}


def made_by_dropout(first, second):
    return lambda: (first.net(X),)


def made_by_chance(first, second):
    return lambda: (X[torch.randperm(32)[:16]],)


def made_by_the_average(first, second):
    second.target = first.averages["net"] if first.averages else lambda x: first.averages["net"](x)
    return lambda: (X,)


def run(make, folder=None, stop_at=None):
    first = Learner(lambda x: x, averaged={"net": 0.9})
    second = Learner(lambda x: -x)
    second.stop_at = stop_at
    stages = [Stage("a", first, (X,), steps=6), Stage("b", second, make(first, second), steps=9)]
    Trainer(steps=1, batch_size=8, folder=folder, checkpoint_every=2, device="cpu").run(stages)
    return first, second


def same(one, two):
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("make", "stop_at"), [(made_by_dropout, 5), (made_by_chance, 0), (made_by_the_average, 0), (made_by_the_average, 5)]
)
def test_a_run_stopped_in_a_later_stage_ends_as_if_it_had_not_been(tmp_path, make, stop_at):
    whole = run(make)
    with pytest.raises(KeyboardInterrupt):
        run(make, tmp_path, stop_at)
    resumed = run(make, tmp_path)
    assert same(whole[1].net, resumed[1].net)
    assert not any(module.training for task in resumed for module in task.modules.values())


def test_rows_that_a_stage_itself_changes_are_refused_when_it_goes_on(tmp_path):
    def chosen(first, second):
        return lambda: (X[second.net.eval()(X).detach().sum(dim=1).argsort()[:16]],)

    with pytest.raises(KeyboardInterrupt):
        run(chosen, tmp_path, 5)
    with pytest.raises(CheckpointError, match="data of stage 'b' differ from those that it began with"):
        run(chosen, tmp_path)


def begin(folder, *, steps=4, stage=None, task=None, beside=None, **settings):
    stages = [Stage("a", task or Learner(lambda x: x), (X,), beside=beside or {}, **(stage or {"steps": steps}))]
    Trainer(**{"steps": 1, "batch_size": 8} | settings, folder=folder, device="cpu").run(stages)


def with_scheduler():
    task = Learner(lambda x: x)
    task.schedulers = (torch.optim.lr_scheduler.StepLR(task.optimizers["sgd"], 3),)
    return task


def with_another_optimizer():
    task = Learner(lambda x: x)
    task.optimizers = {"sgd": torch.optim.Adam(task.net.parameters())}
    return task


def with_other_shapes():
    return Learner(lambda x: x, net=nn.Sequential(nn.Linear(4, 9), nn.Linear(9, 4)))


def with_teacher(weight=1.0):
    task = Learner(lambda x: x)
    task.frozen["teacher"] = nn.Linear(4, 2)
    nn.init.constant_(task.frozen["teacher"].weight, weight)
    nn.init.zeros_(task.frozen["teacher"].bias)
    return task


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 9}, "lengths was"),
        ({"seed": 5}, "seed was 0, is 5"),
        ({"stage": {"epochs": 2}}, "lengths was"),
        ({"stage": {"steps": 4, "batch_size": 16}}, "lengths was"),
        ({"beside": {"more": (X[:9],)}}, "beside was"),
        ({"task": lambda: with_teacher(2.0)}, "frozen was"),
        ({"task": lambda: Learner(lambda x: x, lr=1e-5)}, "optimizers was .* 1e-05"),
        ({"task": lambda: Learner(lambda x: x, averaged={"net": 0.9})}, "averaged was"),
        ({"task": with_scheduler}, "schedulers was"),
        ({"task": with_another_optimizer}, "optimizers was"),
        ({"task": with_other_shapes}, "modules was"),
    ],
)
def test_what_was_changed_between_two_starts_is_named(tmp_path, changed, named):
    for _ in range(2):  # the same again is the same run
        begin(tmp_path, task=with_teacher(), beside={"more": (X,)})
    task = changed.get("task", with_teacher)()
    with pytest.raises(CheckpointError, match=named):
        begin(tmp_path, **({"beside": {"more": (X,)}} | changed | {"task": task}))


def test_an_optimiser_over_parameters_that_would_not_be_saved_is_refused():
    task = Learner(lambda x: x)
    task.optimizers["sgd"].add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    with pytest.raises(TaskError, match=r"move parameters of no module in `modules`.*saved"):
        begin(None, task=task)


def test_groups_that_are_added_on_the_way_are_clipped_too():
    class Growing(Learner):
        def on_epoch_start(self, context):
            if context.step == 4:
                self.optimizers["sgd"].add_param_group({"params": list(self.net[3].parameters())})

    task = Growing(lambda x: 1e6 * x)
    task.optimizers = {"sgd": torch.optim.SGD(task.net[0].parameters(), lr=1.0)}
    before = copy.deepcopy(task.net[3].weight)
    Trainer(steps=6, batch_size=8, clip_norm=1e-3, device="cpu").run(task, (X,))
    assert 0 < float((task.net[3].weight - before).norm()) < 3e-3


def test_tied_weights_are_averaged_once():
    class Tied(Task):
        def __init__(self):
            with seeded(0):
                one = nn.Linear(4, 4, bias=False)
            net = nn.Sequential(one, one)
            super().__init__(
                modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)], averaged={"net": 0.9}
            )

        def step(self, batch, context):
            return {"square": self.modules["net"](batch.tensors[0]).square().mean()}

    task = Tied()
    before = task.modules["net"][0].weight.detach().clone()
    Trainer(steps=1, device="cpu").run(task, (X,))
    expected = 0.9 * before + 0.1 * task.modules["net"][0].weight.detach()
    assert torch.allclose(task.averages["net"][0].weight, expected, atol=1e-7)


def test_two_runs_in_one_folder_at_once_are_refused(tmp_path):
    class Outer(Learner):
        def on_epoch_start(self, context):
            with pytest.raises(CheckpointError, match="in use by another run"):
                begin(tmp_path)

    begin(tmp_path, task=Outer(lambda x: x))
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 4


def test_state_that_no_checkpoint_can_hold_is_told_before_the_first_step(tmp_path):
    class Strange(Learner):
        def state_dict(self):
            return {"queue": {1, 2}}

    task = Strange(lambda x: x)
    before = copy.deepcopy(task.net.state_dict())
    with pytest.raises(TaskError, match=r"\['task'\]\['queue'\]"):
        begin(tmp_path, task=task)
    assert all(torch.equal(before[name], value) for name, value in task.net.state_dict().items())
