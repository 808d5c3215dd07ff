"""Ensembles: a changed record changes one teacher and one vote; bad input is refused before training."""

import logging
import math
import sys
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from accountants import Ledger
from privkd import TeacherEnsemble
from privkd.data import digits
from privkd.errors import TeacherError
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


class Keeps(KNeighborsClassifier):
    """Keeps something of the rows far away, which then breaks pickling or unpickling, in ways of `kept`."""

    def __init__(self, kept=None, largest=5.0):
        super().__init__(1)
        self.kept, self.largest = kept, largest

    def fit(self, x, y):
        if x.max() > self.largest:
            self.rare_ = self.kept(x)
        return super().fit(x, y)


def a_generator(x):
    return (row for row in x)


class Unwilling:
    """What raises in the worker as it is pickled, whatever the error."""

    def __init__(self, x):
        self.x = x

    def __reduce__(self):
        raise SystemExit(f"saw {self.x[0]}")


def _refuse(x):
    raise OwnError(f"saw {x[0]}")


class Poisoned(Unwilling):
    """What raises in the parent as it is unpickled."""

    def __reduce__(self):
        return _refuse, (self.x,)


@pytest.mark.parametrize("kept", [a_generator, Unwilling, Poisoned])
def test_a_member_that_cannot_come_back_from_a_process_is_one_that_failed(data, kept):
    """Whether it can may depend on one record, so it must not decide between an exception and an ensemble."""
    from joblib import parallel_config

    few = data.private.take(range(100))
    far = few.inputs.clone()
    far[0] = 9.0
    settings = {"teachers": 5, "key": KEY, "classes": 10}
    with parallel_config(n_jobs=2):
        plain = TeacherEnsemble.fit(lambda: Keeps(kept), few.inputs, few.labels, **settings)
        one = TeacherEnsemble.fit(lambda: Keeps(kept), far, few.labels, **settings)
        with pytest.raises(TeacherError, match=r"cannot be pickled.*parallel_config\(n_jobs=1\)"):
            TeacherEnsemble.fit(lambda: Keeps(a_generator, -1.0), few.inputs, few.labels, **settings)
    assert plain.failures.unsafe_value().sum() == 0
    assert one.failures.unsafe_value().sum() == 1
    moved = (votes(plain, data.test.inputs) - votes(one, data.test.inputs)).norm(dim=1)
    assert 0 < float(moved.max()) <= math.sqrt(2) + 1e-12
    serial = TeacherEnsemble.fit(lambda: Keeps(kept), far, few.labels, **settings)  # nothing is pickled in one process
    assert serial.failures.unsafe_value().sum() == 0


class Faulty:
    """A classifier whose predictions can be broken."""

    def __init__(self, answer):
        self.answer = answer

    def fit(self, x, y):
        return self

    def predict(self, x):
        return self.answer(len(x))


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda n: np.full(n, 10), r"must lie in \[0, 10\)"),
        (lambda n: np.full(n, -1), r"must lie in \[0, 10\)"),
        (lambda n: np.full(n, np.nan), "a regressor"),
        (lambda n: np.zeros((n, 10), dtype=int), "integer classes"),
        (lambda n: np.zeros(n - 1, dtype=int), "integer classes"),
    ],
)
def test_answers_that_are_no_classes_are_found_in_the_rehearsal(data, answer, match):
    with pytest.raises(TeacherError, match=match):
        TeacherEnsemble.fit(lambda: Faulty(answer), data.private.inputs, data.private.labels, teachers=5, key=KEY)


class NarrowOrNot(nn.Module):
    """Logits for fewer classes than there are, or NaN when it is asked."""

    def __init__(self, outputs, nan=False):
        super().__init__()
        self.layer, self.nan = nn.Linear(64, outputs), nan

    def forward(self, x):
        return self.layer(x) + (float("nan") if self.nan and not self.training else 0.0)


