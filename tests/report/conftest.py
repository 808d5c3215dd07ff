"""Small real releases: no training, but a true certificate over a true ledger."""

import shutil

import pytest
import torch

from accountants import Gaussian, GNMax, Ledger, RandomizedResponse
from generators import SmallGenerator
from privkd import Certificate, InputSpec, Transcription
from privkd.certificates.scopes import Scope
from privkd.networks import VectorNetwork


def make_transcription(
    *, scope: str = "training-record", sigma: float = 20.0, where: str = "votes", student=None
) -> Transcription:
    ledger = Ledger(adjacency="replace-one", delta=1e-5, unit=scope, n=1000)
    if scope == "training-record":
        ledger.charge(GNMax(sigma), count=2, where=where)
        options = {"basis": "disjoint-shards"}
    elif scope == "none":
        ledger.charge(Gaussian(0.0), where=where)
        options = {}
    else:
        ledger.charge(RandomizedResponse(k=10, eps0=0.5), count=7, where=where)
        options = {"classes": 10}
    certificate = Certificate.from_ledger(ledger, scope=Scope(scope), delta=1e-5, **options)
    return Transcription(
        student=student or VectorNetwork(16, 10, hidden=4),
        generator=SmallGenerator((1, 4, 4), latent=3, hidden=5).eval() if scope != "training-record" else None,
        certificate=certificate,
        ledger=ledger,
        history=[],
        method="votes" if scope == "training-record" else "dpsd",
        spec=InputSpec((1, 4, 4)),
    )


@pytest.fixture
def transcription():
    torch.manual_seed(0)
    return make_transcription


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    torch.manual_seed(0)
    found = tmp_path_factory.mktemp("releases")
    for name, scope in (("votes", "training-record"), ("answers", "synthetic-label"), ("whole", "teacher")):
        make_transcription(scope=scope).save(found / name)
    return found


@pytest.fixture
def folder(tmp_path, saved):
    """Three releases of three scopes, saved side by side."""
    shutil.copytree(saved, tmp_path, dirs_exist_ok=True)
    return tmp_path
