"""Every method of transcription passes the non-interference battery; a method that looks at private data does not."""

import pytest
import torch
from battery.non_interference import CLASSES, ODD, PLAIN, WIDTH, NonInterference, public_queries
from torch import nn

import privkd
from privkd.teachers import BareTeacher

SETTINGS = {"delta": 1e-4, "seed": 3}
DECLARED = {
    **SETTINGS,
    "classes": CLASSES,
}  # the misbehaving module fails also in a rehearsal, and holds private attributes


def ensemble(private):
    return privkd.TeacherEnsemble.fit(
        private.model, private.inputs, private.labels, teachers=12, classes=CLASSES, key=b"q" * 16
    )


class TestVotes(NonInterference):
    def release(self, private):
        return privkd.transcribe(ensemble(private), 5.0, queries=public_queries(), **SETTINGS)


class TestVotesWithACountOfFailures(NonInterference):
    def release(self, private):
        return privkd.transcribe(ensemble(private), 5.0, queries=public_queries(), count_failures=True, **SETTINGS)


class TestVotesOnGeneratedQueries(NonInterference):
    def release(self, private):
        return privkd.transcribe(ensemble(private), 5.0, queries=40, **SETTINGS)


class TestLabelsOfTheMajority(NonInterference):
    def release(self, private):
        return privkd.transcribe(ensemble(private), 20.0, queries=public_queries(), method="gnmax", **SETTINGS)


class TestCells(NonInterference):
    def release(self, private):
        records = (private.inputs, private.labels)
        return privkd.transcribe(None, 5.0, queries=public_queries(), records=records, classes=CLASSES, **SETTINGS)


class TestAnswersOnPublicQueries(NonInterference):
    def release(self, private):
        return privkd.transcribe(private.module(), 5.0, scope="teacher", queries=public_queries(), **DECLARED)


class TestAnswersOnGeneratedQueries(NonInterference):
    def release(self, private):
        spec = privkd.InputSpec((WIDTH,))
        return privkd.transcribe(private.module(), 5.0, scope="teacher", queries=40, inputs=spec, **DECLARED)


class TestSingleAnswers(NonInterference):
    def release(self, private):
        return privkd.transcribe(private.module(), 5.0, scope="synthetic-label", queries=public_queries(), **DECLARED)


class Leaking(NonInterference):
    """Hands over a student that was started from private data."""

    def release(self, private):
        student = nn.Linear(WIDTH, CLASSES)
        with torch.no_grad():
            student.weight.fill_(float(private.inputs.mean()))
        return privkd.transcribe(ensemble(private), 5.0, queries=public_queries(), student=student, **SETTINGS)


def test_the_battery_finds_a_method_that_looks_at_private_data(monkeypatch):
    with pytest.raises(AssertionError, match="weights"):
        Leaking().test_nothing_but_the_mechanisms_output_depends_on_private_data(PLAIN, monkeypatch)


def test_the_battery_finds_a_teacher_that_gets_no_queries_of_its_own(monkeypatch):
    def careless(self, queries, device):
        queries.sub_(float(self.module.world))  # as a module that works in place
        return torch.zeros(len(queries), CLASSES)

    monkeypatch.setattr(BareTeacher, "_forward", careless)
    with pytest.raises(AssertionError, match="weights"):
        TestAnswersOnPublicQueries().test_nothing_but_the_mechanisms_output_depends_on_private_data(ODD, monkeypatch)
