"""A run on private rows says nothing about them: not in history, files or errors; and a leak is written down first."""

import json

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset
from trainer import tasks

from accountants import Ledger
from privkd.errors import CheckpointError, OutOfMemory, TaskError
from privkd.trainer import Task, Trainer, seeded


class Plain(Task):
    """A linear map; what goes wrong is given from outside."""

    def __init__(self, inside=lambda task, batch, context, loss: {"ce": loss}, figures=lambda context: {}):
        with seeded(0):
            net = nn.Linear(3, 1)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.01)])
        self.inside, self.figures = inside, figures

    def step(self, batch, context):
        return self.inside(self, batch, context, self.modules["net"](batch.tensors[0]).square().mean())

    def validate(self, context):
        return self.figures(context)


ROWS = (torch.randn(24, 3, generator=torch.Generator().manual_seed(0)),)


def ledger():
    return Ledger(adjacency="add-remove")


def everything(folder):
    """All that a run left on disk, but for tensors."""
    return "".join(path.read_text() for path in folder.rglob("*") if path.suffix in (".json", ".jsonl"))


@pytest.mark.parametrize("name", ["epoch", "step", "stage"])
def test_columns_of_the_trainer_cannot_carry_values_of_the_task(name):
    def as_loss(task, batch, context, loss):
        return {name: loss}

    def as_log(task, batch, context, loss):
        context.log(name, loss)
        return {"ce": loss}

    for given in ({}, {"ledger": ledger()}):
        for task in (Plain(as_loss), Plain(as_log)):
            with pytest.raises(TaskError, match=f"{name!r} is a column of every history"):
                Trainer(steps=2, **given).run(task, ROWS)
    with pytest.raises(TaskError, match="names of losses"):
        Trainer(steps=2).run(Plain(figures=lambda context: {name: 0.731}), ROWS)
    quiet = Trainer(steps=2, ledger=ledger()).run(Plain(figures=lambda context: {name: 0.731}), ROWS)
    assert all(set(row) == {"step"} and row["step"] in (1.0, 2.0) for row in quiet)


def test_losses_are_written_down_only_if_asked_and_the_leak_is_disclosed_once(tmp_path):
    shared = ledger()
    silent = Trainer(steps=4, folder=tmp_path, ledger=shared).run(Plain(), ROWS)
    assert all(set(row) == {"step"} for row in silent)
    assert "ce" not in (tmp_path / "metrics.jsonl").read_text()
    assert silent.leaks == ()
    for _ in range(2):
        loud = Trainer(steps=4, ledger=shared, unsafe_logging=True).run(Plain(), ROWS)
        assert "ce" in loud[0]
        assert "without noise" in loud.leaks[0]
        assert sum("leak: " in text for text in shared.disclosed) == 1


def test_checkpoints_of_quiet_runs_hold_no_losses(tmp_path):
    settings = {"steps": 9, "records": 2, "checkpoint_every": 2}
    Trainer(**settings, folder=tmp_path / "quiet", ledger=ledger()).run(Plain(), ROWS)
    Trainer(**settings, folder=tmp_path / "told").run(Plain(), ROWS)
    assert "ce" in everything(tmp_path / "told").replace("process", "").replace("device", "")
    states = [json.loads(path.read_text()) for path in (tmp_path / "quiet").rglob("state.json")]
    assert states
    assert '"ce"' not in everything(tmp_path / "quiet")


@pytest.mark.parametrize("first", [{}, {"ledger": "own", "unsafe_logging": True}], ids=["told", "loud"])
def test_a_loud_run_cannot_be_continued_quietly(tmp_path, first):
    given = {**first, **({"ledger": ledger()} if "ledger" in first else {})}
    Trainer(steps=4, folder=tmp_path, **given).run(Plain(), ROWS)
    later = ledger()
    with pytest.raises(CheckpointError, match="rows was"):
        Trainer(steps=4, folder=tmp_path, ledger=later).run(Plain(), ROWS)
    assert later.events == ()


def test_a_loud_run_that_goes_on_discloses_in_its_new_ledger_too(tmp_path):
    class Stopped(Plain):
        def step(self, batch, context):
            if context.step == 3 and not (tmp_path / "once").exists():
                (tmp_path / "once").touch()
                raise KeyboardInterrupt
            return super().step(batch, context)

    settings = {"steps": 5, "folder": tmp_path / "run", "checkpoint_every": 1, "unsafe_logging": True}
    with pytest.raises(KeyboardInterrupt):
        Trainer(**settings, ledger=ledger()).run(Stopped(), ROWS)
    second = ledger()
    history = Trainer(**settings, ledger=second).run(Stopped(), ROWS)
    assert any(text.startswith("leak: ") for text in second.disclosed)
    assert history.leaks


SECRET = "row of alice has label 7777"


class Reading(Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, row):
        raise ValueError(SECRET)


def failing_later(task, batch, context, loss):
    if context.step == 2:
        raise IndexError(SECRET)
    return {"ce": loss}


def failing_first(task, batch, context, loss):
    raise IndexError(SECRET)


def hungry(task, batch, context, loss):
    raise MemoryError(SECRET)


@pytest.mark.parametrize(
    ("task", "data"),
    [
        (lambda: Plain(failing_later), ROWS),
        (lambda: Plain(failing_first), ROWS),
        (lambda: Plain(hungry), ROWS),
        (Plain, Reading()),
    ],
    ids=["later", "first", "memory", "data set"],
)
def test_errors_of_private_runs_do_not_carry_the_texts_of_task_and_data(task, data):
    with pytest.raises((TaskError, OutOfMemory)) as caught:
        Trainer(steps=4, batch_size=8, device="cpu", ledger=ledger()).run(task(), data)
    error, seen = caught.value, 0
    while error is not None:
        assert SECRET not in str(error)
        assert "24" not in str(error)
        error, seen = error.__cause__ or error.__context__, seen + 1
    assert seen == 1
    with pytest.raises(Exception, match=r"7777|ran out of memory"):  # a run without a ledger says it
        Trainer(steps=4, batch_size=8, device="cpu").run(task(), data)


class Misfit(tasks.Plain):
    def step(self, batch, context):
        raise IndexError("Target 971 is out of bounds")


def test_a_first_batch_that_does_not_fit_is_named_without_the_range_of_its_labels():
    with pytest.raises(TaskError, match=r"Target 971.* in \[\d"):
        Trainer(steps=1, batch_size=4).run(Misfit(), tasks.rows())
    with pytest.raises(TaskError, match="unsafe_logging=True would show") as caught:
        Trainer(steps=1, batch_size=4, ledger=ledger()).run(Misfit(), tasks.rows())
    assert "971" not in str(caught.value)
    assert " in [0, 1]" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_figures_of_private_rows_are_not_even_asked_for():
    asked = []
    Trainer(steps=2, ledger=ledger()).run(Plain(figures=lambda context: asked.append(1) or {}), ROWS)
    assert asked == []


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"ledger": "ledger.json"}, Exception, "ledger"),
        ({"unsafe_logging": True}, ValueError, "unsafe_logging"),
        ({"device": "banana"}, ValueError, "no device of torch"),
    ],
)
def test_settings_that_would_protect_nothing_are_refused(settings, error, message):
    with pytest.raises(error, match=message):
        Trainer(steps=1, **settings)
