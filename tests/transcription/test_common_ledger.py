"""One ledger counts everything that is done to one set of records, and every certificate knows the rest."""

import contextlib
import threading

import pytest
import torch
from torch import nn
from transcription.small import CLASSES, DELTA, WIDTH, ensemble, private, queries, release

import privkd
from accountants import Gaussian, Ledger
from privkd.errors import BudgetExceeded
from privkd.transcription import student_training as distilling

ALONE = "no other release is made from these records, before or after (several compose)"


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(distilling, "_LEAST_STEPS", 5)


def common(tmp_path, **budget):
    return Ledger.open(tmp_path / "records.json", adjacency="replace-one", **budget)


def test_two_ensembles_and_cells_of_the_same_records_know_of_each_other(tmp_path):
    first = release(ensemble(ledger=common(tmp_path)))
    second = release(ensemble(), ledger=common(tmp_path))  # another object, the same file
    third = release(None, records=private(), classes=CLASSES, ledger=common(tmp_path))
    assert [len(made.ledger.charges) for made in (first, second, third)] == [1, 1, 1]
    assert len(common(tmp_path).charges) == 3
    assert ALONE in first.certificate.conditions
    for made in (second, third):
        assert ALONE not in made.certificate.conditions
        assert any(
            "but those in their common ledger (all of them so far together" in c for c in made.certificate.conditions
        )
    for made in (first, second, third):
        made.certificate.verify()


def test_without_a_common_ledger_they_do_not(tmp_path):
    release(ensemble())
    assert ALONE in release(ensemble()).certificate.conditions


def test_a_budget_is_never_exceeded_and_every_certificate_says_it(tmp_path):
    ledger = common(tmp_path, epsilon=4.0, delta=DELTA)
    teachers = ensemble(ledger=ledger)
    made = [release(teachers, 1.0)]
    said = f"which keeps all of them together within epsilon = 4.0 at delta = {DELTA}, whatever is asked later"
    assert any(said in condition for condition in made[0].certificate.conditions)
    for _ in range(20):
        with contextlib.suppress(BudgetExceeded):
            made.append(release(teachers, 1.0))
    assert 2 <= len(made) <= 10
    assert len(ledger.charges) == len(made)
    assert ledger.epsilon(DELTA).upper <= 4.0


@pytest.mark.parametrize("scope", ["teacher", "synthetic-label"])
def test_answers_of_a_bare_teacher_are_counted_too(tmp_path, scope):
    ledger = common(tmp_path, unit=scope)
    teacher = nn.Linear(WIDTH, CLASSES)
    for place in (1, 2):
        made = release(teacher, scope=scope, ledger=ledger)
        assert len(ledger.charges) == place
    if scope == "teacher":
        assert any("but those in their common ledger" in condition for condition in made.certificate.conditions)


def test_a_certified_models_training_is_counted_once(tmp_path):
    certificate = privkd.Certificate.declared(epsilon=2.0, delta=1e-5, by="a test", n=1000)
    teacher = privkd.CertifiedModel(nn.Linear(WIDTH, CLASSES), certificate)
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one")
    first = release(teacher, ledger=ledger)
    release(teacher, ledger=ledger)
    assert len(ledger.charges) == 1
    assert ALONE in first.certificate.conditions
    other = privkd.Certificate.declared(epsilon=1.0, delta=1e-5, by="another test", adjacency="add-remove", n=1000)
    release(privkd.CertifiedModel(nn.Linear(WIDTH, CLASSES), other), ledger=ledger)
    assert len(ledger.charges) == 2
    assert ledger.charges[1].event.epsilon >= 2.0  # as replace-one: two steps


def test_of_simultaneous_releases_at_most_one_says_that_it_is_alone():
    teachers, made, meet = ensemble(), [], threading.Barrier(4)

    def ask():
        meet.wait(20)
        made.append(release(teachers, 1.0))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(teachers.ledger.charges) == len(made) == 4
    assert sum(ALONE in one.certificate.conditions for one in made) <= 1


@pytest.mark.parametrize(
    ("ledger", "match"),
    [
        (Ledger(adjacency="add-remove"), "adjacency="),
        (Ledger(adjacency="replace-one", unit="teacher"), "unit="),
        (Ledger(adjacency="replace-one", n=7), "n=7"),
    ],
)
def test_a_ledger_of_something_else_is_refused(ledger, match):
    with pytest.raises(ValueError, match=match):
        ensemble(ledger=ledger)
    teachers = ensemble()
    with pytest.raises(ValueError, match=match):
        release(teachers, ledger=ledger)
    assert not teachers.ledger.charges


def test_failures_are_counted_within_the_budget_when_asked():
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(WIDTH, CLASSES)

        def forward(self, x):
            if self.training and float(x.max()) > 5:
                raise ValueError("a record")
            return self.layer(x)

    x, y = private()
    x[:] = 7.0
    teachers = privkd.TeacherEnsemble.fit(Failing, x, y, teachers=40, classes=CLASSES, steps=2)
    made = release(teachers, 20.0, count_failures=True)
    [note] = [text for text in made.ledger.disclosed if text.startswith("note: about")]
    assert abs(int(note.split()[2]) - 40) <= 25  # the noise has a standard deviation of about 1
    assert note in str(made.certificate)
    assert made.certificate.epsilon <= 20.0
    assert len(made.ledger.charges) == 2
    assert not [text for text in release(teachers, 20.0).ledger.disclosed if text.startswith("note: about")]
    with pytest.raises(ValueError, match="count_failures"):
        release(None, records=private(), count_failures=True)


