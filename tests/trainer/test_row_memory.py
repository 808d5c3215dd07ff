"""A memory of every row: written by index, the same in all processes, in checkpoints, and closed to what does not fit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer.tasks import Plain, rows

from privkd.errors import CheckpointError, TaskError
from privkd.private_training import PrivateGradients
from privkd.trainer import Context, RowMemory, Trainer

CONTEXT = Context(0, 0, 1, torch.device("cpu"), torch.Generator())


class Remembering(Plain):
    """Remembers the features of every row, and how often it was seen."""

    stops_at = None

    def __init__(self, n=48, **options):
        memories = {"features": RowMemory(n, (2,)), "times": RowMemory(n, dtype=torch.int32, fill=0)}
        super().__init__(**({"memories": memories} | options))

    def step(self, batch, context):
        if self.stops_at is not None and context.step == self.stops_at[0] and not self.stops_at[1].exists():
            self.stops_at[1].touch()
            raise KeyboardInterrupt
        features = self.modules["net"](batch["0"])
        pull = (features - self.memories["features"][batch.index]).square().mean()
        self.memories["features"].write(batch.index, features, context)
        self.memories["times"].write(batch.index, self.memories["times"][batch.index] + 1, context)
        return super().step(batch, context) | {"pull": pull}


def test_a_run_remembers_every_row_and_learns_without_gradients_to_the_past():
    task = Remembering()
    Trainer(epochs=3, batch_size=8).run(task, rows())
    assert task.memories["times"].values.tolist() == [3] * 48
    assert not task.memories["features"].values.requires_grad
    assert float(task.memories["features"].values.abs().min()) > 0


def test_a_run_goes_on_bit_for_bit_with_what_it_remembered(tmp_path):
    whole = Remembering()
    Trainer(steps=20, batch_size=8).run(whole, rows())
    settings = {"steps": 20, "batch_size": 8, "folder": tmp_path / "run", "checkpoint_every": 4}
    stopped = Remembering()
    stopped.stops_at = (10, tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        Trainer(**settings).run(stopped, rows())
    with pytest.raises(CheckpointError, match="memories was"):
        Trainer(**settings).run(Remembering(n=50), rows())
    again = Remembering()
    Trainer(**settings).run(again, rows())
    assert torch.equal(again.net.weight, whole.net.weight)
    for name, memory in whole.memories.items():
        assert torch.equal(again.memories[name].values, memory.values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-100, 100)), max_size=12))
def test_writing_is_one_row_after_another(writes):
    memory, slow = RowMemory(6, dtype=torch.int64, fill=7), [7] * 6
    index, values = (
        torch.tensor(column, dtype=torch.int64) for column in (zip(*writes, strict=True) if writes else ((), ()))
    )
    memory.write(index, values, CONTEXT)
    for place, value in writes:
        slow[place] = value
    assert memory.values.tolist() == slow
    assert memory[torch.tensor([5, 0])].tolist() == [slow[5], slow[0]]


def test_other_precisions_are_rounded_and_whole_numbers_stay_what_they_are():
    memory = RowMemory(2, dtype=torch.float16)
    memory.write(torch.tensor([1]), torch.tensor([0.1], dtype=torch.float64), CONTEXT)
    assert memory.values.dtype == torch.float16
    flags = RowMemory(2, (3,), torch.bool, fill=False)
    flags.write(torch.tensor([0]), torch.tensor([[True, False, True]]), CONTEXT)
    assert flags.values.tolist() == [[True, False, True], [False] * 3]


def test_what_was_read_does_not_change_later():
    memory = RowMemory(3)
    before = memory[torch.tensor([0])]
    memory.write(torch.tensor([0]), torch.ones(1), CONTEXT)
    assert before.tolist() == [0.0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RowMemory(0), ValueError, "rows"),
        (lambda: RowMemory(True), TypeError, "rows"),
        (lambda: RowMemory(3, (0,)), ValueError, r"shape\[0\]"),
        (lambda: RowMemory(3, dtype=torch.complex64), TypeError, "dtype=torch.complex64 must be"),
        (lambda: RowMemory(3, fill=float("nan")), ValueError, "fill"),
        (lambda: RowMemory(3, dtype=torch.int64, fill=0.5), ValueError, "fill=0.5 is no value of torch.int64"),
        (lambda: Plain(memories={"loss": torch.zeros(3)}), TypeError, "memories"),
        (
            lambda: RowMemory(3).load_state_dict({"values": torch.zeros(4)}),
            ValueError,
            r"cannot take back one of shape \(4,\)",
        ),
    ],
)
def test_memories_that_cannot_be_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("memory", "index", "values", "message"),
    [
        (RowMemory(3), [3], [1.0], r"beyond the 3 places of a memory; give positions in \[0, 3\)"),
        (RowMemory(3), [-1], [1.0], "beyond the 3 places"),
        (RowMemory(3), [0.0], [1.0], "dtype torch.float32; give whole numbers"),
        (RowMemory(3), [True], [1.0], "dtype torch.bool; give whole numbers"),
        (RowMemory(3), [[0]], [[1.0]], r"positions have shape \(1, 1\)"),
        (RowMemory(3), [0, 1], [1.0], r"values of shape \(1,\) at 2 positions .* places of shape \(\)"),
        (RowMemory(3, (2,)), [0], [[1.0]], r"give positions \(b,\) and values \(b, 2\)"),
        (RowMemory(3), [0], [float("nan")], "NaN or infinity"),
        (RowMemory(3), [0, 1], [1.0, float("inf")], "NaN or infinity"),
        (RowMemory(3, dtype=torch.float16), [0], [1e6], "NaN or infinity as torch.float16"),
        (
            RowMemory(3, dtype=torch.int64, fill=0),
            [0],
            [1.0],
            "dtype torch.float32 do not fit a memory of dtype torch.int64",
        ),
        (RowMemory(3, dtype=torch.int8, fill=0), [0], [300], "beyond torch.int8"),
    ],
)
def test_writes_that_do_not_fit_are_refused_and_change_nothing(memory, index, values, message):
    before = memory.values.clone()
    with pytest.raises(TaskError, match=message):
        memory.write(torch.tensor(index), torch.tensor(values), CONTEXT)
    assert torch.equal(memory.values, before)


@pytest.mark.parametrize("index", [[3], [-1], [0.5], [[0]]])
def test_places_that_do_not_exist_cannot_be_read(index):
    with pytest.raises(TaskError, match="position"):
        RowMemory(3)[torch.tensor(index)]


def test_private_runs_remember_no_rows():
    trainer = Trainer(steps=2, batch_size=4, privacy=PrivateGradients(multiplier=1.0, delta=1e-3))
    with pytest.raises(ValueError, match="memories of Remembering keep something of every row"):
        trainer.run(Remembering(), rows())


def start(out, folder, processes, steps):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    program = str(Path(__file__).with_name("shared_memory.py"))
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, *launcher, program, str(out), str(folder), str(steps)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(processes)]


def test_two_processes_remember_and_choose_the_same_rows(tmp_path):
    one, two = start(tmp_path / "two", tmp_path / "run", 2, 8)
    assert all(torch.equal(one[name], two[name]) for name in one)
    (alone,) = start(tmp_path / "one", tmp_path / "alone", 1, 8)
    assert int(alone["times"].sum()) == int(one["times"].sum()) == 8 * 8
    assert torch.equal(alone["times"], one["times"])  # the same choices, and each row written once
    assert torch.allclose(alone["loss"], one["loss"], atol=1e-5)
