"""Proof: transcription with a guarantee for each training record works on digits, and its ablations do not."""

from statistics import mean

import pytest

import privkd

pytestmark = pytest.mark.proof


@pytest.fixture(scope="module")
def scores(protocol):
    """Mean accuracy over five seeds per (method, epsilon)."""
    found = {}
    for seed in protocol.seeds:
        data, ensemble = protocol.split(seed), protocol.hundred_teachers(seed)
        records = (data.private.inputs, data.private.labels)
        for epsilon in (1, 3, 10):
            for method in ("votes", "gnmax", "cells"):
                result = privkd.transcribe(
                    ensemble,
                    epsilon,
                    protocol.delta,
                    queries=data.public.inputs,
                    records=records if method == "cells" else None,
                    method=method,
                    seed=seed,
                )
                assert result.certificate.scope == "training-record"
                assert result.certificate.verify().upper <= epsilon
                found.setdefault((method, epsilon), []).append(protocol.accuracy(result.student, seed))
    return {key: mean(values) for key, values in found.items()}


@pytest.mark.parametrize(("epsilon", "least"), [(10, 0.83), (3, 0.72), (1, 0.45)])
def test_students_of_noisy_vote_histograms_are_accurate(scores, epsilon, least):
    assert scores["votes", epsilon] >= least


def test_label_only_students_are_worse_by_ten_points_at_epsilon_one(scores):
    assert scores["gnmax", 1] <= scores["votes", 1] - 0.10


def test_counting_records_in_public_cells_beats_asking_teachers(scores):
    assert scores["cells", 1] >= 0.80
    assert scores["cells", 1] >= scores["votes", 1] + 0.2


def test_accuracy_rises_with_epsilon(scores):
    for method in ("votes", "gnmax", "cells"):
        assert scores[method, 1] < scores[method, 3] < scores[method, 10]
