"""Several processes train privately as one does: the noise is added once, and sampling is global."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

RUN = Path(__file__).with_name("shared_private_run.py")


def start(out, processes, *runs):
    """What each process saved of each run; all runs in one launch."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(
        [sys.executable, *launcher, str(RUN), str(out), *runs],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(f"{out}.{rank}", weights_only=True) for rank in range(processes)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    [saved] = start(tmp_path_factory.mktemp("alone") / "out", 1, "sums", "banded")
    return saved


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return start(tmp_path_factory.mktemp("both") / "out", 2, "sums", "noise", "banded")


def test_the_sums_of_two_processes_are_those_of_one(alone, both):
    for saved in both:
        assert torch.allclose(saved["sums"]["weights"], alone["sums"]["weights"], atol=1e-5)
        assert saved["sums"]["epsilon"] == alone["sums"]["epsilon"]


def test_the_noise_of_two_processes_has_the_variance_of_one(both):
    first, second = (saved["noise"] for saved in both)
    seen = first["seen"] * 60 / (0.4 * 1.5)
    expected = pytest.approx(1.0, abs=5 * math.sqrt(2 / seen.numel()))
    assert seen.square().mean().item() == expected  # 2 if each added its own
    assert torch.equal(first["seen"], second["seen"])
    assert torch.equal(first["weights"], second["weights"])


def test_correlated_noise_is_the_same_in_two_processes(alone, both):
    first, second = (saved["banded"] for saved in both)
    assert torch.allclose(first["weights"], alone["banded"]["weights"], atol=1e-5)
    assert torch.equal(first["weights"], second["weights"])
