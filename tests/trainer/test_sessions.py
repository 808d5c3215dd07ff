"""Runs in a session are those of trainers of their own, but for the price of beginning each."""

import copy
import dataclasses
import signal

import numpy as np
import pytest
import torch
from torch import nn
from trainer.tasks import Plain, Recording, rows

from accountants import Ledger
from privkd.errors import NonFiniteLoss, TaskError, TrainingStopped
from privkd.private_training import PrivateGradients
from privkd.trainer import Stage, Trainer, cosine
from privkd.trainer import session as session_module
from privkd.trainer.devices import placement


class Drawing(Plain):
    """Draws from generators that a run seeds; the run-time type checker of the tests draws from Python's own."""

    def step(self, batch, context):
        context.log("torch", float(torch.rand(())))
        context.log("numpy", float(np.random.rand()))
        context.log("own", float(torch.rand((), generator=context.generator)))
        return super().step(batch, context)


class Mimic(Plain):
    def __init__(self, teacher, **options):
        super().__init__(frozen={"teacher": teacher}, **options)

    def step(self, batch, context):
        wanted = self.frozen["teacher"](batch.tensors[0])
        return {"apart": (self.modules["net"](batch.tensors[0]) - wanted).square().mean()}


TRAINER = Trainer(steps=4, batch_size=16, seed=5, device="cpu")


def test_a_run_with_a_seed_is_that_of_a_trainer_with_this_seed():
    many, one = Drawing(momentum=0.9, schedule=cosine()), Drawing(momentum=0.9, schedule=cosine())
    with TRAINER.session() as session:
        session.run(Drawing(), rows())  # whatever came before
        history = session.run(many, rows(), seed=3, steps=6)
    assert history == Trainer(steps=6, batch_size=16, seed=3).run(one, rows())
    assert torch.equal(many.net.weight, one.net.weight)
    assert len(history) == 6


def test_seeds_follow_from_that_of_the_trainer_and_the_number_of_the_run():
    def histories(seed):
        with Trainer(steps=4, batch_size=16, seed=seed).session() as session:
            return [session.run(Drawing(), rows()) for _ in range(3)]

    first, again, other = histories(5), histories(5), histories(6)
    assert first == again
    drawn = [tuple(history.column("own")) for history in (*first, *other)]
    assert len(set(drawn)) == 6


def test_many_runs_of_one_task_are_those_of_many_trainers():
    """The weights come back between two runs, as in a round of a federation; momentum goes on."""
    tasks = [Plain(momentum=0.9), Plain(momentum=0.9)]
    received = copy.deepcopy(tasks[0].net.state_dict())
    with TRAINER.session() as session:
        for seed in range(3):
            tasks[0].net.load_state_dict(received)
            session.run(tasks[0], rows(seed=seed), steps=2, seed=seed)
    for seed in range(3):
        tasks[1].net.load_state_dict(received)
        Trainer(steps=2, batch_size=16, seed=seed).run(tasks[1], rows(seed=seed))
    assert torch.equal(tasks[0].net.weight, tasks[1].net.weight)


def test_other_rows_other_steps_and_rows_beside_are_used():
    task = Recording()
    with TRAINER.session() as session:
        session.run(task, rows(16), steps=1)
        session.run(task, rows(6), steps=2)
        session.run(task, rows(6), steps=2, beside={"unlabelled": rows(9)})
        session.run(task, rows(6), steps=3)
    assert [len(index) for index in task.seen] == [16] + [6] * 7


def test_a_run_with_the_rows_of_the_latest_one_begins_with_what_it_made(monkeypatch):
    """And gives what it would give if everything were made anew, as of a mapping, which may hold other rows by now."""

    class Named(Drawing):
        def step(self, batch, context):
            return super().step(dataclasses.replace(batch, columns={"0": batch["x"], "1": batch["y"]}), context)

    made, set_up = [], session_module.set_up
    monkeypatch.setattr(
        session_module, "set_up", lambda stage, *args, **rest: made.append(1) or set_up(stage, *args, **rest)
    )
    plain, named, data = Drawing(), Named(), rows()
    columns = dict(zip("xy", data, strict=True))
    with TRAINER.session() as session:
        for seed in (1, 2, 1):
            assert session.run(plain, data, seed=seed) == session.run(named, columns, seed=seed)
    assert len(made) == 1 + 3
    assert torch.equal(plain.net.weight, named.net.weight)
    changing = Recording()
    with TRAINER.session() as session:
        for n in (16, 6):
            columns.update({name: column[:n] for name, column in zip("xy", data, strict=True)})
            session.run(changing, columns, steps=1)
    assert [len(index) for index in changing.seen] == [16, 6]


def test_the_callers_generators_and_threads_stay_as_they_were():
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    threads = torch.get_num_threads()
    with Trainer(steps=2, batch_size=16, threads=threads + 1).session() as session:
        session.run(Drawing(), rows())
        assert torch.equal(torch.get_rng_state(), states[0])
        assert np.random.get_state()[1].tolist() == states[1]
        assert torch.get_num_threads() == threads


