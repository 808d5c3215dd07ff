"""Two processes learn what one learns, and end cleanly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RUN = Path(__file__).with_name("shared_run.py")


def start(out, processes):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, *launcher, str(RUN), str(out)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(out, weights_only=True)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return start(tmp_path_factory.mktemp("one") / "run.pt", 1)


def test_two_processes_learn_what_one_learns(alone, tmp_path):
    shared = start(tmp_path / "run.pt", 2)
    assert alone["accuracy"] > 0.88
    assert shared["accuracy"] == pytest.approx(alone["accuracy"], abs=0.01)
    # The same batches, the same mean gradients: only the order of sums differs, and Adam amplifies that a little.
    for name, weight in alone["net"].items():
        assert torch.allclose(shared["net"][name], weight, atol=2e-3), name
    for one, two in zip(alone["history"], shared["history"], strict=True):
        assert two["cross-entropy"] == pytest.approx(one["cross-entropy"], rel=1e-3)


@pytest.mark.proof
def test_two_processes_end_cleanly_ten_times(tmp_path):
    for attempt in range(10):
        start(tmp_path / f"{attempt}.pt", 2)
