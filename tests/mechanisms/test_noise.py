"""Noise: the right distribution, from the operating system unless a test says otherwise."""

import math
import os

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


class Planted(NoiseSource):
    """Gives the words it was made with."""

    secure = False

    def __init__(self, *words):
        self.planted = words

    def words(self, count):
        return np.array(self.planted[:count], dtype=np.uint64)


@pytest.mark.parametrize("smallest", [0, 2**64 - 1])
def test_normal_tails_reach_far_and_in_every_direction(smallest):
    for quarter, (cosine, sine) in enumerate([(1, 0), (0, 1), (-1, 0), (0, -1)]):
        pair = Planted(smallest, quarter * 2**62).normal((2,), std=1.0).tolist()
        assert pair == pytest.approx([9.4192 * cosine, 9.4192 * sine], abs=1e-3)


@pytest.mark.parametrize("largest", [2**63, 2**63 - 1])
def test_normal_pairs_of_the_largest_words_are_finite_and_almost_zero(largest):
    pair = Planted(largest, 12345).normal((2,), std=1.0)
    assert (pair.abs() < 1e-7).all()


def test_normal_pairs_are_those_of_box_and_muller():
    words = [2**61 + 7, 3 * 2**60, 2**64 - 2**58, 5 * 2**61 + 99, 17, 2**63 - 5]
    made = Planted(*words).normal((3, 2), std=2.0).flatten().tolist()
    for place in range(3):
        signed = words[place] - 2**64 * (words[place] >= 2**63)
        radius = 2.0 * math.sqrt(-2.0 * math.log(abs(signed + 0.5) / 2**63))
        angle = 2.0 * math.pi * words[3 + place] / 2**64
        assert made[place] == pytest.approx(radius * math.cos(angle), rel=1e-9, abs=1e-12)
        assert made[3 + place] == pytest.approx(radius * math.sin(angle), rel=1e-9, abs=1e-12)


def test_both_halves_of_the_pairs_are_independent():
    one, other = SystemNoise().normal((N,), std=1.0).numpy().reshape(2, -1)
    for first, second in [(one, other), (one**2, other**2), (abs(one), other)]:
        assert abs(np.corrcoef(first, second)[0, 1]) < 6 / math.sqrt(N / 2)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_any_number_of_draws_can_be_made(count):
    assert SystemNoise().normal((count,), std=1.0).shape == (count,)


@pytest.mark.parametrize("count", [100, 10_000])
def test_processes_behind_a_fork_draw_differently(count):
    """A generator whose state the fork copies would give all of them the same noise."""
    noise = SystemNoise()
    noise.words(count)
    read, write = os.pipe()
    for _ in range(2):
        child = os.fork()
        if child == 0:
            os.write(write, noise.words(count)[-4:].tobytes())
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    own = noise.words(count)[-4:].tobytes()
    drawn = os.read(read, 64)
    assert len({drawn[:32], drawn[32:], own}) == 3


@pytest.mark.parametrize("count", [100, 10_000])
def test_every_draw_takes_fresh_entropy_from_the_operating_system(count, monkeypatch):
    asked, real = [], os.urandom
    monkeypatch.setattr("os.urandom", lambda size: asked.append(size) or real(size))
    noise = SystemNoise()
    for _ in range(3):
        noise.words(count)
    assert len(asked) == 3
    assert min(asked) >= 48


def test_words_fill_all_bits_evenly():
    for count in (4000, N):
        bits = np.unpackbits(SystemNoise().words(count).view(np.uint8))
        by_place = bits.reshape(-1, 64).mean(axis=0)
        assert abs(by_place - 0.5).max() < 6 * 0.5 / math.sqrt(len(bits) / 64)


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