def test_a_module_with_too_few_outputs_is_found_in_the_rehearsal(data):
    with pytest.raises(TeacherError, match="classes=10"):
        TeacherEnsemble.fit(lambda: NarrowOrNot(7), data.private.inputs, data.private.labels, teachers=2, key=KEY)


def test_rows_that_a_module_answers_with_nan_are_class_0(data):
    few = data.private.take(range(60))
    ensemble = TeacherEnsemble.fit(
        lambda: NarrowOrNot(10, nan=True), few.inputs, few.labels, teachers=2, key=KEY, steps=2
    )
    assert votes(ensemble, data.public.inputs)[:, 0].tolist() == [2.0] * 400


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


SHARED_BACKBONE, SHARED_SCALER = nn.Linear(64, 16), StandardScaler()


@pytest.mark.parametrize(
    "make_model",
    [
        lambda: SHARED_BACKBONE,
        lambda: nn.Sequential(SHARED_BACKBONE, nn.ReLU(), nn.Linear(16, 16)),
        lambda: make_pipeline(SHARED_SCALER, LogisticRegression(max_iter=50)),
        lambda: make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=20)),
        lambda: MLPClassifier((8,), max_iter=20),
    ],
    ids=["one-module", "shared-backbone", "shared-scaler", "nested-random-state", "random-state"],
)
@pytest.mark.filterwarnings("ignore")
def test_parts_and_random_states_that_models_share_carry_nothing_from_shard_to_shard(data, make_model):
    """Replacing one record changes one teacher although `make_model` hands out common parts or draws global numbers."""
    few = data.private.take(range(100))

    def fitted(labels):
        np.random.seed(0)
        return TeacherEnsemble.fit(make_model, few.inputs, labels, teachers=5, key=KEY, classes=16)

    changed = few.labels.clone()
    changed[7] = (changed[7] + 5) % 10
    a, b = fitted(few.labels), fitted(changed)
    differ = [
        not torch.equal(m.predict(data.test.inputs), n.predict(data.test.inputs))
        for m, n in zip(a._members, b._members, strict=True)
    ]
    assert sum(differ) <= 1


class Touchy(KNeighborsClassifier):
    """Raises for a shard, or when asked, if its shard holds a large number."""

    def __init__(self, n_neighbors=1, late=False, error=ValueError):
        super().__init__(n_neighbors)
        self.late, self.error = late, error

    def fit(self, x, y):
        self.odd_ = bool(x.max() > 10)
        if self.odd_ and not self.late:
            raise self.error("this record is too large")
        return super().fit(x, y)

    def predict(self, x):
        if self.odd_:
            raise self.error("this record is too large")
        return super().predict(x)


class OwnError(BaseException):
    """What a library may derive from the base of all exceptions."""


@pytest.mark.parametrize("late", [False, True], ids=["in-fit", "when-asked"])
@pytest.mark.parametrize("error", [ValueError, KeyError, OSError, MemoryError, SystemExit, AssertionError, OwnError])
def test_whatever_a_teacher_raises_is_its_vote_for_class_0(data, late, error):
    """Whether one shard fails may depend on one record, so it must not show; however many fail."""
    few = data.private.take(range(100))
    inputs = few.inputs.clone()
    for failing, record in ((1, slice(3, 4)), (5, slice(None))):
        inputs[record] = 1e30
        ensemble = TeacherEnsemble.fit(
            lambda: Touchy(late=late, error=error), inputs, few.labels, teachers=5, key=KEY, classes=10
        )
        assert [member.failed for member in ensemble._members].count(True) == failing
        assert ensemble.failures.unsafe_value().sum() == failing
        assert votes(ensemble, data.test.inputs)[:, 0].min() >= failing
        assert votes(ensemble, data.test.inputs).sum(dim=1).tolist() == [5.0] * 297


