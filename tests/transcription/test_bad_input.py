"""Bad input is refused with a message that names it, before anything private is asked or charged."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import privkd
from privkd import BudgetExceeded, GuaranteeError, InputSpec
from privkd.errors import PrivkdError, TeacherError, WeakSignalWarning
from privkd.teachers import BareTeacher
from privkd.transcription.arguments import checked_queries, checked_records


class Output(nn.Module):
    """A teacher whose output is whatever the test wants."""

    def __init__(self, make):
        super().__init__()
        self.layer = nn.Linear(6, 4)
        self.make = make

    def forward(self, x):
        return self.make(self.layer(x))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda y: y * float("nan"), "NaN"),
        (lambda y: y / 0, "infinite"),
        (lambda y: y[:, 0], "shape"),
        (lambda y: y[:, :1], "classes >= 2"),
        (lambda y: y[None], "shape"),
        (lambda y: y[:1], "shape"),
        (lambda y: y.softmax(dim=1), "probabilities"),
        (lambda y: y.argmax(dim=1, keepdim=True).repeat(1, 4), "floating-point"),
        (lambda y: (y, y), "tuple"),
        (lambda y: y @ torch.zeros(3, 3), "failed on made-up inputs"),
    ],
)
def test_unusable_teacher_outputs_are_refused(make, match):
    with pytest.raises(TeacherError, match=match):
        privkd.transcribe(Output(make), 1.0, scope="synthetic-label", queries=20)


@pytest.mark.parametrize("scope", ["teacher", "synthetic-label"])
@pytest.mark.parametrize(
    "fault",
    [
        lambda y, odd: torch.where(odd, torch.nan, y),
        lambda y, odd: torch.where(odd, torch.inf, y),
        lambda y, odd: torch.where(odd, 3e38 * y.sign(), y),
        lambda y, odd: y.softmax(dim=1) if odd.any() else y,
        lambda y, odd: y.argmax(dim=1) if odd.any() else y,
        lambda y, odd: y[:-1] if odd.any() else y,
        lambda y, odd: [][0] if odd.any() else y,
    ],
    ids=["nan", "infinite", "huge", "probabilities", "labels", "short", "an exception"],
)
def test_what_a_teacher_does_wrong_with_some_queries_is_an_answer(fault, scope):
    """Whether it happens depends on weights that scope `teacher` hides."""
    queries = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))

    class Sometimes(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 3)

        def forward(self, x):
            return fault(self.layer(x), (x[:, :1] > 0.7))

    made = privkd.transcribe(Sometimes(), 5.0, scope=scope, queries=queries, seed=0, student=nn.Linear(4, 3))
    assert made.certificate.scope == scope


def test_one_bad_input_costs_no_other_its_answer():
    class Refusing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(3))

        def forward(self, x):
            if bool((x[:, 0] > 0.99).any()):
                raise ValueError("too large")
            return x @ self.weight

    queries = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) * 0.9
    plain = BareTeacher(Refusing(), InputSpec((3,))).answers(queries).unsafe_value()
    queries[[7, 30], 0] = 1.0
    answers = BareTeacher(Refusing(), InputSpec((3,))).answers(queries).unsafe_value()
    others = torch.arange(50)[(torch.arange(50) != 7) & (torch.arange(50) != 30)]
    assert torch.equal(answers[others], plain[others])
    assert answers[[7, 30]].tolist() == [0, 0]


@pytest.mark.parametrize("epsilon", [0, 0.0, -1.0, math.nan, -math.inf, "1", True, None])
def test_bad_epsilon_is_refused(trained, epsilon):
    with pytest.raises((ValueError, TypeError), match="epsilon"):
        privkd.transcribe(trained, epsilon, scope="synthetic-label", queries=20)


@pytest.mark.parametrize("delta", [1.0, 2.0, -1e-9, math.nan, 1 / 1100, 0.5])
def test_bad_delta_is_refused(ensemble, data, delta):
    with pytest.raises(ValueError, match="delta"):
        privkd.transcribe(ensemble, 1.0, delta, queries=data.public.inputs)


def test_pure_epsilon_cannot_be_had_from_gaussian_noise(ensemble, data):
    with pytest.raises(ValueError, match="delta=0"):
        privkd.transcribe(ensemble, 1.0, 0.0, queries=data.public.inputs)


def test_a_large_delta_is_allowed_with_a_warning(ensemble, data):
    with pytest.warns(privkd.PrivacyScopeWarning, match=r"above 1/\(10 n\)"):
        privkd.transcribe(ensemble, 1.0, 5e-4, queries=data.public.inputs, seed=0)


def test_an_epsilon_that_cannot_buy_one_query_is_refused_and_charges_nothing(ensemble, trained, data):
    with pytest.raises(BudgetExceeded, match="cannot buy one query"):
        privkd.transcribe(ensemble, 1e-4, queries=data.public.inputs)
    assert not ensemble.ledger.events
    records = (data.private.inputs[:5], data.private.labels[:5])
    with pytest.raises(BudgetExceeded, match="cannot buy one query"):
        privkd.transcribe(trained, 0.01, 1e-5, queries=data.public.inputs, records=records)


@pytest.mark.parametrize(
    ("queries", "match"),
    [
        (torch.zeros(0, 64), "shape"),
        (torch.zeros(64), "shape"),
        (torch.zeros(3, 63), "agree"),
        (torch.full((3, 64), float("nan")), "NaN"),
        (torch.rand(3, 64, requires_grad=True), "gradient"),
        (0, "queries"),
        (-3, "queries"),
    ],
)
def test_bad_queries_are_refused(ensemble, queries, match):
    with pytest.raises(ValueError, match=match):
        privkd.transcribe(ensemble, 1.0, queries=queries)
    assert not ensemble.ledger.events


@pytest.mark.parametrize("queries", ["digits.npz", True, 2.5, b"digits", {"x": 1}])
def test_queries_of_another_kind_are_refused(queries):
    with pytest.raises(TypeError, match="queries"):
        checked_queries(queries)


def test_numpy_and_records_are_accepted_as_queries(ensemble, data):
    for queries in (data.public, data.public.inputs.numpy(), data.public.inputs.double()):
        assert privkd.transcribe(ensemble, 1.0, queries=queries, seed=0).method == "votes"


@pytest.mark.parametrize(
    ("records", "match"),
    [
        ((np.zeros((5, 64)), np.zeros(4, dtype=int)), "shapes"),
        ((np.zeros((5, 63)), np.zeros(5, dtype=int)), "shapes"),
        ((np.zeros((0, 64)), np.zeros(0, dtype=int)), "shapes"),
        ((np.zeros((5, 64)), np.full(5, 0.5)), "fractions"),
        ((np.zeros((5, 64)), np.full(5, 10)), "numbers outside 0..9"),
        ((np.full((5, 64), np.nan), np.zeros(5, dtype=int)), "NaN"),
    ],
)
def test_bad_records_are_refused(ensemble, data, records, match):
    with pytest.raises((ValueError, TypeError), match=match):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, records=records)


def test_records_must_be_a_pair_and_labelled(data):
    with pytest.raises(TypeError, match="pair"):
        checked_records(data.private.inputs, shape=(64,), classes=10)
    with pytest.raises(ValueError, match="no labels"):
        checked_records(data.public, shape=(64,), classes=10)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"method": "magic"}, "method='magic'"),
        ({"mode": "fast"}, "mode='fast'"),
        ({"scope": "everyone"}, "scope='everyone'"),
        ({"method": "cells"}, "needs records="),
        ({"method": "dpsd"}, "needs a bare"),
        ({"method": "certified"}, "CertifiedModel"),
        ({"seed": -1}, "seed"),
    ],
)
def test_unknown_or_impossible_settings_are_refused(ensemble, data, kwargs, match):
    with pytest.raises(ValueError, match=match):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, **kwargs)


@pytest.mark.parametrize("scope", ["teacher", "synthetic-label", "training-user"])
def test_an_ensemble_has_one_scope(ensemble, data, scope):
    with pytest.raises(GuaranteeError, match="training-record"):
        privkd.transcribe(ensemble, 1.0, scope=scope, queries=data.public.inputs)


@pytest.mark.parametrize("teacher", [object(), "teacher.pt", lambda x: x])
def test_other_teachers_are_refused(teacher):
    with pytest.raises(TypeError):
        privkd.transcribe(teacher, 1.0)


def test_no_teacher_is_needed_for_records_with_public_queries_and_only_then(data):
    with pytest.raises(ValueError, match="records="):
        privkd.transcribe(None, 1.0)
    records = (data.private.inputs, data.private.labels)
    made = privkd.transcribe(None, 5.0, queries=data.public.inputs, records=records, seed=0)
    assert made.method == "cells"
    assert "number of classes (it was read off the labels) are public" in str(made.certificate)
    declared = privkd.transcribe(None, 5.0, queries=data.public.inputs, records=records, classes=10, seed=0)
    assert "the number of records and the number of classes are public" in str(declared.certificate)
    with pytest.raises(ValueError, match="classes"):
        privkd.transcribe(None, 5.0, queries=data.public.inputs, records=records, classes=3)


class Buffered(nn.Module):
    def __init__(self, table):
        super().__init__()
        self.layer = nn.Linear(64, 10)
        self.register_buffer("table", table)

    def forward(self, x):
        return self.layer(x) + self.table.mean()


def test_a_student_that_shares_memory_with_the_teacher_is_refused(trained):
    half = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), trained[2])
    view = nn.Linear(64, 10)
    view.weight = nn.Parameter(trained[2].weight.data[:])
    table = torch.randn(20)
    for teacher, student in (
        (trained, trained),
        (trained, half),
        (trained, view),
        (Buffered(table), Buffered(table[5:])),
    ):
        with pytest.raises(GuaranteeError, match="shares its weights"):
            privkd.transcribe(teacher, 1.0, scope="synthetic-label", queries=20, student=student)


def test_whether_a_student_equals_the_teacher_decides_nothing(trained):
    """An exception that depends on equal values would tell the teacher's weights to whoever guesses them."""
    copied = copy.deepcopy(trained)
    made = privkd.transcribe(trained, 1.0, scope="synthetic-label", queries=20, student=copied, seed=0)
    assert "the given student's design and initial weights do not depend on private data" in str(made.certificate)


