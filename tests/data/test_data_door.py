"""The package's door: lazy, complete, and the same whatever was imported first."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import privkd.data

ROOT = Path(privkd.data.__file__).parents[2]


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)


def test_import_loads_neither_torch_nor_sklearn_nor_pillow():
    code = "import sys, privkd.data; print([m for m in ('torch', 'sklearn', 'PIL') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]", run(code).stderr
    assert "['torch'" in run(code.replace("privkd.data;", "privkd.data; privkd.data.load;")).stdout


@pytest.mark.parametrize("module", ["archives", "bundled", "loading", "records"])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(importlib.import_module(f"privkd.data.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