def test_what_makes_every_shard_fail_is_an_error_before_private_rows_are_touched(data):
    class Never(KNeighborsClassifier):
        def fit(self, x, y):
            raise ValueError(f"no {x.shape}")

    few = data.private.take(range(50))
    with pytest.raises(TeacherError, match=r"made-up rows .*ValueError: no \(.*, 64\)"):
        TeacherEnsemble.fit(Never, few.inputs, few.labels, teachers=5, key=KEY)
    with pytest.raises(TeacherError, match="smallest shard has"):  # more neighbours than a shard has records
        TeacherEnsemble.fit(lambda: KNeighborsClassifier(30), few.inputs, few.labels, teachers=5, key=KEY)
    with pytest.raises(TypeError, match="make_model"):
        TeacherEnsemble.fit(KNeighborsClassifier(1), few.inputs, few.labels, teachers=5, key=KEY)


class Strict(KNeighborsClassifier):
    """Insists on labels 0..m-1, as some boosters do."""

    def fit(self, x, y):
        if not np.array_equal(np.unique(y), np.arange(len(np.unique(y)))):
            raise ValueError("labels must be 0..m-1")
        return super().fit(x, y)


def test_a_classifier_that_insists_on_consecutive_labels_votes_as_others_where_a_shard_lacks_a_class():
    random = np.random.default_rng(0)
    y = random.choice(4, size=200, p=[0.05, 0.85, 0.06, 0.04])
    x = random.normal(size=(200, 3)) + 3 * np.eye(4, 3)[y]
    settings = {"teachers": 20, "classes": 4, "key": KEY}
    plain, strict = (TeacherEnsemble.fit(kind, x, y, **settings) for kind in (one_nn, lambda: Strict(1)))
    queries = torch.from_numpy(x).float()
    assert any(member.codes for member in strict._members)
    assert torch.equal(votes(plain, queries), votes(strict, queries))


def test_models_neither_warn_nor_log_nor_print_nor_move_global_state(data, capfd, caplog, recwarn):
    class Loud(KNeighborsClassifier):
        def fit(self, x, y):
            self._speak(x)
            return super().fit(x, y)

        def predict(self, x):
            self._speak(x)
            return super().predict(x)

        def _speak(self, x):
            sys.stdout.write(f"row {x[0]}")
            warnings.warn(f"row {x[0]}", stacklevel=2)
            logging.getLogger("a.library").error("row %s", x[0])
            torch.set_default_dtype(torch.float64)
            torch.manual_seed(int(x[0].sum()))
            np.random.seed(3)
            x -= x.mean()

    few = data.private.take(range(40))
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    queries = data.public.inputs[:20].clone()
    votes(TeacherEnsemble.fit(lambda: Loud(1), few.inputs, few.labels, teachers=4, key=KEY), queries)
    assert torch.equal(queries, data.public.inputs[:20])
    assert torch.get_default_dtype() is torch.float32
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.random.get_state()[1].tolist() == states[1]
    assert "row" not in capfd.readouterr().out + caplog.text
    assert not [warning for warning in recwarn if "row" in str(warning.message)]


@pytest.mark.parametrize("make_model", [lambda: make_pipeline(StandardScaler(copy=False), one_nn()), None])
def test_a_teacher_that_works_in_place_changes_no_other_teachers_queries(data, make_model):
    """One replaced record still moves one vote of a row."""
    few = data.private.take(range(100))
    labels = few.labels.numpy()

    def counts(inputs):
        if make_model is not None:
            return votes(TeacherEnsemble.fit(make_model, inputs, labels, teachers=5, key=KEY, classes=10), queries)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            models = [InPlace(float(inputs[t].sum())) for t in range(5)]
        shards = [[str(t)] for t in range(5)]
        return votes(TeacherEnsemble.from_members(models, shards=shards, classes=10, input_shape=(64,)), queries)

    queries, changed = data.public.inputs[:50].clone(), few.inputs.clone()
    changed[0] = 500.0
    moved = (counts(few.inputs) - counts(changed)).abs().sum(dim=1) / 2
    assert 0 < float(moved.max()) <= 1
    assert torch.equal(queries, data.public.inputs[:50])