def test_frozen_modules_are_looked_at_twice_however_many_runs_there_are(monkeypatch):
    looked, digest = [], placement.digest
    monkeypatch.setattr(placement, "digest", lambda module: looked.append(module) or digest(module))
    teacher = nn.Linear(4, 2)
    tasks = [Mimic(teacher) for _ in range(3)]
    with TRAINER.session() as session:
        for _ in range(4):
            for task in tasks:
                session.run(task, rows(), steps=1)
                assert not any(p.requires_grad for p in teacher.parameters())
    assert looked == [teacher, teacher]
    assert all(p.requires_grad for p in teacher.parameters())


def test_a_frozen_module_that_changed_is_named_at_the_end():
    def session_that_writes(teacher):
        with TRAINER.session() as session:
            session.run(Mimic(teacher), rows(), steps=1)
            with torch.no_grad():
                teacher.weight += 1.0

    with pytest.raises(TaskError, match=r"changed.*teacher"):
        session_that_writes(nn.Linear(4, 2))


@pytest.mark.parametrize("first", ["trained", "frozen"])
def test_a_module_cannot_be_trained_and_frozen_in_one_session(first):
    trained = Plain()
    mimic = Mimic(trained.net)
    pair = (trained, mimic) if first == "trained" else (mimic, trained)
    with TRAINER.session() as session:
        session.run(pair[0], rows(), steps=1)
        with pytest.raises(TaskError, match="freeze a copy"):
            session.run(pair[1], rows(), steps=1)
        session.run(Mimic(copy.deepcopy(trained.net)), rows(), steps=1)


def test_modules_are_in_train_mode_during_a_run_alone():
    class Asking(Plain):
        def step(self, batch, context):
            assert self.net.training
            return super().step(batch, context)

    task = Asking()
    with TRAINER.session() as session:
        for _ in range(2):
            session.run(task, rows(), steps=1)
            assert not task.net.training
    assert not task.net.training


def test_a_run_that_failed_leaves_the_session_usable():
    class Failing(Plain):
        broken = True

        def step(self, batch, context):
            losses = super().step(batch, context)
            return {"cross-entropy": losses["cross-entropy"] * (torch.nan if self.broken else 1.0)}

    task = Failing(schedule=cosine())
    with TRAINER.session() as session:
        with pytest.raises(NonFiniteLoss, match="cross-entropy"):
            session.run(task, rows())
        assert not task.net.training
        with pytest.raises(TaskError, match="first batch does not fit"):
            session.run(task, (rows()[0], rows()[1] + 7))
        task.broken = False
        assert len(session.run(task, rows())) == 4
    assert task.optimizers["sgd"].param_groups[0]["lr"] == 0.1


def test_weights_that_broke_in_the_last_step_are_refused():
    class Breaking(Plain):
        def step(self, batch, context):
            self.net.weight.register_hook(lambda grad: grad * torch.nan if context.step == 3 else grad)
            return super().step(batch, context)

    with TRAINER.session() as session, pytest.raises(NonFiniteLoss, match=r"net.weight is not finite after step 4"):
        session.run(Breaking(), rows())


def test_a_signal_ends_the_run():
    task = Plain()
    task.on_epoch_end = lambda context: signal.raise_signal(signal.SIGTERM)
    with pytest.raises(TrainingStopped, match="at step 3 of a run in a session"), TRAINER.session() as session:
        session.run(task, rows(), steps=6)
    assert not task.net.training


def test_private_rows_are_kept_quiet_about():
    class Quoting(Plain):
        def step(self, batch, context):
            if context.step == 1:
                raise ArithmeticError(f"a secret: {batch.tensors[0]}")
            return super().step(batch, context)

    with Trainer(steps=2, ledger=Ledger(adjacency="add-remove")).session() as session:
        assert session.run(Plain(), rows()).names == ["step"]
        with pytest.raises(TaskError, match=r"ArithmeticError in step 2; its text may quote") as caught:
            session.run(Quoting(), rows())
        assert "secret" not in repr(caught.value.__cause__) + repr(caught.value.__context__)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folder": "here"}, "no checkpoints"),
        ({"privacy": PrivateGradients(clip=1.0, multiplier=1.0)}, "use run, not a session"),
    ],
)
def test_what_needs_a_whole_run_is_refused(tmp_path, monkeypatch, settings, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message), Trainer(steps=1, **settings).session():
        pass
    assert list(tmp_path.iterdir()) == []


def test_bad_input_is_refused_before_modules_are_touched():
    task = Plain()
    with TRAINER.session() as session:
        for bad, error, message in [
            ({"steps": 0}, ValueError, "steps"),
            ({"seed": -1}, ValueError, "seed"),
            ({"beside": {"more": torch.utils.data.DataLoader([1])}}, TypeError, "more|DataLoader"),
        ]:
            with pytest.raises(error, match=message):
                session.run(task, rows(), **bad)
        with torch.inference_mode(), pytest.raises(TaskError, match="inference_mode"):
            session.run(task, rows())
        stray = Plain()
        stray.optimizers["sgd"].add_param_group({"params": [nn.Parameter(torch.zeros(1))]})
        with pytest.raises(TaskError, match="parameters of no module"):
            session.run(stray, rows())
    assert torch.equal(task.net.weight, Plain().net.weight)


def test_a_stage_is_no_task():
    with TRAINER.session() as session, pytest.raises(TypeError):
        session.run([Stage("training", Plain(), rows())], rows())
