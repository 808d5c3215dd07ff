import math

import numpy as np
import pytest

from privkd.learners.channels import as_channel, pair_channel, symmetric_channel
from privkd.learners.simulation import beta_crowd, instance_dependent_crowd, noisy_label_sets, noisy_labels

TRUTH = np.arange(30_000) % 3
INPUTS = np.random.RandomState(0).rand(300, 4)
SMALL = np.arange(300) % 3


def close(counts, expected):
    """Whether shares of `counts` lie within 4.5 standard errors of what is expected (a false alarm in 1.5e5)."""
    total = counts.sum(axis=-1, keepdims=True)
    error = np.sqrt(np.clip(expected * (1 - expected), 1e-12, None) / total)
    return (abs(counts / total - expected) <= 4.5 * error).all()


def counted(truth, given, classes):
    return np.bincount(truth * classes + given, minlength=classes**2).reshape(classes, classes).astype(float)


def test_labels_go_through_their_channel_and_through_no_other():
    channel = np.array([[0.7, 0.3, 0.0], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]])
    counts = counted(TRUTH, noisy_labels(TRUTH, channel, seed=0), 3)
    assert close(counts, channel)
    assert (counts[channel == 0] == 0).all()
    assert not close(counts, channel[:, [1, 0, 2]])
    assert not close(counts, symmetric_channel(3, 0.2))


def test_each_label_may_have_a_channel_of_its_own():
    channels = np.stack([pair_channel(3, float(row % 2)) for row in range(300)])
    given = noisy_labels(SMALL, channels, seed=1)
    assert (given == (SMALL + np.arange(300) % 2) % 3).all()


def test_seeds_repeat_draws_and_others_do_not():
    channel = symmetric_channel(3, 0.5)
    assert (noisy_labels(TRUTH, channel, seed=3) == noisy_labels(TRUTH, channel, seed=3)).all()
    assert (noisy_labels(TRUTH, channel, seed=3) != noisy_labels(TRUTH, channel, seed=4)).any()


def test_label_sets_are_switched_at_their_two_rates():
    truth = np.tile([[0, 1], [1, 0]], (10_000, 1))
    given = noisy_label_sets(truth, 0.1, 0.3, seed=0)
    rates = np.array([given[truth == 0].mean(), 1 - given[truth == 1].mean()])
    assert (abs(rates - [0.1, 0.3]) < 4.5 * math.sqrt(0.25 / 20_000)).all()
    assert (noisy_label_sets(truth, 0.0, 0.0, seed=0) == truth).all()


def test_the_channels_of_an_instance_dependent_crowd_are_what_its_answers_follow():
    truth = np.arange(3000) % 3
    points = np.tile(INPUTS[:3], (1000, 1))
    crowd = instance_dependent_crowd(points, truth, 3, rate=0.3, annotators=6, kinds=2, redundancy=3.0, seed=0)
    assert crowd.channels.shape == (3000, 2, 3, 3)
    as_channel(crowd.channels)
    item, worker = np.nonzero(crowd.answers >= 0)
    rows = crowd.channels[item, crowd.group[worker], truth[item]]
    given = crowd.answers[item, worker]
    expected, found = rows.sum(axis=0), np.bincount(given, minlength=3)
    assert (abs(found - expected) < 4.5 * np.sqrt((rows * (1 - rows)).sum(axis=0))).all()
    wrong = 1 - crowd.channels[np.arange(3000), 0, truth, truth]
    assert 0 <= wrong.min() <= wrong.max() <= 0.6
    assert abs(wrong.mean() - 0.3) < 4.5 * 0.1 / math.sqrt(3000)
    assert wrong.std() > 0.08, "rates differ from item to item"


def test_every_item_of_an_instance_dependent_crowd_is_answered_and_as_often_as_asked():
    crowd = instance_dependent_crowd(INPUTS, SMALL, 3, rate=0.2, annotators=20, kinds=3, redundancy=2.0, seed=1)
    answers = (crowd.answers >= 0).sum(axis=1)
    assert answers.min() >= 1
    expected = 1 + 19 * (1.0 / 20)  # the one drawn, and each of the others with probability 1/20
    assert abs(answers.mean() - expected) < 4.5 * math.sqrt(1.0 / 300)


