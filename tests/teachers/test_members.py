"""Members of an ensemble that misbehave: a vote for class 0, or an error that made-up rows have shown."""

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
from torch import nn

from privkd import TeacherEnsemble
from privkd.data import digits
from privkd.errors import TeacherError

KEY = bytes(range(32))


@pytest.fixture(scope="module")
def data():
    return digits(seed=0)


def one_nn():
    return KNeighborsClassifier(1)


def votes(ensemble, queries):
    return ensemble.votes(queries).unsafe_value()


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
@pytest.mark.parametrize("error", [ValueError, MemoryError, SystemExit, OwnError])
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
