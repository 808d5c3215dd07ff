"""Rules write nothing; sealing is one act; and what was not issued, inferred or sealed convinces nobody."""

import copy
import json
import pickle
from dataclasses import replace

import pytest
from torch import nn

import privkd
from accountants import Gaussian, Ledger, RandomizedResponse
from privkd.certificates.certificate import Certificate
from privkd.errors import CertificateError, GuaranteeError


def issued(ledger=None, *, scope="teacher", event=None, adjacency="replace-one"):
    ledger = ledger or Ledger(adjacency=adjacency, unit=scope, delta=1e-5)
    ledger.charge(event or RandomizedResponse(k=10, eps0=0.1), count=10)
    basis = "bounded-statistics" if scope.startswith("training") else None
    return Certificate.from_ledger(ledger, scope=scope, delta=1e-5, basis=basis, conditions=["queries are public"])


def of_sums():
    return issued(scope="training-record", event=Gaussian(5.0), adjacency="add-remove")


RULES = {
    "weakened": (issued, lambda c: c.weakened("training-record")),
    "assuming": (issued, lambda c: c.assuming("the labels are public")),
    "after": (issued, lambda c: c.after(private=["the weights"])),
    "in_teacher_scope": (
        lambda: issued(scope="synthetic-label"),
        lambda c: c.in_teacher_scope(queries_independent=True),
    ),
    "for_group": (issued, lambda c: c.for_group(2)),
    "as_replace_one": (of_sums, lambda c: c.as_replace_one()),
    "several": (issued, lambda c: c.weakened("training-user").assuming("x").for_group(3).assuming("y")),
}


def of_rules():
    return pytest.mark.parametrize(("make", "rule"), RULES.values(), ids=RULES)


def read_back(certificate):
    return Certificate.from_dict(json.loads(json.dumps(certificate.to_dict())), certificate.ledger)


@of_rules()
def test_rules_write_nothing_and_what_they_infer_verifies(make, rule, monkeypatch):
    certificate = make()
    before = certificate.ledger.digest
    monkeypatch.setattr(Ledger, "disclose", lambda *_: pytest.fail("a rule wrote into the ledger"))
    made = rule(certificate)
    assert made.verify()
    assert str(made)
    assert certificate.ledger.digest == before


def test_issuing_writes_the_statement_and_the_seal():
    certificate = issued()
    assert [text.split()[0] for text in certificate.ledger.disclosed] == ["stated"] * 3 + ["certificate"]
    assert read_back(certificate).verify()


@of_rules()
def test_what_was_inferred_convinces_others_once_it_is_sealed_and_is_sealed_once(make, rule):
    made = rule(make())
    with pytest.raises(CertificateError, match="not issued with this ledger"):
        read_back(made).verify()
    before = len(made.ledger.disclosed)
    assert made.sealed() is made
    assert made.ledger.disclosed[before:] == (made.seal,)
    assert read_back(made).verify()
    assert read_back(made).sealed().assuming("z").verify()
    assert len(made.ledger.disclosed) == before + 1


CHANGES = [
    {"conditions": ()},
    {"epsilon": 0.001},
    {"delta": 1e-7},
    {"classes": 99},
    {"secure_rng": False},
    {"steps": 9},
]


@of_rules()
def test_what_was_inferred_and_changed_is_refused_by_verify_by_every_rule_and_by_sealing(make, rule):
    made = rule(make())
    for change in CHANGES:
        changed = replace(made, **change)
        for use in (
            lambda c: c.verify(),
            lambda c: c.sealed(),
            lambda c: c.assuming("x"),
            lambda c: c.after(private=["x"]),
            lambda c: c.for_group(2),
        ):
            with pytest.raises((CertificateError, GuaranteeError)):
                use(changed)
    for change in CHANGES:  # a copy remembers what it was inferred as, and is not that any more
        changed = copy.copy(made)
        assert changed.verify()
        for name, value in change.items():
            object.__setattr__(changed, name, value)
        with pytest.raises(CertificateError):
            changed.sealed()
        with pytest.raises(CertificateError):
            changed.verify()


