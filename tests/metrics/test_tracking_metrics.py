"""Tracking scores against frame-by-frame loops in the toolkits' arithmetic, against got10k, and on real sequences."""

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from privkd.metrics import (
    centre_distance,
    complete_iou,
    frames_per_second,
    iou,
    mean_scores,
    score_sequence,
    state_accuracy,
)
from privkd.metrics.tracking import OVERLAPS, PIXELS, SIZES

CURVES = ("success", "precision", "normalised_precision", "complete_success")


def boxes(seed, frames=60, empty=0.2):
    """Boxes on a coarse grid, so that ties at thresholds happen, some of them empty."""
    random = np.random.default_rng(seed)
    found = np.concatenate([random.integers(0, 40, (frames, 2)), random.integers(1, 24, (frames, 2))], axis=1) / 2
    found[random.random(frames) < empty] = 0
    found[0] = [1, 2, 8, 6]
    return found


def near(truth, seed, spread=4):
    random = np.random.default_rng(seed)
    found = truth + random.integers(-spread, spread + 1, truth.shape) / 2
    found[:, 2:] = np.maximum(found[:, 2:], 0)
    found[random.random(len(truth)) < 0.1] = 0
    return found


def slow_iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (a[2] * a[3] + b[2] * b[3] - shared + np.finfo(float).eps)


def slow_complete(a, b):
    """CIoU with v = 0 for flat boxes and no distance between equal points."""
    apart = (a[0] + a[2] / 2 - b[0] - b[2] / 2) ** 2 + (a[1] + a[3] / 2 - b[1] - b[3] / 2) ** 2
    wide = max(a[0] + a[2], b[0] + b[2]) - min(a[0], b[0])
    high = max(a[1] + a[3], b[1] + b[3]) - min(a[1], b[1])
    v = 0.0
    if a[3] > 0 and b[3] > 0:
        v = 4 / math.pi**2 * (math.atan(b[2] / b[3]) - math.atan(a[2] / a[3])) ** 2
    far = apart / (wide**2 + high**2) if wide or high else 0.0
    return slow_iou(a, b) - far - (v / (1 - slow_iou(a, b) + v + np.finfo(float).eps) * v)


def slow_mmot(predicted, truth):
    """One frame at a time, in the order of operations of the toolkit; 0 / 0 is NaN and passes nothing."""
    rows = []
    started = predicted.copy()
    started[0] = truth[0]
    eps = np.finfo(float).eps
    with np.errstate(all="ignore"):
        for a, b in zip(started, truth, strict=True):
            distance = math.dist(a[:2] + (a[2:] - 1) / 2, b[:2] + (b[2:] - 1) / 2)
            scaled = [(x[:2] + (x[2:] - 1) / 2) / (b[2:] + 1e-16) for x in (a, b)]
            centre1, centre2 = a[:2] + a[2:] / 2, b[:2] + b[2:] / 2
            low = np.maximum(centre1 - a[2:] / 2, centre2 - b[2:] / 2)
            high = np.minimum(centre1 + a[2:] / 2, centre2 + b[2:] / 2)
            shared = np.prod(np.maximum(high - low, 0))
            overlap = shared / (a[2] * a[3] + b[2] * b[3] - shared)
            around = np.maximum(centre1 + a[2:] / 2, centre2 + b[2:] / 2) - np.minimum(
                centre1 - a[2:] / 2, centre2 - b[2:] / 2
            )
            far = np.sum((centre2 - centre1) ** 2) / np.sum(around**2)
            v = (4 / math.pi**2) * (np.arctan(b[2] / b[3]) - np.arctan(a[2] / a[3])) ** 2
            complete = overlap - far - v / (1 - overlap + v + eps) * v
            rows.append(
                (slow_iou(a, b), distance, np.sqrt(np.sum((scaled[0] - scaled[1]) ** 2)), np.clip(complete, 0, 1))
            )
    overlap, distance, scaled, complete = np.array(rows).T
    accuracy = [slow_iou(a, b) if b.any() else 0.0 for a, b in zip(predicted, truth, strict=True)]
    return {
        "success": [np.mean(overlap > t) for t in np.linspace(0, 1, 21)],
        "precision": [np.mean(distance <= t) for t in np.arange(0, 51)],
        "normalised_precision": [np.mean(scaled <= t) for t in np.linspace(0, 0.5, 51)],
        "complete_success": [np.mean(complete > t) for t in np.linspace(0, 1, 21)],
        "accuracy": np.mean(accuracy),
    }


