"""Two processes learn what one learns, stop together, go on where they stopped, and end cleanly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RUN = Path(__file__).with_name("shared_run.py")


def process(out, processes, *words):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.run(
        [sys.executable, *launcher, str(RUN), str(out), *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def start(out, processes, *words):
    done = process(out, processes, *words)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out, weights_only=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return start(tmp_path_factory.mktemp("one") / "run.pt", 1)


@pytest.mark.parametrize("how", [(), ("sharded",)], ids=["copied", "sharded"])
def test_two_processes_learn_what_one_learns(alone, tmp_path, how):
    shared = start(tmp_path / "run.pt", 2, *how)
    assert alone["accuracy"] > 0.86
    assert shared["accuracy"] == pytest.approx(alone["accuracy"], abs=0.01)
    # The same batches, the same mean gradients: only the order of sums differs, and Adam amplifies that a little.
    for name, weight in alone["net"].items():
        assert torch.allclose(shared["net"][name], weight, atol=2e-3), name
    for one, two in zip(alone["history"], shared["history"], strict=True):
        assert two["cross-entropy"] == pytest.approx(one["cross-entropy"], rel=1e-3)
        assert two["rows"] == one["rows"] == 64  # together, each row once
        assert two["seen"] == pytest.approx(one["seen"] / 2)


@pytest.mark.parametrize("how", [(), pytest.param(("sharded",), marks=pytest.mark.proof)], ids=["copied", "sharded"])
def test_a_signal_to_one_process_stops_all_and_the_run_goes_on_as_if_nothing_had_happened(tmp_path, how):
    whole = start(tmp_path / "whole.pt", 2, f"{tmp_path}/whole", "dropout", *how)
    stopped = process(tmp_path / "run.pt", 2, f"{tmp_path}/run", "dropout", *how, "killed=73")
    assert stopped.returncode != 0
    assert stopped.stderr.count("at step 80 of 200; the run is saved") >= 2  # both said it, at the same step
    again = start(tmp_path / "run.pt", 2, f"{tmp_path}/run", "dropout", *how)
    assert again["history"] == whole["history"]
    assert all(torch.equal(again["net"][name], weight) for name, weight in whole["net"].items())


def test_a_program_may_have_several_runs(alone, tmp_path):
    again = start(tmp_path / "run.pt", 2, "twice")
    assert again["history"][-1]["cross-entropy"] == pytest.approx(alone["history"][-1]["cross-entropy"], rel=1e-3)


def test_processes_draw_different_numbers(tmp_path):
    one = start(tmp_path / "one.pt", 1, "dropout")
    two = start(tmp_path / "two.pt", 2, "dropout")
    assert not all(torch.allclose(two["net"][name], weight, atol=2e-3) for name, weight in one["net"].items())


@pytest.mark.proof
def test_two_processes_end_cleanly_ten_times(tmp_path):
    for attempt in range(10):
        start(tmp_path / f"{attempt}.pt", 2)
