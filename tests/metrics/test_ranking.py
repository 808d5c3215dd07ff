"""Retrieval against a loop that removes junk and walks down each list."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from privkd.metrics import retrieval


def slow(distances, query, gallery, query_camera, gallery_camera, ranks):
    first, precisions, skipped = [], [], 0
    for q in range(len(query)):
        listed = sorted(range(len(gallery)), key=lambda g: distances[q, g])
        listed = [g for g in listed if not (gallery[g] == query[q] and gallery_camera[g] == query_camera[q])]
        right = [gallery[g] == query[q] for g in listed]
        if not any(right):
            skipped += 1
            continue
        first.append(right.index(True) + 1)
        found = 0
        values = []
        for place, hit in enumerate(right, 1):
            found += hit
            if hit:
                values.append(found / place)
        precisions.append(sum(values) / len(values))
    return {k: sum(f <= k for f in first) / len(first) for k in ranks}, sum(precisions) / len(precisions), skipped


@pytest.mark.parametrize("seed", range(5))
def test_rankings_are_scored_as_by_a_loop(seed):
    random = np.random.default_rng(seed)
    query, gallery = random.integers(6, size=12), random.integers(5, size=30)
    cameras = random.integers(3, size=12), random.integers(3, size=30)
    distances = random.integers(4, size=(12, 30)).astype(float)  # many ties
    found = retrieval(distances, query, gallery, query_cameras=cameras[0], gallery_cameras=cameras[1], ranks=(1, 5, 10))
    cmc, precision, skipped = slow(distances, query, gallery, *cameras, (1, 5, 10))
    assert found.cmc == pytest.approx(cmc)
    assert found.mean_average_precision == pytest.approx(precision)
    assert (found.queries, found.skipped) == (12 - skipped, skipped)
    assert skipped > 0 or 5 not in query


def test_without_ties_and_cameras_the_precision_is_that_of_scikit_learn():
    random = np.random.default_rng(0)
    query, gallery, distances = np.arange(5), np.repeat(np.arange(5), 4), random.random((5, 20))
    wanted = np.mean([average_precision_score(gallery == q, -distances[q]) for q in query])
    assert retrieval(distances, query, gallery).mean_average_precision == pytest.approx(wanted)


def test_equal_distances_keep_the_order_of_the_gallery():
    assert retrieval(np.zeros((1, 3)), [1], [0, 0, 1], ranks=(1, 3)).cmc == {1: 0.0, 3: 1.0}
    assert retrieval(np.zeros((1, 3)), [1], [1, 0, 0], ranks=(1, 3)).cmc == {1: 1.0, 3: 1.0}


def test_a_picture_by_the_same_camera_is_no_success():
    distances = [[0.0, 0.5, 0.9]]
    alone = retrieval(distances, [1], [1, 2, 1], ranks=(1,))
    across = retrieval(distances, [1], [1, 2, 1], query_cameras=[0], gallery_cameras=[0, 1, 1], ranks=(1,))
    assert (alone.cmc[1], across.cmc[1]) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"distances": [[np.nan, 1.0]]}, "NaN"),
        ({"distances": np.zeros((0, 2))}, "empty"),
        ({"distances": [[0.0, 1.0, 2.0]]}, "columns of distances 3, gallery_identities 2"),
        ({"query_identities": [1, 2]}, "distances 1, query_identities 2"),
        ({"query_cameras": [0]}, "one side only"),
        ({"query_cameras": [0], "gallery_cameras": [0]}, "do not fit"),
        ({"query_identities": [9]}, "none of the 1 queries"),
        ({"ranks": (0,)}, "rank_0=0"),
    ],
)
def test_rankings_that_cannot_be_scored_are_refused(change, match):
    given = {"distances": [[0.0, 1.0]], "query_identities": [1], "gallery_identities": [1, 2]} | change
    with pytest.raises(ValueError, match=match):
        retrieval(given.pop("distances"), given.pop("query_identities"), given.pop("gallery_identities"), **given)
