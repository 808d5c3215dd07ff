"""Saliency measures against loops, on maps that say nothing, and on real fixations with their published anchors."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from privkd.metrics import auc_judd, correlation, divergence, nss, score_saliency, shuffled_auc, similarity

RANDOM = np.random.default_rng(0)
MAP = RANDOM.integers(0, 6, size=(8, 11)).astype(float)
DENSITY = RANDOM.random((8, 11))
LOOKED = np.stack([RANDOM.uniform(0, 11, 15), RANDOM.uniform(0, 8, 15)], axis=1)


def slow_judd(values, looked):
    """Walk down the thresholds at fixated values, adding trapezoids."""
    positives, negatives = values[looked], values[~looked]
    points = [(0.0, 0.0)]
    for threshold in sorted(set(positives.tolist()), reverse=True):
        points.append((np.mean(negatives >= threshold), np.mean(positives >= threshold)))
    points.append((1.0, 1.0))
    return sum((x2 - x1) * (y1 + y2) / 2 for (x1, y1), (x2, y2) in pairwise(points))


def mask(fixations, shape=(8, 11)):
    found = np.zeros(shape, dtype=bool)
    for x, y in fixations:
        found[math.floor(y), math.floor(x)] = True
    return found


@pytest.mark.parametrize("seed", range(4))
def test_areas_are_those_of_loops(seed):
    random = np.random.default_rng(seed)
    values = random.integers(0, 5, size=(8, 11)).astype(float)
    fixations = random.uniform(0, [11, 8], size=(15, 2))
    others = random.uniform(0, [11, 8], size=(30, 2))
    assert auc_judd(values, fixations) == pytest.approx(slow_judd(values, mask(fixations)))
    looked, elsewhere = mask(fixations), mask(others) & ~mask(fixations)
    scores = np.concatenate([values[looked], values[elsewhere]])
    labels = np.repeat([1, 0], [looked.sum(), elsewhere.sum()])
    assert shuffled_auc(values, fixations, others) == pytest.approx(roc_auc_score(labels, scores))


def test_thresholds_lie_at_fixated_values_only():
    """A pixel between two fixated values is judged by a straight line, unlike in a full ROC curve."""
    values = np.array([[3.0, 2.0, 1.0, 0.0]])
    looked = [[0.5, 0.5], [2.5, 0.5]]
    assert auc_judd(values, looked) == pytest.approx(slow_judd(values, mask(looked, (1, 4))))
    assert auc_judd(values, looked) == pytest.approx(0.5 * 0.75 + 0.5 * 1.0)
    assert roc_auc_score([1, 0, 1, 0], values[0]) == pytest.approx(0.75)


def test_measures_of_distributions_are_those_of_loops():
    p, q = MAP / MAP.sum(), DENSITY / DENSITY.sum()
    cells = list(np.ndindex(p.shape))
    assert similarity(MAP, DENSITY) == pytest.approx(sum(min(p[c], q[c]) for c in cells))
    eps = 2.2e-16
    assert divergence(MAP, DENSITY) == pytest.approx(sum(q[c] * math.log(eps + q[c] / (eps + p[c])) for c in cells))
    assert correlation(MAP, DENSITY) == pytest.approx(np.corrcoef(MAP.ravel(), DENSITY.ravel())[0, 1])
    standard = (MAP - MAP.mean()) / MAP.std()
    assert nss(MAP, LOOKED) == pytest.approx(np.mean([standard[math.floor(y), math.floor(x)] for x, y in LOOKED]))


@pytest.mark.parametrize("value", [1.0, 0.1, 1e9, 1e-9])
def test_a_map_that_is_the_same_everywhere_says_nothing(value):
    flat = np.full((8, 11), value)
    assert nss(flat, LOOKED) == correlation(flat, DENSITY) == 0.0
    assert auc_judd(flat, LOOKED) == pytest.approx(0.5)
    assert shuffled_auc(flat, LOOKED, LOOKED[::-1] * 0.9) == 0.5
    assert divergence(flat, DENSITY) == pytest.approx(divergence(np.ones((8, 11)), DENSITY))


def test_the_density_itself_is_perfect():
    found = score_saliency(DENSITY, DENSITY, LOOKED)
    assert found.correlation == pytest.approx(1.0)
    assert found.similarity == pytest.approx(1.0)
    assert found.divergence == pytest.approx(0.0, abs=1e-12)
    assert found.shuffled_auc is None
    assert correlation(-DENSITY, DENSITY) == pytest.approx(-1.0)


@given(st.floats(0.01, 100), st.floats(0, 50))
def test_areas_and_standard_values_do_not_know_scale_nor_offset(scale, offset):
    assert auc_judd(MAP * scale + offset, LOOKED) == pytest.approx(auc_judd(MAP, LOOKED), abs=1e-9)
    assert nss(MAP * scale + offset, LOOKED) == pytest.approx(nss(MAP, LOOKED), abs=1e-6)
    assert similarity(MAP * scale, DENSITY) == pytest.approx(similarity(MAP, DENSITY))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: nss(MAP, [[11.0, 0.0]]), "1 rows outside the map"),
        (lambda: nss(MAP, [[-0.1, 0.0]]), "1 rows outside the map"),
        (lambda: nss(MAP, [[1.0, 2.0, 3.0]]), "rows of x, y"),
        (lambda: nss(MAP, np.zeros((0, 2))), "empty"),
        (lambda: nss(MAP[0], LOOKED), "2 are needed"),
        (lambda: nss(MAP * np.nan, LOOKED), "NaN"),
        (lambda: similarity(MAP - 1, DENSITY), "saliency must be >= 0"),
        (lambda: divergence(MAP, DENSITY * 0), "density must be >= 0 and not 0 everywhere"),
        (lambda: correlation(MAP, DENSITY[:5]), "shapes must be equal"),
        (lambda: shuffled_auc(MAP, LOOKED, LOOKED), "no pixel that was not fixated here"),
        (lambda: auc_judd(np.ones((1, 1)), [[0, 0]]), "every pixel"),
    ],
)
def test_maps_that_cannot_be_scored_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_real_fixations_have_their_published_anchors(shared_file):
    """101 pictures: own map 1.86, centred Gaussian 0.74, the map of another picture 0.31 (NSS)."""
    with np.load(shared_file("data/saliency_etocvd.npz")) as file:
        maps, points, ends = file["maps"].astype(float), file["fix_xy"], file["fix_offsets"].astype(int)
    fixations = [np.clip(points[a:b], 0, [191, 127]) for a, b in pairwise(ends)]
    y, x = np.mgrid[:128, :192]
    centre = np.exp(-(((x - 95.5) / 48) ** 2 + ((y - 63.5) / 32) ** 2) / 2)
    own = np.mean([nss(one, looked) for one, looked in zip(maps, fixations, strict=True)])
    middle = np.mean([nss(centre, looked) for looked in fixations])
    other = np.mean([nss(one, looked) for one, looked in zip(np.roll(maps, 1, axis=0), fixations, strict=True)])
    assert own == pytest.approx(1.86, abs=0.005)
    assert middle == pytest.approx(0.74, abs=0.005)
    assert 0.2 < other < 0.45
    everywhere = np.concatenate(fixations[1:])
    assert shuffled_auc(maps[0], fixations[0], everywhere) > 0.7
    # The centre explains where people look in any picture, so it is worth little against other pictures' fixations.
    shuffled = np.mean([shuffled_auc(centre, looked, everywhere) for looked in fixations[1:20]])
    plain = np.mean([auc_judd(centre, looked) for looked in fixations[1:20]])
    assert shuffled < 0.62 < 0.66 < plain
