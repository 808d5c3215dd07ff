"""Leaks end every guarantee: no rule, copy or file makes one out of a certificate with leaks, or with stale ones."""

import dataclasses

import pytest

from accountants import Gaussian, Ledger, RandomizedResponse
from privkd.certificates.certificate import Certificate
from privkd.certificates.leaks import carry_leaks, leaks_of
from privkd.certificates.scopes import Scope
from privkd.certificates.verification import verified
from privkd.errors import CertificateError, GuaranteeError

GUARANTEED = [scope for scope in Scope if scope is Scope.TEACHER or scope.value.startswith("training-")]
SPILT = "losses were written down"
LEAK = "leak: "

RULES = {
    "weakened": lambda c: c.weakened("training-record"),
    "in_teacher_scope": lambda c: c.in_teacher_scope(queries_independent=True),
    "for_group": lambda c: c.for_group(2),
    "as_replace_one": lambda c: c.as_replace_one(),
    "assuming": lambda c: c.assuming("the sky is blue"),
}
"""Every rule that keeps a guarantee, as (certificate -> certificate); `after` is the one that may end it."""


def certificate_in(scope, **settings):
    """One for which the rule holds: answers for rule 3, add-remove for the conversion, else any scope."""
    adjacency = "add-remove" if scope == "training-user" else "replace-one"
    ledger = Ledger(adjacency=adjacency, unit=scope, delta=1e-5)
    event = Gaussian(5.0) if adjacency == "add-remove" else RandomizedResponse(10, 0.1)
    ledger.charge(event, count=3, where="answers")
    basis = "record-votes" if scope.startswith("training-") else None
    return Certificate.from_ledger(ledger, scope=scope, delta=1e-5, basis=basis, **settings)


SCOPE_FOR = {"in_teacher_scope": "synthetic-label", "as_replace_one": "training-user"}


@pytest.mark.parametrize("name", RULES)
def test_every_rule_applies_without_leaks_and_none_after_a_later_disclosure(name):
    certificate = certificate_in(SCOPE_FOR.get(name, "teacher"))
    assert RULES[name](certificate).verify()
    certificate.ledger.disclose("leak-free so far, and no leak: nothing was logged")  # no leak, though it says the word
    assert RULES[name](certificate).verify()
    certificate.ledger.disclose(LEAK + SPILT)
    with pytest.raises(GuaranteeError, match=f"after this certificate was issued, which ends it: {SPILT}"):
        RULES[name](certificate)
    with pytest.raises(CertificateError, match="discloses leaks"):
        certificate.verify()


@pytest.mark.parametrize("name", ["weakened", "as_replace_one", "assuming"])
def test_a_rule_that_has_nothing_to_do_refuses_a_later_disclosure_as_well(name):
    certificate = certificate_in("training-record")
    nothing = {"assuming": lambda c: c.assuming()}.get(name, RULES[name])
    assert nothing(certificate) is certificate
    certificate.ledger.disclose(LEAK + SPILT)
    with pytest.raises(GuaranteeError, match=SPILT):
        nothing(certificate)


@pytest.mark.parametrize("leaky", ["leaks=", "after"])
@pytest.mark.parametrize("name", ["weakened", "in_teacher_scope", "for_group"])
def test_a_named_leak_ends_every_rule_that_states_something_new(name, leaky):
    certificate = certificate_in("synthetic-label", leaks=["x"] if leaky == "leaks=" else [])
    if leaky == "after":
        certificate = certificate.after(private=["the teacher's weights"])
    assert certificate.scope == "synthetic-label"
    assert certificate.verify()
    with pytest.raises(GuaranteeError, match="with leaks implies nothing else"):
        RULES[name](certificate)
    assert certificate.assuming("the sky is blue").leaks == certificate.leaks
    assert certificate.assuming("the sky is blue").verify()


def test_after_names_what_was_disclosed_later_and_ends_every_scope():
    for scope in ("teacher", "training-record", "synthetic-label"):
        certificate = certificate_in(scope)
        certificate.ledger.disclose(LEAK + SPILT)
        ended = certificate.after(private=["early stopping on private records"])
        assert (ended.scope, ended.leaks[0], len(ended.leaks)) == ("none", SPILT, 2)
        assert ended.verify()
        only = certificate.after()
        assert (only.scope, only.leaks) == ("none", (SPILT,))
        assert only.verify()
        assert only.after() is only
        assert str(only) == f"NO privacy guarantee of any scope: {SPILT}."
        with pytest.raises(GuaranteeError, match="implies nothing else"):
            only.for_group(2)


def test_a_leak_that_was_named_before_the_ledger_disclosed_it_still_ends_the_scope():
    certificate = certificate_in("synthetic-label", leaks=[SPILT])
    certificate.ledger.disclose(LEAK + SPILT)
    with pytest.raises(CertificateError, match="discloses leaks"):
        certificate.verify()
    with pytest.raises(GuaranteeError, match="after this certificate was issued"):
        certificate.assuming("the sky is blue")
    ended = certificate.after()
    assert (ended.scope, ended.leaks) == ("none", (SPILT,))
    assert ended.verify()


@pytest.mark.parametrize("scope", Scope)
def test_no_certificate_of_a_guaranteed_scope_can_have_leaks(scope):
    assert scope.forbids_leaks == (scope in GUARANTEED)
    ledger = Ledger(adjacency="replace-one", unit=scope.value, delta=1e-5)
    ledger.disclose(LEAK + SPILT)
    if scope in GUARANTEED:
        with pytest.raises(GuaranteeError, match="cannot be certified with leaks: x"):
            Certificate.from_ledger(ledger, scope=scope, delta=1e-5, basis="record-votes", leaks=["x"])
    ended = Certificate.from_ledger(ledger, scope=scope, delta=1e-5, basis="record-votes")
    assert (ended.scope, ended.leaks) == ("none", (SPILT,))
    assert ended.verify()
    data = ended.to_dict()
    assert Certificate.from_dict(data, ledger) == ended
    if scope in GUARANTEED:
        with pytest.raises(GuaranteeError, match="cannot be certified with leaks"):
            dataclasses.replace(ended, scope=scope)
        with pytest.raises(CertificateError, match="cannot be certified with leaks"):
            Certificate.from_dict(data | {"scope": scope.value}, ledger)
    else:
        assert dataclasses.replace(ended, scope=scope).scope is scope


def test_verify_finds_leaks_of_a_guaranteed_scope_also_where_they_were_forced_in_and_sealed():
    certificate = certificate_in("teacher")
    twin = dataclasses.replace(certificate)
    assert verified(twin, certificate.ledger)[1] == []
    object.__setattr__(twin, "leaks", ("x",))
    certificate.ledger.disclose(twin.seal)
    assert verified(twin, certificate.ledger)[1] == ["scope 'teacher' cannot be guaranteed with leaks: x"]
    object.__setattr__(twin, "scope", Scope.NONE)
    certificate.ledger.disclose(twin.seal)
    assert verified(twin, certificate.ledger)[1] == []


def test_leaks_are_recognised_however_they_are_written_and_carried_word_by_word():
    source, target = (Ledger(adjacency="replace-one") for _ in range(2))
    for text in ("leak: a", "leak:b", " LEAK : c: d", "no leak: e", "a leak", "leak: a"):
        source.disclose(text)
    assert leaks_of(source) == ("a", "b", "c: d")
    for _ in range(2):
        carry_leaks(source, target)
        assert target.disclosed == ("leak: a", "leak:b", " LEAK : c: d")
    assert leaks_of(target) == leaks_of(source)
