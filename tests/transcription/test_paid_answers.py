"""An interrupted transcription goes on with what it paid for."""

import threading

import pytest
import torch
from torch import nn
from transcription.small import CLASSES, WIDTH, ensemble, private, queries, release

import privkd
from accountants import Ledger
from privkd.errors import CheckpointError
from privkd.transcription import student_training as distilling
from privkd.transcription.methods import data_free, record_level


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(distilling, "_LEAST_STEPS", 5)


class Interrupted(Exception):
    pass


def stop_once(monkeypatch, module, name, *, at=1):
    """Let the n-th call of a function fail, and all later ones work."""
    original, calls = getattr(module, name), []

    def stopping(*args, **settings):
        calls.append(1)
        if len(calls) == at:
            raise Interrupted
        return original(*args, **settings)

    monkeypatch.setattr(module, name, stopping)


@pytest.mark.parametrize("method", ["votes", "gnmax", "cells"])
def test_what_was_paid_is_not_paid_again(tmp_path, monkeypatch, method):
    teachers, ledger = ensemble(), Ledger(adjacency="replace-one")
    given = {"method": method, "folder": tmp_path / "paid", "ledger": ledger, "seed": None, "student": None}
    given |= {"records": private()} if method == "cells" else {}
    stop_once(monkeypatch, record_level, "distil")
    with pytest.raises(Interrupted):
        release(teachers, 20.0, **given)
    assert len(ledger.charges) == 1
    made = release(teachers, 20.0, **given)
    assert len(ledger.charges) == len(made.ledger.charges) == 1
    made.certificate.verify()
    again = release(teachers, 20.0, **given)  # the same student, without a new charge
    assert all(torch.equal(a, b) for a, b in zip(again.student.parameters(), made.student.parameters(), strict=True))
    assert len(ledger.charges) == 1


def test_without_a_folder_it_is_paid_again(monkeypatch):
    teachers = ensemble()
    stop_once(monkeypatch, record_level, "distil")
    with pytest.raises(Interrupted):
        release(teachers)
    release(teachers)
    assert len(teachers.ledger.charges) == 2


def test_rounds_of_answers_go_on_where_they_stopped(tmp_path, monkeypatch):
    class Counting(nn.Linear):
        asked = 0

        def forward(self, x):
            if len(x) > 2:
                Counting.asked += len(x)
            return super().forward(x)

    teacher = Counting(WIDTH, CLASSES)
    spec = privkd.InputSpec((WIDTH,))
    given = {"queries": 60, "inputs": spec, "scope": "teacher", "folder": tmp_path / "paid", "student": None}
    stop_once(monkeypatch, data_free._NoisyAnswers, "step", at=150)  # in the second of three rounds
    with pytest.raises(Interrupted):
        release(teacher, **given)
    assert Counting.asked == 40
    made = release(teacher, **given)
    assert Counting.asked == 60
    assert made.certificate.answers == 60
    made.certificate.verify()


def test_answers_to_another_question_are_refused(tmp_path, monkeypatch):
    teachers = ensemble()
    given = {"folder": tmp_path / "paid", "student": None}
    release(teachers, **given)
    named = {"classes": [f"class {index}" for index in range(CLASSES)]}
    for other in ({"epsilon": 4.0}, {"seed": 2}, {"queries": queries(41)}, {"method": "gnmax", "epsilon": 20.0}, named):
        with pytest.raises(CheckpointError, match="another transcription; different:"):
            release(teachers, **(given | other))
    assert len(teachers.ledger.charges) == 1


def test_answers_that_were_counted_elsewhere_are_counted_in_a_ledger_that_lacks_them(tmp_path):
    folder, first = tmp_path / "paid", ensemble(key=b"k" * 16)
    release(first, folder=folder, student=None)
    again = ensemble(key=b"k" * 16)  # as in another process, where nothing was charged yet
    release(again, folder=folder, student=None)
    assert len(again.ledger.charges) == 1
    release(again, folder=folder, student=None)
    release(first, folder=folder, student=None)
    assert len(again.ledger.charges) == len(first.ledger.charges) == 1
    common = Ledger.open(tmp_path / "common.json", adjacency="replace-one")
    release(ensemble(key=b"k" * 16, ledger=common), folder=folder, student=None)
    release(ensemble(key=b"k" * 16), folder=folder, student=None, ledger=Ledger.open(tmp_path / "common.json"))
    assert len(Ledger.read(tmp_path / "common.json").charges) == 1
    (tmp_path / "common.json").unlink()
    fresh = Ledger.open(tmp_path / "common.json", adjacency="replace-one")
    release(ensemble(key=b"k" * 16), folder=folder, student=None, ledger=fresh)
    assert len(fresh.charges) == 1


def test_answers_without_their_charges_are_refused(tmp_path):
    release(ensemble(), folder=tmp_path / "paid", student=None)
    Ledger(adjacency="replace-one", delta=1e-4).save(tmp_path / "paid" / "ledger.json")
    with pytest.raises(CheckpointError, match="0 charges"):
        release(ensemble(), folder=tmp_path / "paid", student=None)


def test_a_damaged_folder_is_refused(tmp_path):
    release(ensemble(), folder=tmp_path / "paid")
    (tmp_path / "paid" / "answers.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        release(ensemble(), folder=tmp_path / "paid")


def test_two_calls_with_one_folder_at_a_time_give_no_two_students(tmp_path):
    meet, made, refused = threading.Barrier(2), [], []

    def call():
        meet.wait(20)
        try:
            made.append(release(ensemble(), folder=tmp_path / "paid", student=None))
        except CheckpointError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one.student.state_dict()["body.0.0.weight"].sum().item() for one in made}) == 1
    assert all("another call has paid" in text for text in refused)
