"""Who shares a run: what torchrun, mpirun and accelerate say in the environment, and what accelerate says wrongly."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from privkd.trainer import Task, Trainer
from privkd.trainer.devices.launched import is_first_process, process_count

HERE = Path(__file__).parent
SIMPLE = {"ACCELERATE_USE_CPU": "False", "MASTER_ADDR": "127.0.0.1", "ACCELERATE_MIXED_PRECISION": "no"}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in os.environ:
        if name.startswith(("ACCELERATE", "MASTER_", "OMPI", "PMI_", "MV2")) or name in ("WORLD_SIZE", "RANK"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("environment", "count", "is_first"),
    [
        ({}, 1, True),
        ({"WORLD_SIZE": "1", "RANK": "0"}, 1, True),
        ({"WORLD_SIZE": "4", "RANK": "0"}, 4, True),
        ({"WORLD_SIZE": "4", "RANK": "3"}, 4, False),
        ({"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}, 2, False),
        ({"PMI_SIZE": "2", "PMI_RANK": "0"}, 2, True),
        ({"MV2_COMM_WORLD_SIZE": "3", "MV2_COMM_WORLD_RANK": "2"}, 3, False),
        ({"WORLD_SIZE": "2", "RANK": "1", "PMI_SIZE": "1", "PMI_RANK": "0"}, 2, False),  # torchrun inside of mpirun
        ({"ACCELERATE_USE_CPU": "True"}, 1, True),  # accelerate, asked for one
        ({"MASTER_ADDR": "10.0.0.1"}, 1, True),  # a cluster's habit
        ({**SIMPLE, "OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "0"}, 2, True),  # accelerate through mpirun
        ({**SIMPLE, "WORLD_SIZE": "1"}, 1, True),
    ],
)
def test_the_environment_says_how_many_processes_share_a_run(monkeypatch, environment, count, is_first):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert process_count() == count
    assert is_first_process() == is_first


def test_one_process_where_accelerate_was_asked_for_several_is_refused_before_it_trains(monkeypatch):
    net = nn.Linear(2, 2)

    class Never(Task):
        def step(self, batch, context):
            raise AssertionError("it trained")

    task = Never(modules={"net": net}, optimizers=[torch.optim.SGD(net.parameters(), lr=1.0)])
    for name, value in SIMPLE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ValueError, match=r"started this one alone.*torchrun --nproc_per_node=2.*--multi_gpu.*--processes 2"
    ):
        Trainer(steps=1, device="cpu").run(task)


def start(command, out, **environment):
    settings = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
        "CUDA_VISIBLE_DEVICES": "",
    }
    words = [sys.executable, *command, str(HERE / "shared_run.py"), str(out)]
    return subprocess.Popen(
        words, env=settings | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_accelerate_launch_on_a_cpu_says_what_to_do_instead(tmp_path):
    # The launcher looks for torchvision by way of other packages; a build that does not fit this torch would end it.
    launcher = "import sys; sys.modules['torchvision'] = None; from accelerate.commands.launch import main; main()"
    (tmp_path / "launch.py").write_text(launcher)
    run = start([str(tmp_path / "launch.py"), "--cpu", "--num_processes=2"], tmp_path / "run.pt")
    _, said = run.communicate(timeout=240)
    assert run.returncode != 0
    assert "ValueError: accelerate launch was asked for several processes and started this one alone" in said
    assert not (tmp_path / "run.pt").exists()


def test_processes_that_mpirun_names_share_a_run(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    common = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_LOCAL_SIZE": "2", "MASTER_PORT": port}
    runs = [
        start([], tmp_path / "run.pt", **common, OMPI_COMM_WORLD_RANK=str(rank), OMPI_COMM_WORLD_LOCAL_RANK=str(rank))
        for rank in range(2)
    ]
    said = [run.communicate(timeout=240)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    found = torch.load(tmp_path / "run.pt", weights_only=True)
    last, alone = found["history"][-1], 200 * 64 * 1436 / 2  # the sum of the indices that one process would see, about
    assert last["rows"] == 64
    assert last["seen"] < 0.75 * alone
