"""Partitions give every row to one client, and skew what they say that they skew."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.federation import Partition, dirichlet, iid, pathological, quantity_skew, shards

WAYS = {
    "iid": iid,
    "quantity": lambda labels, clients, seed=0: quantity_skew(labels, clients, alpha=2.0, min_size=2, seed=seed),
    "dirichlet": lambda labels, clients, seed=0: dirichlet(labels, clients, alpha=0.5, min_size=2, seed=seed),
    "pathological": lambda labels, clients, seed=0: pathological(labels, clients, per_client=2, seed=seed),
}


def labels_of(n, classes, seed):
    return np.random.default_rng(seed).integers(0, classes, n)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(n=st.integers(60, 200), classes=st.integers(1, 6), clients=st.integers(1, 8), seed=st.integers(0, 2**40))
def test_every_row_has_one_client_and_equal_seeds_give_equal_partitions(way, n, classes, clients, seed):
    labels = labels_of(n, classes, seed)
    made, again = (WAYS[way](labels, clients, seed=seed) for _ in range(2))
    assert sorted(np.concatenate(made.rows)) == list(range(n))
    assert all((one == other).all() for one, other in zip(made.rows, again.rows, strict=True))
    assert min(map(len, made.rows)) >= (2 if way in ("quantity", "dirichlet") else 1)
    for client, rows in enumerate(made.rows):  # the slow twin of the table
        assert [int((labels[rows] == k).sum()) for k in range(made.counts.shape[1])] == made.counts[client].tolist()


@settings(max_examples=25, deadline=None)
@given(classes=st.integers(2, 6), per_client=st.integers(1, 6), times=st.integers(1, 4), seed=st.integers(0, 2**40))
def test_shards_give_every_client_so_many_different_classes(classes, per_client, times, seed):
    per_client, clients = min(per_client, classes), classes * times
    labels = np.repeat(np.arange(classes), clients * per_client // classes * 3)
    made = shards(labels, clients, per_client=per_client, seed=seed)
    assert ((made.counts > 0).sum(axis=1) == per_client).all()
    assert sorted(np.concatenate(made.rows)) == list(range(len(labels)))
    assert (made.counts[made.counts > 0] == 3).all()


@pytest.mark.parametrize("way", WAYS)
def test_other_seeds_give_other_partitions(way):
    labels = labels_of(200, 4, 0)
    one, other = (WAYS[way](labels, 4, seed=seed) for seed in (0, 1))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(one.rows, other.rows, strict=True))


def skew(partition):
    """Mean total variation between the mixes of the clients and that of all rows."""
    mixes = partition.counts / partition.counts.sum(axis=1, keepdims=True)
    whole = partition.counts.sum(axis=0) / partition.counts.sum()
    return float(np.abs(mixes - whole).sum(axis=1).mean() / 2)


def test_skew_falls_with_alpha_towards_equal_mixes():
    labels = np.repeat(np.arange(10), 100)
    found = [skew(dirichlet(labels, 5, alpha=alpha, seed=3)) for alpha in (0.1, 1.0, 1e6)]
    assert found[0] > 0.4 > found[1] > 0.05 > found[2]
    # Shares of 1/5 up to a standard deviation below 1e-3, so each count is 20 up to a row on either side.
    assert np.abs(dirichlet(labels, 5, alpha=1e6, seed=3).counts - 20).max() <= 2


def test_shards_of_sorted_rows_are_of_equal_size_and_of_few_classes():
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 60))
    made = pathological(labels, 20, seed=0)
    assert {len(rows) for rows in made.rows} == {30}
    assert (made.counts > 0).sum(axis=1).max() <= 4
    assert skew(made) > 0.7 > skew(iid(labels, 20))


def test_full_clients_get_no_more_rows():
    """Without the rule a client could hold nearly all rows; with it, at most its share and one class more."""
    labels = np.repeat(np.arange(10), 100)
    for seed in range(20):
        sizes = dirichlet(labels, 5, alpha=0.05, seed=seed).counts.sum(axis=1)
        assert sizes.max() < 1000 / 5 + 100


def test_each_client_holds_out_rows_of_its_own():
    labels = labels_of(120, 3, 0)
    whole = dirichlet(labels, 4, alpha=0.5, min_size=4, seed=0)
    train, test = whole.held_out(labels, 0.25, seed=1)
    assert (train.counts + test.counts == whole.counts).all()
    for all_rows, kept, tested in zip(whole.rows, train.rows, test.rows, strict=True):
        assert sorted([*kept, *tested]) == all_rows.tolist()
        assert len(tested) == round(0.25 * len(all_rows))
    small, _ = Partition.of([[0, 1]], [0, 1]).held_out([0, 1], 0.9)
    assert len(small.rows[0]) == 1


def test_a_partition_tells_only_sizes_and_its_rows_index_tensors_without_a_warning(recwarn):
    made = iid([0, 1, 0, 1], 2)
    assert repr(made) == "Partition(2 clients, 4 rows)"
    assert len(torch.zeros(4)[made.rows[0]]) == 2
    assert not recwarn.list


LABELS = [0, 1] * 10


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: iid([], 1), ValueError, "shape"),
        (lambda: iid([[0, 1]], 1), ValueError, "shape"),
        (lambda: iid([0.5, 1.0], 1), TypeError, "integers"),
        (lambda: iid([0, -1], 1), ValueError, "1 of 2 labels"),
        (lambda: iid(LABELS, 0), ValueError, "clients"),
        (lambda: iid(LABELS, 21), ValueError, "20 rows"),
        (lambda: iid(LABELS, 2, seed=-1), ValueError, "seed"),
        (lambda: dirichlet(LABELS, 2, alpha=0.0), ValueError, "alpha"),
        (lambda: dirichlet(LABELS, 5, alpha=0.01, min_size=4), ValueError, "in each of 200 draws; use a larger alpha"),
        (lambda: dirichlet(LABELS, 5, alpha=1.0, min_size=5), ValueError, "need more than the 20 rows"),
        (lambda: quantity_skew(LABELS, 2, alpha=-1.0), ValueError, "alpha"),
        (lambda: quantity_skew(LABELS, 5, alpha=0.001, min_size=4), ValueError, "draws"),
        (lambda: shards(LABELS, 3, per_client=1), ValueError, "no multiple of 2 classes"),
        (lambda: shards(LABELS, 2, per_client=3), ValueError, "per_client"),
        (lambda: shards([0, 1, 1, 1], 4, per_client=1), ValueError, "1 rows and is to be cut into 2"),
        (lambda: pathological(LABELS, 11), ValueError, "more shards than 20 rows"),
        (lambda: Partition.of([], LABELS), ValueError, "without clients"),
        (lambda: Partition.of([[0], []], LABELS), ValueError, r"clients \[1\] have no rows"),
        (lambda: Partition.of([[0], [0]], LABELS), ValueError, "held twice"),
        (lambda: Partition.of([[20]], LABELS), ValueError, "have 20 rows"),
        (lambda: Partition.of([[0.5]], LABELS), TypeError, "positions"),
        (lambda: Partition.of([[0]], LABELS, classes=1), ValueError, r"10 of 20 labels are outside of \[0, 1\)"),
        (lambda: iid(LABELS, 2).held_out(LABELS, 1.0), ValueError, "fraction"),
        (lambda: iid(LABELS, 20).held_out(LABELS, 0.5), ValueError, "have one row"),
    ],
)
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