def test_a_beta_crowd_answers_by_its_channels_and_its_work_is_unequal():
    truth = np.arange(6000) % 4
    crowd = beta_crowd(truth, 4, annotators=30, answers_per_item=4.0, seed=0)
    as_channel(crowd.channels)
    assert (crowd.answers >= 0).any(axis=1).all()
    for group, accuracy in enumerate((0.85, 0.60, 0.35)):
        item, worker = np.nonzero((crowd.answers >= 0) & (crowd.group == group))
        counts = counted(truth[item], crowd.answers[item, worker], 4)
        channel = crowd.channels[group]
        assert close(counts, channel)
        np.testing.assert_allclose(np.diagonal(channel), accuracy)
        assert (np.sort(channel, axis=1)[:, :2] <= channel.max(axis=1, keepdims=True)).all()
        np.testing.assert_allclose(channel[0, (1 + group) % 4 if group < 3 else 1], 0.7 * (1 - accuracy))
    work = np.sort((crowd.answers >= 0).sum(axis=0))
    even = np.sort(
        (beta_crowd(truth, 4, annotators=30, answers_per_item=4.0, shape=(1e4, 1e4), seed=0).answers >= 0).sum(axis=0)
    )
    assert work[-1] > 10 * max(work[3], 1)
    assert even[-1] < 1.5 * even[0]


def test_copies_agree_within_a_group_and_change_no_channel():
    truth = np.arange(6000) % 4
    agreements = []
    for copied in (0.0, 0.8):
        crowd = beta_crowd(
            truth,
            4,
            annotators=6,
            answers_per_item=4.0,
            shape=(50.0, 50.0),
            accuracies=(0.5, 0.5),
            copied=copied,
            seed=0,
        )
        item, worker = np.nonzero((crowd.answers >= 0) & (crowd.group == 1))
        # copies repeat each other, so that the effective number of answers is that of the items
        found = (crowd.answers[item, worker] == truth[item]).mean()
        assert abs(found - 0.5) < 4.5 * math.sqrt(0.25 / len(np.unique(item)))
        first, second = crowd.answers[:, 1], crowd.answers[:, 3]
        both = (first >= 0) & (second >= 0)
        agreements.append((first[both] == second[both]).mean())
    alone = 0.5**2 + 0.35**2 + 2 * 0.075**2  # chance that two own answers agree: right, favourite, the two others
    assert abs(agreements[0] - alone) < 0.05
    assert abs(agreements[1] - (0.8 + 0.2 * alone)) < 0.05


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: noisy_labels([0, 3], symmetric_channel(3, 0.1), seed=0), r"labels\[1\]"),
        (lambda: noisy_labels([0.0, 1.0], symmetric_channel(3, 0.1), seed=0), "whole numbers"),
        (lambda: noisy_labels([0, 1], np.tile(np.eye(2), (3, 1, 1)), seed=0), "for 2 labels"),
        (lambda: noisy_labels([0, 1], np.eye(2), seed=-1), "seed=-1"),
        (lambda: noisy_label_sets([[0, 2]], 0.1, 0.1, seed=0), "0 or 1"),
        (lambda: instance_dependent_crowd(INPUTS, SMALL, 3, rate=0.7, annotators=3, kinds=1, redundancy=1, seed=0), "rate=0.7"),
        (lambda: instance_dependent_crowd(INPUTS, SMALL, 3, rate=0.2, annotators=2, kinds=3, redundancy=1, seed=0), "annotators=2"),
        (lambda: instance_dependent_crowd(INPUTS, SMALL, 3, rate=0.2, annotators=2, kinds=1, redundancy=3, seed=0), "redundancy=3"),
        (lambda: beta_crowd(SMALL, 2, seed=0), r"labels\[2\]"),
        (lambda: beta_crowd(SMALL, 3, annotators=2, seed=0), "annotators=2"),
        (lambda: beta_crowd(SMALL, 3, answers_per_item=0.0, seed=0), "answers_per_item=0.0"),
        (lambda: beta_crowd(SMALL, 3, shape=(0.0, 1.0), seed=0), "first_shape=0.0"),
        (lambda: beta_crowd(SMALL, 3, accuracies=(1.5,), seed=0), "accuracy=1.5"),
        (lambda: beta_crowd(SMALL, 3, copied=2.0, seed=0), "copied=2.0"),
    ],
)  # fmt: skip
def test_what_cannot_be_simulated_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
