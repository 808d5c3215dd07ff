"""Columns have names: whoever gives data with names finds them in every batch, its parts and its messages."""

import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset, Subset

from accountants import Ledger
from privkd.data import Columns, Records, Skeletons
from privkd.data.columns import has_columns
from privkd.errors import TaskError, UnknownColumn
from privkd.private_training import PrivateGradients
from privkd.trainer import Batch, Task, Trainer, seeded
from privkd.trainer.batch import numbered, parts_of


class Recorder(Task):
    """Remembers its batches."""

    def __init__(self, name="low"):
        with seeded(0):
            net = nn.Linear(2, 1)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])
        self.name, self.seen = name, []

    def per_record(self, batch, context):
        return {"square": self.modules["net"](batch[self.name]).squeeze(1).square()}

    def step(self, batch, context):
        self.seen.append(batch)
        return super().step(batch, context)


class Views:
    """A data kind."""

    def __init__(self, **columns):
        self._columns = columns

    def __len__(self):
        return len(next(iter(self._columns.values())))

    def columns(self):
        return self._columns


class Ragged(Dataset):
    """Rows with texts of different lengths, which it puts together itself."""

    def __init__(self, form=None):
        self.form = form

    def __len__(self):
        return 10

    def __getitem__(self, row):
        return {"low": torch.full((2,), float(row)), "text": torch.arange(row), "words": "a" * row}

    def collate(self, rows):
        columns = {
            "low": torch.stack([row["low"] for row in rows]),
            "text": [row["text"] for row in rows],
            "words": [row["words"] for row in rows],
        }
        return columns if self.form is None else self.form(columns)


def views():
    low = torch.stack([torch.arange(10.0), torch.ones(10)], dim=1)
    return {"high": low.repeat(1, 2), "low": low, "label": torch.arange(10)}


def shown(data, task=None, *, steps=5, batch_size=4, **settings):
    task = task or Recorder()
    Trainer(steps=steps, batch_size=batch_size, device="cpu", **settings).run(task, data)
    return task


class Items(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, row):
        return {name: column[row] for name, column in views().items()}


@pytest.mark.parametrize("data", [views(), Views(**views()), Items()], ids=["mapping", "kind", "data set of dicts"])
def test_every_kind_of_named_data_shows_its_columns_by_name(data):
    named, plain = shown(data), shown(tuple(views().values()), Recorder("1"))
    for batch, other in zip(named.seen, plain.seen, strict=True):
        assert list(batch.columns) == ["high", "low", "label"]
        assert torch.equal(batch["label"], batch.index)
        assert torch.equal(batch.index, other.index)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(batch.tensors, other.tensors, strict=True))
    assert torch.equal(named.modules["net"].weight, plain.modules["net"].weight)


def test_records_are_input_and_label():
    low, label = views()["low"], views()["label"]
    assert list(Records(low, label, "rows").columns()) == ["input", "label"]
    assert list(Records(low, None, "rows").columns()) == ["input"]
    (batch,) = shown(Records(low, label, "rows"), Recorder("input"), steps=1).seen
    assert torch.equal(batch["input"], low[batch["label"]])


def test_columns_are_a_protocol_that_tables_do_not_meet():
    assert isinstance(Records(views()["low"], None, "rows"), Columns)
    assert has_columns(Views(**views()))
    assert not has_columns(pd.DataFrame({"low": [1.0]}))  # its columns are an index of names
    with pytest.raises(TypeError, match="data is DataFrame"):
        shown(pd.DataFrame({"low": [1.0]}))


@pytest.mark.parametrize("workers", [0, 2])
def test_ragged_columns_are_lists_in_the_order_of_the_rows(workers):
    task = shown(Ragged(), accumulate=2, workers=workers)
    for batch in task.seen:
        assert [len(text) for text in batch["text"]] == batch.index.tolist() == [len(word) for word in batch["words"]]
        assert len(batch["text"]) == 2


def test_parts_share_out_every_column_and_those_beside():
    beside = {"more": Batch(torch.arange(2), {"text": ["a", "b"]})}
    batch = Batch(torch.arange(4), {"x": torch.arange(4.0), "text": list("wxyz")}, beside)
    first, second = parts_of(batch, 2)
    assert [*first["text"], *second["text"]] == list("wxyz")
    assert torch.equal(torch.cat([first["x"], second["x"]]), batch["x"])
    assert second.beside["more"]["text"] == ["b"]


def test_an_unknown_column_is_refused_with_those_that_are_there():
    batch = Batch(torch.arange(2), numbered((torch.zeros(2), torch.ones(2))), {"low": Batch(torch.arange(1), {})})
    with pytest.raises(UnknownColumn, match=r"^a batch has no column 'high'; its columns are '0', '1'$"):
        batch["high"]
    with pytest.raises(KeyError, match=r"beside the main one is batch\.beside\['low'\]"):
        batch["low"]
    with pytest.raises(UnknownColumn, match="none, as the task has no data"):
        batch.beside["low"]["x"]
    with pytest.raises(UnknownColumn, match="its columns are 'high', 'low', 'label'"):
        shown(views(), Recorder("input"))


