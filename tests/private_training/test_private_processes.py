"""Several processes train privately as one does: the noise is added once, and sampling is global."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RUN = Path(__file__).with_name("shared_private_run.py")


def start(out, processes, what):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, *launcher, str(RUN), str(out), what],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(processes)]


def test_the_sums_of_two_processes_are_those_of_one(tmp_path):
    [alone] = start(tmp_path / "one", 1, "sums")
    both = start(tmp_path / "two", 2, "sums")
    for one in both:
        assert torch.allclose(one["weights"], alone["weights"], atol=1e-5)
        assert one["epsilon"] == alone["epsilon"]


def test_the_noise_of_two_processes_has_the_variance_of_one(tmp_path):
    both = start(tmp_path / "two", 2, "noise")
    seen = both[0]["seen"] * 60 / (0.4 * 1.5)
    assert seen.square().mean().item() == pytest.approx(
        1.0, abs=5 * math.sqrt(2 / seen.numel())
    )  # 2 if each added its own
    assert torch.equal(both[0]["seen"], both[1]["seen"])
    assert torch.equal(both[0]["weights"], both[1]["weights"])


@pytest.mark.proof
def test_correlated_noise_is_the_same_in_two_processes(tmp_path):
    [alone] = start(tmp_path / "one", 1, "banded")
    both = start(tmp_path / "two", 2, "banded")
    assert torch.allclose(both[0]["weights"], alone["weights"], atol=1e-5)
    assert torch.equal(both[0]["weights"], both[1]["weights"])
