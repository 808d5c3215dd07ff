"""Data sets beside the main one: sizes and orders of their own, and functions that make them when their stage begins."""

import pytest
import torch
from trainer.tasks import Plain, rows

from privkd.errors import CheckpointError
from privkd.trainer import Beside, Stage, Trainer, balanced


class Two(Plain):
    """Learns from two data sets, and remembers what it saw of the second one."""

    stops_at = None

    def __init__(self):
        super().__init__()
        self.beside = []

    def step(self, batch, context):
        if self.stops_at is not None and context.step == self.stops_at[0] and not self.stops_at[1].exists():
            self.stops_at[1].touch()
            raise KeyboardInterrupt
        other = batch.beside["more"]
        self.beside.append(other)
        return super().step(batch, context) | {"more": self.modules["net"](other["0"]).square().mean()}


def run(beside, task=None, *, data=None, steps=9, **settings):
    task = task or Two()
    Trainer(steps=steps, batch_size=8, **settings).run([Stage("two", task, data or rows(), beside={"more": beside})])
    return task


def test_without_settings_of_its_own_it_is_as_large_as_the_main_batch():
    bare, wrapped = run(rows(30, seed=3)), run(Beside(rows(30, seed=3)))
    assert all(len(batch.index) == 8 for batch in bare.beside)
    assert torch.equal(bare.net.weight, wrapped.net.weight)


def test_it_has_a_batch_size_and_passes_of_its_own():
    task = run(Beside(rows(30, seed=3), batch_size=15), steps=10)
    assert all(len(batch.index) == 15 for batch in task.beside)
    for first, second in zip(task.beside[::2], task.beside[1::2], strict=True):
        assert sorted(torch.cat([first.index, second.index]).tolist()) == list(range(30))
    assert torch.equal(task.beside[3]["0"], rows(30, seed=3)[0][task.beside[3].index])


def test_it_has_an_order_of_its_own():
    labels = torch.tensor([0] * 27 + [1] * 3)
    task = run(Beside((torch.randn(30, 4), labels), batch_size=10, order=balanced("1")))
    assert all(batch["1"].bincount().tolist() == [5, 5] for batch in task.beside)
    plain = run(Beside((torch.randn(30, 4), labels), batch_size=10))
    assert not all(int(batch["1"].sum()) == 5 for batch in plain.beside)


def drawn():
    return torch.randn(30, 4), torch.zeros(30)


def test_a_function_is_called_when_its_stage_begins_and_may_use_what_was_learned():
    teacher = Plain()
    before = teacher.net.weight.clone()

    def answered():
        assert not torch.equal(teacher.net.weight, before)
        return (rows(30)[0], teacher.net(rows(30)[0]))

    task = Two()
    stages = [Stage("teacher", teacher, rows()), Stage("student", task, rows(), beside={"more": answered})]
    Trainer(steps=3, batch_size=8).run(stages)
    batch = task.beside[0]
    assert torch.allclose(batch["1"], teacher.net(batch["0"]).detach(), atol=1e-6)
    assert not batch["1"].requires_grad


def test_functions_draw_by_the_seed_and_each_for_itself():
    state = torch.get_rng_state()
    one, two = run(drawn), run(Beside(drawn, batch_size=8))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one.net.weight, two.net.weight)
    assert not torch.equal(one.net.weight, run(drawn, seed=1).net.weight)


def test_a_run_goes_on_bit_for_bit_with_what_a_function_made_and_with_nothing_else(tmp_path):
    whole = run(Beside(drawn, batch_size=6))
    settings = {"folder": tmp_path / "run", "checkpoint_every": 2}
    task = Two()
    task.stops_at = (5, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        run(Beside(drawn, batch_size=6), task, **settings)
    with pytest.raises(CheckpointError, match="data 'more' beside of stage 'two' differ from those that it began with"):
        run(Beside(lambda: (torch.zeros(30, 4), torch.zeros(30)), batch_size=6), **settings)
    with pytest.raises(CheckpointError, match="beside was"):
        run(Beside(drawn, batch_size=5), **settings)
    again = run(Beside(drawn, batch_size=6), **settings)
    assert torch.equal(again.net.weight, whole.net.weight)
    assert len(again.beside) == 5


@pytest.mark.parametrize(
    ("beside", "error", "message"),
    [
        ([1.0], TypeError, "data is list of float"),
        (Beside([1.0]), TypeError, "data is list of float"),
        (lambda: "rows", TypeError, "data is str"),
        (Beside((torch.zeros(3), torch.zeros(4))), ValueError, "one common number of rows"),
        (Beside(rows(30), order=balanced("2")), ValueError, "no column '2' to order by; there are '0', '1'"),
    ],
)
def test_what_is_no_data_beside_is_refused(beside, error, message):
    with pytest.raises(error, match=message):
        run(beside)
