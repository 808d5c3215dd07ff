"""Rows that a task chooses before every pass: what comes of a choice, that a run goes on with it, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import Dataset
from trainer.tasks import Recording, rows

from privkd.errors import TaskError
from privkd.private_training import PrivateGradients
from privkd.trainer import Stage, Trainer, balanced
from privkd.trainer.batches.chosen_rows import ChosenRows
from privkd.trainer.batches.order import Order

N, SIZE = 48, 10
PASS = N // SIZE


class Choosing(Recording):
    """Chooses other rows in every pass, by what it has learned so far."""

    stops_at = None

    def __init__(self, choice=None, **options):
        super().__init__(**options)
        self.choice, self.chosen = choice, []

    def rows(self, context):
        if self.choice is not None:
            return self.choice(context)
        drawn = torch.randperm(N, generator=context.generator)[: 7 + context.epoch]
        self.chosen.append(drawn[self.net.weight[0, 0].item() > 100.0 :])
        return self.chosen[-1]

    def step(self, batch, context):
        if self.stops_at is not None and context.step == self.stops_at[0] and not self.stops_at[1].exists():
            self.stops_at[1].touch()
            raise KeyboardInterrupt
        return super().step(batch, context)


def run(task, data=None, **settings):
    return Trainer(**({"epochs": 3} | settings), batch_size=SIZE).run(task, data or rows(N))


def test_every_pass_shows_its_choice_equally_often_and_nothing_else():
    task = Choosing()
    history = run(task)
    assert history[-1]["step"] == 3 * PASS == len(task.seen)
    for epoch, chosen in enumerate(task.chosen):
        seen = torch.cat(task.seen[epoch * PASS : (epoch + 1) * PASS])
        times = seen.bincount(minlength=N)[chosen]
        assert int(times.sum()) == len(seen) == PASS * SIZE
        assert int(times.max() - times.min()) <= 1
    assert len({tuple(chosen.tolist()) for chosen in task.chosen}) == 3


def test_all_rows_are_the_plain_order_however_they_are_chosen():
    plain = Recording()
    run(plain)
    for choice in (
        lambda context: None,
        lambda context: torch.arange(N),
        lambda context: torch.ones(N, dtype=torch.bool),
    ):
        task = Choosing(choice)
        run(task)
        assert all(torch.equal(one, two) for one, two in zip(plain.seen, task.seen, strict=True))
        assert torch.equal(plain.net.weight, task.net.weight)


def test_a_mask_and_its_positions_are_one_choice_and_a_position_given_twice_comes_twice_as_often():
    mask = torch.arange(N) % 5 == 0
    masked, placed = Choosing(lambda context: mask), Choosing(lambda context: mask.nonzero().squeeze(1))
    run(masked)
    run(placed)
    assert all(torch.equal(one, two) for one, two in zip(masked.seen, placed.seen, strict=True))
    twice = Choosing(lambda context: torch.tensor([3, 3, 4, 5]))
    run(twice, steps=PASS, epochs=None)
    assert torch.cat(twice.seen).bincount()[3:].tolist() == [20, 10, 10]


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 40), size=st.integers(1, 12), seed=st.integers(0, 2**62), process=st.sampled_from([(0, 1), (1, 2)])
)
def test_any_step_of_a_pass_can_be_asked_for_directly(n, size, seed, process):
    if min(size, n) % process[1]:
        return
    order, again = (ChosenRows(n, size, seed, process) for _ in range(2))
    assert order.steps_per_epoch == Order(n, size, seed, process=process).steps_per_epoch
    chosen = torch.arange(0, n, 2)
    for one in (order, again):
        one.choose(chosen)
    in_order = [order.at(step) for step in range(order.steps_per_epoch)]
    for step in reversed(range(order.steps_per_epoch)):
        assert torch.equal(again.at(step), in_order[step])
    assert set(torch.cat(in_order).tolist()) <= set(chosen.tolist())


class Items(Dataset):
    def __len__(self):
        return N

    def __getitem__(self, row):
        return tuple(column[row] for column in rows(N))


@pytest.mark.parametrize("workers", [0, 2])
def test_reading_ahead_waits_for_the_choice(workers):
    plain, read = Choosing(), Choosing()
    run(plain)
    run(read, Items(), workers=workers)
    assert all(torch.equal(one, two) for one, two in zip(plain.seen, read.seen, strict=True))
    assert torch.equal(plain.net.weight, read.net.weight)


@pytest.mark.parametrize("stop", [PASS + 2, 2 * PASS], ids=["within a pass", "between two"])
@pytest.mark.parametrize("kind", ["tensors", "data set"])
def test_a_run_goes_on_with_its_choice_bit_for_bit(tmp_path, stop, kind):
    data = rows(N) if kind == "tensors" else Items()
    whole = Choosing()
    run(whole, data)
    settings = {"folder": tmp_path / "run", "checkpoint_every": 1}
    task = Choosing()
    task.stops_at = (stop, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run(task, data, **settings)
    again = Choosing()
    run(again, data, **settings)
    assert torch.equal(again.net.weight, whole.net.weight)
    assert [index.tolist() for index in again.seen] == [index.tolist() for index in whole.seen[stop:]]
    assert len(again.chosen) == 1  # that of the last pass; within a pass the checkpoint has it


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ([1, 2], "rows gave list; give int64 positions"),
        (torch.tensor([1.0]), "1 dimensions and dtype float32"),
        (torch.zeros(2, 2, dtype=torch.int64), "2 dimensions and dtype int64"),
        (torch.tensor([1], dtype=torch.uint8), "dtype uint8"),
        (torch.ones(N - 1, dtype=torch.bool), "a mask of another length than the 48 rows"),
        (torch.zeros(N, dtype=torch.bool), "chose no row"),
        (torch.tensor([], dtype=torch.int64), "chose no row"),
        (torch.tensor([0, N]), r"positions beyond the data; give int64 positions in \[0, 48\)"),
        (torch.tensor([-1]), "positions beyond the data"),
    ],
)
def test_what_is_no_choice_is_refused_before_a_step(choice, message):
    class Untyped(Choosing):
        def rows(self, context):
            return choice

    task = Untyped()
    with pytest.raises(TaskError, match=message):
        run(task)
    assert task.seen == []


def test_a_choice_needs_rows_and_no_other_order():
    with pytest.raises(TaskError, match="has no data"):
        Trainer(steps=1).run(Choosing())
    stage = Stage("both", Choosing(), rows(N), order=balanced("1"))
    with pytest.raises(TaskError, match="has an order for"):
        Trainer(steps=1).run([stage])


def test_private_runs_take_no_choice():
    trainer = Trainer(steps=2, batch_size=4, privacy=PrivateGradients(multiplier=1.0, delta=1e-3))
    with pytest.raises(ValueError, match=r"Choosing\.rows chooses rows by looking at them, which a private run"):
        trainer.run(Choosing(), rows(N))
