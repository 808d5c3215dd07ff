"""Proof: of labels that randomized response has drawn, forward correction with the known channel makes a better classifier.

Digits, 70 % to train on; every training label is drawn once, charged to a ledger, and nothing else sees the true ones. Mean of 3
seeds at eps 1, 2, 3: the negative log-likelihood of test labels is at most 0.75 of plain cross-entropy's, which is what the same
learner does when it is told that no label is wrong; and at eps = 1 accuracy is 0.05 higher. Measured: 0.92, 0.39, 0.22 nats against
1.61, 1.00, 0.56; accuracy 0.710 against 0.612 at eps = 1; told the channel of eps = 3 there, 1.45 nats.
"""

import functools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from accountants import Ledger
from privkd.learners import ForwardCorrection, response_channel
from privkd.mechanisms import KaryResponse
from privkd.mechanisms.noise import SeededNoise
from privkd.networks import VectorNetwork

pytestmark = pytest.mark.proof


@functools.cache
def figures(eps0, told):
    """Accuracy and negative log-likelihood of the test labels, means of 3 seeds; `told` is the epsilon of the channel, or None."""
    inputs, truth = load_digits(return_X_y=True)
    found = []
    for seed in range(3):
        train, test, true_labels, expected = train_test_split(
            (inputs / 16).astype(np.float32), truth, test_size=0.3, random_state=seed, stratify=truth
        )
        ledger = Ledger(adjacency="replace-one")  # counts all answers, as if one person had given them
        released = KaryResponse(eps0, 10).release(torch.from_numpy(true_labels), ledger=ledger, noise=SeededNoise(seed))
        channel = np.eye(10) if told is None else response_channel(10, told)
        learner = ForwardCorrection(VectorNetwork(64, 10, 64), epochs=40, lr=4e-3, seed=seed).fit(
            train, released.numpy(), channel=channel
        )
        right = learner.predict_proba(test)[np.arange(len(expected)), expected]
        found.append([learner.score(test, expected), -np.log(np.maximum(right, 1e-300)).mean()])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("eps0", [1.0, 2.0, 3.0])
def test_the_known_channel_calibrates_and_at_epsilon_1_makes_more_right(eps0):
    accuracy, nll = figures(eps0, told=eps0)
    plain_accuracy, plain_nll = figures(eps0, told=None)
    assert nll <= 0.75 * plain_nll
    assert accuracy >= plain_accuracy + (0.05 if eps0 == 1.0 else -0.02)


def test_a_learner_that_is_told_a_wrong_channel_misses_the_same_bar():
    assert figures(1.0, told=3.0)[1] > 0.75 * figures(1.0, told=None)[1]
