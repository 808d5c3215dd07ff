"""The package's door: lazy and complete."""

import doctest
import subprocess
import sys
from pathlib import Path

import privkd.networks.scattering
from privkd.networks.scattering import scattering

ROOT = Path(privkd.networks.scattering.__file__).parents[3]


def loads_torch(code: str) -> bool:
    probe = f"import sys, privkd.networks.scattering\n{code}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, cwd=ROOT, check=True)
    return done.stdout.strip() == "True"


def test_import_loads_no_torch_until_a_name_is_used():
    assert not loads_torch("")
    assert loads_torch("privkd.networks.scattering.Scattering")


def test_examples_in_docstrings_hold():
    result = doctest.testmod(scattering)
    assert result.attempted > 0
    assert result.failed == 0
