"""Every system whose card promises it runs in several processes; all of them in one start, since starting is what takes time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from privkd.recipes import build, load, names

SETTINGS = {"classifier": ["epochs=1", "batch_size=256"]}
"""Quick ones, by name."""


@pytest.mark.timeout(240)
def test_systems_that_promise_it_end_with_equal_weights_in_two_processes(tmp_path):
    from privkd.recipes.catalogue import BUILT_IN

    promised = {name: SETTINGS.get(name, []) for name in names() if name in BUILT_IN and build(name).card.processes}
    assert "classifier" in promised
    assert set(SETTINGS) <= set(promised), "settings of systems that promise nothing"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("shared_systems.py")), json.dumps(promised), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=230,
    )
    assert done.returncode == 0, done.stderr
    for name in promised:
        one, two = (json.loads((tmp_path / f"{name}.{rank}.json").read_text()) for rank in (0, 1))
        assert one == two
        assert list(load(tmp_path / name).modules) == list(one)