@pytest.mark.parametrize("seed", range(8))
def test_parity_gives_the_figures_of_the_toolkit(seed):
    truth = boxes(seed)
    predicted = near(truth, seed + 100)
    found, slow = score_sequence(predicted, truth, parity="mmot"), slow_mmot(predicted, truth)
    for name, value in slow.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=0, atol=1e-9, err_msg=name)


def test_parity_shows_the_traits_of_the_toolkit_and_the_default_does_not():
    """Where the target is absent, a tracker that answers zeros is precise there; a right claim of absence earns nothing."""
    truth = np.array([[4.0, 4, 4, 4], [0, 0, 0, 0], [4, 4, 4, 4]])
    parity, ours = score_sequence(truth, truth, parity="mmot"), score_sequence(truth, truth)
    assert (parity.precision_20, ours.precision_20) == (1.0, pytest.approx(2 / 3))
    assert (parity.accuracy, ours.accuracy) == (pytest.approx(2 / 3), pytest.approx(1.0))
    assert score_sequence(truth, truth, absent="skip").precision_20 == 1.0


def slow_scores(predicted, truth, present, claimed, absent):
    overlap, distance, scaled, complete, accuracy, kept = [], [], [], [], [], []
    for t in range(len(truth)):
        a, b = (truth[0] if t == 0 else predicted[t]), truth[t]
        both = present[t] and (claimed[t] or t == 0)
        offset = (a[:2] + a[2:] / 2) - (b[:2] + b[2:] / 2)
        overlap.append(slow_iou(a, b) if both else 0.0)
        complete.append(slow_complete(a, b) if both else 0.0)
        distance.append(math.hypot(*offset) if both else math.inf)
        scaled.append(math.hypot(*(offset / b[2:])) if both else math.inf)
        accuracy.append(overlap[-1] if present[t] else float(not claimed[t]))
        kept.append(present[t] or absent == "count")
    rows = [np.array(one)[kept] for one in (overlap, distance, scaled, complete)]
    seen = np.array(overlap)[1:][np.array(present)[1:]]
    return {
        "success": [np.mean(rows[0] > t) for t in OVERLAPS],
        "precision": [np.mean(rows[1] <= t) for t in PIXELS],
        "normalised_precision": [np.mean(rows[2] <= t) for t in SIZES],
        "complete_success": [np.mean(np.maximum(rows[3], 0) > t) for t in OVERLAPS],
        "accuracy": np.mean(accuracy),
        "average_overlap": seen.mean(),
        "success_50": np.mean(seen > 0.5),
        "success_75": np.mean(seen > 0.75),
    }


@pytest.mark.parametrize("absent", ["count", "skip"])
@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_a_loop_over_frames(seed, absent):
    random = np.random.default_rng(seed)
    truth = boxes(seed, empty=0.0) + 0.137
    predicted = np.maximum(truth + random.normal(size=truth.shape), 0)
    present, claimed = random.random(60) < 0.8, random.random(60) < 0.8
    present[0] = claimed[0] = True
    found = score_sequence(predicted, truth, present=present, claimed=claimed, absent=absent)
    slow = slow_scores(predicted, truth, present, claimed, absent)
    for name, value in slow.items():
        np.testing.assert_allclose(getattr(found, name), value, rtol=0, atol=1e-12, err_msg=name)
    assert found.auc == pytest.approx(np.mean(slow["success"]))
    assert found.complete_auc == pytest.approx(np.mean(slow["complete_success"]))
    assert found.normalised_auc == pytest.approx(np.mean(slow["normalised_precision"]))


@given(st.integers(0, 10_000))
def test_scores_stay_in_their_bounds(seed):
    truth = boxes(seed, frames=12)
    found = score_sequence(near(truth, seed), truth)
    for name in CURVES:
        curve = getattr(found, name)
        assert (curve >= 0).all()
        assert (curve <= 1).all()
        assert (np.diff(curve) <= 1e-12).all() or (np.diff(curve) >= -1e-12).all()
    assert 0 <= found.complete_auc <= found.auc + 1e-12 <= 1
    assert found.success_75 <= found.success_50


def test_a_perfect_tracker_reaches_one_but_for_the_strict_last_threshold():
    truth = boxes(0, empty=0)
    found = score_sequence(truth, truth)
    assert found.auc == found.complete_auc == pytest.approx(20 / 21)
    assert found.precision_20 == found.normalised_auc == 1.0
    assert found.average_overlap == pytest.approx(1.0)
    assert score_sequence(truth + np.array([1000, 0, 0, 0]), truth).average_overlap == 0.0