@pytest.mark.parametrize(
    "student", [nn.Linear(64, 9), nn.Linear(63, 10), nn.Sequential(nn.Linear(64, 10), nn.Softmax(1))]
)
def test_a_student_that_does_not_fit_is_refused(ensemble, data, student):
    with pytest.raises(ValueError, match="student="):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, student=student)
    assert not ensemble.ledger.events


@pytest.mark.parametrize("student", [nn.Linear, KNeighborsClassifier(1)])
def test_a_student_that_is_no_instance_of_a_module_is_refused_in_words(data, student):
    records = (data.private.inputs, data.private.labels)
    with pytest.raises(TypeError, match="student"):
        privkd.transcribe(None, 5.0, queries=data.public.inputs, records=records, student=student)


def test_noise_that_drowns_the_answers_is_told_before_anything_is_charged(ensemble, data):
    with pytest.warns(WeakSignalWarning, match="noise of standard deviation .* stands against 50 votes"):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, method="gnmax", seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        privkd.transcribe(ensemble, 10.0, queries=data.public.inputs, seed=0)


def test_a_students_own_module_is_trained_and_returned(ensemble, data, accuracy):
    mine = nn.Sequential(nn.Linear(64, 10))
    before = mine[0].weight.clone()
    result = privkd.transcribe(ensemble, 10.0, queries=data.public.inputs, student=mine, seed=0)
    assert type(result.student) is nn.Sequential
    assert torch.equal(mine[0].weight, before)  # a copy was trained
    assert "the given student's design and initial weights do not depend on private data" in str(result.certificate)
    assert accuracy(result.student) > 0.6


def test_a_seeded_noise_argument_of_another_type_is_refused(ensemble, data):
    with pytest.raises(TypeError):
        privkd.transcribe(ensemble, 1.0, queries=data.public.inputs, noise=0)


def test_all_own_errors_share_one_root():
    for error in (GuaranteeError, BudgetExceeded, TeacherError):
        assert issubclass(error, PrivkdError)
