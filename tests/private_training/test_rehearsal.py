"""Before a private run is charged, its task is tried on made-up rows: nothing that these can tell costs a budget."""

import warnings
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from accountants import Ledger
from privkd.errors import MixedRecordsError, PrivkdError, TaskError, UnsupportedModule
from privkd.mechanisms import SeededNoise
from privkd.private_training import PrivateGradients
from privkd.trainer import Task, Trainer, seeded
from privkd.trainer.batch import numbered
from privkd.trainer.made_up import made_up_rows

N = 60


class Net(nn.Module):
    def __init__(self, way="whole"):
        super().__init__()
        self.way, self.first, self.last = way, nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x):
        hidden = torch.tanh(self.first(x))
        if self.way == "half":
            hidden = hidden.detach()
        if self.way == "no_grad":
            with torch.no_grad():
                return self.last(hidden)
        if self.way == "inference":
            with torch.inference_mode():
                return self.last(hidden)
        out = self.last(hidden)
        if self.way == "numpy":
            return torch.from_numpy(out.detach().numpy())
        return out.detach() if self.way == "detached" else out


class Classify(Task):
    def __init__(self, net=None, optimizer: Any = torch.optim.SGD):
        with seeded(0):
            net = net or Net()
        super().__init__(modules={"net": net}, optimizers=[optimizer(net.parameters(), lr=0.1)])

    def per_record(self, batch, context):
        x, y = batch.tensors
        return {"loss": functional.cross_entropy(self.modules["net"](x), y, reduction="none")}


def rows():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N, 4, generator=generator), torch.randint(0, 3, (N,), generator=generator)


def run(task, data=None, *, settings=None, **private):
    """Ledger of the run, whether it ended well or not."""
    ledger = Ledger(adjacency="add-remove", delta=1e-5)
    private = PrivateGradients(**({"multiplier": 1.0, "source": SeededNoise(0)} | private))
    trainer = Trainer(steps=3, batch_size=12, privacy=private, ledger=ledger, device="cpu", **(settings or {}))
    try:
        trainer.run(task, data or rows())
    except (PrivkdError, ValueError) as error:
        return error, ledger
    return None, ledger


def refused(task, data=None, **settings):
    error, ledger = run(task, data, **settings)
    assert error is not None, "it ran"
    assert ledger.charges == ()
    return error


def test_a_right_task_runs_and_is_charged():
    error, ledger = run(Classify())
    assert error is None
    assert len(ledger.charges) == 1


@pytest.mark.parametrize("way", ["detached", "no_grad", "inference", "numpy"])
def test_losses_without_any_gradient_are_refused(way):
    error = refused(Classify(Net(way)))
    assert isinstance(error, TaskError)
    assert "no gradient reaches net.first.weight" in str(error)
    assert "noise alone" in str(error)


def test_parameters_that_no_gradient_reaches_are_told_before_the_charge_and_frozen_ones_are_not():
    with pytest.warns(UserWarning, match=r"no gradient reaches net\.first\.weight, net\.first\.bias from"):
        error, _ = run(Classify(Net("half")))
    assert error is None
    net = Net("half")
    net.first.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        error, _ = run(Classify(net))
    assert error is None


class Squeezing(Classify):
    def per_record(self, batch, context):
        x, y = batch.tensors
        out = self.modules["net"](x)[:, :1].squeeze()
        return {"loss": functional.binary_cross_entropy_with_logits(out, y.float(), reduction="none")}


def test_a_task_that_fails_on_one_row_alone_is_told_so_with_the_whole_text():
    error = refused(Squeezing())
    assert "a batch of one row, although 3 made-up rows work" in str(error)
    assert "Target size" in str(error)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ((torch.randn(N, 7), torch.zeros(N, dtype=torch.long)), "mat1 and mat2"),
        ((torch.randn(N, 4).double(), torch.zeros(N, dtype=torch.long)), "dtype"),
        ((torch.randn(N, 4), torch.zeros(N, 2)), "target"),
        ((torch.randn(N, 4), torch.zeros(N - 1, dtype=torch.long)), "common number of rows"),
    ],
)
def test_shapes_and_dtypes_that_do_not_fit_cost_nothing(data, told):
    assert told in str(refused(Classify(), data))


def test_mixing_and_strategies_that_do_not_cover_a_model_cost_nothing():
    assert isinstance(refused(Classify(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))), MixedRecordsError)

    class Centred(nn.Linear):
        def forward(self, x):
            out = super().forward(x)
            return out - out.mean(0)

    assert isinstance(refused(Classify(Centred(4, 3))), MixedRecordsError)
    assert isinstance(refused(Classify(Centred(4, 3)), strategy="ghost"), UnsupportedModule)


def test_a_default_dtype_of_half_precision_costs_nothing():
    torch.set_default_dtype(torch.bfloat16)
    try:
        error = refused(Classify(Net().float()))
    finally:
        torch.set_default_dtype(torch.float32)
    assert "default dtype is torch.bfloat16" in str(error)


@pytest.mark.parametrize("is_private", [True, False])
def test_inference_mode_around_a_run_is_told_before_anything_is_done(is_private):
    privacy = PrivateGradients(multiplier=1.0) if is_private else None
    with torch.inference_mode(), pytest.raises(TaskError, match="inference_mode"):
        Trainer(steps=2, batch_size=8, privacy=privacy).run(Classify(), rows())


