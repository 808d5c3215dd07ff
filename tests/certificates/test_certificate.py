"""Certificates: the inference rules hold, sentences say the scope, and verify() trusts only the ledger."""

import dataclasses
import math

import pytest

from accountants import ApproxDP, Gaussian, GNMax, Ledger, RandomizedResponse, epsilon
from privkd.certificates.certificate import Certificate
from privkd.certificates.scopes import BASES, Scope, check_delta, rounded_up
from privkd.errors import CertificateError, GuaranteeError


def record_certificate(**kwargs):
    unit = str(kwargs.get("scope", "training-record"))
    ledger = Ledger(adjacency="replace-one", unit=unit, epsilon=1.0, delta=1e-5, n=1000)
    ledger.charge(GNMax(sigma=60.0), count=100, where="votes")
    settings = {"scope": Scope.TRAINING_RECORD, "delta": 1e-5, "basis": "disjoint-shards"} | kwargs
    return Certificate.from_ledger(ledger, **settings)


def answer_certificate(count=1000, eps0=1.0, classes=10):
    ledger = Ledger(adjacency="replace-one", unit="synthetic-label")
    ledger.charge(RandomizedResponse(k=classes, eps0=eps0), count=count, where="answers")
    return Certificate.from_ledger(ledger, scope=Scope.SYNTHETIC_LABEL, delta=1e-5, classes=classes)


def teacher_certificate():
    ledger = Ledger(adjacency="replace-one", unit="teacher", epsilon=1.0, delta=1e-5)
    ledger.charge(RandomizedResponse(k=10, eps0=0.0188), count=1000)
    return Certificate.from_ledger(ledger, scope=Scope.TEACHER, delta=1e-5, classes=10)


def test_record_sentence_names_who_is_protected_the_adjacency_and_the_conditions():
    text = str(record_certificate())
    assert (
        "-DP for each training record under replace-one, assuming every record was seen by exactly one teacher" in text
    )
    assert text.endswith("no known leaks.")
    assert "NOT" not in text


def test_answer_sentence_says_not_a_training_record_guarantee_and_prints_the_composed_value():
    certificate = answer_certificate(count=10_000)
    text = str(certificate)
    assert text.startswith("NOT a training-record guarantee: (1.0, 0)-DP per synthetic query label")
    assert "10000 answers" in text
    assert "compose to epsilon = 1698" in text
    assert certificate.epsilon == 1.0
    assert certificate.teacher_epsilon == pytest.approx(1697.5, abs=0.1)
    assert not certificate.protects_training_data


def test_teacher_sentence_prints_the_ceiling():
    certificate = teacher_certificate()
    assert certificate.ceiling == pytest.approx(0.232, abs=2e-3)
    assert "a data-free student can agree with its teacher on at most 23." in str(certificate)


def test_seeded_noise_and_infinite_epsilon_are_said_aloud():
    assert "VOID OUTSIDE TESTS" in str(record_certificate(secure_rng=False))
    ledger = Ledger(adjacency="replace-one")
    ledger.charge(Gaussian(sigma=0.0))
    open_certificate = Certificate.from_ledger(ledger, scope=Scope.TRAINING_RECORD, delta=1e-5, basis="disjoint-shards")
    assert open_certificate.scope is Scope.NONE
    assert str(open_certificate).startswith("NO privacy guarantee")


@pytest.mark.parametrize("value", [1.0000001, 0.99999, 3.00001, 12345.6, 0.000123456, 1697.4501])
def test_a_printed_epsilon_is_never_below_the_number(value):
    assert float(rounded_up(value)) >= value
    assert float(rounded_up(value)) <= value * 1.0011


# Rule 1 and 5
def test_post_processing_keeps_a_guarantee_and_private_ingredients_end_it():
    certificate = record_certificate()
    assert certificate.after() is certificate
    ended = certificate.after(private=["the teacher's weights as initial weights"])
    assert ended.scope is Scope.NONE
    assert "teacher's weights" in ended.leaks[0]
    answers = answer_certificate().after(private=["BatchNorm statistics"])
    assert answers.scope is Scope.SYNTHETIC_LABEL
    assert answers.leaks


