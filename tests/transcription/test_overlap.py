"""Public queries that are private records: the owner is told, and what is released depends on no single coincidence."""

import warnings

import numpy as np
import pytest
import torch
from transcription.small import CLASSES, ensemble, private, queries, release

from privkd.errors import GuaranteeError, PrivacyScopeWarning
from privkd.teachers.row_digests import RowDigests
from privkd.transcription import student_training as distilling
from privkd.transcription.overlap import leaks_of_queries

TOLD = "rows of the private data"


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(distilling, "_LEAST_STEPS", 5)


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("beside", ["ensemble", "records"])
def test_private_records_as_queries_are_refused_before_anything_is_charged(order, beside):
    x, y = private()
    teachers = ensemble()
    given = {"records": (x, y), "classes": CLASSES} if beside == "records" else {}
    with pytest.raises(GuaranteeError, match="largely the private records"):
        release(teachers if beside == "ensemble" else None, queries=torch.from_numpy(x[::order].copy()), **given)
    assert not teachers.ledger.charges


def mixed(share):
    """Public queries of which a number are private rows."""
    x, _ = private()
    rows = queries(100)
    rows[:share] = torch.from_numpy(x[:share])
    return rows


def test_queries_that_are_mostly_private_rows_end_the_guarantee_and_the_release_carries_it():
    with pytest.warns(PrivacyScopeWarning, match=f"60 of 100 distinct queries are {TOLD}"):
        made = release(ensemble(), queries=mixed(60))
    assert made.certificate.scope == "none"
    assert TOLD in str(made.certificate)


def test_a_part_of_the_private_rows_as_queries_gives_a_student_without_a_guarantee():
    x, _ = private()
    with pytest.warns(PrivacyScopeWarning, match="60 of 60 distinct"):
        made = release(ensemble(), queries=torch.from_numpy(x[:60].copy()))
    assert made.certificate.scope == "none"


@pytest.mark.parametrize("share", [1, 9, 10, 50])
def test_a_few_coincidences_are_told_to_the_owner_and_change_nothing_that_is_released(share):
    with pytest.warns(PrivacyScopeWarning, match=f"{share} of 100 distinct"):
        made = release(ensemble(), queries=mixed(share))
    assert made.certificate.scope == "training-record"
    assert TOLD not in str(made.certificate) + "".join(made.ledger.disclosed)


def test_other_queries_are_taken_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert release(ensemble()).certificate.scope == "training-record"


def test_rows_of_few_values_coincide_by_chance_and_are_not_refused():
    bits = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (200, 4)).astype(np.float32))
    with pytest.warns(PrivacyScopeWarning, match="16 of 16"):
        assert leaks_of_queries(bits, [RowDigests(bits)]) == ()
    assert len(RowDigests(bits)) == 16


def test_rows_are_compared_as_float32_and_digests_tell_nothing():
    rows = np.array([[0.1, -0.0], [2.0, 3.0]])
    digests = RowDigests(rows)
    assert digests.found(torch.tensor([[0.1, 0.0], [2.0, 3.0], [2.0, 3.0], [3.0, 2.0]])) == 2
    assert repr(digests) == "RowDigests(hidden)"
    assert digests._known.isdisjoint(RowDigests(rows)._known)  # another key