def test_a_list_inside_a_certificate_that_was_changed_is_noticed():
    made = issued().assuming("x")
    made.mechanisms[0]["event"]["count"] = 1
    for use in (made.verify, made.sealed):
        with pytest.raises(CertificateError):
            use()


def test_an_equal_certificate_that_nobody_inferred_is_not_believed_before_the_seal_is_there():
    made = issued().assuming("x")
    built = Certificate(**made.stated, ledger=made.ledger)
    assert built == made
    for twin in (built, replace(made)):
        with pytest.raises(CertificateError, match="changed afterwards"):
            twin.verify()
        with pytest.raises(CertificateError, match="changed afterwards"):
            twin.sealed()
    made.sealed()
    assert built.verify()
    assert replace(made).verify()


def test_another_ledger_does_not_believe_it(tmp_path):
    made = issued().assuming("x")
    made.ledger.save(tmp_path / "ledger.json")
    twin = copy.copy(made)
    object.__setattr__(twin, "ledger", Ledger.read(tmp_path / "ledger.json"))
    for other in (twin, replace(made, ledger=twin.ledger), replace(made, ledger=None)):
        with pytest.raises(CertificateError):
            other.sealed()
        with pytest.raises(CertificateError):
            other.verify()


def test_certificates_are_not_pickled_or_copied_away_from_their_ledger():
    made = issued().assuming("x")
    for away in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be"):
            away(made)


def test_two_certificates_of_one_ledger_do_not_vouch_for_each_other():
    first = issued()
    second = Certificate.from_ledger(
        first.ledger, scope="teacher", delta=1e-6, conditions=["queries are public", "another one"]
    )
    for one, other in ((first, second), (second, first)):
        inferred = one.weakened("training-record")
        with pytest.raises(CertificateError):
            replace(inferred, delta=other.delta, conditions=other.conditions).verify()
        assert inferred.sealed().verify()


def test_rules_leave_the_file_of_a_bound_ledger_alone_and_sealing_writes_it(tmp_path):
    path = tmp_path / "ledger.json"
    made = issued(Ledger.open(path, adjacency="replace-one", unit="teacher", delta=1e-5))
    before = path.read_bytes()
    inferred = made.weakened("training-record").for_group(2)
    assert inferred.verify()
    assert path.read_bytes() == before
    inferred.sealed()
    assert Certificate.from_dict(inferred.to_dict(), Ledger.read(path)).verify()


def test_a_ledger_that_cannot_be_written_still_lets_rules_infer_and_refuses_the_seal(tmp_path, monkeypatch):
    made = issued()

    def refused(*_):
        raise OSError("read-only")

    monkeypatch.setattr(Ledger, "disclose", refused)
    inferred = made.weakened("training-record")
    assert inferred.verify()
    with pytest.raises(OSError, match="read-only"):
        inferred.sealed()


def release(tmp_path):
    declared = Certificate.declared(epsilon=2.0, delta=1e-6, by="a test")
    certified = privkd.CertifiedModel(nn.Linear(3, 3), declared.assuming("the test is right"))
    return privkd.transcribe(certified, 3.0, 1e-5, queries=20, inputs=privkd.InputSpec((3,)), seed=0)


def test_what_transcribe_gives_is_sealed_and_save_seals_what_was_inferred_later(tmp_path):
    made = release(tmp_path)
    assert read_back(made.certificate).verify()
    inferred = replace(made, certificate=made.certificate.assuming("it is Monday"))
    assert inferred.certificate.seal not in made.ledger.disclosed
    for name in ("once", "twice"):
        loaded = privkd.load(inferred.save(tmp_path / name))
        assert loaded.certificate == inferred.certificate
        assert loaded.certificate.verify()
        assert loaded.certificate.assuming("x").verify()
    assert made.ledger.disclosed.count(inferred.certificate.seal) == 1
    assert privkd.load(made.save(tmp_path / "made")).certificate.verify()


def test_save_gives_no_seal_to_a_certificate_that_was_changed(tmp_path):
    made = release(tmp_path)
    lie = replace(made, certificate=replace(made.certificate, conditions=()))
    with pytest.raises(CertificateError, match="changed afterwards"):
        privkd.load(lie.save(tmp_path / "lie")).certificate.verify()
    assert lie.certificate.seal not in made.ledger.disclosed
