"""There is one ledger per budget: no copies, no pickles, no charges in a forked process."""

import copy
import os
import pickle

import pytest

from accountants import Gaussian, Ledger, LedgerError


def new():
    ledger = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
    ledger.charge(Gaussian(30.0))
    return ledger


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps, lambda one: copy.deepcopy([one])])
def test_a_copy_is_refused_and_says_what_to_do(make):
    ledger = new()
    with pytest.raises(TypeError, match=r"a Ledger cannot be .*Pass the Ledger itself"):
        make(ledger)
    ledger.charge(Gaussian(30.0))
    assert len(ledger.events) == 2


def test_a_reading_from_a_file_is_a_ledger_of_its_own(tmp_path):
    ledger = new()
    ledger.save(tmp_path / "ledger.json")
    Ledger.read(tmp_path / "ledger.json").charge(Gaussian(30.0))
    assert len(ledger.events) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.charge(Gaussian(30.0)),
        lambda ledger: ledger.claim(1.0, 1e-5, "x"),
        lambda ledger: ledger.disclose("x"),
    ],
)
def test_a_forked_process_cannot_change_the_ledger_but_may_read_it(change):
    ledger = new()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            assert len(ledger.events) == 1
            change(ledger)
        except LedgerError as error:
            code = 0 if "after a fork" in str(error) and len(ledger.events) == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ledger.charge(Gaussian(30.0))  # the parent goes on
