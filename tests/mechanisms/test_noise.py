"""Noise: the right distribution, from the operating system unless a test says otherwise."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from privkd.mechanisms import NoiseSource, SeededNoise, SystemNoise
from privkd.mechanisms.noise import coarsen

N = 200_000


def false_alarm_ks(n: int) -> float:
    """Kolmogorov distance exceeded with probability 1e-6 (asymptotic)."""
    return math.sqrt(-0.5 * math.log(0.5e-6) / n)


@pytest.mark.parametrize("noise", [SystemNoise(), SeededNoise(0)], ids=["system", "seeded"])
@pytest.mark.parametrize("std", [0.3, 40.0])
def test_normal_draws_follow_the_normal_distribution(noise, std):
    draws = noise.normal((N,), std=std).numpy()
    assert stats.kstest(draws, "norm", args=(0, std)).statistic < false_alarm_ks(N)
    assert stats.kstest(draws, "norm", args=(0, std * 1.05)).statistic > false_alarm_ks(N)  # the test can fail


def test_normal_draws_are_uncorrelated_across_cells():
    draws = SystemNoise().normal((N // 10, 10), std=1.0).numpy()
    correlation = np.corrcoef(draws.T) - np.eye(10)
    assert abs(correlation).max() < 6 / math.sqrt(N // 10)


def test_normal_tails_are_symmetric_and_finite_at_the_extreme_words():
    class Extreme(NoiseSource):
        secure = False

        def words(self, count):
            return np.array([0, 1, 2**64 - 1, 2**64 - 2], dtype=np.uint64)[:count]

    low, high, middle, other = Extreme().normal((4,), std=1.0).tolist()
    assert high == -low
    assert 9.0 < low < 9.5
    assert abs(middle) < 1e-15
    assert abs(other) < 1e-15


def test_zero_std_gives_exact_zeros():
    assert torch.equal(SystemNoise().normal((3, 2), std=0.0), torch.zeros(3, 2, dtype=torch.float64))


@pytest.mark.parametrize("probability", [0.0, 1e-3, 0.5, 0.9, 1.0])
def test_bernoulli_hits_its_probability(probability):
    hits = SystemNoise().bernoulli(N, threshold=round(probability * 2**64)).double().mean().item()
    assert abs(hits - probability) <= 5 * math.sqrt(probability * (1 - probability) / N)


@pytest.mark.parametrize("below", [1, 3, 10])
def test_integers_are_uniform(below):
    counts = torch.bincount(SystemNoise().integers(N, below=below), minlength=below).numpy()
    assert len(counts) == below
    assert below == 1 or stats.chisquare(counts).pvalue > 1e-6


def test_integers_reject_words_that_would_favour_small_remainders():
    class Stream(NoiseSource):
        secure = False

        def __init__(self):
            self.queue = [2**64 - 1, 5]

        def words(self, count):
            head, self.queue = self.queue[:count], self.queue[count:]
            return np.array(head, dtype=np.uint64)

    assert Stream().integers(1, below=10).tolist() == [5]  # 2^64 - 1 lies in the incomplete last block


def test_system_noise_never_repeats_and_seeded_noise_does():
    assert not torch.equal(SystemNoise().normal((4,), std=1.0), SystemNoise().normal((4,), std=1.0))
    assert torch.equal(SeededNoise(3).normal((4,), std=1.0), SeededNoise(3).normal((4,), std=1.0))
    assert SystemNoise().secure
    assert not SeededNoise(3).secure


def test_system_noise_ignores_global_seeds():
    torch.manual_seed(0)
    np.random.seed(0)
    first = SystemNoise().normal((4,), std=1.0)
    torch.manual_seed(0)
    np.random.seed(0)
    assert not torch.equal(first, SystemNoise().normal((4,), std=1.0))


def test_coarsen_moves_values_by_less_than_a_grid_step_and_hides_low_bits():
    values = torch.randn(1000, dtype=torch.float64) * 100
    released = coarsen(values, std=3.0)
    grid = 2.0 ** (1 - 16)
    assert (released - values).abs().max() <= grid / 2
    assert torch.equal(released / grid, torch.round(released / grid))
    assert not torch.equal(values / grid, torch.round(values / grid))


@pytest.mark.parametrize("std", [-1.0, float("nan"), float("inf"), "1", True])
def test_bad_std_is_refused(std):
    with pytest.raises((ValueError, TypeError), match="std"):
        SystemNoise().normal((2,), std=std)
