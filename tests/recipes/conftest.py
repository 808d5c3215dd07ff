"""A catalogue of its own for every test, and a package of somebody else that can be put beside it."""

import sys
from pathlib import Path

import pytest

from privkd.recipes import catalogue

THIRD_PARTY = Path(__file__).with_name("thirdparty")


@pytest.fixture(autouse=True)
def own_catalogue(monkeypatch):
    for name in catalogue.BUILT_IN:  # a recipe registers once, when it is imported
        catalogue.get(name)
    monkeypatch.setattr(catalogue, "_factories", dict(catalogue._factories))


@pytest.fixture
def installed(monkeypatch):
    """The packages in `thirdparty`, found as pip would leave them: by their dist-info on the path."""
    monkeypatch.syspath_prepend(str(THIRD_PARTY))
    yield
    for name in ("privkd_example", "privkd_broken", "privkd_forgetful"):
        sys.modules.pop(name, None)
