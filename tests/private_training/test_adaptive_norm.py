"""The adaptive clipping norm finds its quantile, and both of its releases together cost what is charged."""

import math

import pytest
import torch

from accountants import Gaussian, epsilon
from privkd.mechanisms import SeededNoise
from privkd.mechanisms.noise import NoiseSource
from privkd.private_training import Quantile


class Silent(NoiseSource):
    secure = False

    def words(self, count):
        raise AssertionError("nothing is drawn here")

    def normal(self, shape, *, std):
        return torch.zeros(shape, dtype=torch.float64)


def found(rule, norms, steps=1500, noise=None, multiplier=1.0):
    bound = rule.start
    for _ in range(steps):
        centred = float(rule.centred(norms, bound))
        bound = rule.next(bound, centred, multiplier=multiplier, divisor=len(norms), noise=noise or Silent())
    return bound


@pytest.mark.parametrize("target", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("start", [0.01, 1.0, 100.0])
def test_the_norm_goes_to_the_quantile(start, target):
    norms = torch.linspace(0.01, 10.0, 1001)
    assert found(Quantile(start=start, target=target), norms) == pytest.approx(10.0 * target, rel=0.02)


def test_noise_moves_it_but_not_away():
    norms = torch.linspace(0.01, 10.0, 1001)
    bound = found(Quantile(start=1.0), norms, noise=SeededNoise(0), multiplier=4.0)
    assert bound == pytest.approx(5.0, rel=0.15)
    assert bound != pytest.approx(5.0, rel=1e-6)


def test_both_releases_together_cost_what_is_charged():
    rule = Quantile(count_share=0.04)
    for multiplier in (0.5, 1.0, 7.0):
        gradients, count = rule.gradient_multiplier(multiplier), rule.count_noise(multiplier)
        both = Gaussian(gradients) + Gaussian(count / 0.5)  # a record moves the centred count by a half
        assert epsilon(both, 1e-5).upper <= epsilon(Gaussian(multiplier), 1e-5).upper * (1 + 1e-6)
        assert epsilon(both, 1e-5).upper == pytest.approx(epsilon(Gaussian(multiplier), 1e-5).upper, rel=1e-3)


@pytest.mark.parametrize("norm", [0.0, 0.5, 3.0, math.inf])
def test_one_record_moves_the_centred_count_by_a_half(norm):
    norms = torch.rand(20, generator=torch.Generator().manual_seed(0)) * 2
    more = torch.cat([norms, torch.tensor([norm])])
    assert abs(float(Quantile.centred(more, 1.0) - Quantile.centred(norms, 1.0))) == 0.5


@pytest.mark.parametrize(
    "setting", [{"start": 0.0}, {"target": 0.0}, {"target": 1.0}, {"rate": -1.0}, {"count_share": 1.0}]
)
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Quantile(**setting)
