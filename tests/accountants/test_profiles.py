"""Delta curves: certified at every point, falling, and as long as a picture needs them."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from accountants.composition.epsilon import delta
from accountants.errors import AdjacencyError
from accountants.events import ApproxDP, Gaussian, PureDP, RandomizedResponse
from accountants.guarantees.profile import curve, reach


def gaussian_delta(mu, epsilon):
    """The closed form, without any allowance; Balle and Wang 2018."""
    return ndtr(mu / 2 - epsilon / mu) - math.exp(epsilon) * ndtr(-mu / 2 - epsilon / mu)


def test_the_curve_of_gaussians_contains_the_closed_form():
    points = [0.0, 0.1, 1.0, 3.0, 5.0]
    for point, bound in zip(points, curve(Gaussian(1.25), points), strict=True):
        truth = gaussian_delta(0.8, point)
        tolerance = 1e-13 * (1.0 + math.exp(point))  # cancellation in the twin
        assert bound.lower - tolerance <= truth <= bound.upper + tolerance
        assert bound.upper - bound.lower < 1e-10


def test_the_curve_of_one_response_is_exact():
    k, eps0 = 4, 1.5
    keep = math.exp(eps0) / (math.exp(eps0) + k - 1)
    other = keep / math.exp(eps0)
    for point, bound in zip(
        (0.0, 0.7, 1.4), curve(RandomizedResponse(k, eps0), (0.0, 0.7, 1.4), adjacency="replace-one"), strict=True
    ):
        assert bound.lower - 1e-14 <= keep - math.exp(point) * other <= bound.upper + 1e-14


def test_both_ends_fall_whatever_the_order_of_the_points(monkeypatch):
    from accountants.bound import Bound

    rough = {0.0: (0.1, 0.5), 1.0: (0.2, 0.3), 2.0: (0.0, 0.4)}
    monkeypatch.setattr(
        "accountants.guarantees.profile.profile", lambda event, **_: lambda point: Bound(*rough[point], "rough")
    )
    points = [2.0, 0.0, 1.0]
    found = dict(zip(points, curve(Gaussian(1.0), points), strict=True))
    assert {point: (bound.lower, bound.upper) for point, bound in found.items()} == {
        0.0: (0.2, 0.5),
        1.0: (0.2, 0.3),
        2.0: (0.0, 0.3),
    }


def test_points_of_the_curve_are_those_of_delta():
    event = Gaussian(1.1).poisson(0.01) * 1000
    alone = [delta(event, point) for point in (0.5, 1.5)]
    together = curve(event, (0.5, 1.5))
    for one, same in zip(together, alone, strict=True):
        assert max(one.lower, same.lower) <= min(one.upper, same.upper)
        assert one.upper == pytest.approx(same.upper, rel=1e-3)
    assert curve(event, []) == ()


def test_what_delta_refuses_the_curve_refuses():
    with pytest.raises(ValueError, match="epsilon"):
        curve(Gaussian(1.0), [1.0, -1.0])
    with pytest.raises(AdjacencyError):
        curve(RandomizedResponse(3, 1.0), [1.0])


def test_beyond_its_reach_little_is_left():
    for event, tail in ((Gaussian(0.7), 1e-9), (PureDP(0.5) * 8, 1e-6)):
        end = reach(event, tail)
        assert curve(event, [end])[0].upper <= tail * (1 + 1e-9)
        assert curve(event, [0.9 * end])[0].lower > tail
    assert 1.0 < reach(ApproxDP(1.0, 1e-3), 1e-9) < 2.0
    assert reach(Gaussian(0.0), 1e-9) == 0.0
    assert reach(Gaussian(0.01), 1e-9) == 700.0  # e^epsilon is a float everywhere
    assert np.isfinite(np.exp(700.0))
