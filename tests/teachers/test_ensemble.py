"""Ensembles: a changed record changes one teacher and one vote; bad input is refused before training."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from accountants import Ledger
from privkd import TeacherEnsemble
from privkd.data import digits
from privkd.mechanisms import SeededNoise, VoteHistogram
from privkd.mechanisms.private_value import Private

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def data():
    return digits(seed=0)


def one_nn():
    return KNeighborsClassifier(1)


def votes(ensemble, queries):
    return ensemble.votes(queries).unsafe_value()


def replaced(data, position):
    inputs, labels = data.private.inputs.clone(), data.private.labels.clone()
    inputs[position] = 1 - inputs[position]
    labels[position] = (labels[position] + 3) % 10
    return inputs, labels


@pytest.mark.parametrize("make_model", [one_nn, DecisionTreeClassifier], ids=["1-nn", "tree"])
def test_replacing_a_record_changes_one_teacher_bit_for_bit_and_moves_a_row_by_at_most_sqrt_two(data, make_model):
    before = TeacherEnsemble.fit(make_model, data.private.inputs, data.private.labels, teachers=40, key=KEY)
    queries, largest = data.public.inputs, 0.0
    for position in (0, 17, 1099):
        after = TeacherEnsemble.fit(make_model, *replaced(data, position), teachers=40, key=KEY)
        differ = [
            not torch.equal(a.predict(queries), b.predict(queries))
            for a, b in zip(before._members, after._members, strict=True)
        ]
        assert sum(differ) <= 1
        distance = (votes(before, queries) - votes(after, queries)).norm(dim=1)
        largest = max(largest, float(distance.max()))
    assert 0 < largest <= math.sqrt(2) + 1e-12


def test_removing_a_record_changes_one_teacher_and_contiguous_shards_would_change_many(data):
    inputs, labels = data.private.inputs, data.private.labels
    ids = [f"patient-{i}" for i in range(len(inputs))]
    keep = torch.arange(len(inputs)) != 3
    kept_ids = [i for i in ids if i != "patient-3"]
    before = TeacherEnsemble.fit(one_nn, inputs, labels, teachers=40, key=KEY, ids=ids)
    after = TeacherEnsemble.fit(one_nn, inputs[keep], labels[keep], teachers=40, key=KEY, ids=kept_ids)
    queries = data.public.inputs
    changed = [
        not torch.equal(a.predict(queries), b.predict(queries))
        for a, b in zip(before._members, after._members, strict=True)
    ]
    assert sum(changed) <= 1

    def contiguous(x, y):
        parts = np.array_split(np.arange(len(x)), 40)
        return [one_nn().fit(x[p], y[p]).predict(queries.numpy()) for p in parts]

    cut, moved = contiguous(inputs.numpy(), labels.numpy()), contiguous(inputs[keep].numpy(), labels[keep].numpy())
    assert sum((a != b).any() for a, b in zip(cut, moved, strict=True)) >= 10


def test_votes_are_the_sum_of_one_hot_answers_and_group_votes_their_means(data):
    ensemble = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=20, key=KEY)
    queries = data.public.inputs[:6]
    groups = torch.tensor([0, 1, 0, 2, 2, 2])
    slow = torch.zeros(6, 10, dtype=torch.float64)
    for member in ensemble._members:
        for row, answer in enumerate(member.predict(queries).tolist()):
            slow[row, answer] += 1
    assert torch.equal(votes(ensemble, queries), slow)
    grouped = ensemble.votes(queries, groups).unsafe_value()
    expected = torch.stack([slow[groups == g].mean(dim=0) for g in range(3)])
    assert torch.allclose(grouped, expected)
    assert torch.allclose(grouped.sum(dim=1), torch.full((3,), 20.0, dtype=torch.float64))


def test_votes_come_boxed_and_the_ensemble_shows_no_private_numbers(data):
    ensemble = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=20)
    assert isinstance(ensemble.votes(data.public.inputs), Private)
    assert repr(ensemble) == "TeacherEnsemble(20 teachers, 1100 records, 10 classes)"


def test_module_teachers_learn_and_are_repeatable_from_the_key(data):
    def network():
        return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    state = torch.get_rng_state()
    first = TeacherEnsemble.fit(network, data.private.inputs, data.private.labels, teachers=3, key=KEY)
    second = TeacherEnsemble.fit(network, data.private.inputs, data.private.labels, teachers=3, key=KEY)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(votes(first, data.test.inputs), votes(second, data.test.inputs))
    assert (votes(first, data.test.inputs).argmax(1) == data.test.labels).double().mean() > 0.85


def test_a_shard_of_one_class_becomes_a_constant_teacher():
    inputs, labels = np.random.default_rng(0).normal(size=(40, 3)), np.zeros(40, dtype=int)
    labels[0] = 1
    ensemble = TeacherEnsemble.fit(LogisticRegression, inputs, labels, teachers=4, key=KEY)
    counts = votes(ensemble, torch.zeros(2, 3))
    assert counts.sum().item() == 8
    assert counts[:, 0].min() >= 3


def test_joblib_settings_of_the_caller_are_used(data):
    from joblib import parallel_config

    with parallel_config(n_jobs=2):
        parallel = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=8, key=KEY)
    serial = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=8, key=KEY)
    assert torch.equal(votes(parallel, data.public.inputs), votes(serial, data.public.inputs))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"teachers": 1}, "teachers"),
        ({"ids": ["a"] * 1100}, "repeat"),
        ({"ids": ["a", "b"]}, "2 ids for 1100 records"),
        ({"key": b"x"}, "at least 16"),
        ({"teachers": 1000, "key": KEY}, "empty under this key"),
        ({"classes": 5}, "outside 0..4"),
    ],
)
def test_bad_arguments_are_refused_before_training(data, change, match):
    def never():
        raise AssertionError("a teacher was trained")

    with pytest.raises(ValueError, match=match):
        TeacherEnsemble.fit(never, data.private.inputs, data.private.labels, **change)


@pytest.mark.parametrize(
    ("inputs", "labels", "match"),
    [
        (np.full((10, 2), np.nan), np.zeros(10, dtype=int), "NaN"),
        (np.zeros((10, 2)), np.zeros(9, dtype=int), "one n"),
        (np.zeros((10, 2)), np.zeros(10), "single class"),
        (np.zeros((10, 2)), np.arange(10) - 1, "negative numbers; declare"),
        (np.zeros((10, 2)), np.zeros(10, dtype=int), "classes"),
    ],
)
def test_bad_records_are_refused(inputs, labels, match):
    with pytest.raises(ValueError, match=match):
        TeacherEnsemble.fit(one_nn, inputs, labels, teachers=2)


def test_whoever_randomizes_the_votes_charges_the_ensembles_ledger_too(data):
    ensemble = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=20)
    own = Ledger(adjacency="replace-one")
    VoteHistogram(50.0).release(ensemble.votes(data.public.inputs), teachers=20, ledger=own, noise=SeededNoise(0))
    assert ensemble.ledger.events == own.events
    assert len(own.events) == 1


def test_training_leaves_the_callers_random_states_alone(data):
    np.random.seed(3)
    before = np.random.get_state()[1].tolist()
    TeacherEnsemble.fit(lambda: MLPClassifier((4,), max_iter=2), data.private.inputs, data.private.labels, teachers=2)
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("queries", [torch.zeros(0, 64), torch.zeros(2, 63)])
def test_bad_queries_are_refused(data, queries):
    ensemble = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=5, key=KEY)
    with pytest.raises(ValueError, match="quer"):
        ensemble.votes(queries)
