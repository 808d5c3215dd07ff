"""The sentences that the documents explain word by word are those that certificates print, but for their numbers."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import privkd
from accountants import Ledger
from privkd.mechanisms.noise import SeededNoise

PAGE = Path(__file__).parents[2] / "docs" / "what-epsilon-protects.md"


def without_numbers(text):
    return re.sub(r"\d+(?:\.\d+)?(?:e-?\d+)?", "#", " ".join(text.split()))


@pytest.fixture(scope="module")
def printed():
    """Sentences of small releases of every kind."""
    torch.manual_seed(0)
    x, y, public = torch.rand(90, 3), torch.arange(90) % 3, torch.rand(30, 3)
    spec, bare = privkd.InputSpec((3,)), nn.Linear(3, 3)
    declared = privkd.Certificate.declared(epsilon=2.0, delta=1e-6, by="opacus 1.6")
    budget = Ledger(adjacency="replace-one", epsilon=12.0, delta=1e-4, n=90, shared=True)

    def made(teacher, epsilon=5.0, delta=1e-4, **options):
        return str(privkd.transcribe(teacher, epsilon, delta, seed=0, **options).certificate)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ensemble = privkd.TeacherEnsemble.fit(lambda: KNeighborsClassifier(1), x, y, teachers=10, classes=3)
        cells = {"queries": public, "records": (x, y), "classes": 3}
        return [
            made(ensemble, queries=public),
            made(ensemble, queries=public),
            made(ensemble, queries=public, student=nn.Linear(3, 3)),
            made(None, **cells),
            made(None, **cells, ledger=budget),
            made(bare, queries=4, inputs=spec),
            made(bare, queries=4, inputs=spec, scope="teacher"),
            made(privkd.CertifiedModel(bare, declared), 2.0, 1e-6, queries=public),
            str(declared),
            made(ensemble, queries=public, noise=SeededNoise(0)),
            made(None, float("inf"), **cells, allow_nonprivate=True),
        ]


def test_every_quoted_sentence_is_printed_by_a_release_of_its_kind(printed):
    text = PAGE.read_text(encoding="utf-8").split("## Reading the sentences")[1].split("\n## ")[0]
    quotes = [" ".join(re.findall(r"> ?(.*)", block)) for block in re.findall(r"(?:^>.*\n)+", text, flags=re.M)]
    known = [without_numbers(sentence) for sentence in printed]
    assert len(quotes) >= 8
    for quote in quotes:
        parts = [part for part in (without_numbers(part).strip(" ,;.") for part in re.split(r"\.\.\.", quote)) if part]
        assert any(all(part in sentence for part in parts) for sentence in known), quote


def test_another_sentence_would_be_found(printed):
    assert not any("for each training record under add-remove" in sentence for sentence in printed)
