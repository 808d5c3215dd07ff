"""Where the spectrum does not decay or the loss has a heavy tail: cut-off losses, noise on top, and fast transforms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.events import Gaussian
from accountants.methods.fourier import accountant
from accountants.methods.fourier.accountant import delta_of, epsilon_of
from accountants.methods.fourier.blur import Blur
from accountants.methods.fourier.equispaced import departures
from accountants.methods.fourier.sampled_spectrum import SampledSpectrum
from accountants.methods.lattice import accountant as lattice

ADD_REMOVE = Adjacency.ADD_REMOVE


def run(sigma, q, count):
    return {Gaussian(sigma).poisson(q): count}


def slowly(points, weights, step, count):
    """The sum, one frequency at a time, in long doubles; 1 - cos as a square, which does not cancel."""
    points, weights = points.astype(np.longdouble), weights.astype(np.longdouble)
    angles = [np.longdouble(step) * m * points for m in range(count + 1)]
    real = [-2.0 * (weights * np.sin(angle / 2) ** 2).sum() for angle in angles]
    imaginary = [(weights * np.sin(angle)).sum() for angle in angles]
    return np.array(real, dtype=float) + 1j * np.array(imaginary, dtype=float)


@given(
    spread=st.floats(1e-9, 1e3),
    step=st.floats(1e-3, 10.0),
    count=st.integers(1, 300),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=60, deadline=None)
def test_departures_are_the_direct_sum_within_their_bound(spread, step, count, seed):
    random = np.random.default_rng(seed)
    points = random.standard_t(2, 200) * spread
    weights = random.random(200)
    weights /= weights.sum()
    found, fixed, rising = departures(points, weights, np.zeros(200, dtype=np.intp), 1, step, count, 1e-16)
    truth = slowly(points, weights, step, count)
    frequencies = step * np.arange(count + 1)
    rounding = 8 * 2.0**-53 * frequencies * (weights @ np.abs(points))  # of step * point, not part of the bound
    assert (np.abs(found[0] - truth) <= fixed[0] + frequencies * rising[0] + rounding + 1e-300).all()


def test_departures_of_points_that_hardly_turn_keep_their_digits():
    points, weights = np.array([1e-9, 2e-9, 3.0]), np.array([0.5, 0.5 - 1e-9, 1e-9])
    found, fixed, rising = departures(points, weights, np.zeros(3, dtype=np.intp), 1, 1.0, 64, 1e-20)
    truth = slowly(points, weights, 1.0, 64)
    assert np.allclose(found[0], truth, rtol=1e-12, atol=0.0)
    assert fixed[0] + rising[0] < 1e-20  # against 1e-16 for the characteristic function itself


def test_leaving_out_terms_is_told_by_the_bound():
    random = np.random.default_rng(0)
    points, weights = random.normal(size=500), np.full(500, 1 / 500)
    found, fixed, rising = departures(points, weights, np.zeros(500, dtype=np.intp), 1, 0.1, 100, 0.2)
    error = np.abs(found[0] - slowly(points, weights, 0.1, 100)).max()
    assert 1e-4 < error <= fixed[0] + 10.0 * rising[0]


def test_groups_do_not_mix():
    points, weights = np.array([1.0, -2.0, 0.3, 5.0]), np.array([0.5, 0.5, 0.7, 0.3])
    together, *_ = departures(points, weights, np.array([0, 0, 1, 1]), 2, 0.7, 20, 1e-16)
    for group, some in enumerate((slice(0, 2), slice(2, 4))):
        alone, *_ = departures(points[some], weights[some], np.zeros(2, dtype=np.intp), 1, 0.7, 20, 1e-16)
        assert np.allclose(together[group], alone[0], rtol=0, atol=1e-13)


def test_what_is_cut_off_is_what_the_tail_holds():
    spectrum = SampledSpectrum({(0.6, 1e-5): 10**5}, 1, math.log(1e-12))
    cut = float(spectrum.cut[0])

    def survival(z):
        return 0.5 * math.erfc(z / math.sqrt(2.0))

    lost = 1e5 * (survival(cut / 0.6) + 1e-5 * survival((cut - 1.0) / 0.6))
    assert 0.3 * 1e-12 < lost <= spectrum.missed <= 1e-12
    assert SampledSpectrum({(0.6, 1e-5): 10**5}, -1, math.log(1e-12)).missed == 0.0  # those losses are bounded


def test_a_cut_that_is_not_paid_for_would_be_noticed(monkeypatch):
    exact = epsilon_of(run(1.1, 0.01, 1000), 1e-5, ADD_REMOVE)
    monkeypatch.setattr(accountant, "MISSED", 1e-3)
    paid = epsilon_of(run(1.1, 0.01, 1000), 1e-5, ADD_REMOVE)
    assert paid.lower <= exact.lower <= exact.upper <= paid.upper

    def without_paying(parts, sign, log_cut):
        total = honest(parts, sign, log_cut)
        total.missed = 0.0
        return total

    honest = accountant.loss_sum
    monkeypatch.setattr(accountant, "loss_sum", without_paying)
    assert epsilon_of(run(1.1, 0.01, 1000), 1e-5, ADD_REMOVE).upper < exact.lower


# The lattice shares no numerics with the inversion.
@pytest.mark.parametrize(
    ("sigma", "q", "count", "delta"),
    [(1.1, 0.01, 10, 1e-5), (0.5, 0.2, 2, 1e-5), (2.0, 0.05, 3, 1e-9)],
)
def test_noise_gives_an_interval_that_the_lattice_agrees_with(sigma, q, count, delta):
    parts = run(sigma, q, count)
    with pytest.raises(ResolutionError):
        epsilon_of(parts, delta, ADD_REMOVE, blur=False)
    blurred, other = epsilon_of(parts, delta, ADD_REMOVE), lattice.epsilon_of(parts, delta, ADD_REMOVE)
    assert blurred.settings["blur"] > 0.0
    assert max(blurred.lower, other.lower) <= min(blurred.upper, other.upper)
    assert blurred.upper - blurred.lower <= max(2e-3, 2e-3 * blurred.upper)


@pytest.mark.parametrize(
    ("sigma", "q", "count", "delta"),
    [(0.5, 0.2, 5, 1e-5), (0.5, 0.001, 10_000, 1e-8), (1.0, 0.001, 50, 1e-6), (0.8, 1e-4, 3000, 1e-7)],
)
def test_large_jumps_need_no_noise_where_the_rest_decays(sigma, q, count, delta):
    found = epsilon_of(run(sigma, q, count), delta, ADD_REMOVE)
    other = lattice.epsilon_of(run(sigma, q, count), delta, ADD_REMOVE)
    assert found.settings["blur"] == 0.0
    assert max(found.lower, other.lower) <= min(found.upper, other.upper)
    assert found.upper - found.lower <= 1e-6 * found.upper


@pytest.mark.parametrize(
    ("sigma", "q", "count", "delta"),
    [(0.46378, 1e-5, 10**5, 1e-6), (0.6, 1e-5, 10**5, 1e-8), (0.66, 1e-4, 10**5, 1e-8), (0.6885, 1e-4, 10**5, 1e-12)],
)
def test_rare_large_jumps_are_resolved(sigma, q, count, delta):
    found = epsilon_of(run(sigma, q, count), delta, ADD_REMOVE)
    assert found.upper - found.lower <= max(2e-3, 2e-3 * found.upper)
    back = delta_of(run(sigma, q, count), found.upper, ADD_REMOVE)
    assert 0.9 * delta < back.lower <= delta * (1 + 1e-9)
    assert back.upper >= back.lower > 0.0


def test_noise_alone_would_move_the_lower_end_above_the_truth(monkeypatch):
    parts = run(1.1, 0.01, 10)
    truth = lattice.epsilon_of(parts, 1e-5, ADD_REMOVE)
    wide = Blur.of(0.05, math.log(1e-5))
    monkeypatch.setattr(Blur, "of", classmethod(lambda cls, shift, log_delta: wide))
    honest = epsilon_of(parts, 1e-5, ADD_REMOVE)
    assert honest.lower <= truth.upper
    assert honest.upper >= truth.lower
    monkeypatch.setattr(Blur, "of", classmethod(lambda cls, shift, log_delta: Blur(wide.mu, 0.0, 0.0)))
    assert epsilon_of(parts, 1e-5, ADD_REMOVE).lower > truth.upper


def test_blur_is_as_likely_to_go_too_far_as_it_says():
    blur = Blur.of(1e-3, math.log(1e-7))
    beyond = 0.5 * math.erfc((blur.shift - 0.5 * blur.mu**2) / blur.mu / math.sqrt(2.0))
    assert blur.missed == pytest.approx(beyond, rel=1e-6)
    assert blur.missed <= 1.01e-11