def test_the_threshold_of_success_is_strict_and_that_of_precision_is_not():
    truth = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    half = score_sequence([[0, 0, 10, 10], [0, 0, 5, 10]], truth)  # IoU exactly 1/2
    assert half.success[9] == 1.0
    assert half.success[10] == 0.5
    twenty = score_sequence([[0, 0, 10, 10], [20, 0, 10, 10]], truth)
    assert (twenty.precision[19], twenty.precision[20]) == (0.5, 1.0)


def test_the_first_answer_is_replaced_by_the_truth():
    truth = boxes(1, empty=0)
    wrong = truth.copy()
    wrong[0] = [900, 900, 1, 1]
    assert score_sequence(wrong, truth).auc == score_sequence(truth, truth).auc


def test_boxes_are_compared_as_by_got10k():
    toolkit = pytest.importorskip("got10k.utils.metrics")
    truth = boxes(2, frames=300)
    predicted = near(truth, 5, spread=9)
    np.testing.assert_allclose(iou(predicted, truth), toolkit.rect_iou(predicted, truth), atol=1e-12)
    np.testing.assert_allclose(centre_distance(predicted, truth), toolkit.center_error(predicted, truth), atol=1e-12)


def test_overlap_and_success_rates_of_sequences_are_those_of_got10k():
    experiments = pytest.importorskip("got10k.experiments.got10k")
    from got10k.utils.metrics import rect_iou

    sequences = [boxes(seed, frames=frames, empty=0.1) for seed, frames in ((3, 20), (4, 70))]
    tracked = [near(truth, seed) for seed, truth in enumerate(sequences)]
    seen = [(truth != 0).any(axis=1)[1:] for truth in sequences]
    every = [rect_iou(a[1:], b[1:])[c] for a, b, c in zip(tracked, sequences, seen, strict=True)]
    overlap, rate, _, _ = experiments.ExperimentGOT10k._evaluate(None, np.concatenate(every), np.array([]))
    found = mean_scores([score_sequence(a, b) for a, b in zip(tracked, sequences, strict=True)])
    assert found.average_overlap == pytest.approx(overlap, abs=1e-12)
    assert found.success_50 == pytest.approx(rate, abs=1e-12)
    assert found.frames == sum(map(sum, seen))


def test_complete_overlap_is_that_of_a_loop_also_for_flat_boxes():
    truth = boxes(7, frames=200)
    predicted = near(truth, 8)
    slow = [slow_complete(a, b) for a, b in zip(predicted, truth, strict=True)]
    np.testing.assert_allclose(complete_iou(predicted, truth), slow, atol=1e-12)
    assert np.isfinite(complete_iou(np.zeros((1, 4)), np.zeros((1, 4)))).all()
    assert centre_distance([[1, 1, 2, 2]], [[0, 0, 0, 0]], normalised=True)[0] == math.inf


def test_sequences_count_alike_in_curves_and_an_attribute_of_the_toolkit_is_diluted():
    truths = [boxes(seed, frames=frames) for seed, frames in ((0, 10), (1, 90))]
    parts = [score_sequence(near(truth, 3), truth) for truth in truths]
    found = mean_scores(parts)
    np.testing.assert_allclose(found.success, (parts[0].success + parts[1].success) / 2)
    assert mean_scores(parts[:1], out_of=4).auc == pytest.approx(parts[0].auc / 4)
    with pytest.raises(ValueError, match="sequences is empty"):
        mean_scores([])
    with pytest.raises(ValueError, match="out_of=1"):
        mean_scores(parts, out_of=1)


def test_a_target_that_is_never_seen_again_has_no_overlap():
    truth = np.array([[1.0, 1, 2, 2], [0, 0, 0, 0]])
    found = score_sequence(truth, truth)
    assert math.isnan(found.average_overlap)
    assert found.frames == 0
    whole = mean_scores([found, score_sequence(boxes(0), boxes(0))])
    assert whole.average_overlap == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("predicted", "options", "match"),
    [
        ([[0, 0, 2, 2]] * 3, {}, "predicted 3, truth 2"),
        ([[0, 0, 2, 2], [0, 0, np.nan, 2]], {}, "NaN or infinite, first in row 1"),
        ([[0, 0, 2, 2], [0, 0, -1, 2]], {}, "negative width or height, first row 1"),
        ([[0, 0, 2], [0, 0, 2]], {}, "x, y, width, height"),
        ([[0, 0, 2, 2]] * 2, {"absent": "drop"}, "absent"),
        ([[0, 0, 2, 2]] * 2, {"parity": "mmot", "claimed": [1, 1]}, "parity"),
        ([[0, 0, 2, 2]] * 2, {"present": [0, 1]}, "absent in the first frame"),
        ([[0, 0, 2, 2]] * 2, {"present": [1]}, "present 1"),
    ],
)
def test_sequences_that_cannot_be_scored_are_refused(predicted, options, match):
    with pytest.raises(Exception, match=match):
        score_sequence(predicted, [[0, 0, 2, 2], [1, 1, 2, 2]], **options)


