"""Disclosures are typed in one place: as they always stood in ledgers, and no text becomes more than it was."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accountants import Ledger
from accountants.ledger.disclosures import (
    SEEDED,
    Disclosure,
    Kind,
    disclose_once,
    disclose_seeded,
    disclosed_leaks,
    disclosures,
    is_seeded,
    read,
)

DIGEST = "5f5ed96320225e363df6ba290faba3c903ebe8f9ceee1191dfb71a3a606e44a6"
WRITTEN = {  # as earlier versions wrote it, and what it means
    "leak: losses were written down": (Kind.LEAK, "losses were written down", None),
    "note: about 3 of 40 teachers failed": (Kind.NOTE, "about 3 of 40 teachers failed", None),
    f"certificate sha256:{DIGEST}": (Kind.SEAL, DIGEST, None),
    f"release sha256: {DIGEST}": (Kind.RELEASE, DIGEST, None),
    "stated after 1 charges: basis disjoint-shards": (Kind.BASIS, "disjoint-shards", 1),
    "stated after 12 charges: classes 10": (Kind.CLASSES, "10", 12),
    "stated after 1 charges: condition queries are\npublic ": (Kind.CONDITION, "queries are\npublic ", 1),
    "stated after 0 charges: leak a norm was printed": (Kind.NAMED_LEAK, "a norm was printed", 0),
    "noise was seeded: void outside tests": (Kind.FREE, SEEDED, None),
}
STARTS = (
    *(kind.value for kind in Kind),
    *WRITTEN,
    "stated after 1 charges: ",
    " LEAK :",
    "release sha256:",
    "stated after ",
)
texts = st.builds("{}{}{}".format, st.sampled_from(STARTS), st.sampled_from(STARTS), st.text(max_size=20))


@pytest.mark.parametrize("written", WRITTEN)
def test_what_stands_in_ledgers_is_read_and_written_letter_by_letter(written):
    disclosure = Disclosure(*WRITTEN[written])
    assert disclosure.written == written
    assert read(written) == disclosure


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        (" LEAK : c: d", Kind.LEAK),
        ("leak:b", Kind.LEAK),
        ("no leak: e", Kind.FREE),
        ("Note: x", Kind.FREE),
        (" note: x", Kind.FREE),
        (f" certificate sha256:{DIGEST}", Kind.FREE),
        (f"Certificate sha256:{DIGEST}", Kind.FREE),
        (f"release sha256:{DIGEST}", Kind.RELEASE),
        (" stated after 1 charges: basis x", Kind.FREE),
        ("stated after 1 charge: basis x", Kind.FREE),
        ("stated after -1 charges: basis x", Kind.FREE),
        ("stated after 1 charges: epsilon 0", Kind.FREE),
        (f"stated after {10**15} charges: basis x", Kind.FREE),
        (f"note: certificate sha256:{DIGEST}", Kind.NOTE),
        ("stated after 1 charges: condition leak: x", Kind.CONDITION),
    ],
)
def test_what_looks_like_a_kind_is_one_only_where_it_always_was(written, kind):
    assert read(written).kind is kind


@given(texts)
@example("leak:\x1f leak: x")
@example("release sha256: release sha256:")
def test_every_text_is_read_and_reading_what_was_read_gives_the_same(text):
    found = read(text)
    assert read(found.written) == found
    # The slow twin: the rules by which each reader of its own told them apart.
    stated = re.match(r"stated after (\d{1,15}) charges: (basis|classes|condition|leak) (.*)\Z", text, re.DOTALL)
    assert (found.charges is not None) == (stated is not None)
    assert (found.kind is Kind.LEAK) == (re.match(r"\s*leak\s*:", text, re.IGNORECASE) is not None)
    assert (found.kind is Kind.NOTE) == text.startswith("note: ")
    assert (found.kind is Kind.RELEASE) == text.startswith("release sha256:")
    assert (found.kind is Kind.SEAL) == text.startswith("certificate sha256:")
    if stated is not None:
        assert (found.charges, found.kind.value, found.text) == (int(stated[1]), stated[2], stated[3])
    elif found.kind is Kind.LEAK:
        assert found.text == text.partition(":")[2].strip()
    elif found.kind is not Kind.RELEASE:
        assert found.written == text


@given(st.sampled_from(Kind), texts, st.none() | st.integers(0, 20))
def test_no_text_makes_a_disclosure_that_is_read_as_another(kind, text, charges):
    try:
        disclosure = Disclosure(kind, text, charges)
    except ValueError:
        return
    assert read(disclosure.written) == disclosure


@pytest.mark.parametrize("written", [text for text, parts in WRITTEN.items() if parts[0] is not Kind.FREE])
def test_a_free_text_cannot_be_typed_as_one_and_be_another(written):
    with pytest.raises(ValueError, match="would not be read as"):
        Disclosure(Kind.FREE, written)


def test_a_text_of_a_user_stays_what_it_was_given_as():
    for given_text in WRITTEN:
        for kind in (Kind.NOTE, Kind.LEAK):
            assert read(Disclosure(kind, given_text.strip()).written).kind is kind
        for kind in (Kind.CONDITION, Kind.NAMED_LEAK):
            assert read(Disclosure(kind, given_text, 3).written) == Disclosure(kind, given_text, 3)


def test_ledgers_are_asked_by_kind_and_told_once():
    ledger = Ledger(adjacency="replace-one")
    for text in (" LEAK : a", "x", "leak: b"):
        ledger.disclose(text)
    for leak in ("a", "b", "c"):
        disclose_once(ledger, Disclosure(Kind.LEAK, leak))
    assert ledger.disclosed == (" LEAK : a", "x", "leak: b", "leak: c")
    assert [leak.text for leak in disclosures(ledger, Kind.LEAK)] == ["a", "b", "c"]
    assert disclosed_leaks(ledger) == (" LEAK : a", "leak: b", "leak: c")
    assert not is_seeded(ledger)
    ledger.disclose("stated after 0 charges: condition the seeded queries are public")
    assert not is_seeded(ledger)
    for _ in range(2):
        disclose_seeded(ledger)
    assert ledger.disclosed.count(SEEDED) == 1
    other = Ledger(adjacency="replace-one")
    other.disclose("stated after 0 charges: epsilon is seeded")
    assert is_seeded(other)