# Rule 2
def test_teacher_scope_implies_user_and_record_scope_and_nothing_implies_back():
    teacher = teacher_certificate()
    assert teacher.weakened("training-record").epsilon == teacher.epsilon
    assert teacher.weakened("training-user").weakened("training-record").scope is Scope.TRAINING_RECORD
    for certificate, scope in (
        (record_certificate(), "teacher"),
        (record_certificate(), "training-user"),
        (answer_certificate(), "training-record"),
        (answer_certificate(), "teacher"),
    ):
        with pytest.raises(GuaranteeError, match="does not imply"):
            certificate.weakened(scope)


# Rule 3
def test_answers_compose_to_teacher_scope_only_for_independent_queries():
    certificate = answer_certificate()
    composed = certificate.in_teacher_scope(queries_independent=True)
    assert composed.scope is Scope.TEACHER
    direct = epsilon(RandomizedResponse(10, 1.0) * 1000, 1e-5, adjacency="replace-one").upper
    assert composed.epsilon == pytest.approx(direct)
    assert composed.epsilon > 100 * certificate.epsilon
    assert composed.verify().upper == pytest.approx(direct)
    assert composed.ceiling is not None
    with pytest.raises(GuaranteeError, match="leak without bound"):
        certificate.in_teacher_scope(queries_independent=False)
    with pytest.raises(GuaranteeError, match="only a 'synthetic-label'"):
        record_certificate().in_teacher_scope(queries_independent=True)


# Rule 4
@pytest.mark.parametrize("scope", ["training-record", "training-user", "training-label"])
def test_training_scopes_need_a_reason_why_a_record_has_bounded_influence(scope):
    with pytest.raises(GuaranteeError, match="basis"):
        record_certificate(scope=scope, basis=None)
    with pytest.raises(GuaranteeError, match="basis"):
        record_certificate(scope=scope, basis="trust me")
    for basis in BASES:
        assert record_certificate(scope=scope, basis=basis).scope == scope
    with pytest.raises(GuaranteeError, match="leaks"):
        record_certificate(scope=scope, leaks=["generator saw the teacher"])


def test_verify_recomputes_from_the_ledger():
    for certificate in (record_certificate(), answer_certificate(), teacher_certificate()):
        assert certificate.verify().upper <= certificate.epsilon


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epsilon": 0.5}, "the certificate claims 0.5"),
        ({"mechanisms": ()}, "not the ledger's events"),
        ({"adjacency": "zero-out"}, "adjacency"),
        ({"ledger": None}, "without its ledger"),
        ({"delta": 1e-9}, "the events cost"),
    ],
)
def test_a_changed_certificate_does_not_verify(change, match):
    from accountants import Adjacency

    if "adjacency" in change:
        change = {"adjacency": Adjacency(change["adjacency"])}
    with pytest.raises(CertificateError, match=match):
        dataclasses.replace(record_certificate(), **change).verify()


@pytest.mark.parametrize(
    "change",
    [
        {"conditions": ()},
        {"leaks": ()},
        {"n_records_declared": 10**9},
        {"classes": 10**6},
        {"answers": 1},
        {"accountant": "declared by a famous institute"},
        {"secure_rng": False},
        {"records": 2},
        {"steps": 2},
    ],
)
def test_nothing_that_a_certificate_states_can_be_changed_unnoticed(change):
    certificate = record_certificate()
    assert certificate.verify()
    forged = dataclasses.replace(certificate, **change)
    if forged != certificate:
        with pytest.raises(CertificateError, match=r"changed afterwards|steps"):
            forged.verify()


@pytest.mark.parametrize(
    "change", [{"epsilon": math.nan}, {"delta": math.nan}, {"records": 0}, {"steps": 0}, {"step_delta": math.nan}]
)
def test_impossible_values_are_refused(change):
    with pytest.raises(ValueError, match=r"epsilon|delta|records|steps"):
        dataclasses.replace(record_certificate(), **change)


def test_leaks_are_carried_along_and_end_every_implication():
    leaky = teacher_certificate().after(private=["features of the teacher"])
    assert leaky.scope is Scope.NONE
    ledger = Ledger(adjacency="replace-one", unit="teacher", delta=1e-5)
    ledger.charge(RandomizedResponse(10, 0.1))
    with pytest.raises(GuaranteeError, match="leaks"):
        Certificate.from_ledger(ledger, scope="teacher", delta=1e-5, leaks=["generator saw the teacher"])
    answers = answer_certificate().after(private=["BatchNorm statistics"])
    with pytest.raises(GuaranteeError, match="leaks"):
        answers.in_teacher_scope(queries_independent=True).weakened("training-record")