def test_one_frame_is_no_sequence():
    with pytest.raises(ValueError, match="two or more"):
        score_sequence([[0, 0, 1, 1]], [[0, 0, 1, 1]])


BOX = np.tile([4.0, 4, 2, 2], (10, 1))
TWO_ABSENT = np.arange(10) < 8


def test_state_accuracy_of_the_cases_of_the_challenge():
    assert state_accuracy(BOX, TWO_ABSENT, BOX, TWO_ABSENT, penalty=True) == pytest.approx(1.0)
    assert state_accuracy(BOX, np.zeros(10), BOX, np.ones(10), penalty=True) == pytest.approx(-0.2)
    assert state_accuracy(BOX, np.ones(10), BOX, TWO_ABSENT) == pytest.approx(0.8)
    assert state_accuracy(BOX, np.zeros(10), BOX, np.zeros(10), penalty=True) == 1.0
    # One false empty answer in a hundred costs .2 * .01^.3 = .050 beyond its frame.
    box, claimed = np.tile(BOX, (10, 1)), np.arange(100) > 0
    lost = 1 - state_accuracy(box, claimed, box, np.ones(100), penalty=True)
    assert lost == pytest.approx(0.01 + 0.2 * 0.01**0.3)
    with pytest.raises(ValueError, match="lengths differ"):
        state_accuracy(BOX, np.ones(9), BOX, np.ones(10))


def test_frames_per_second_leave_the_initialisation_out():
    assert frames_per_second([100.0, 0.1, 0.3]) == pytest.approx(5.0)
    for bad in ([1.0], [1.0, 0.0], [1.0, np.nan]):
        with pytest.raises(ValueError, match="seconds"):
            frames_per_second(bad)


def test_a_million_frames_would_take_seconds():
    truth = np.tile(boxes(0, frames=100, empty=0), (2_000, 1))
    began = time.process_time()
    score_sequence(truth + 0.3, truth)
    assert time.process_time() - began < 5 * 0.2  # 200 000 of a million


@pytest.mark.parametrize(
    ("name", "low", "high"), [("Car4", 0.1, 0.9), ("tir_horse", 0.02, 0.5), ("tlp_CarChase2", 0.1, 0.9)]
)
def test_a_box_that_stays_loses_real_targets(shared_file, name, low, high):
    path = shared_file(f"data/tracking/{name}/groundtruth_rect.txt")
    truth = np.loadtxt(path, delimiter=",", ndmin=2) - [1, 1, 0, 0]
    static = score_sequence(np.tile(truth[0], (len(truth), 1)), truth)
    assert low < static.auc < high
    assert static.auc < score_sequence(truth, truth).auc == pytest.approx(20 / 21)
    parity = score_sequence(np.tile(truth[0], (len(truth), 1)), truth, parity="mmot")
    assert parity.auc == pytest.approx(static.auc, abs=1e-9)


ELEVEN = (
    *("Car4", "Crossing", "bag", "ball1", "tir_airplane", "tir_horse"),
    *("tlp_CarChase2", "uav_boat1", "uav_person12_1", "uav_wakeboard7"),
)


def test_the_static_box_reaches_the_figure_that_was_measured_elsewhere(shared_file):
    """Success AUC .233 on eleven real sequences (Jogging is the mean of its two targets)."""

    def static(name, file="groundtruth_rect.txt"):
        truth = np.loadtxt(shared_file(f"data/tracking/{name}/{file}"), delimiter=",", ndmin=2) - [1, 1, 0, 0]
        return score_sequence(np.tile(truth[0], (len(truth), 1)), truth)

    jogging = mean_scores([static("Jogging", f"groundtruth_rect.{target}.txt") for target in (1, 2)])
    whole = mean_scores([*map(static, ELEVEN), jogging])
    assert whole.auc == pytest.approx(0.233, abs=0.0006)
