"""Labels that randomized response has drawn, and the channel that a learner is told: one is the other."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from accountants import Ledger
from privkd.learners import inverse_response_channel, response_channel, selective_response_channel
from privkd.mechanisms import CandidateSets, KaryResponse, SelectiveResponse
from privkd.mechanisms.noise import SeededNoise

LABELS = np.tile(load_digits().target, 20)


def counted(truth, given):
    return np.bincount(truth * 10 + given, minlength=100).reshape(10, 10)


def keeps_as_said(counts, channel):
    """Whether the share of kept labels of every class lies within 3 standard errors of the channel's."""
    totals = counts.sum(axis=1)
    keep = np.diagonal(channel)
    return (abs(np.diagonal(counts) / totals - keep) < 3 * np.sqrt(keep * (1 - keep) / totals)).all()


@pytest.mark.parametrize("eps0", [1.0, 2.0, 3.0])
def test_the_channel_estimated_from_draws_is_the_one_that_is_told(eps0):
    ledger = Ledger(adjacency="replace-one")
    given = KaryResponse(eps0, 10).release(torch.from_numpy(LABELS), ledger=ledger, noise=SeededNoise(0)).numpy()
    counts, channel = counted(LABELS, given), response_channel(10, eps0)
    assert keeps_as_said(counts, channel)
    assert not keeps_as_said(counts, response_channel(10, eps0 + 0.1))
    others = counts[~np.eye(10, dtype=bool)] / (counts.sum() / 10)
    change = channel[0, 1]
    assert abs(others.mean() - change) < 3 * math.sqrt(change / counts.sum())
    unbiased = counts.sum(axis=0) @ inverse_response_channel(10, eps0)  # expected counts of the true classes
    spread = math.sqrt(len(LABELS)) / (channel[0, 0] - change)
    assert (abs(unbiased - np.bincount(LABELS)) < 3 * spread).all()
    assert ledger.epsilon(0.0).upper >= eps0


def test_the_channel_of_a_candidate_set_is_the_one_that_is_drawn_in_it():
    ledger = Ledger(adjacency="replace-one")
    sets = torch.tensor([[1, 4, 7]]).repeat(len(LABELS), 1)
    given = SelectiveResponse(1.0).release(
        torch.from_numpy(LABELS), CandidateSets(sets, 10), ledger=ledger, noise=SeededNoise(0)
    )
    counts, channel = counted(LABELS, given.numpy()), selective_response_channel([[1, 4, 7]], 10, 1.0)[0]
    totals = counts.sum(axis=1, keepdims=True)
    assert (abs(counts / totals - channel) <= 4.5 * np.sqrt(channel * (1 - channel) / totals)).all()
    wrong = selective_response_channel([[1, 4, 7]], 10, 1.5)[0]
    assert not (abs(counts / totals - wrong) <= 4.5 * np.sqrt(wrong * (1 - wrong) / totals)).all()