def test_a_scope_is_stated_only_for_a_ledger_that_counts_it():
    for unit, scope in (
        ("synthetic-label", "teacher"),
        ("training-record", "teacher"),
        ("training-label", "training-record"),
    ):
        ledger = Ledger(adjacency="replace-one", unit=unit)
        with pytest.raises(GuaranteeError, match="counts"):
            Certificate.from_ledger(ledger, scope=scope, delta=1e-5, basis="disjoint-shards")
    with pytest.raises(ValueError, match="1/n"):
        record_certificate(delta=0.9)


def test_an_answer_certificate_relabelled_as_record_scope_does_not_verify():
    forged = dataclasses.replace(answer_certificate(), scope=Scope.TRAINING_RECORD)
    with pytest.raises(CertificateError, match="cost"):
        forged.verify()
    understated = dataclasses.replace(answer_certificate(), teacher_epsilon=10.0)
    with pytest.raises(CertificateError, match="in scope teacher"):
        understated.verify()


def test_a_guarantee_for_labels_relabelled_as_one_for_records_does_not_verify():
    ledger = Ledger(adjacency="replace-one", unit="training-label", delta=1e-5)
    ledger.charge(RandomizedResponse(10, 1.0))
    labels = Certificate.from_ledger(ledger, scope="training-label", delta=1e-5, basis="record-votes")
    assert labels.verify().upper <= 1.0
    with pytest.raises(CertificateError, match="counts 'training-label' events"):
        dataclasses.replace(labels, scope=Scope.TRAINING_RECORD).verify()


def test_seeded_noise_cannot_be_hidden_from_verify():
    ledger = Ledger(adjacency="replace-one", delta=1e-5)
    ledger.disclose("noise was seeded: void outside tests")
    ledger.charge(GNMax(60.0))
    certificate = Certificate.from_ledger(ledger, scope=Scope.TRAINING_RECORD, delta=1e-5, basis="disjoint-shards")
    with pytest.raises(CertificateError, match="seeded"):
        certificate.verify()


def test_json_round_trip_keeps_everything_and_refuses_another_ledger_or_sentence():
    for certificate in (record_certificate(), answer_certificate(), teacher_certificate()):
        assert Certificate.from_dict(certificate.to_dict(), certificate.ledger) == certificate
    data, other = record_certificate().to_dict(), record_certificate(delta=1e-6).ledger
    other.charge(GNMax(500.0))
    with pytest.raises(CertificateError, match="belongs to ledger"):
        Certificate.from_dict(data, other)
    certificate = record_certificate()
    for field, value in (("sentence", "(0.1, 0)-DP"), ("surprise", 1), ("schema", "x")):
        with pytest.raises(CertificateError):
            Certificate.from_dict(certificate.to_dict() | {field: value}, certificate.ledger)


def test_a_declared_certificate_says_who_vouches():
    certificate = Certificate.declared(epsilon=2.0, delta=1e-6, by="opacus 1.6", n=1000)
    assert "as declared by opacus 1.6" in str(certificate)
    assert certificate.protects_training_data
    assert certificate.verify().upper == pytest.approx(2.0)
    assert isinstance(certificate.ledger.events[0], ApproxDP)


@pytest.mark.parametrize(
    "bad", [{"epsilon": 0.0}, {"epsilon": -1.0}, {"epsilon": math.nan}, {"delta": 1.0}, {"delta": 0.01, "n": 100}]
)
def test_bad_declarations_are_refused(bad):
    with pytest.raises(ValueError, match=r"epsilon|delta"):
        Certificate.declared(**({"epsilon": 1.0, "delta": 1e-6, "by": "x"} | bad))


@pytest.mark.parametrize(("delta", "n"), [(1e-3, 1000), (0.5, 10), (1.0, None), (-1e-9, None), (math.nan, None)])
def test_delta_must_lie_below_one_over_n(delta, n):
    with pytest.raises(ValueError, match="delta"):
        check_delta(delta, n)
