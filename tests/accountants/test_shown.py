"""Foreign text is shown as one line in which nothing is hidden."""

import sys

import pytest

from accountants.check import shown

UNSEEN = [
    *map(chr, range(0x20)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u00ad\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff",
    *"\u034f\u115f\u3164\uffa0\U000e0041",
    "\ud800",
    "\udfff",
]


@pytest.mark.parametrize("character", UNSEEN, ids=lambda one: f"U+{ord(one):04X}")
def test_a_character_that_cannot_be_seen_is_written_as_an_escape(character):
    found = shown(f"a{character}b")
    assert int(found[1:-1].lstrip("\\xuU"), 16) == ord(character)
    assert found.isascii()
    assert found.isprintable()


@pytest.mark.parametrize("text", ["", "plain", "ε ≤ 1, naïve, 数据, ä, שלום, 🙂", "back\\slash and 'quotes' <b>"])
def test_everything_that_can_be_seen_stays_as_it_is(text):
    assert shown(text) == text


def test_whatever_the_text_it_can_be_encoded_and_stays_on_one_line():
    everything = "".join(map(chr, [*range(0x3200), *range(0xD7F0, 0x10010), *range(0xE0000, 0xE0100), sys.maxunicode]))
    found = shown(everything, most=len(everything))
    found.encode("utf-8")
    assert len(found.splitlines()) == 1


def test_a_long_text_is_cut_and_says_so_and_a_text_of_just_that_length_is_not():
    assert shown("x" * 200, most=200) == "x" * 200
    assert shown("x" * 201, most=200) == "x" * 200 + "..."
    assert shown("\x1b" * 3, most=2) == "\\x1b\\x1b..."