class InPlace(nn.Module):
    """Subtracts a private number from the batch that it was given."""

    def __init__(self, mean):
        super().__init__()
        self.mean, self.last = mean, nn.Linear(64, 10)

    def forward(self, x):
        return self.last(x.sub_(self.mean))


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


def test_foreign_members_need_disjoint_non_empty_shards():
    models = [one_nn().fit(np.eye(2), [0, 1]) for _ in range(2)]
    with pytest.raises(ValueError, match="share an object"):
        TeacherEnsemble.from_members([models[0]] * 2, shards=[["a"], ["b"]], classes=2, input_shape=(2,))
    common = {"classes": 2, "input_shape": (2,)}
    ensemble = TeacherEnsemble.from_members(models, shards=[["a", "b"], ["c"]], **common)
    assert ensemble.manifest.records == 3
    assert not ensemble.manifest.keyed
    for shards, match in (
        ([["a", "b"], ["b"]], "overlap"),
        ([["a"], []], "empty"),
        ([["a", "a"], ["b"]], "repeat"),
        ([["a"]], "1 shards for 2 models"),
    ):
        with pytest.raises(ValueError, match=match):
            TeacherEnsemble.from_members(models, shards=shards, **common)
    with pytest.raises(ValueError, match="teachers"):
        TeacherEnsemble.from_members(models[:1], shards=[["a"]], **common)
    with pytest.raises(TypeError, match="model 0 is str"):
        TeacherEnsemble.from_members(["a", "b"], shards=[["a"], ["b"]], **common)


class Lazy(dict):
    """A part that fails as it is looked at, and says what it saw."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __getattr__(self, name):
        raise OwnError(f"saw {self.seen}")

    def values(self):
        np.seterr(all="raise")
        raise OwnError(f"saw {self.seen}")


class Attribute:
    def __getattr__(self, name):
        raise OwnError("saw it")


@pytest.mark.parametrize("make_part", [lambda: Lazy(3), Attribute])
def test_looking_for_shared_parts_tells_nothing_of_parts_that_raise(make_part):
    models = [nn.Linear(2, 2), nn.Linear(2, 2)]
    models[1].rare = make_part()
    shards = [["a"], ["b"]]
    TeacherEnsemble.from_members(models, shards=shards, classes=2, input_shape=(2,))
    assert np.geterr()["over"] == "warn"
    models[1].inner = models[0]
    with pytest.raises(ValueError, match="share an object"):
        TeacherEnsemble.from_members(models, shards=shards, classes=2, input_shape=(2,))


def test_foreign_members_share_no_fitted_part_and_no_memory():
    common = {"shards": [["a"], ["b"]], "classes": 2, "input_shape": (2,)}
    rows = np.random.default_rng(0).normal(size=(4, 2))
    scaler = StandardScaler().fit(rows)
    with pytest.raises(ValueError, match="share an object"):
        TeacherEnsemble.from_members(
            [make_pipeline(scaler, one_nn().fit(rows, [0, 1, 0, 1])) for _ in range(2)], **common
        )
    table = torch.randn(2, 2)

    class Lookup(nn.Module):
        def __init__(self, weights):
            super().__init__()
            self.register_buffer("weights", weights)

        def forward(self, x):
            return x @ self.weights

    with pytest.raises(ValueError, match="share an object or its memory"):
        TeacherEnsemble.from_members([Lookup(table), Lookup(table.t())], **common)
    assert (
        len(TeacherEnsemble.from_members([Lookup(table), Lookup(table.clone())], **common)) == 2
    )  # equal is not shared


@pytest.mark.parametrize("queries", [torch.zeros(0, 64), torch.zeros(2, 63)])
def test_bad_queries_are_refused(data, queries):
    ensemble = TeacherEnsemble.fit(one_nn, data.private.inputs, data.private.labels, teachers=5, key=KEY)
    with pytest.raises(ValueError, match="quer"):
        ensemble.votes(queries)
