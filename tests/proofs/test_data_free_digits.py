"""Proof: a generator that only the student drives asks better questions than noise or a frozen generator.

Per-answer eps0 = 3, 4000 answers, five seeds. Part of the gain is the public prior of the generator (values near 0 and 1,
independent); the frozen generator has the same architecture, the uniform baseline the same student and budget.
"""

from dataclasses import replace
from statistics import mean

import pytest

from accountants import Ledger
from privkd.certificates.scopes import Scope
from privkd.mechanisms import KaryResponse, SystemNoise
from privkd.teachers import BareTeacher, InputSpec
from privkd.transcription.methods.data_free import DataFreeSettings, learn_data_free
from privkd.transcription.methods.oracles import KaryOracle
from privkd.transcription.request import Request

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]

BASELINES = {"trained": {}, "frozen": {"generator_steps": 0}, "uniform": {"uniform": True}}


def accuracy_of(protocol, seed, change):
    bare = BareTeacher(protocol.single_teacher(seed), InputSpec((64,)))
    request = Request(
        teacher=bare, epsilon=3.0, delta=1e-5, scope=Scope.SYNTHETIC_LABEL, queries=None, query_count=4000, records=None,
        student=None, mode="sound", seed=seed, spec=bare.inputs, classes=10, n=None, noise=SystemNoise(),
    )  # fmt: skip
    ledger = Ledger(adjacency="replace-one", unit="synthetic-label")
    oracle = KaryOracle(bare, KaryResponse(3.0, 10), ledger, request.noise)
    student, _, _ = learn_data_free(request, oracle, replace(DataFreeSettings(), **change), ledger)
    assert sum(charge.event.count for charge in ledger.charges) == 4000
    return protocol.accuracy(student, seed)


def test_the_student_driven_generator_beats_uniform_noise_and_a_frozen_generator_by_ten_points(protocol):
    scores = {
        name: mean(accuracy_of(protocol, seed, change) for seed in protocol.seeds) for name, change in BASELINES.items()
    }
    assert scores["trained"] >= 0.70, scores
    assert scores["trained"] >= scores["uniform"] + 0.10, scores
    assert scores["trained"] >= scores["frozen"] + 0.10, scores
