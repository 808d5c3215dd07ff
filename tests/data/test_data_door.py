"""The package's door: lazy, complete, and the same whatever was imported first."""

import ast
import doctest
import importlib
import pkgutil
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


def test_lazy_names_public_names_and_checker_names_are_the_same():
    tree = ast.parse(Path(privkd.data.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == privkd.data._LAZY
    assert set(privkd.data.__all__) == set(seen) <= set(dir(privkd.data))


def test_every_name_resolves_and_others_do_not():
    for name in privkd.data.__all__:
        assert callable(getattr(privkd.data, name))
    with pytest.raises(AttributeError, match="no attribute 'loads'"):
        _ = privkd.data.loads


def test_no_module_hides_a_public_name():
    modules = {module.name for module in pkgutil.iter_modules(privkd.data.__path__)}
    assert not modules & set(privkd.data.__all__)


@pytest.mark.parametrize("module", ["archives", "bundled", "loading", "records"])
def test_examples_in_docstrings_hold(module):
    result = doctest.testmod(importlib.import_module(f"privkd.data.{module}"))
    assert result.attempted > 0
    assert result.failed == 0