def test_nothing_is_charged_for_what_cannot_be_trained():
    teachers = ensemble()

    class Fragile(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(WIDTH, CLASSES)

        def forward(self, x):
            return self.layer(x).detach()

    with pytest.raises(ValueError, match="nothing was charged"):
        release(teachers, student=Fragile())
    with torch.inference_mode(), pytest.raises(ValueError, match="inference_mode"):
        release(teachers)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with pytest.raises(ValueError, match="default dtype"):
            privkd.transcribe(teachers, 3.0, DELTA, queries=queries())
    finally:
        torch.set_default_dtype(torch.float32)
    assert not teachers.ledger.charges


def test_equal_declarations_of_two_models_are_two_trainings(tmp_path):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one")
    for _ in range(3):
        declared = privkd.Certificate.declared(epsilon=2.0, delta=1e-5, by="one library", n=1000)
        release(privkd.CertifiedModel(nn.Linear(WIDTH, CLASSES), declared), ledger=ledger)
    assert len(ledger.charges) == 3


def test_an_add_remove_model_stated_for_replace_one_is_charged_as_it_is_stated(tmp_path):
    own = Ledger(adjacency="add-remove", delta=1e-5, n=1000)
    own.charge(Gaussian(sigma=1.0), where="sums")
    issued = privkd.Certificate.from_ledger(own, scope="training-record", delta=1e-5, basis="bounded-statistics")
    stated = issued.as_replace_one()
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one")
    release(privkd.CertifiedModel(nn.Linear(WIDTH, CLASSES), stated), 20.0, ledger=ledger)
    assert ledger.epsilon(1e-5).upper >= stated.epsilon * (1 - 1e-6)


def test_answers_without_noise_are_charged_as_infinite(tmp_path):
    free = Ledger.open(tmp_path / "free.json", adjacency="replace-one", unit="teacher")
    given = {"scope": "teacher", "allow_nonprivate": True}
    release(nn.Linear(WIDTH, CLASSES), float("inf"), ledger=free, **given)
    assert free.epsilon(1e-5).upper == float("inf")
    tight = Ledger.open(tmp_path / "tight.json", adjacency="replace-one", unit="teacher", epsilon=1.0, delta=1e-4)
    with pytest.raises(BudgetExceeded):
        release(nn.Linear(WIDTH, CLASSES), float("inf"), ledger=tight, **given)
    assert not tight.charges


@pytest.mark.parametrize("certified", [False, True])
def test_a_leak_of_the_common_ledger_ends_every_release(tmp_path, certified):
    ledger = Ledger.open(tmp_path / "records.json", adjacency="replace-one")
    ledger.disclose("leak: a log was published")
    declared = privkd.Certificate.declared(epsilon=2.0, delta=1e-5, by="a test", n=1000)
    teacher = privkd.CertifiedModel(nn.Linear(WIDTH, CLASSES), declared) if certified else None
    given = {} if certified else {"records": private(), "classes": CLASSES}
    with pytest.warns(privkd.PrivacyScopeWarning, match="discloses a leak"):
        made = release(teacher, ledger=ledger, **given)
    assert made.certificate.scope == "none"
    assert "a log was published" in str(made.certificate)


def test_an_ensemble_is_counted_in_one_ledger_and_keeps_it(tmp_path):
    teachers = ensemble()
    ledger = common(tmp_path, epsilon=2.0, delta=DELTA)
    release(teachers, 0.5, ledger=ledger)
    with pytest.raises(BudgetExceeded):
        release(teachers, 5.0)  # without the argument, too
    assert len(ledger.charges) == 1
    other = Ledger.open(tmp_path / "other.json", adjacency="replace-one")
    for counted in (teachers, ensemble()):
        if counted is not teachers:
            release(counted)
        with pytest.raises(ValueError, match="another ledger would miss them"):
            release(counted, ledger=other)
    assert not other.charges


@pytest.mark.parametrize(
    ("scope", "given"),
    [
        ("training-record", {"queries": 60}),
        ("training-record", {"count_failures": True}),
        ("training-record", {"count_failures": True, "method": "gnmax"}),
        ("teacher", {"queries": 60, "inputs": privkd.InputSpec((WIDTH,))}),
    ],
)
def test_a_plan_that_the_budget_has_no_room_for_costs_nothing_of_it(tmp_path, scope, given):
    """Its first part alone would fit."""
    ledger = common(tmp_path, unit=scope, epsilon=2.0, delta=DELTA)
    teacher = nn.Linear(WIDTH, CLASSES) if scope == "teacher" else ensemble()
    with pytest.raises(BudgetExceeded):
        release(teacher, 20.0, scope=scope, ledger=ledger, **given)
    assert not ledger.charges
