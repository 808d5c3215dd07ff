"""Trackers by name: they get the rows of history and nothing else."""

import pytest
from trainer.tasks import Plain, rows

from accountants import Ledger
from privkd.trainer import Stage, Trainer


def scalars(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    shown = {}
    for events in folder.rglob("events.out.tfevents.*"):
        reader = accumulator.EventAccumulator(str(events))
        reader.Reload()
        names = reader.Tags()["scalars"]
        shown |= {name: [(one.step, one.value) for one in reader.Scalars(name)] for name in names}
    return shown


def test_tensorboard_shows_the_history(tmp_path):
    pytest.importorskip("tensorboard")
    history = Trainer(steps=6, records=3, folder=tmp_path, trackers=("tensorboard",)).run(Plain(), rows())
    shown = scalars(tmp_path)["cross-entropy"]
    assert [step for step, _ in shown] == [2, 4, 6]
    assert [value for _, value in shown] == pytest.approx(history.column("cross-entropy"), rel=1e-6)


def test_stages_have_names_of_their_own(tmp_path):
    pytest.importorskip("tensorboard")
    stages = [Stage("first", Plain(), rows()), Stage("second", Plain(), rows())]
    Trainer(steps=2, records=1, folder=tmp_path, trackers=("tensorboard",)).run(stages)
    assert set(scalars(tmp_path)) == {"first/cross-entropy", "second/cross-entropy"}


def test_a_private_run_shows_no_losses(tmp_path):
    pytest.importorskip("tensorboard")
    ledger = Ledger(adjacency="add-remove")
    Trainer(steps=4, folder=tmp_path, trackers=("tensorboard",), ledger=ledger).run(Plain(), rows())
    assert "cross-entropy" not in scalars(tmp_path)


@pytest.mark.parametrize(
    ("trackers", "message"), [(("tensorbord",), "did you mean 'tensorboard'"), (("swanlab",), "pip install swanlab")]
)
def test_unknown_and_missing_trackers_are_refused(tmp_path, trackers, message):
    with pytest.raises(ValueError, match=message):
        Trainer(steps=1, folder=tmp_path, trackers=trackers).run(Plain(), rows())


def test_trackers_need_a_folder():
    with pytest.raises(ValueError, match="give folder"):
        Trainer(steps=1, trackers=("tensorboard",))
