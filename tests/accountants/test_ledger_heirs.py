"""A ledger file has one heir: whoever charges what somebody else has charged as well cannot save it."""

import pytest

from accountants import Gaussian, Ledger
from accountants.errors import LedgerError

FIRST, MORE = Gaussian(6.0), Gaussian(4.8)


def filed(path):
    ledger = Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5)
    ledger.charge(FIRST)
    ledger.save(path)
    return ledger


def test_the_second_reader_that_charged_cannot_overwrite_the_first(tmp_path):
    path = tmp_path / "ledger.json"
    filed(path)
    readers = [Ledger.read(path) for _ in range(3)]
    readers[0].charge(MORE)
    readers[0].save(path)
    kept = path.read_bytes()
    for late in readers[1:]:
        late.charge(MORE)  # perhaps in the same second, so that the entry is equal to the digit
        with pytest.raises(LedgerError, match="somebody else has continued"):
            late.save(path)
    assert path.read_bytes() == kept
    readers[0].claim(1.0, 1e-5, "the heir")
    readers[0].save(path)
    assert len(Ledger.read(path).claims) == 1


def test_who_opened_the_ledger_is_refused_after_another_went_on(tmp_path):
    path = tmp_path / "ledger.json"
    mine = filed(path)
    other = Ledger.read(path)
    other.disclose("noise of a test")
    other.save(path)
    mine.charge(MORE)
    with pytest.raises(LedgerError, match="nothing was written"):
        mine.save(path)


def test_one_that_only_looked_cannot_turn_the_file_back(tmp_path):
    path = tmp_path / "ledger.json"
    mine = filed(path)
    looked = Ledger.read(path)
    mine.charge(MORE)
    mine.save(path)
    with pytest.raises(LedgerError, match="somebody else"):
        looked.save(path)


def test_saving_again_elsewhere_and_over_other_things_is_free(tmp_path):
    path, copy = tmp_path / "ledger.json", tmp_path / "copy.json"
    mine = filed(path)
    mine.charge(MORE)
    mine.save(copy)
    mine.save(path)
    mine.save(copy)
    Ledger(adjacency="add-remove", epsilon=1.0, delta=1e-5).save(path)  # a new run, in the place of an old one
    assert Ledger.read(path).events == ()
    other = Ledger(adjacency="replace-one")
    other.save(tmp_path / "other.json")
    other.save(copy)  # another ledger, by its header
    path.write_text("no ledger at all")
    other.save(path)
    assert Ledger.read(path).adjacency == "replace-one"