def test_a_first_batch_that_does_not_fit_is_told_by_its_columns():
    with pytest.raises(
        TaskError, match=r"the batch holds 'high': \(4, 4\) float32, .*'label': \(4,\) int64 in \[\d, \d\]"
    ):
        shown(views(), Recorder("high"))

    class Joining(Recorder):
        def step(self, batch, context):
            return {"text": self.modules["net"](torch.stack(batch["text"]).float()).sum()}

    with pytest.raises(TaskError, match="'text': a list of 4"):
        shown(Ragged(), Joining())


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({1: torch.zeros(3, 2)}, TypeError, "column called 1, a int; names are strings"),
        ({"low": [1.0, 2.0]}, TypeError, "has the column 'low', a list; give a tensor"),
        ({"low": torch.zeros(3, 2), "label": torch.zeros(4)}, ValueError, r"got \{'low': 3, 'label': 4\}"),
        (Views(low=torch.zeros(3, 2), label=torch.tensor(1.0)), ValueError, r"got \{'low': 3, 'label': 0\}"),
        (Ragged(lambda columns: [columns["low"]]), TypeError, r"Ragged\.collate gave list; return a dict"),
        (Ragged(lambda columns: {"low": "abcd"}), TypeError, "gave str as 'low'"),
        (Ragged(lambda columns: {"low": columns["low"][1:]}), ValueError, "gave 3 rows of 'low' for 4 items"),
    ],
)
def test_what_is_no_named_data_is_refused(data, error, message):
    with pytest.raises((error, TaskError), match=message):
        shown(data)


def test_a_run_does_not_go_on_with_columns_of_other_names(tmp_path):
    shown(views(), folder=tmp_path)
    with pytest.raises(Exception, match="holds another run"):
        shown({"upper" if name == "high" else name: column for name, column in views().items()}, folder=tmp_path)


def private():
    return PrivateGradients(multiplier=1.0, delta=1e-3)


@pytest.mark.parametrize("data", [views(), Views(**views()), Items()], ids=["mapping", "kind", "data set of dicts"])
def test_private_runs_find_columns_by_name(data):
    task = Recorder()
    Trainer(steps=3, batch_size=4, device="cpu", privacy=private()).run(task, data)
    assert torch.isfinite(task.modules["net"].weight).all()


def test_private_runs_refuse_a_collate_which_may_let_one_row_change_another():
    ledger = Ledger(adjacency="add-remove", n=10)
    with pytest.raises(ValueError, match=r"Ragged\.collate puts the rows of a batch together.*leave collate out"):
        shown(Ragged(), privacy=private(), ledger=ledger)
    assert not ledger.events


class Many(Dataset):
    """Gives many rows at once, each less their mean; alone, a row is what it is."""

    def __len__(self):
        return 8

    def __getitem__(self, row):
        return torch.full((2,), float(row))

    def __getitems__(self, rows):
        together = torch.stack([self[row] for row in rows])
        return list(together - together.mean(dim=0))


def test_private_runs_read_rows_one_by_one_and_say_what_the_data_set_must_hold():
    seen = []

    class Look(Recorder):
        def per_record(self, batch, context):
            seen.append(batch["0"].detach().clone())
            return super().per_record(batch, context)

    history = Trainer(steps=2, batch_size=4, device="cpu", privacy=private()).run(Look("0"), Subset(Many(), range(8)))
    assert "the data set gives each row without regard to the others" in history.certificate.conditions
    drawn = [rows for rows in seen if len(rows) and bool((rows == rows.round()).all())]
    assert any(bool((rows > 1).any()) for rows in drawn), "rows as they are alone"
    of_tensors = Trainer(steps=2, batch_size=4, device="cpu", privacy=private()).run(
        Recorder(), {"low": torch.zeros(8, 2)}
    )
    assert not [text for text in of_tensors.certificate.conditions if "data set" in text]


def test_private_runs_refuse_rows_as_long_as_the_longest():
    padded = Skeletons(torch.zeros(4, 3, 2, 2), torch.tensor([3, 2, 1, 3]), None, "moves")
    with pytest.raises(ValueError, match="one row changes the shape of all"):
        shown(padded, privacy=private())


def test_rows_that_an_instance_chooses_are_not_ignored():
    task = Recorder()
    task.rows = lambda context: torch.tensor([1, 3])
    Trainer(steps=2, batch_size=2, device="cpu").run(task, {"low": torch.zeros(8, 2)})
    assert all(set(batch.index.tolist()) <= {1, 3} for batch in task.seen)
    task.seen.clear()
    with pytest.raises(ValueError, match="chooses rows by looking at them"):
        Trainer(steps=1, device="cpu", privacy=private()).run(task, {"low": torch.zeros(8, 2)})
