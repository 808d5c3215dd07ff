"""When a stage is validated, and that it can end with the weights of its best validation."""

import math
import signal

import pytest
import torch
from torch import nn
from trainer.tasks import Plain, rows

from accountants import Ledger
from privkd.errors import CheckpointError, TaskError, TrainingStopped
from privkd.trainer import Best, Stage, Task, Trainer, seeded


class Judged(Plain):
    """Says a figure of a list at every validation, and remembers the weights that it was about."""

    def __init__(self, figures=(), **options):
        super().__init__(lr=0.5, momentum=0.9, **options)
        self.figures, self.steps, self.weights = figures, [], []

    def validate(self, context):
        assert not self.net.training
        self.steps.append(context.step)
        self.weights.append(self.net.weight.detach().clone())
        place = 0 if context.step < 3 else context.step // 3 - 1
        return {"accuracy": self.figures[place]} if self.figures else {}

    def before(self, step):
        """The weights after a step, at which it was validated."""
        return self.weights[self.steps.index(step)]


class Inventing(Task):
    """Makes its own batches."""

    def __init__(self):
        with seeded(1):
            net = nn.Linear(2, 1)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])
        self.steps = []

    def step(self, batch, context):
        return {"size": self.modules["net"](torch.randn(4, 2, generator=context.generator)).square().mean()}

    def validate(self, context):
        self.steps.append(context.step)
        return {"figure": 1.0}


def staged(task, steps=12, folder=None, records=20, batch_size=16, **options):
    """A run of three steps per pass."""
    stage = Stage("training", task, rows(), steps=steps, **options)
    return Trainer(steps=1, batch_size=batch_size, folder=folder, records=records).run([stage])


def test_a_task_without_data_is_validated_with_the_rows_of_history_and_not_at_every_step():
    task = Inventing()
    history = Trainer(steps=100, records=4).run(task)
    assert task.steps == [25, 50, 75, 100]
    assert history.column("figure") == [1.0] * 4


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [(None, 7, [3, 6, 7]), (2, 7, [2, 4, 6, 7]), (100, 7, [7]), (1, 3, [1, 2, 3]), (7, 7, [7])],
)
def test_a_task_with_rows_is_validated_after_passes_or_so_many_steps_and_at_the_end(every, steps, expected):
    task = Judged([0.5] * 9)
    history = staged(task, steps, validate_every=every, records=1)
    assert task.steps == expected
    assert [row["step"] for row in history if "accuracy" in row] == expected


def test_a_task_without_data_may_say_how_often_too():
    task = Inventing()
    Trainer(steps=10, records=1).run([Stage("training", task, validate_every=4)])
    assert task.steps == [4, 8, 10]


@pytest.mark.parametrize(
    ("which", "figures", "best"),
    [
        ("largest", [0.1, 0.9, 0.3, 0.2], 6),
        ("smallest", [0.4, 0.9, 0.3, 0.5], 9),
        ("largest", [0.1, 0.2, 0.3, 0.4], 12),
        ("largest", [0.2, 0.2, 0.1, 0.2], 3),  # the earlier of equal ones
        ("smallest", [0.2, 0.2, 0.3, 0.2], 3),
        ("largest", [-math.inf, 0.0, math.inf, 5.0], 9),
    ],
)
def test_the_stage_ends_with_the_weights_of_its_best_validation(which, figures, best):
    task = Judged(figures)
    history = staged(task, keep_best=Best("accuracy", which))
    assert torch.equal(task.net.weight, task.before(best))
    assert history[-1]["kept step"] == best
    assert len({float(weight[0, 0]) for weight in task.weights}) == 4
    assert not task.net.training


def test_without_it_the_stage_ends_with_the_last_weights():
    task = Judged([0.1, 0.9, 0.3, 0.2])
    history = staged(task)
    assert torch.equal(task.net.weight, task.before(12))
    assert "kept step" not in history.names


class Normed(Judged):
    """Has batch statistics, and remembers them and its average."""

    def __init__(self, figures):
        super().__init__(figures, averaged={"net": 0.9})
        self.modules["norm"] = nn.BatchNorm1d(4)
        self.seen = []

    def step(self, batch, context):
        self.modules["norm"](batch.tensors[0])
        return super().step(batch, context)

    def validate(self, context):
        both = self.averages["net"].weight, self.modules["norm"].running_mean
        self.seen.append([tensor.detach().clone() for tensor in both])
        return super().validate(context)


def test_averages_and_batch_statistics_are_kept_with_the_weights():
    task = Normed([0.1, 0.9, 0.3, 0.2])
    staged(task, keep_best=Best("accuracy"))
    average, mean = task.seen[1]
    assert torch.equal(task.averages["net"].weight, average)
    assert torch.equal(task.modules["norm"].running_mean, mean)
    assert not any(torch.equal(one, other) for one, other in zip(task.seen[1], task.seen[3], strict=True))


