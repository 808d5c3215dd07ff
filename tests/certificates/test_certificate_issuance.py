"""A certificate says what was issued: whatever public functions are called, nothing of it can be dropped or exchanged."""

import json
from dataclasses import replace

import numpy as np
import pytest

from accountants import ApproxDP, Gaussian, GNMax, Ledger, RandomizedResponse, audit
from accountants.ledger.disclosures import SEEDED, is_seeded
from privkd.certificates.certificate import Certificate
from privkd.errors import CertificateError, GuaranteeError

CONDITIONS = ("queries are public", "no other release is made from these records")


def of_records(**settings):
    ledger = Ledger(adjacency="add-remove", delta=1e-5, n=1000)
    ledger.charge(Gaussian(5.0), count=3, where="sums")
    wanted = {"basis": "bounded-statistics", "conditions": CONDITIONS, "classes": 10} | settings
    return Certificate.from_ledger(ledger, scope="training-record", delta=1e-5, **wanted)


def of_answers():
    ledger = Ledger(adjacency="replace-one", delta=1e-5, unit="synthetic-label")
    ledger.charge(RandomizedResponse(k=10, eps0=0.1), count=10)
    return Certificate.from_ledger(
        ledger, scope="synthetic-label", delta=1e-5, classes=10, conditions=CONDITIONS, leaks=["a norm was printed"]
    )


def of_a_teacher():
    ledger = Ledger(adjacency="replace-one", delta=1e-5, unit="teacher")
    ledger.charge(RandomizedResponse(k=10, eps0=0.1), count=10)
    return Certificate.from_ledger(ledger, scope="teacher", delta=1e-5, classes=10, conditions=CONDITIONS)


def declared():
    return Certificate.declared(epsilon=2.0, delta=1e-6, by="an institute", n=1000)


RULES = {
    "none": lambda c: c,
    "assuming": lambda c: c.assuming("2 + 2 = 4"),
    "weakened": lambda c: c.weakened("training-record").assuming("x"),
    "for_group": lambda c: c.for_group(2),
    "for_group of one": lambda c: c.for_group(1),
    "as_replace_one": lambda c: c.as_replace_one(),
    "after": lambda c: c.after(private=["the weights"]),
    "after nothing": lambda c: c.after().assuming("x"),
    "in_teacher_scope": lambda c: c.in_teacher_scope(queries_independent=True),
}
CHANGES = [
    {"conditions": ()},
    {"conditions": CONDITIONS[:1]},
    {"accountant": "declared by a famous institute"},
    {"n_records_declared": 10**9},
    {"library_version": "99"},
    {"classes": 10**6},
    {"answers": 1},
    {"delta": 0.9, "epsilon": 0.0},
    {"delta": 1e-3},
    {"teacher_epsilon": 0.01, "teacher_delta": 1e-9},
    {"epsilon": 0.01},
    {"secure_rng": False},
]


@pytest.mark.parametrize("make", [of_records, of_a_teacher, of_answers, declared])
def test_no_rule_infers_anything_from_a_certificate_that_was_changed(make):
    made = make()
    for change in CHANGES:
        changed = replace(made, **change)
        for rule in RULES.values():
            with pytest.raises((CertificateError, GuaranteeError)):
                rule(changed).verify()


def test_what_follows_by_the_rules_from_an_issued_certificate_verifies():
    for made in (of_records(), of_a_teacher(), of_records().as_replace_one(), declared()):
        for rule in ("none", "assuming", "weakened", "for_group", "as_replace_one", "after", "after nothing"):
            assert RULES[rule](made).verify() is not None


AGAIN = {
    "fewer conditions": {"conditions": CONDITIONS[:1]},
    "no conditions": {"conditions": ()},
    "another basis": {"basis": "per-example-clipping"},
    "another basis and the first as a condition": {
        "basis": "per-example-clipping",
        "conditions": (*CONDITIONS, "every record's contribution to the released sums is bounded"),
    },
    "more classes": {"classes": 10**6},
    "no classes": {"classes": None},
}


@pytest.mark.parametrize("change", AGAIN)
def test_the_first_statement_from_a_ledger_binds_later_ones_from_the_same_charges(change, tmp_path):
    first = of_records()
    for ledger in (first.ledger, written_and_read(first.ledger, tmp_path / "ledger.json")):
        same = {"scope": "training-record", "delta": 1e-5, "basis": "bounded-statistics", "classes": 10}
        same["conditions"] = CONDITIONS
        with pytest.raises(GuaranteeError, match="binds later ones"):
            Certificate.from_ledger(ledger, **(same | AGAIN[change]))
        assert Certificate.from_ledger(ledger, **same) == first
        more = Certificate.from_ledger(ledger, **(same | {"conditions": ("x", *CONDITIONS), "delta": 1e-6}))
        assert more.verify().upper > first.epsilon
        assert Certificate.from_ledger(ledger, **same).verify()
    assert first.verify()


def written_and_read(ledger, path):
    ledger.save(path)
    return Ledger.read(path)


