"""`privkd transcribe --teacher`: what comes from files, with the options that some of them need."""

import json
import sys

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from privkd.teachers import InputSpec, TeacherEnsemble, save_teacher

OWN = """
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        return self.last(x)
"""
PLAIN = ("--queries", "public.npz", "--scope", "synthetic-label", "--epsilon", 3, "--seed", 0, "--json")


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "cli_networks.py").write_text(OWN)
    np.savez(tmp_path / "public.npz", inputs=np.random.default_rng(0).random((30, 4)).astype(np.float32))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("cli_networks", None)


def test_weights_of_an_own_class_need_the_function_that_builds_it(privkd, place):
    from cli_networks import Own

    with pytest.warns(UserWarning, match="--model module:function"):
        save_teacher(Own(), place / "t.safetensors", inputs=InputSpec((4,)))
    refused = privkd("transcribe", "--teacher", "t.safetensors", *PLAIN, "--out", "no")
    assert refused.code == 3
    assert "--model module:function" in " ".join(refused.err.split())
    done = privkd("transcribe", "--teacher", "t.safetensors", "--model", "cli_networks:Own", *PLAIN, "--out", "student")
    assert done.code == 0, done.err


def test_a_program_needs_the_word_that_its_author_is_trusted(privkd, place):
    with torch.no_grad():
        torch.jit.trace(nn.Linear(4, 3), torch.zeros(2, 4)).save(place / "t.pt")
    refused = privkd("transcribe", "--teacher", "t.pt", *PLAIN, "--out", "no")
    assert refused.code == 3
    assert "--trust-program" in refused.err
    assert not (place / "no").exists()
    done = privkd("transcribe", "--teacher", "t.pt", "--trust-program", *PLAIN, "--out", "student")
    assert done.code == 0, done.err


def test_a_saved_ensemble_is_a_teacher_and_counts_both_releases(privkd, place):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    inputs = np.eye(4)[labels] + 0.1 * rng.normal(size=(240, 4))
    TeacherEnsemble.fit(LogisticRegression, inputs, labels, teachers=30, classes=3).save(place / "teachers")
    spent = []
    for number in range(2):
        done = privkd(
            *("transcribe", "--teacher", "teachers", "--queries", "public.npz", "--epsilon", 2, "--seed", 0),
            *("--delta", "1e-4", "--out", f"student{number}", "--json"),
        )
        assert done.code == 0, done.err
        assert json.loads(done.out)["certificate"]["scope"] == "training-record"
        spent.append(TeacherEnsemble.load(place / "teachers").ledger.epsilon(1e-4).upper)
    assert 0 < spent[0] < spent[1]
