"""Shared by all tests: one thread, run-time type checks, fixed hypothesis profile, and the shared data folder.

Where the test tools are not installed, as on a borrowed machine with an accelerator, the tests that need one run without them
(`make gpu`).
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

MISSING = [name for name in ("beartype", "hypothesis", "jaxtyping") if find_spec(name) is None]

if not MISSING:
    from beartype import BeartypeConf, beartype
    from hypothesis import settings
    from jaxtyping import install_import_hook

    # Run-time type checks, before the first import of the packages; an int is accepted where a float is asked (PEP 484).
    sys.modules["type_checker"] = ModuleType("type_checker")
    sys.modules["type_checker"].check = beartype(conf=BeartypeConf(is_pep484_tower=True))
    install_import_hook(["privkd", "generators", "accountants"], "type_checker.check")

    settings.register_profile("privkd", deadline=None, max_examples=60, derandomize=True)
    settings.load_profile("privkd")
elif "jaxtyping" in MISSING:  # it names shapes in annotations, which nobody evaluates without a checker
    sys.modules["jaxtyping"] = ModuleType("jaxtyping")
    vars(sys.modules["jaxtyping"]).update(dict.fromkeys(("Bool", "Float", "Float32", "Float64", "Int", "Int64"), tuple))

os.environ.setdefault("PRIVKD_SHARED", str(Path(__file__).parents[2] / "shared"))


def pytest_report_header():
    """Say that tests are left out, if any are."""
    return (
        f"{', '.join(MISSING)} not installed: only files with tests that need an accelerator run" if MISSING else None
    )


def pytest_ignore_collect(collection_path):
    """Without the test tools, leave out the files that have no test for an accelerator."""
    if MISSING and collection_path.is_file() and "pytest.mark.gpu" not in collection_path.read_text():
        return True
    return None


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Two spinning neighbours make small models many times slower."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def shared_file():
    """Path of a file in the shared data folder; the test is skipped with its name when it is absent."""

    def find(name: str) -> Path:
        path = Path(os.environ["PRIVKD_SHARED"]) / name
        if not path.is_file():
            pytest.skip(f"{name} is absent")
        return path

    return find


@pytest.fixture(scope="session")
def torchvision():
    """torchvision, also where its build does not fit this torch: its Python code runs once its operators are declared."""
    import torch

    try:
        import torchvision
    except ImportError:
        pytest.skip("torchvision is not installed")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        operators = torch.library.Library("torchvision", "DEF")  # must live as long as the session
        pooled = ("roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d")
        for name in ("nms", "qnms", *pooled, *(f"_{operator}_backward" for operator in pooled)):
            operators.define(f"{name}() -> ()")  # never called: nothing here finds boxes
        import torchvision

        yield torchvision
        del operators
    else:
        yield torchvision
