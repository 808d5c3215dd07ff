"""The package names what it offers once, resolves it lazily, and starts light."""

import subprocess
import sys

import pytest

import accountants

HEAVY = ("torch", "scipy.stats", "scipy.optimize", "matplotlib", "sklearn", "pandas")


@pytest.mark.parametrize("name", accountants.__all__)
def test_every_name_resolves_to_its_own_thing(name):
    value = getattr(accountants, name)
    assert value.__name__ == name
    assert value.__doc__
    assert name in dir(accountants)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="magic"):
        accountants.magic  # noqa: B018


def test_names_survive_the_import_of_their_modules():
    program = (
        "import accountants, pkgutil, importlib\n"
        "for module in pkgutil.walk_packages(accountants.__path__, 'accountants.'):\n"
        "    importlib.import_module(module.name)\n"
        "assert all(callable(getattr(accountants, n)) for n in accountants.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize(
    "statement",
    [
        "import accountants",
        "from accountants import *",
        "import accountants as a; a.epsilon(a.Gaussian(1), 1e-5)",
    ],
)
def test_starting_stays_light(statement):
    program = f"import sys\n{statement}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_the_package_itself_needs_no_numpy():
    program = "import sys, accountants; accountants.Gaussian(1).poisson(0.1) * 3; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
