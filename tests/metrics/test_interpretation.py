"""Correlated units, concept axes, insertion and deletion: against loops, with maps that must do worse."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from privkd.metrics import concept_purity, mean_correlation, perturbation_curve, roc_auc

RANDOM = np.random.default_rng(0)


def test_correlations_are_averaged_over_pairs_of_units():
    features = RANDOM.normal(size=(50, 6)) @ RANDOM.normal(size=(6, 6))
    slow = [abs(np.corrcoef(features[:, i], features[:, j])[0, 1]) for i in range(6) for j in range(i)]
    assert mean_correlation(features) == pytest.approx(np.mean(slow))


def test_independent_units_are_near_zero_and_copies_are_one():
    n, d = 4000, 12
    features = RANDOM.normal(size=(n, d))
    expected, pairs = math.sqrt(2 / (math.pi * n)), d * (d - 1) / 2
    assert abs(mean_correlation(features) - expected) < 4.5 * math.sqrt(1 / n / pairs)
    assert mean_correlation(np.repeat(features[:, :1], 3, axis=1) * [1, -2, 5]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("features", "match"),
    [
        (np.ones((5, 3)), "3 of 3 units that never change, first unit 0"),
        (np.eye(2), "rows=2"),
        (np.arange(5.0)[:, None], "units=1"),
        (np.full((5, 3), np.nan), "NaN"),
    ],
)
def test_units_without_correlation_are_refused(features, match):
    with pytest.raises(ValueError, match=match):
        mean_correlation(features)


def test_the_purity_of_an_axis_is_its_area_beside_the_best_unit():
    concept = np.arange(200) % 2
    features = RANDOM.normal(size=(200, 5))
    features[:, 3] += 2 * concept
    features[:, 1] += 0.5 * concept
    found = concept_purity(features, concept, unit=1)
    assert found.purity == roc_auc(features[:, 1], concept)
    assert found.best_unit == 3
    assert found.best_purity == roc_auc(features[:, 3], concept) > 0.8 > found.purity
    with pytest.raises(ValueError, match="unit=5"):
        concept_purity(features, concept, unit=5)
    with pytest.raises(ValueError, match="one class only"):
        concept_purity(features, np.ones(200), unit=0)


WEIGHTS = RANDOM.random((4, 5))


def model(images):
    """A score that is a weighted sum over pixels, of both channels alike."""
    return (images.mean(axis=1) * WEIGHTS).sum(axis=(1, 2)) / WEIGHTS.sum()


def slow_curve(image, importance, mode, baseline=0.0):
    order = sorted(range(20), key=lambda k: -importance.ravel()[k])
    current = image.copy() if mode == "deletion" else np.full_like(image, baseline)
    scores = [model(current[None])[0]]
    for k in order:
        current[:, k // 5, k % 5] = baseline if mode == "deletion" else image[:, k // 5, k % 5]
        scores.append(model(current[None])[0])
    return scores, sum((a + b) / 2 / 20 for a, b in pairwise(scores))


@pytest.mark.parametrize("mode", ["deletion", "insertion"])
@pytest.mark.parametrize("baseline", [0.0, 0.3])
def test_curves_are_those_of_pixels_changed_by_hand(mode, baseline):
    image, importance = RANDOM.random((2, 4, 5)), RANDOM.integers(0, 4, (4, 5)).astype(float)
    found = perturbation_curve(model, image, importance, mode=mode, baseline=baseline)
    scores, area = slow_curve(image, importance, mode, baseline)
    np.testing.assert_allclose(found.scores, scores, atol=1e-12)
    assert found.auc == pytest.approx(area)
    whole = perturbation_curve(model, image, importance, mode=mode, baseline=np.full_like(image, baseline))
    np.testing.assert_array_equal(whole.scores, found.scores)


def test_the_true_map_deletes_faster_and_inserts_earlier_than_random_and_reversed_ones():
    image = np.ones((2, 4, 5))
    for mode, sign in (("deletion", -1), ("insertion", 1)):
        areas = [
            sign * perturbation_curve(model, image, one, mode=mode).auc
            for one in (WEIGHTS, RANDOM.permutation(WEIGHTS.ravel()).reshape(4, 5), -WEIGHTS)
        ]
        assert areas[0] > areas[1] > areas[2]


def test_fewer_steps_change_several_pixels_at_once():
    image = np.ones((2, 4, 5))
    found = perturbation_curve(model, image, WEIGHTS, mode="deletion", steps=3)
    np.testing.assert_allclose(found.fractions, [0, 7 / 20, 13 / 20, 1])
    full = perturbation_curve(model, image, WEIGHTS, mode="deletion")
    np.testing.assert_allclose(found.scores, full.scores[[0, 7, 13, 20]])


def test_many_pixels_go_through_the_model_in_parts():
    sizes = []

    def counting(images):
        sizes.append(len(images))
        return images.mean(axis=(1, 2))

    found = perturbation_curve(counting, np.ones((20, 30)), RANDOM.random((20, 30)), mode="insertion")
    assert max(sizes) <= 256
    assert sum(sizes) == 601 == len(found.scores)
    np.testing.assert_allclose(found.scores, np.arange(601) / 600)


def test_a_model_may_answer_with_tensors():
    network = torch.nn.Linear(3, 1)

    def answer(rows):
        return network(torch.from_numpy(rows).float())[:, 0]

    assert len(perturbation_curve(answer, np.ones(3), np.arange(3.0), mode="deletion").scores) == 4


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"importance": np.ones((3, 3))}, "no map over the last axes"),
        ({"importance": 1.0}, "no map over the last axes"),
        ({"image": np.full((2, 4, 5), np.inf)}, "infinite"),
        ({"baseline": np.zeros((4, 5))}, "shapes must be equal"),
        ({"steps": 21}, "steps=21"),
        ({"model": lambda images: np.ones(1)}, "the model gave 1 scores for 21 images"),
        ({"model": lambda images: images.mean(axis=(1, 2, 3)) * np.nan}, "scores of the model has 21 values"),
    ],
)
def test_maps_and_models_that_do_not_fit_are_refused(change, match):
    given = {"model": model, "image": np.ones((2, 4, 5)), "importance": WEIGHTS, "mode": "deletion"} | change
    with pytest.raises(ValueError, match=match):
        perturbation_curve(given.pop("model"), given.pop("image"), given.pop("importance"), **given)