def test_after_further_charges_a_statement_carries_the_earlier_conditions_along():
    first = of_records(leaks=())
    first.ledger.charge(Gaussian(50.0), where="another release")
    with pytest.raises(CertificateError, match="not the ledger's events"):
        first.verify()
    again = {"scope": "training-record", "delta": 1e-5, "basis": "per-example-clipping"}
    second = Certificate.from_ledger(first.ledger, **again, conditions=["y"])
    assert set(first.conditions) < set(second.conditions)
    assert second.verify()
    assert "bounded, queries are public" in str(second)


def test_leaks_that_were_named_are_named_in_every_later_statement():
    first = of_answers()
    same = {"scope": "synthetic-label", "delta": 1e-5, "classes": 10, "conditions": CONDITIONS}
    with pytest.raises(GuaranteeError, match="it named the leak 'a norm was printed'"):
        Certificate.from_ledger(first.ledger, **same)
    first.ledger.charge(RandomizedResponse(k=10, eps0=0.1))
    assert Certificate.from_ledger(first.ledger, **same).leaks == first.leaks


def test_a_declared_guarantee_stays_a_declared_one():
    first = declared()
    for basis in ("bounded-statistics", "disjoint-shards"):
        with pytest.raises(GuaranteeError, match="its basis was 'declared'"):
            Certificate.from_ledger(first.ledger, scope="training-record", delta=1e-6, basis=basis)
    again = Certificate.from_ledger(first.ledger, scope="training-record", delta=1e-6, basis="declared")
    assert again == first
    by_hand = Ledger(adjacency="replace-one", delta=1e-5)
    by_hand.charge(ApproxDP(1.0, 1e-6), where="declared by me")
    settings = {"scope": "training-record", "delta": 1e-5, "basis": "bounded-statistics"}
    for _ in range(2):  # alone, and beside what this library did
        made = Certificate.from_ledger(by_hand, **settings)
        assert made.verify()
        assert "as declared by me, assuming every record" in str(made)
        assert "it was not checked here" in str(made)
        by_hand.charge(Gaussian(50.0))
    assert "declared" not in str(of_records())


def test_conditions_in_the_ledger_raise_no_flags_and_hide_no_seed():
    words = ("the seeded queries came from a search", "adaptive tuning of data-dependent opacus")
    made = of_records(conditions=words)
    assert made.verify()
    assert not is_seeded(made.ledger)
    made.ledger.claim(made.epsilon, made.delta, made.accountant)
    assert not audit(made.ledger).flags
    seeded = of_records(secure_rng=False)
    assert seeded.ledger.disclosed.count(SEEDED) == 1
    assert any("seeded noise" in flag for flag in audit(seeded.ledger).flags)
    again = {"scope": "training-record", "delta": 1e-5, "basis": "bounded-statistics", "classes": 10}
    with pytest.raises(CertificateError, match="seeded"):
        Certificate.from_ledger(seeded.ledger, **again, conditions=CONDITIONS).verify()


def test_a_statement_that_is_too_long_for_a_ledger_leaves_no_half_of_itself():
    ledger = Ledger(adjacency="replace-one", delta=1e-5)
    ledger.charge(GNMax(60.0))
    with pytest.raises(ValueError, match="10000"):
        Certificate.from_ledger(
            ledger, scope="training-record", delta=1e-5, basis="disjoint-shards", conditions=["short", "x" * 10_000]
        )
    assert ledger.disclosed == ()


def test_numbers_of_numpy_become_plain_ones_and_equal_certificates_have_equal_seals():
    made = replace(of_records(), epsilon=np.float64(of_records().epsilon))
    assert made.seal == of_records().seal
    object.__setattr__(made, "classes", np.int64(10))  # as it arrives where nothing checks annotations
    made.__post_init__()
    assert json.loads(json.dumps(made.to_dict()))["classes"] == 10
    ledger = Ledger(adjacency="replace-one")
    ledger.charge(RandomizedResponse(k=10, eps0=0.1))
    pure = Certificate.from_ledger(ledger, scope="training-record", delta=0, basis="disjoint-shards")
    assert Certificate.from_dict(json.loads(json.dumps(pure.to_dict())), ledger).verify()


def test_fields_of_another_type_are_refused_before_anything_is_computed():
    made = of_answers()
    values = [-1, 2.5, 10**400, "\x1b[2J", None, True, [1], {"a": 1}, [[["x"]]], {}]
    for name in ("conditions", "leaks", "mechanisms", "accountant", "answers", "classes", "scope", "steps"):
        for value in values:
            data = made.to_dict() | {name: value}
            if value in {"answers": (None,), "classes": (None,), "accountant": ("\x1b[2J",)}.get(name, ()):
                with pytest.raises(CertificateError, match=r"afterwards|sentence"):
                    Certificate.from_dict(data, made.ledger).verify()
                continue
            with pytest.raises(CertificateError, match=f"{name}="):
                Certificate.from_dict(data, made.ledger)


def test_free_text_of_a_certificate_reaches_its_sentence_escaped():
    made = of_records(conditions=["x\x1b[2J \u202eno\nyes"])
    assert "x\\x1b[2J \\u202eno\\x0ayes" in str(made)
    assert made.conditions[-1] == "x\x1b[2J \u202eno\nyes"
    assert Certificate.from_dict(made.to_dict(), made.ledger) == made
