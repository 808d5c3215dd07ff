"""Average recall against the peer's evaluation, proposal by proposal."""

import numpy as np
import pytest

from privkd.metrics import score_proposals, temporal_iou


def slow_iou(a, b):
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / (a[1] - a[0] + b[1] - b[0] - shared)


def slow(proposals, truths, overlaps, most):
    """Recall at each number of proposals and overlap, by counting."""
    recall = np.zeros((len(overlaps), most))
    for o, overlap in enumerate(overlaps):
        for k in range(most):
            found = total = 0
            for video, real in zip(proposals, truths, strict=True):
                first = sorted(video, key=lambda row: -row[2])[: k + 1]
                total += len(real)
                found += sum(any(slow_iou(row, one) >= overlap for row in first) for one in real)
            recall[o, k] = found / total
    return recall


def videos(seed, number=4, most=12):
    random = np.random.default_rng(seed)

    def segments(n):
        start = random.integers(0, 50, n)
        return np.stack([start, start + random.integers(1, 30, n)], axis=1).astype(float)

    proposals = [np.column_stack([segments(n), random.random(n)]) for n in random.integers(0, most, number)]
    return proposals, [segments(n) for n in [3, *random.integers(0, 4, number - 1)]]


@pytest.mark.parametrize("seed", range(4))
def test_recall_is_that_of_a_count(seed):
    proposals, truths = videos(seed)
    found = score_proposals(proposals, truths, overlaps=(0.3, 0.5, 0.75), most=10)
    np.testing.assert_allclose(found.recall, slow(proposals, truths, (0.3, 0.5, 0.75), 10), atol=1e-12)
    np.testing.assert_allclose(found.average_recall, found.recall.mean(axis=0))
    assert (np.diff(found.average_recall) >= 0).all()


def peer(proposals, truths, most):
    """ActivityNet's curve and area: common shares of the proposals of each video, trapezoids over their mean number."""
    overlaps = np.linspace(0.5, 0.95, 10)
    shares = np.arange(1, most + 1) / most * (most * len(proposals) / sum(map(len, proposals)))
    recall = np.empty((10, most))
    for o, overlap in enumerate(overlaps):
        for j, share in enumerate(shares):
            matched = 0
            for video, real in zip(proposals, truths, strict=True):
                order = np.argsort(video[:, 2])[::-1][: min(int(len(video) * share + 1e-9), len(video))]
                matched += sum((np.array([slow_iou(video[i], one) for i in order]) >= overlap).any() for one in real)
            recall[o, j] = matched / sum(map(len, truths))
    average = recall.mean(axis=0)
    return average, np.trapezoid(average, np.arange(1, most + 1)) / most


def test_curve_and_area_are_those_of_the_peer_where_all_videos_have_as_many_proposals():
    random = np.random.default_rng(0)
    proposals, truths = [], []
    for _ in range(3):
        start = random.uniform(0, 90, 20)
        proposals.append(np.stack([start, start + random.uniform(1, 30, 20), random.random(20)], axis=1))
        truths.append(proposals[-1][:3, :2] + random.normal(scale=0.6, size=(3, 2)))
    found = score_proposals(proposals, truths, most=20)
    average, area = peer(proposals, truths, 20)
    np.testing.assert_allclose(found.average_recall, average, atol=1e-12)
    assert found.auc == pytest.approx(area)
    assert 0.2 < found.auc < 0.95


@pytest.mark.parametrize("n", [1, 3, 5])
def test_perfect_proposals_find_one_more_segment_each(n):
    truth = np.stack([np.arange(n) * 10.0, np.arange(n) * 10.0 + 5], axis=1)
    found = score_proposals([np.column_stack([truth, np.arange(n)])], [truth], most=n)
    np.testing.assert_allclose(found.average_recall, np.arange(1, n + 1) / n)
    assert found.at(1) == pytest.approx(1 / n)
    assert found.at(n) == 1.0


def test_the_ranking_that_was_given_is_worse_than_the_best_one():
    every = zip(*videos(0, number=6, most=40), strict=True)
    proposals, truths = zip(*((p, t) for p, t in every if len(t) and len(p)), strict=True)
    best = [
        np.column_stack([p[:, :2], temporal_iou(p[:, :2], t).max(axis=1)])
        for p, t in zip(proposals, truths, strict=True)
    ]
    assert score_proposals(best, truths).at(2) > score_proposals(proposals, truths).at(2)


def test_videos_without_segments_or_proposals_are_legal():
    found = score_proposals([[], [[0, 1, 0.5]], [[0, 10, 0.5]]], [[[0, 10]], [], [[0, 10]]], most=5)
    np.testing.assert_array_equal(found.average_recall, np.full(5, 0.5))


@pytest.mark.parametrize(
    ("proposals", "truths", "options", "match"),
    [
        ([], [], {}, "none"),
        ([[[0, 1, 1]]], [], {}, "do not fit"),
        ([[[0, 1, 1]]], [[]], {}, "no segment in any video"),
        ([[[0, 1]]], [[[0, 1]]], {}, r"proposals\[0\] has shape"),
        ([[[2, 2, 1]]], [[[0, 1]]], {}, "do not end after they start"),
        ([[[0, np.nan, 1]]], [[[0, 1]]], {}, "NaN"),
        ([[[0, 1, 1]]], [[[0, 1]]], {"overlaps": (0.5, 1.5)}, "overlap_1=1.5"),
        ([[[0, 1, 1]]], [[[0, 1]]], {"most": 0}, "most=0"),
    ],
)
def test_proposals_that_cannot_be_scored_are_refused(proposals, truths, options, match):
    with pytest.raises(ValueError, match=match):
        score_proposals(proposals, truths, **options)
