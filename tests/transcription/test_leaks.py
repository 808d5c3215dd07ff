"""A leak that the teacher's ledger discloses reaches the certificate of every student, before anything is drawn."""

import warnings

import pytest

import privkd
from accountants import audit
from privkd import BudgetExceeded, Certificate, CertifiedModel, GuaranteeError, PrivacyScopeWarning
from privkd.errors import CertificateError
from privkd.mechanisms import CellHistogram, GNMax, VoteHistogram

SPILT = "losses were written down"
LEAK = f"leak: {SPILT}"
MECHANISMS = {"votes": VoteHistogram, "generated": VoteHistogram, "gnmax": GNMax, "cells": CellHistogram}


def arguments(path, data):
    """What `transcribe` is given for each way of making a student from an ensemble."""
    if path == "generated":
        return {"queries": 40, "method": "votes"}
    records = (data.private.inputs, data.private.labels) if path == "cells" else None
    return {"queries": data.public.inputs, "method": path, "records": records}


def ends_in_nothing(result):
    """Whether scope none, with the leak named, is what certificate, ledger and audit say."""
    certificate = result.certificate
    report = audit(result.ledger)
    return (
        (certificate.scope, certificate.leaks) == ("none", (SPILT,))
        and str(certificate) == f"NO privacy guarantee of any scope: {SPILT}."
        and certificate.verify() is not None
        and report.exit_code == 1
        and any(SPILT in error for error in report.errors)
    )


@pytest.mark.parametrize("path", MECHANISMS)
def test_a_leaky_ensemble_makes_students_without_a_guarantee_and_says_so(path, ensemble, data, monkeypatch):
    ensemble.ledger.disclose("the teachers were trained on a Tuesday")
    ensemble.ledger.disclose(LEAK)
    told, release = [], MECHANISMS[path].release

    def watched(self, *args, ledger, **kwargs):
        told.append(LEAK in ledger.disclosed)
        return release(self, *args, ledger=ledger, **kwargs)

    monkeypatch.setattr(MECHANISMS[path], "release", watched)
    with pytest.warns(PrivacyScopeWarning, match=f"discloses a leak .{SPILT}"):
        result = privkd.transcribe(ensemble, 5.0, seed=0, **arguments(path, data))
    assert told
    assert all(told)
    assert ends_in_nothing(result)
    assert result.ledger.claims == ()
    assert not any("Tuesday" in text for text in result.ledger.disclosed)
    with pytest.raises(GuaranteeError, match="says nothing about training records"):
        CertifiedModel(result.student, result.certificate)


def test_an_ensemble_without_a_leak_keeps_its_guarantee(ensemble, data):
    ensemble.ledger.disclose("no leak: nothing was logged")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = privkd.transcribe(ensemble, 5.0, queries=data.public.inputs, seed=0)
    assert (result.certificate.scope, result.certificate.leaks) == ("training-record", ())
    assert len(result.ledger.claims) == 1
    assert audit(result.ledger).exit_code == 0


def test_a_scope_that_a_leak_has_ended_is_refused_before_anything_is_drawn(ensemble, trained, data):
    certified = CertifiedModel(trained, Certificate.declared(epsilon=2.0, delta=1e-6, by="a test"))
    for teacher, ledger in ((ensemble, ensemble.ledger), (certified, certified.certificate.ledger)):
        privkd.transcribe(teacher, 5.0, scope="training-record", queries=data.public.inputs, seed=0)
        ledger.disclose(LEAK)
        before = ledger.digest
        with pytest.raises(GuaranteeError, match=SPILT):
            privkd.transcribe(teacher, 5.0, scope="training-record", queries=data.public.inputs, seed=0)
        assert ledger.digest == before


@pytest.mark.parametrize("queries", ["public", "generated"])
def test_a_leak_that_a_certified_models_ledger_discloses_later_ends_its_students_guarantee(queries, trained, data):
    certified = CertifiedModel(trained, Certificate.declared(epsilon=2.0, delta=1e-6, by="a test"))
    given = {"queries": data.public.inputs if queries == "public" else 40, "seed": 0}
    before = privkd.transcribe(certified, 3.0, **given)
    assert (before.certificate.scope, before.certificate.leaks) == ("training-record", ())
    certified.certificate.ledger.disclose(LEAK)
    with pytest.warns(PrivacyScopeWarning, match=SPILT):
        result = privkd.transcribe(certified, 3.0, **given)
    assert result.method == "certified"
    assert ends_in_nothing(result)
    with pytest.raises(BudgetExceeded), warnings.catch_warnings(action="ignore"):
        privkd.transcribe(certified, 1.0, **given)
    with pytest.raises(CertificateError, match=SPILT):  # the older student's ledger is the same one
        before.certificate.verify()


def test_a_leak_that_is_disclosed_while_a_certified_model_answers_is_named_too(trained, data, monkeypatch):
    from privkd.transcription.methods import certified as module

    teacher = CertifiedModel(trained, Certificate.declared(epsilon=2.0, delta=1e-6, by="a test"))
    distil = module.distil

    def spilling(*args, **kwargs):
        teacher.certificate.ledger.disclose(LEAK)
        return distil(*args, **kwargs)

    monkeypatch.setattr(module, "distil", spilling)
    assert ends_in_nothing(privkd.transcribe(teacher, 3.0, queries=data.public.inputs, seed=0))


def test_records_beside_a_leaky_certified_model_are_not_certified_either(trained, data):
    certified = CertifiedModel(trained, Certificate.declared(epsilon=2.0, delta=1e-6, by="a test"))
    given = {"queries": data.public.inputs, "records": (data.private.inputs, data.private.labels), "seed": 0}
    assert privkd.transcribe(certified, 3.0, **given).certificate.scope == "training-record"
    certified.certificate.ledger.disclose(LEAK)
    with pytest.warns(PrivacyScopeWarning, match=SPILT):
        result = privkd.transcribe(certified, 3.0, **given)
    assert result.method == "cells"
    assert ends_in_nothing(result)


def test_a_student_without_a_guarantee_is_saved_and_read_with_its_leak(ensemble, data, tmp_path):
    ensemble.ledger.disclose(LEAK)
    with pytest.warns(PrivacyScopeWarning):
        result = privkd.transcribe(ensemble, 5.0, queries=data.public.inputs, seed=0)
    assert ends_in_nothing(privkd.load(result.save(tmp_path / "student")))
