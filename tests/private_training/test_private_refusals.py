"""Settings, tasks and models that cannot be private are refused before anything is drawn."""

import pytest
import torch
from battery.private_runs import Linear, N, rows, trained
from torch import nn

from accountants import Ledger
from privkd.errors import MixedRecordsError, TaskError
from privkd.private_training import Banded, PerLayer, PrivateGradients, Quantile
from privkd.trainer import Stage, Task, Trainer, Update


class Mixing(Linear):
    def __init__(self):
        super().__init__()
        self.modules["norm"] = nn.BatchNorm1d(5)


class Game(Linear):
    per_record = Task.per_record

    def step(self, batch, context):
        yield Update({"a": self.modules["net"](batch.tensors[0]).mean()}, ("0",))


class Foreign(Linear):
    def __init__(self):
        super().__init__()
        self.optimizers["0"].add_param_group({"params": [nn.Parameter(torch.zeros(3))]})


class Mean(Linear):
    def per_record(self, batch, context):
        return {name: loss.mean() for name, loss in super().per_record(batch, context).items()}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Mixing, MixedRecordsError, r"privkd\.fix"),
        (Game, TaskError, "no losses per record"),
        (Foreign, TaskError, "move parameters of no module"),
        (Mean, TaskError, "one number per row"),
    ],
)
def test_tasks_that_cannot_be_private_are_refused_before_anything_is_drawn(make, error, message):
    task, ledger = make(), Ledger(adjacency="add-remove", delta=1e-5)
    before = task.net.weight.detach().clone()
    with pytest.raises(error, match=message):
        trained(task, trainer={"ledger": ledger})
    assert torch.equal(task.net.weight, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "epsilon"),
        ({"epsilon": 1.0, "multiplier": 1.0}, "exactly one"),
        ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": 1.0, "delta": 0.0}, "delta"),
        ({"epsilon": 1.0, "clip": -1.0}, "bound"),
        ({"epsilon": 1.0, "sampling": "uniform"}, "sampling='uniform'"),
        ({"epsilon": 1.0, "sampling": "shuffled", "adjacency": "add-remove"}, "stated for zero-out"),
        ({"epsilon": 1.0, "noise": Banded(3), "adjacency": "add-remove"}, "stated for zero-out, replace-one"),
        ({"epsilon": 1.0, "noise": Banded(3), "clip": Quantile()}, "Quantile"),
        ({"epsilon": 1.0, "unit": "teacher"}, "unit='teacher'"),
        ({"epsilon": 1.0, "views": 0}, "views"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PrivateGradients(**settings)


def test_a_delta_that_would_allow_one_record_to_be_published_is_refused():
    with pytest.raises(ValueError, match="below 1/400"):
        trained(delta=0.01)


@pytest.mark.parametrize("setting", [{"clip_norm": 1.0}, {"sharded": True}, {"compile": True}, {"precision": "fp16"}])
def test_settings_of_the_trainer_that_do_not_go_with_privacy_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Trainer(steps=1, privacy=PrivateGradients(epsilon=1.0), **setting)


def test_one_stage_with_one_data_set():
    trainer = Trainer(steps=1, privacy=PrivateGradients(epsilon=1.0))
    with pytest.raises(ValueError, match="one stage"):
        trainer.run([Stage("a", Linear(), rows()), Stage("b", Linear(), rows())])
    with pytest.raises(ValueError, match="beside"):
        trainer.run(Linear(), rows(), beside={"more": rows()})


def test_a_task_without_losses_of_any_kind_says_what_to_write():
    class Nothing(Task):
        def __init__(self):
            net = nn.Linear(1, 1)
            super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])

    with pytest.raises(TaskError, match="write per_record"):
        Trainer(steps=1).run(Nothing(), rows())


def test_parameters_that_no_optimiser_moves_are_named():
    class Partly(Linear):
        def __init__(self):
            super().__init__()
            self.modules["backbone"] = nn.Linear(5, 5)

    with pytest.raises(TaskError, match=r"backbone\.weight"):
        trained(Partly())


def test_losses_that_are_no_mapping_are_told():
    class Bare(Linear):
        def per_record(self, batch, context):
            return super().per_record(batch, context)["square"]

    with pytest.raises(TaskError, match="gave Tensor; return named losses"):
        trained(Bare())


class Thawing(Linear):
    """Freezes a parameter in the middle of the run."""

    def on_epoch_start(self, context):
        if context.epoch == 1:
            self.net.bias.requires_grad_(False)


def test_freezing_in_the_middle_of_a_run_is_told():
    with pytest.raises(TaskError, match=r"requires_grad of net.bias changed since the run began"):
        trained(Thawing())


def test_what_a_task_begins_to_mix_in_its_last_steps_is_found_before_the_certificate():
    class Late(Linear):
        def per_record(self, batch, context):
            losses = super().per_record(batch, context)["square"]
            return {"square": losses * (losses.detach().mean() if context.step >= 17 else 1.0)}

    with pytest.raises(MixedRecordsError):
        trained(Late(), steps=20)  # checks at batches 1, 2, 4, 8 and 16 see nothing


def test_modules_whose_names_differ_by_a_dot_alone_are_refused():
    class Two(Linear):
        def __init__(self):
            super().__init__()
            self.modules = {"a.b": self.net, "a_b": nn.Linear(1, 1)}

    with pytest.raises(TaskError, match="a_b"):
        trained(Two())


def test_groups_of_layers_without_any_parameter_are_refused():
    with pytest.raises(ValueError, match=r"no parameter belongs to 'weight'"):
        trained(clip=PerLayer({"weight": 0.3, "": 0.4}))
    trained(clip=PerLayer({"net.weight": 0.3, "": 0.4}), steps=2)


@pytest.mark.parametrize("weight", ["balanced", "share"])
def test_weights_by_the_counts_of_a_batch_are_found_where_the_class_is_rare(weight):
    x = torch.randn(N, 5, generator=torch.Generator().manual_seed(0))
    y = torch.zeros(N, dtype=torch.long)
    y[::100] = 1

    class Weighted(Linear):
        def per_record(self, batch, context):
            x, y = batch.tensors
            loss = (self.modules["net"](x).squeeze(1) - y).square()
            if weight == "balanced":
                return {"square": loss * len(y) / torch.bincount(y, minlength=2)[y]}
            return {"square": loss * (y == 0) / (y == 0).float().mean()}

    with pytest.raises(MixedRecordsError):
        trained(Weighted(), (x, y), batch_size=200)
