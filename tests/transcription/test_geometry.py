"""Public geometry: clusters, nearest cells and smoothing agree with their slow twins."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.transcription.methods.cells import record_cells
from privkd.transcription.methods.votes import vote_clusters
from privkd.transcription.public_geometry import PublicGeometry, soft_targets


@pytest.fixture(scope="module")
def geometry(data):
    return PublicGeometry.of(data.public.inputs)


def test_nearest_cells_agree_with_a_loop(geometry, data):
    clusters = geometry.clusters(12, seed=0)
    features = geometry.of_others(data.test.inputs[:50])
    slow = [min(range(12), key=lambda c: ((f - clusters.centres[c]) ** 2).sum()) for f in features]
    assert clusters.nearest(features).tolist() == slow


def test_clusters_cover_all_inputs_and_none_is_empty(geometry):
    clusters = geometry.clusters(30, seed=0)
    assert clusters.assignment.shape == (400,)
    assert torch.bincount(clusters.assignment, minlength=len(clusters)).min() > 0
    assert len(geometry.clusters(1000, seed=0)) == 400


def test_repeated_inputs_do_not_make_empty_clusters():
    inputs = torch.zeros(40, 3)
    inputs[20:] = 1.0
    clusters = PublicGeometry.of(inputs).clusters(10, seed=0)
    assert len(clusters) == 2
    assert torch.bincount(clusters.assignment).tolist() == [20, 20]


def test_smoothing_is_the_gaussian_process_mean(geometry):
    rng = np.random.default_rng(0)
    centres, at = geometry.features[:5], geometry.features[5:8]
    observed, variance = rng.random((5, 3)), rng.random(5) * 0.1 + 0.01

    def kernel(a, b):
        return 0.1 * np.exp(-((a - b) ** 2).sum() / (2 * geometry.bandwidth))

    gram = np.array([[kernel(a, b) for b in centres] for a in centres]) + np.diag(variance)
    cross = np.array([[kernel(a, b) for b in centres] for a in at])
    slow = 1 / 3 + cross @ np.linalg.inv(gram) @ (observed - 1 / 3)
    assert np.allclose(geometry.smooth(at, centres, observed, variance), slow, atol=1e-4)


def test_smoothing_trusts_exact_answers_and_falls_back_to_uniform_under_huge_noise(geometry):
    centres, observed = geometry.features[:4], np.eye(4)
    exact = geometry.smooth(centres, centres, observed, np.zeros(4))
    assert np.allclose(exact, observed, atol=1e-3)
    drowned = geometry.smooth(centres, centres, observed, np.full(4, 1e9))
    assert np.allclose(drowned, 0.25, atol=1e-6)


def test_scaling_of_features_does_not_matter():
    rng = torch.Generator().manual_seed(0)
    inputs = torch.rand(60, 4, generator=rng)
    stretched = inputs * torch.tensor([1.0, 1000.0, 0.01, 1.0]) + 7
    a, b = PublicGeometry.of(inputs * 5 - 2), PublicGeometry.of(inputs)
    assert np.allclose(a.features, b.features, atol=1e-5)
    assert abs(PublicGeometry.of(stretched).features).max() < 10


def test_bad_public_inputs_are_refused():
    with pytest.raises(ValueError, match="0 public inputs"):
        PublicGeometry.of(torch.zeros(0, 3))
    with pytest.raises(ValueError, match="NaN"):
        PublicGeometry.of(torch.tensor([[float("nan")]]))


def test_constant_inputs_have_one_cluster_and_finite_geometry():
    geometry = PublicGeometry.of(torch.ones(5, 2))
    assert np.isfinite(geometry.features).all()
    assert geometry.bandwidth > 0


@given(
    teachers=st.integers(2, 5000), mu=st.floats(1e-3, 50), classes=st.integers(2, 100), queries=st.integers(1, 10_000)
)
def test_numbers_of_clusters_stay_within_the_queries(teachers, mu, classes, queries):
    for count in (
        vote_clusters(teachers=teachers, mu=mu, classes=classes, queries=queries),
        record_cells(records=teachers, mu=mu, classes=classes, queries=queries),
    ):
        assert 1 <= count <= queries


def test_soft_targets_are_probabilities_that_follow_the_shares():
    targets = soft_targets(np.array([[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]]))
    assert torch.allclose(targets.sum(dim=1), torch.ones(2))
    assert targets[0].argmax() == 0
    assert torch.allclose(targets[1], torch.full((3,), 1 / 3))
