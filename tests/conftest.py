"""Shared by all tests: one thread, run-time type checks, fixed hypothesis profile, and the shared data folder."""

import os
from pathlib import Path

import pytest

try:  # before the first import of the packages
    from jaxtyping import install_import_hook

    install_import_hook(["privkd", "generators"], "beartype.beartype")
except ImportError:
    pass

from hypothesis import settings

settings.register_profile("privkd", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("privkd")

os.environ.setdefault("PRIVKD_SHARED", str(Path(__file__).parents[2] / "shared"))


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
