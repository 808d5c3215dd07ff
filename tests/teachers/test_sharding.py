"""Shards: one record, one teacher; nobody else moves."""

import hashlib
import hmac

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privkd.teachers import assign_shards
from privkd.teachers.shards import draw_key, shards_hash

KEY = bytes(range(32))
IDS = [str(i) for i in range(200)]


def test_assignment_is_the_keyed_hash_of_the_id():
    slow = [int(hmac.new(KEY, i.encode(), hashlib.sha256).hexdigest(), 16) % 7 for i in IDS]
    assert assign_shards(IDS, 7, KEY).tolist() == slow


@given(removed=st.integers(0, 199))
def test_removing_a_record_moves_no_other_record_and_contiguous_cutting_would(removed):
    rest = IDS[:removed] + IDS[removed + 1 :]
    before = dict(zip(IDS, assign_shards(IDS, 10, KEY).tolist(), strict=True))
    after = dict(zip(rest, assign_shards(rest, 10, KEY).tolist(), strict=True))
    assert all(before[i] == after[i] for i in rest)


def test_contiguous_cutting_moves_many_records_so_the_check_above_can_fail():
    cut = {i: p for p, part in enumerate(np.array_split(IDS, 10)) for i in part}
    moved = {i: p for p, part in enumerate(np.array_split(IDS[1:], 10)) for i in part}
    assert sum(cut[i] != moved[i] for i in IDS[1:]) >= 8


def test_another_key_gives_other_shards():
    assert (assign_shards(IDS, 10, KEY) != assign_shards(IDS, 10, KEY[::-1])).mean() > 0.5


def test_drawn_keys_leave_no_shard_empty_and_differ():
    keys = {draw_key(IDS, 40) for _ in range(3)}
    assert len(keys) == 3
    for key in keys:
        assert len(np.unique(assign_shards(IDS, 40, key))) == 40


def test_too_many_teachers_are_refused_with_a_number_that_works():
    with pytest.raises(ValueError, match="use about 20 teachers"):
        draw_key(IDS, 150)
    with pytest.raises(ValueError, match="at most one teacher per record"):
        assign_shards(IDS, 201, KEY)


@pytest.mark.parametrize(
    ("ids", "teachers", "key", "match"),
    [
        (["a", "b", "a"], 2, KEY, "repeat, first 'a'"),
        (IDS, 1, KEY, "teachers"),
        (IDS, 10, b"short", "at least 16"),
    ],
)
def test_bad_arguments_are_refused(ids, teachers, key, match):
    with pytest.raises(ValueError, match=match):
        assign_shards(ids, teachers, key)


def test_shards_hash_depends_on_who_sits_where_but_not_on_the_order_inside():
    assert shards_hash([["a", "b"], ["c"]]) == shards_hash([["b", "a"], ["c"]])
    assert shards_hash([["a", "b"], ["c"]]) != shards_hash([["a"], ["b", "c"]])