def test_every_stage_keeps_its_own_and_the_next_one_begins_from_it():
    first, second = Judged([0.9, 0.1, 0.1, 0.1]), Judged([0.1, 0.9, 0.1, 0.1])
    second.net = second.modules["net"] = first.net
    second.optimizers["sgd"] = torch.optim.SGD(first.net.parameters(), lr=0.0)
    stages = [
        Stage(name, task, rows(), steps=12, keep_best=Best("accuracy")) for name, task in (("a", first), ("b", second))
    ]
    history = Trainer(steps=1, batch_size=16).run(stages)
    assert all(torch.equal(weight, first.before(3)) for weight in second.weights)
    assert [row["kept step"] for row in history if row["step"] == 12] == [3, 6]


FIGURES = [0.1, 0.9, 0.3, 0.2]


@pytest.mark.parametrize("stop", [1, 2, 3, 4])  # passes that were begun: before, with, and after the best one
@pytest.mark.parametrize("every", [None, 3])
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, stop, every):
    settings = {"keep_best": Best("accuracy"), "validate_every": every}
    whole, stopped, resumed = (Judged(FIGURES, averaged={"net": 0.9}) for _ in range(3))
    history = staged(whole, **settings)
    stopped.on_epoch_start = lambda context: context.epoch + 1 == stop and signal.raise_signal(signal.SIGTERM)
    with pytest.raises(TrainingStopped):
        staged(stopped, folder=tmp_path, **settings)
    assert staged(resumed, folder=tmp_path, **settings) == history
    assert torch.equal(resumed.net.weight, whole.net.weight)
    assert torch.equal(whole.net.weight, whole.before(6))
    assert torch.equal(resumed.averages["net"].weight, whole.averages["net"].weight)
    again = Judged(FIGURES, averaged={"net": 0.9})  # nothing is left to do
    assert staged(again, folder=tmp_path, **settings) == history
    assert again.steps == []
    assert torch.equal(again.net.weight, whole.net.weight)
    with pytest.raises(CheckpointError, match="validations was"):
        staged(Judged(FIGURES, averaged={"net": 0.9}), folder=tmp_path, keep_best=Best("accuracy", "smallest"))


def test_a_figure_that_is_missing_or_never_there_is_refused():
    with pytest.raises(TaskError, match=r"figure 'acuracy', and validate gave \['accuracy'\] after step 3"):
        staged(Judged(FIGURES), keep_best=Best("acuracy"))
    with pytest.raises(TaskError, match=r"'cross-entropy', and validate gave \['accuracy'\]"):  # a loss is no figure
        staged(Judged(FIGURES), keep_best=Best("cross-entropy"))
    with pytest.raises(TaskError, match="no validation of the stage gave any figure"):
        staged(Judged(), keep_best=Best("accuracy"))


def test_a_figure_that_is_not_a_number_is_refused():
    with pytest.raises(TaskError, match="'accuracy', which is NaN after step 6"):
        staged(Judged([0.1, math.nan, 0.3, 0.2]), keep_best=Best("accuracy"))


def test_a_task_without_validation_is_refused_before_it_is_touched():
    task = Plain()
    start = task.net.weight.detach().clone()
    with pytest.raises(ValueError, match=r"Plain has no validate of its own"):
        staged(task, keep_best=Best("accuracy"))
    assert torch.equal(task.net.weight, start)


@pytest.mark.parametrize("loud", [False, True])
def test_a_run_on_private_rows_is_refused(loud):
    stage = Stage("training", Judged(FIGURES), rows(), steps=3, keep_best=Best("accuracy"))
    ledger = Ledger(adjacency="add-remove")
    with pytest.raises(ValueError, match=r"figures that nothing protects"):
        Trainer(steps=1, ledger=ledger, unsafe_logging=loud).run([stage])


def test_its_column_is_not_for_losses():
    class Named(Plain):
        def step(self, batch, context):
            return {"kept step": super().step(batch, context)["cross-entropy"]}

    with pytest.raises(TaskError, match="is a column of every history"):
        Trainer(steps=1).run(Named(), rows())


def test_settings_out_of_range_are_refused():
    with pytest.raises((ValueError, TypeError), match="which"):
        Best("accuracy", "best")
    with pytest.raises(ValueError, match="name of a figure"):
        Best("")
    with pytest.raises(ValueError, match="validate_every"):
        Stage("training", Plain(), validate_every=0)
    with pytest.raises(TypeError, match="keep_best"):
        Stage("training", Plain(), keep_best="accuracy")
