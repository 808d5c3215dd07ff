"""Audits from below: the distributions of two neighbouring inputs are never further apart than claimed, and nearly as far."""

import math

import pytest
import torch
from scipy.stats import beta

from accountants import Ledger, epsilon
from privkd.mechanisms import KaryResponse, SeededNoise, VoteHistogram

RUNS = 20_000
TAIL = 0.0005  # Clopper-Pearson at 99.9 %


def interval(hits: int, n: int) -> tuple[float, float]:
    low = beta.ppf(TAIL, hits, n - hits + 1) if hits else 0.0
    high = beta.ppf(1 - TAIL, hits + 1, n - hits) if hits < n else 1.0
    return float(low), float(high)


def empirical_epsilon(hits_a: int, hits_b: int, n: int, delta: float) -> float:
    """Lower bound on epsilon from how often an output event occurs under two neighbouring inputs."""
    low_a, _ = interval(hits_a, n)
    _, high_b = interval(hits_b, n)
    return math.log(max(low_a - delta, 1e-300) / high_b)


@pytest.mark.parametrize("eps0", [0.5, 1.0, 3.0])
def test_randomized_response_is_as_private_as_claimed_and_not_much_more(eps0):
    def run(answer):
        account = Ledger(adjacency="replace-one")
        return KaryResponse(eps0, 4).release(torch.full((RUNS,), answer), ledger=account, noise=SeededNoise(answer))

    hits_a, hits_b = int((run(0) == 0).sum()), int((run(1) == 0).sum())
    lower = empirical_epsilon(hits_a, hits_b, RUNS, 0.0)
    assert 0.5 * eps0 <= lower <= eps0
    leaky = int(0.1 * RUNS)  # a fault that tells the truth 10 % more often is caught
    assert empirical_epsilon(min(RUNS, hits_a + leaky), max(0, hits_b - leaky), RUNS, 0.0) > eps0


@pytest.mark.parametrize("rows", [1, 8])
def test_noisy_votes_are_as_private_as_claimed_and_not_much_more(rows):
    """Worst neighbouring votes: every row moves one vote from one class to another."""
    sigma, delta, teachers = 2.0 * math.sqrt(rows), 1e-3, 10
    votes = {"a": torch.tensor([[10.0, 0.0, 0.0]]), "b": torch.tensor([[9.0, 1.0, 0.0]])}

    def statistic(which, scale):
        account = Ledger(adjacency="replace-one")
        table = votes[which].repeat(RUNS * rows, 1)
        mechanism = VoteHistogram(sigma * scale)
        out = mechanism.release(table, teachers=teachers, ledger=account, noise=SeededNoise(ord(which)))
        return (out[:, 0] - out[:, 1]).reshape(RUNS, rows).sum(dim=1)  # the most powerful test

    claim = epsilon(VoteHistogram(sigma).event() * rows, delta, adjacency="replace-one").upper

    def audited(scale):
        a, b = statistic("a", scale), statistic("b", scale)
        threshold = torch.quantile(a, 0.9)
        return empirical_epsilon(int((a > threshold).sum()), int((b > threshold).sum()), RUNS, delta)

    assert 0.2 * claim <= audited(1.0) <= claim
    assert audited(0.25) > claim  # a quarter of the noise is caught
