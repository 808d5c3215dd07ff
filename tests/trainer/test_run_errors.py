"""What goes wrong in a run is named in its words, before it does harm: numbers that are not finite, misfits, memory, settings."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional
from trainer.tasks import Plain, rows

from privkd.errors import NonFiniteLoss, OutOfMemory, TaskError
from privkd.trainer import Checkpoints, Stage, Task, Trainer, Update


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


def test_a_log_with_the_name_of_a_loss_is_refused():
    class Twice(Plain):
        def step(self, batch, context):
            context.log("cross-entropy", 7.0)
            return super().step(batch, context)

    with pytest.raises(TaskError, match="'cross-entropy' has the name of a loss"):
        Trainer(steps=2).run(Twice(), rows())


def test_a_log_that_is_no_number_is_refused_at_once():
    class Logging(Plain):
        def step(self, batch, context):
            context.log("rows", batch.tensors[0])
            return super().step(batch, context)

    with pytest.raises(TaskError, match="log 'rows' is a tensor of shape"):
        Trainer(steps=50, batch_size=16).run(Logging(), rows())


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
    [{}, {"steps": 1, "epochs": 1}, {"steps": 0}, {"steps": 1, "precision": "fp8"}, {"steps": 1, "clip_norm": 0.0},
     *({"steps": 1, name: 0} for name in ("batch_size", "threads", "records", "keep", "accumulate")), {"steps": 1, "workers": -1}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError, match=list(settings)[-1] if settings else "steps"):
        Trainer(**settings)


def test_half_precision_without_an_accelerator_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is an accelerator")
    with pytest.raises(ValueError, match="needs an accelerator"):
        Trainer(steps=1, precision="bf16").run(Plain(), rows())


@pytest.mark.parametrize("numbers", [{"steps": 0}, {"epochs": 0}, {"batch_size": 0}, {"steps": 1, "epochs": 1}])
def test_a_stage_with_impossible_numbers_is_refused(numbers):
    with pytest.raises(ValueError, match="|".join(numbers)):
        Stage("a", Plain(), rows(), **numbers)


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
