"""The command line as a user has it: `main()` with arguments, output captured, exit code returned."""

import logging
import sys
import warnings
from dataclasses import dataclass

import pytest

from accountants import Gaussian, Ledger


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def privkd(monkeypatch, capsys):
    """Run one command in this process, and put logging and warnings back afterwards."""
    logger = logging.getLogger("privkd")
    before = list(logger.handlers), logger.level

    def run(*arguments: object) -> Outcome:
        from privkd.cli import main

        monkeypatch.setattr(sys, "argv", ["privkd", *map(str, arguments)])
        monkeypatch.setattr("privkd.progress._FIRST", 600.0)  # no lines about progress, however slow the machine
        with warnings.catch_warnings(), pytest.raises(SystemExit) as stop:
            main()
        logger.handlers[:], logger.level = list(before[0]), before[1]
        captured = capsys.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def ledger(tmp_path):
    """A ledger with an honest claim; the second argument makes another claim of it."""

    def make(claim: float = 1.0, event=Gaussian(10.0)):  # noqa: B008  events are frozen
        made = Ledger(adjacency="add-remove", delta=1e-5, n=1000)
        made.charge(event, where="first place")
        made.claim(claim, 1e-5, "test")
        made.save(tmp_path / "ledger.json")
        return tmp_path / "ledger.json"

    return make
