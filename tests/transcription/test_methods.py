"""The rows of methods: what they say is what docs and command line say, and a new row is all that a new method needs."""

import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import torch
from battery.non_interference import CLASSES, NonInterference, public_queries
from torch import nn
from transcription.small import DELTA, ensemble, private, release

import privkd
from privkd.certificates.scopes import Scope
from privkd.cli.transcribe import transcribe as command
from privkd.teachers.teacher import NoTeacher, TeacherKind
from privkd.transcription import choice
from privkd.transcription.choice import METHODS
from privkd.transcription.methods.method import Method

DOCS = Path(__file__).parents[2] / "docs"
NAMES = ["auto", *(method.name for method in METHODS)]

SHARES = '''
"""Class shares: the votes of an ensemble on all public queries together, as one noisy histogram."""

import torch

from privkd.mechanisms import VoteHistogram
from privkd.teachers.teacher import TeacherKind
from privkd.transcription.methods.gaussian_noise import affordable_mu, noise_of
from privkd.transcription.methods.method import Method
from privkd.transcription.methods.record_level import RecordRelease


def by_shares(request):
    ensemble, queries, student = request.teacher, request.queries, request.new_student()
    mu = affordable_mu(request, what="teachers", largest=len(ensemble))
    mechanism, everything = VoteHistogram(noise_of(rows=1, mu=mu)), torch.zeros(len(queries), dtype=torch.int64)
    made = RecordRelease.of_votes(request, mechanism.event(), method="shares")

    def release():
        votes = ensemble.votes(queries, everything).counted_in(request.shared)
        return mechanism.release(votes, teachers=len(ensemble), ledger=made.ledger, noise=request.noise, where="shares")

    noisy = request.paid.released(everything, made.ledger, release)
    teachers = len(ensemble)
    del release, ensemble  # the rest is post-processing
    targets = (noisy / teachers).softmax(dim=1).float().expand(len(queries), -1)
    return made.learned(student, targets)


SHARES = Method(name="shares", run=by_shares, teacher=TeacherKind.ENSEMBLE, queries=True)
'''


@pytest.fixture
def shares(tmp_path, monkeypatch):
    """A method in a file of its own, and its name in the tuple: what a contributor writes."""
    file = tmp_path / "shares.py"
    file.write_text(SHARES)
    spec = importlib.util.spec_from_file_location("shares", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(choice, "METHODS", (*METHODS, module.SHARES))
    return module


def test_a_new_row_is_a_method_with_a_certificate_a_ledger_and_answers_that_are_paid_once(shares, tmp_path):
    teachers = ensemble()
    given = {"method": "shares", "folder": tmp_path / "paid", "count_failures": True, "student": nn.Linear(4, 3)}
    made = release(teachers, **given)
    assert made.method == "shares"
    assert made.certificate.scope == Scope.TRAINING_RECORD
    assert 2.99 < made.certificate.verify().upper <= 3.0
    assert [charge.where for charge in made.ledger.charges] == ["failed teachers", "shares"]
    before = len(teachers.ledger.charges)
    again = release(teachers, **given)
    assert len(teachers.ledger.charges) == before
    assert torch.equal(again.student.weight, made.student.weight)


def test_a_new_row_says_what_it_needs_and_is_never_taken_unasked(shares):
    with pytest.raises(ValueError, match="method='shares' needs a TeacherEnsemble and public queries; possible here: "):
        release(nn.Linear(4, 3), method="shares")
    with pytest.raises(ValueError, match="records= are used by method='cells' only, not by 'shares'"):
        release(ensemble(), method="shares", records=private())
    with pytest.raises(privkd.GuaranteeError, match="method 'shares' gives scope 'training-record', not 'teacher'"):
        release(ensemble(), method="shares", scope="teacher")
    assert release(ensemble()).method == "votes"


class TestNewRow(NonInterference):
    @pytest.fixture(autouse=True)
    def _added(self, shares):
        pass

    def release(self, private):
        fitted = privkd.TeacherEnsemble.fit(
            private.model, private.inputs, private.labels, teachers=12, classes=CLASSES, key=b"q" * 16
        )
        return privkd.transcribe(fitted, 5.0, DELTA, queries=public_queries(), method="shares", seed=3)


def test_command_line_docstring_and_page_list_the_rows():
    [help_text] = re.findall(r'method: Annotated\[str, typer.Option\(help="(.*?)"\)\]', inspect.getsource(command))
    page = next(line for line in (DOCS / "command-line.md").read_text().splitlines() if line.startswith("| `--method`"))
    stated = re.search(r"method: (.*?)\n +mode:", inspect.getdoc(privkd.transcribe), re.DOTALL)[1]
    assert re.split(r", | or ", help_text) == NAMES
    assert re.findall(r"`(\w+)`", page) == NAMES
    assert re.findall(r'"(\w+)"', stated) == NAMES


@pytest.mark.parametrize(
    ("kind", "given", "taken"),
    [
        (TeacherKind.ENSEMBLE, {"queries": True, "records": False}, "votes"),
        (TeacherKind.ENSEMBLE, {"queries": False, "records": False}, "votes"),
        (TeacherKind.ENSEMBLE, {"queries": True, "records": True}, "cells"),
        (TeacherKind.MODULE, {"queries": False, "records": False}, "dpsd"),
        (TeacherKind.MODULE, {"queries": True, "records": True}, "cells"),
        (TeacherKind.CERTIFIED, {"queries": True, "records": False}, "certified"),
        (TeacherKind.NONE, {"queries": True, "records": True}, "cells"),
    ],
)
def test_auto_takes_the_possible_method_of_the_lowest_rank(kind, given, taken):
    teacher = NoTeacher()
    teacher.kind = kind
    assert choice.chosen_method(None, teacher, **given).name == taken


def test_methods_have_different_names_and_say_what_they_need_in_words():
    assert len({method.name for method in METHODS}) == len(METHODS)
    assert {method.name: method.needs for method in METHODS} == {
        "votes": "a TeacherEnsemble",
        "gnmax": "a TeacherEnsemble and public queries",
        "cells": "records=(inputs, labels) and public queries",
        "dpsd": "a bare nn.Module",
        "certified": "a CertifiedModel",
    }
    assert all(isinstance(method, Method) for method in METHODS)
