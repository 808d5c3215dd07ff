"""Aggregation against slow obvious twins: loops over items, annotators and answers."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from privkd.data import Crowd
from privkd.learners.aggregation import dawid_skene, majority, naive_bayes_posterior, one_coin
from privkd.learners.channels import response_channel, symmetric_channel
from privkd.learners.simulation import beta_crowd, noisy_labels


def crowd_from(table, classes):
    return Crowd.from_dense(
        torch.tensor(np.array(table, dtype=np.int64, order="C")), "test", class_names=tuple(map(str, range(classes)))
    )


def crowd_of(items=60, classes=3, annotators=8, seed=0, per_item=3.0):
    truth = np.arange(items) % classes
    crowd = beta_crowd(truth, classes, annotators=annotators, answers_per_item=per_item, shape=(2.0, 2.0), seed=seed)
    return truth, crowd, crowd_from(crowd.answers, classes)


def slow_posterior(table, channels, prior):
    rows = []
    for row in table:
        joint = [
            prior[k] * math.prod(channels[r][k][label] for r, label in enumerate(row) if label >= 0)
            for k in range(len(prior))
        ]
        rows.append([value / sum(joint) for value in joint])
    return rows


def slow_dawid_skene(table, classes, rounds, *, post=None, smoothing=0.0):
    """The same estimation, an answer at a time; with `post` over pairs of (true class, label before the known channel)."""
    post = np.eye(classes) if post is None else post
    posterior = [
        [sum(label == k for label in row) / sum(label >= 0 for label in row) for k in range(classes)] for row in table
    ]
    channels = [[[0.7 * (k == m) + 0.3 / classes for m in range(classes)] for k in range(classes)] for _ in table[0]]
    for _ in range(rounds):
        prior = [sum(row[k] for row in posterior) / len(table) for k in range(classes)]
        new = []
        for r in range(len(table[0])):
            counts = [[smoothing] * classes for _ in range(classes)]
            for i, row in enumerate(table):
                if row[r] < 0:
                    continue
                for k in range(classes):
                    weights = [channels[r][k][m] * post[m][row[r]] for m in range(classes)]
                    for m in range(classes):
                        counts[k][m] += posterior[i][k] * weights[m] / max(sum(weights), 1e-300)
            new.append([[c / sum(line) if sum(line) else 1 / classes for c in line] for line in counts])
        channels = new
        posterior = slow_posterior(table, [np.array(c) @ post for c in channels], prior)
    return np.array(posterior), np.array(channels)


@given(seed=st.integers(0, 1000), classes=st.integers(2, 4))
@settings(max_examples=8)
def test_dawid_skene_is_the_slow_estimation_an_answer_at_a_time(seed, classes):
    _, crowd, answers = crowd_of(30, classes, 5, seed)
    fast = dawid_skene(answers, iterations=4, tolerance=0.0, smoothing=0.05)
    posterior, channels = slow_dawid_skene(crowd.answers.tolist(), classes, fast.iterations, smoothing=0.05)
    np.testing.assert_allclose(fast.posterior, posterior, atol=1e-7)  # ours keeps probabilities above 1e-10
    np.testing.assert_allclose(fast.channels, channels, atol=1e-7)


def test_dawid_skene_behind_a_known_channel_is_the_slow_estimation_over_hidden_labels():
    _, crowd, _ = crowd_of(30, 3, 5)
    post = symmetric_channel(3, 0.3)
    fast = dawid_skene(crowd_from(crowd.answers, 3), post_channel=post, iterations=4, tolerance=0.0, smoothing=0.05)
    posterior, channels = slow_dawid_skene(crowd.answers.tolist(), 3, fast.iterations, post=post, smoothing=0.05)
    np.testing.assert_allclose(fast.posterior, posterior, atol=1e-7)
    np.testing.assert_allclose(fast.channels, channels, atol=1e-7)
    plain = dawid_skene(crowd_from(crowd.answers, 3), iterations=4, tolerance=0.0, smoothing=0.05)
    assert abs(plain.channels - fast.channels).max() > 0.05


def test_the_likelihood_never_falls():
    _, _, answers = crowd_of(200, 4, 12, 1)
    for method, extra in (
        (dawid_skene, {}),
        (one_coin, {}),
        (dawid_skene, {"post_channel": symmetric_channel(4, 0.2)}),
    ):
        found = [method(answers, iterations=n, tolerance=0.0, **extra).log_likelihood for n in range(1, 12)]
        assert (np.diff(found) > -1e-9).all()
        assert found[-1] > found[0]


def test_naive_bayes_is_the_product_of_all_answers():
    _, crowd, answers = crowd_of()
    prior = np.array([0.5, 0.3, 0.2])
    fast = naive_bayes_posterior(answers, crowd.channels, prior=prior)
    np.testing.assert_allclose(fast.posterior, slow_posterior(crowd.answers, crowd.channels, prior), rtol=1e-10)
    np.testing.assert_allclose(
        naive_bayes_posterior(answers, crowd.channels, beliefs=np.tile(prior, (60, 1))).posterior,
        fast.posterior,
        rtol=1e-10,
    )
    one = naive_bayes_posterior(answers, symmetric_channel(3, 0.2))
    np.testing.assert_allclose(one.channels, np.tile(symmetric_channel(3, 0.2), (8, 1, 1)))


def test_thousands_of_answers_about_one_item_do_not_underflow():
    table = np.where(np.arange(5000) % 5 < 3, 1, 0)[None]
    found = naive_bayes_posterior(crowd_from(table, 2), symmetric_channel(2, 0.4))
    assert found.posterior[0, 1] > 0.999999
    assert np.isfinite(found.log_likelihood)


def test_votes_are_shares_and_ties_go_to_the_lower_class():
    found = majority(crowd_from([[2, 2, 1], [-1, 2, 1]], 3))
    np.testing.assert_allclose(found.posterior, [[0, 1 / 3, 2 / 3], [0, 0.5, 0.5]])
    assert found.labels.tolist() == [2, 1]
    assert found.channels is None


def test_estimated_channels_approach_the_true_ones_and_beat_the_votes():
    truth, crowd, answers = crowd_of(4000, 4, 12, 0, per_item=5.0)
    found = dawid_skene(answers, smoothing=0.01)
    busy = (crowd.answers >= 0).sum(axis=0) > 1000
    assert busy.any()
    tolerance = 4.5 * math.sqrt(
        0.25 / (1000 / 4)
    )  # four standard errors of a share in the smallest row of counts, and a half
    assert abs(found.channels[busy] - crowd.channels[busy]).max() < tolerance
    assert (found.labels == truth).mean() > (majority(answers).labels == truth).mean() + 0.02


def test_a_known_channel_after_the_annotators_is_told_apart_from_their_own():
    """Answers randomized at eps0 = 2 before they leave: what is estimated are the channels before it."""
    truth = np.arange(6000) % 3
    own = symmetric_channel(3, 0.2)
    sent = np.stack(
        [noisy_labels(noisy_labels(truth, own, seed=r), response_channel(3, 2.0), seed=100 + r) for r in range(9)], 1
    )
    answers = crowd_from(sent, 3)
    found = dawid_skene(answers, post_channel=response_channel(3, 2.0))
    blind = dawid_skene(answers)
    assert abs(found.channels - own).max() < 0.08
    assert abs(blind.channels - own).max() > 0.12, (
        "without it, the estimate takes the randomization for the annotators' errors"
    )
    assert (found.labels == truth).mean() > 0.93


def test_an_annotator_without_answers_has_uniform_channels():
    table = np.array([[0, -1, 0], [1, -1, 1], [1, -1, 0]])
    for method in (dawid_skene, one_coin):
        np.testing.assert_allclose(method(crowd_from(table, 2)).channels[1], 0.5, atol=1e-9)


def test_names_of_classes_and_annotators_do_not_matter():
    _, crowd, answers = crowd_of(80, 3, 6, 2)
    swap = np.array([2, 0, 1])
    renamed = np.where(crowd.answers < 0, -1, swap[crowd.answers])[:, ::-1]
    for method in (dawid_skene, one_coin):
        one = method(answers, smoothing=0.1, iterations=20)
        other = method(crowd_from(renamed, 3), smoothing=0.1, iterations=20)
        np.testing.assert_allclose(other.posterior[:, swap], one.posterior, atol=1e-9)
        np.testing.assert_allclose(other.channels[::-1][:, swap][:, :, swap], one.channels, atol=1e-9)


def test_arrays_are_many_times_faster_than_the_loop():
    _, crowd, answers = crowd_of(600, 8, 59, 0)
    start = time.process_time()
    dawid_skene(answers, iterations=3, tolerance=0.0)
    fast, start = time.process_time() - start, time.process_time()
    slow_dawid_skene(crowd.answers.tolist(), 8, 3)
    assert time.process_time() - start > 5 * fast


def known_crowd(path, name):
    """A crowd and its true classes, -1 where nobody knows them."""
    if name == "labelme":
        with np.load(path("data/labelme_crowd/labelme_crowd.npz")) as file:
            return crowd_from(file["answers"], 8), file["y_train"]
    crowd = Crowd.read(path("data/crowd_labels.npz"), part=name)
    return crowd, crowd.truth.numpy()


@pytest.mark.parametrize(
    ("name", "votes", "one", "estimated", "within"),
    [
        ("labelme", 0.769, None, 0.792, 0.01),  # 0.792 of crowd-kit on the same answers
        ("bluebirds", 0.759, 0.722, 0.898, 0.005),  # Zheng et al., PVLDB 10(5), 2017
        ("products", 0.897, 0.928, 0.939, 0.005),
        ("dogs", 0.817, None, 0.842, 0.005),
    ],
)
def test_public_crowds_have_their_known_figures(shared_file, name, votes, one, estimated, within):
    crowd, truth = known_crowd(shared_file, name)
    assert (majority(crowd).labels == truth).mean() == pytest.approx(votes, abs=0.001)
    assert (dawid_skene(crowd).labels == truth).mean() == pytest.approx(estimated, abs=within)
    if one is not None:
        assert (one_coin(crowd).labels == truth).mean() == pytest.approx(one, abs=within)


def test_a_crowd_of_one_class_is_refused():
    with pytest.raises(ValueError, match="has a single class; give it class_names"):
        majority(Crowd.from_dense(torch.zeros(3, 2, dtype=torch.int64), "one"))


def test_settings_of_aggregation_out_of_range_are_refused():
    answers = crowd_from([[0, 1], [1, 1]], 2)
    for call, words in (
        (lambda: dawid_skene(answers, iterations=0), "iterations=0"),
        (lambda: dawid_skene(answers, tolerance=-1.0), "tolerance=-1"),
        (lambda: dawid_skene(answers, smoothing=-1.0), "smoothing=-1"),
        (lambda: one_coin(answers, smoothing=-1.0), "smoothing=-1"),
        (lambda: dawid_skene(answers, post_channel=np.eye(3)), r"post_channel.shape=\(3, 3\)"),
        (lambda: naive_bayes_posterior(answers, np.eye(3)), r"channels.shape=\(3, 3\)"),
        (lambda: naive_bayes_posterior(answers, np.eye(2)), "item 0 is impossible"),
        (lambda: naive_bayes_posterior(answers, symmetric_channel(2, 0.1), prior=[1.0]), r"prior \(shape \(1,\)\)"),
        (
            lambda: naive_bayes_posterior(
                answers, symmetric_channel(2, 0.1), prior=[0.5, 0.5], beliefs=[[0.5, 0.5]] * 2
            ),
            "both",
        ),
        (lambda: naive_bayes_posterior(answers, symmetric_channel(2, 0.1), beliefs=[[0.5, -0.5]] * 2), "beliefs"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
