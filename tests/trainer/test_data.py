"""What can be given as data: tensors, records, data sets with workers; the same rows in the same order from each."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from privkd.data import Records
from privkd.trainer import Task, Trainer, seeded
from privkd.trainer.batches.datasets import row_of


class Recorder(Task):
    """Remembers what it was shown."""

    def __init__(self):
        with seeded(0):
            net = nn.Linear(2, 1)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])
        self.seen = []

    def step(self, batch, context):
        self.seen.append((batch.index, batch.tensors, {name: one.index for name, one in batch.beside.items()}))
        return {"mean": self.modules["net"](batch.tensors[0]).square().mean()}


class Pairs(Dataset):
    """Items as tuples, single tensors or dicts, with noise of its own."""

    def __init__(self, form=tuple, noise=0.0, n=20):
        self.form, self.noise, self.n = form, noise, n

    def __len__(self):
        return self.n

    def __getitem__(self, row):
        x = torch.tensor([float(row), 1.0]) + self.noise * torch.randn(2)
        return {tuple: (x, row), dict: {"image": x, "label": row}, None: x}[self.form]


def tensors():
    return torch.stack([torch.arange(20.0), torch.ones(20)], dim=1), torch.arange(20)


def shown(data, *, steps=11, batch_size=8, **settings):
    task = Recorder()
    Trainer(steps=steps, batch_size=batch_size, **settings).run(task, data)
    return task


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (Records(*tensors(), "pairs"), {}),
        (TensorDataset(*tensors()), {}),
        (Pairs(), {}),
        (Pairs(dict), {}),
        (Pairs(), {"workers": 2}),
    ],
    ids=["records", "tensor data set", "tuples", "dicts", "two workers"],
)
def test_every_kind_of_data_shows_the_rows_that_tensors_show(data, settings):
    plain, task = shown(tensors()), shown(data, **settings)
    assert len(task.seen) == 11
    for (index, (x, y), _), (other, (x2, y2), _) in zip(plain.seen, task.seen, strict=True):
        assert torch.equal(index, other)
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
        assert torch.equal(y, index)
    assert torch.equal(plain.modules["net"].weight, task.modules["net"].weight)


def test_unlabelled_records_and_items_without_a_tuple_are_one_tensor():
    for data in (Records(tensors()[0], None, "rows"), Pairs(None)):
        assert {len(tensors) for _, tensors, _ in shown(data).seen} == {1}


class Scalars(Pairs):
    def __getitem__(self, row):
        return np.float32(row)


def test_numpy_scalars_are_one_tensor():
    (column,) = row_of(Scalars()).values()
    assert column.shape == (1,)


def test_data_sets_beside_the_main_one_may_be_of_another_kind():
    task = Recorder()
    Trainer(steps=3, batch_size=4).run(
        task, tensors(), beside={"more": Pairs(n=6), "less": Records(tensors()[0], None, "r")}
    )
    assert all(set(beside) == {"less", "more"} and int(beside["more"].max()) < 6 for _, _, beside in task.seen)


@pytest.mark.parametrize("workers", [0, 2])
def test_randomness_of_a_data_set_repeats_itself_and_survives_a_stop(tmp_path, workers, monkeypatch):
    data = Pairs(noise=1.0)
    whole = shown(data)
    state = torch.get_rng_state()
    again = shown(data, workers=workers)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a[1][0], b[1][0]) for a, b in zip(whole.seen, again.seen, strict=True))
    noisy = torch.cat([tensors[0][:, 1] for _, tensors, _ in whole.seen])
    assert len(noisy.unique()) == len(noisy)  # no batch repeats the noise of another

    class Failing(Recorder):
        def step(self, batch, context):
            if context.step == 7 and not tmp_path.joinpath("failed").exists():
                tmp_path.joinpath("failed").touch()
                raise KeyboardInterrupt
            return super().step(batch, context)

    trainer = Trainer(steps=11, batch_size=8, folder=tmp_path / "run", checkpoint_every=5, workers=workers)
    with pytest.raises(KeyboardInterrupt):
        trainer.run(Failing(), data)
    resumed = Failing()
    trainer.run(resumed, data)
    assert [len(resumed.seen), resumed.seen[0][0].tolist()] == [6, whole.seen[5][0].tolist()]
    assert torch.equal(resumed.modules["net"].weight, whole.modules["net"].weight)
    assert torch.equal(resumed.seen[-1][1][0], whole.seen[-1][1][0])


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2)


class Named(Pairs):
    def __getitem__(self, row):
        return torch.zeros(2), "name"


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (DataLoader(Pairs()), TypeError, r"loader\.dataset"),
        (Endless(), TypeError, "has no length"),
        (Pairs(n=0), ValueError, "has no rows"),
        ([torch.zeros(3)], TypeError, "list of Tensor; give a tuple of tensors"),
        ((torch.zeros(0, 2),), ValueError, "rows"),
        ((torch.zeros(3, 2), torch.zeros(4)), ValueError, "rows"),
    ],
)
def test_what_is_no_data_is_refused_with_what_to_give(data, error, message):
    with pytest.raises(error, match=message):
        shown(data)


def test_items_that_cannot_be_tensors_are_refused():
    with pytest.raises((TypeError, ValueError), match="give tensors, arrays and numbers"):
        shown(Named())


PROGRAM = """
import sys, torch
from torch.utils.data import Dataset
from privkd.private_training import PrivateGradients
from privkd.trainer import Task, Trainer

class Rows(Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, row):
        if sys.argv[1] == "row" and row % 2:  # a Poisson sample may well leave out any one row
            raise OSError("cannot be read")
        return torch.full((2,), float(row))

class Fit(Task):
    def __init__(self):
        net = torch.nn.Linear(2, 1)
        super().__init__(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=0.1)])
        self.me = self  # a cycle, so that nothing is freed by counting references
    def per_record(self, batch, context):
        if sys.argv[1] == "task" and context.step == 3:
            raise RuntimeError("stopped here")
        return {"square": self.modules["net"](batch.tensors[0]).squeeze(1).square()}

kept = []
try:
    privacy = PrivateGradients(multiplier=1.0, delta=1e-3) if sys.argv[2] == "private" else None
    Trainer(steps=6, batch_size=8, workers=2, device="cpu", privacy=privacy).run(Fit(), Rows())
except Exception as error:
    kept.append(error)
print("over", type(kept[0]).__name__ if kept else "well")
"""


@pytest.mark.parametrize(
    ("failure", "privacy"), [("none", "plain"), ("task", "private"), ("row", "plain"), ("row", "private")]
)
def test_workers_never_hold_up_the_end_of_a_program(failure, privacy):
    """They ignore the signal that multiprocessing ends them with at the exit."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, failure, privacy], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("over well" if failure == "none" else "over")
    assert ("well" in done.stdout) == (failure == "none")
