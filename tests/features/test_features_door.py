"""The package's door: lazy and complete."""

import doctest
import subprocess
import sys
from pathlib import Path

import pytest

import privkd.features
from privkd.features import scattering

ROOT = Path(privkd.features.__file__).parents[2]


def loads_torch(code: str) -> bool:
    probe = f"import sys, privkd.features\n{code}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.strip() == "True"


def test_import_loads_no_torch_until_a_name_is_used():
    assert not loads_torch("")
    assert loads_torch("privkd.features.Scattering")


def test_every_name_resolves_and_others_do_not():
    for name in privkd.features.__all__:
        assert callable(getattr(privkd.features, name))
    assert set(privkd.features.__all__) == set(privkd.features._LAZY) <= set(dir(privkd.features))
    with pytest.raises(AttributeError, match="public names: Scattering"):
        _ = privkd.features.Scatter


def test_examples_in_docstrings_hold():
    result = doctest.testmod(scattering)
    assert result.attempted > 0
    assert result.failed == 0