class Picky(Classify):
    """Takes one-hot labels alone."""

    def per_record(self, batch, context):
        x, y = batch.tensors
        if not bool((y.sum(1) == 1).all()):
            raise ValueError("labels are no one-hot rows")
        return {"loss": functional.cross_entropy(self.modules["net"](x), y.float(), reduction="none")}


class Helped(Picky):
    def made_up(self, rows):
        x, y = rows
        return x, functional.one_hot(torch.zeros(len(y), dtype=torch.long), 3)


def test_tasks_that_refuse_made_up_values_may_give_their_own():
    data = rows()[0], functional.one_hot(rows()[1], 3)
    error = refused(Picky(), data)
    assert "labels are no one-hot rows" in str(error)
    assert "Picky.made_up(rows)" in str(error)
    assert run(Helped(), data)[0] is None


class Lengths(Classify):
    """Zeros are no lengths, ones are."""

    def per_record(self, batch, context):
        x, y = batch.tensors
        nn.utils.rnn.pack_padded_sequence(x[:, :, None], y, batch_first=True, enforce_sorted=False)
        return {"loss": self.modules["net"](x).square().mean(1)}


def test_whole_numbers_are_tried_as_ones_where_zeros_are_refused():
    assert run(Lengths(), (rows()[0], torch.full((N,), 2)))[0] is None


class Prepared(Classify):
    """Has its weights from the beginning of an epoch on."""

    def on_epoch_start(self, context):
        self.weight = 1.0 / (1 + context.epoch)

    def per_record(self, batch, context):
        return {"loss": self.weight * super().per_record(batch, context)["loss"]}


def test_what_a_task_prepares_when_an_epoch_begins_is_there():
    task = Prepared()
    assert run(task)[0] is None


class LookingUp(Classify):
    """Finds something private by the index of a row, and says it."""

    def __init__(self):
        super().__init__()
        self.secret = torch.arange(N) + 77_000

    def per_record(self, batch, context):
        raise ValueError(f"the secret is {self.secret[batch.index].tolist()}")


def test_texts_are_kept_back_where_a_task_looks_rows_up():
    error = refused(LookingUp())
    assert "77" not in str(error)
    assert "text is kept back" in str(error)


def test_the_rehearsal_does_not_depend_on_records_and_leaves_everything_as_it_was():
    seen = []

    class Watching(Classify):
        def per_record(self, batch, context):
            seen.append([batch.index.clone(), *(one.clone() for one in batch.tensors)])
            self.last = batch.tensors
            return super().per_record(batch, context)

    def rehearsed(data):
        task = Watching()
        before = torch.get_rng_state()
        seen.clear()
        ledger = Ledger(adjacency="add-remove", delta=1e-5, epsilon=1e-3)  # refuses the charge, behind the rehearsal
        with pytest.raises(Exception, match="would cost"):
            Trainer(steps=3, batch_size=12, privacy=PrivateGradients(multiplier=1.0), ledger=ledger).run(task, data)
        assert torch.equal(torch.get_rng_state(), before)
        assert "last" not in vars(task)
        assert seen
        return [list(one) for one in seen]

    x, y = rows()
    one, other = rehearsed((x, y)), rehearsed((x + 5.0, 2 - y))
    assert len(one) == len(other)
    assert all(
        torch.equal(a, b) for mine, theirs in zip(one, other, strict=True) for a, b in zip(mine, theirs, strict=True)
    )


def test_a_data_set_that_cannot_be_read_says_so_without_its_text():
    class Broken(torch.utils.data.Dataset):
        def __len__(self):
            return N

        def __getitem__(self, row):
            raise ValueError("row of Ada Lovelace")

    error = refused(Classify(), Broken())
    assert "first row of the data cannot be read: ValueError" in str(error)
    assert "Ada" not in str(error)


def test_made_up_rows_have_the_form_of_the_data_and_nothing_else():
    data = (torch.full((5, 2), 9.0, dtype=torch.float64), torch.full((5,), 4), torch.ones(5, 3, dtype=torch.bool))
    x, y, mask = made_up_rows(numbered(data), 2).values()
    assert x.shape == (2, 2)
    assert x.dtype == torch.float64
    assert bool(((x >= 0) & (x < 1)).all())
    assert y.tolist() == [0, 0]
    assert mask.tolist() == [[False] * 3] * 2
    assert made_up_rows(numbered(data), 2, whole=1)["1"].tolist() == [1, 1]


@pytest.mark.parametrize("strategy", ["auto", "opacus"])
def test_sparse_tables_train_privately(strategy):
    pytest.importorskip("opacus")
    table = nn.Sequential(nn.Embedding(7, 3, sparse=True), nn.Flatten())
    assert run(Classify(table), (torch.randint(0, 7, (N, 1)), rows()[1]), strategy=strategy)[0] is None


def test_an_optimizer_for_sparse_gradients_alone_costs_nothing():
    table = nn.Sequential(nn.Embedding(7, 3, sparse=True), nn.Flatten())
    task = Classify(table, optimizer=torch.optim.SparseAdam)
    assert "use Adam" in str(refused(task, (torch.randint(0, 7, (N, 1)), rows()[1])))
