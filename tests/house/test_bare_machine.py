"""`make gpu` runs where torch and scikit-learn are, and neither this project nor its other dependencies are installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What torch, accelerate, scikit-learn and pytest bring along, and the three packages of this checkout.
THERE = {
    *("torch", "torchgen", "functorch", "sympy", "mpmath", "networkx", "jinja2", "markupsafe", "fsspec", "filelock"),
    *("typing_extensions", "numpy", "scipy", "sklearn", "joblib", "cloudpickle", "threadpoolctl", "narwhals"),
    *("accelerate", "safetensors", "huggingface_hub", "psutil", "yaml", "_yaml", "packaging", "tqdm", "requests"),
    *("pytest", "_pytest", "py", "pluggy", "iniconfig", "pygments", "privkd", "accountants", "generators"),
}
BARE = f"""
import sys
there = {THERE!r}

class Bare:
    # A finder that overlooks whatever else is installed.
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        spec = self.finder.find_spec(name, path, target)
        is_installed = spec is not None and "site-packages" in f"{{spec.origin}} {{spec.submodule_search_locations}}"
        return None if is_installed and name.split(".")[0] not in there else spec
    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Bare(finder) for finder in sys.meta_path]
"""
BROKEN_PART = """
import runpy
script = runpy.run_path("benchmarks/gpu.py", run_name="gpu")
def broken(size, device, end):
    raise RuntimeError("out of memory")
script["PARTS"]["broken"] = (broken, 0.0)
faces = script["PARTS"].pop("faces")
script["PARTS"]["faces"] = faces                                         # after the broken one
sys.argv = ["gpu.py", "--tiny", "--out", sys.argv[1]]
codes = [script["main"]()]
sys.argv = ["gpu.py", "--budget", "0", "--out", sys.argv[-1] + ".none"]
sys.exit([*codes, script["main"]()] != [1, 0])
"""
TESTS = """
import pytest
names = {f"tests/{name}" for name in sys.argv[1:]}
sys.exit(pytest.main(["-p", "no:cacheprovider", "-m", "gpu", *names]))
"""


def bare(code, *words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", BARE + code, *map(str, words)],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("name", ["rich", "jaxtyping", "opacus", "typer", "skops"])
def test_a_bare_machine_lacks_what_it_should(name):
    done = bare(f"import {name}")
    assert f"No module named '{name}'" in done.stderr


def test_the_benchmark_runs_there_and_one_part_that_fails_or_does_not_fit_stops_no_other(tmp_path):
    done = bare(BROKEN_PART, tmp_path / "gpu.json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "device: CPU" in done.stdout
    assert "no accelerator" in done.stdout
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert found["machine"]["device"] == "cpu"
    assert found["parts"]["broken"]["error"] == "RuntimeError: out of memory"
    assert found["parts"]["training"]["trainer_over_by_hand"] > 0
    assert found["parts"]["private step"]["private_over_plain"] > 1
    assert found["parts"]["faces"]["fused_batch_64_per_s"] > 0
    assert all(part["wall_s"] >= 0 for part in found["parts"].values())
    skipped = json.loads((tmp_path / "gpu.json.none").read_text())["parts"]
    assert [set(part) for part in skipped.values()] == [{"skipped"}] * 4


def test_the_tests_for_accelerators_are_collected_there_and_the_others_left_out():
    done = bare(TESTS, "networks", "trainer")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "only files with tests that need an accelerator run" in done.stdout
    assert "skipped" in done.stdout.splitlines()[-1]
    assert "deselected" not in done.stdout  # nothing else was even collected


def test_every_test_that_is_skipped_without_an_accelerator_is_marked():
    skipping = {path for path in (ROOT / "tests").rglob("test_*.py") if "skipif(not torch.cuda" in path.read_text()}
    assert skipping
    assert all("pytest.mark.gpu" in path.read_text() for path in skipping)
