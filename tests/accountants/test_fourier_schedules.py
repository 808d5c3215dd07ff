"""Schedules: every step has noise and a rate of its own; what bounds the far lines holds and keeps them affordable."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from accountants import Composed, Gaussian, Laplace, calibrate, delta, epsilon
from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError
from accountants.methods.fourier.accountant import delta_of, epsilon_of
from accountants.methods.fourier.loss_sum import loss_sum
from accountants.methods.fourier.quadrature import Panels
from accountants.methods.fourier.sampled_spectrum import SampledSpectrum
from accountants.methods.lattice import accountant as lattice

ADD_REMOVE = Adjacency.ADD_REMOVE


def decaying(steps, sigma, factor, q):
    """Noise that falls by a factor per step."""
    return {Gaussian(sigma * factor**step).poisson(q): 1 for step in range(steps)}


def drawn(steps, sigmas, rates, count=1, seed=0):
    """Noise and a rate of its own in every step."""
    random = np.random.default_rng(seed)
    pairs = zip(random.uniform(*sigmas, steps), random.uniform(*rates, steps), strict=True)
    return {Gaussian(float(sigma)).poisson(float(q)): count for sigma, q in pairs}


def test_a_thousand_decaying_steps_are_resolved_within_seconds():
    start = time.process_time()
    found = epsilon_of(decaying(1000, 1.5, 0.999, 0.01), 1e-5, ADD_REMOVE)
    assert time.process_time() - start < 5.0
    # dp-accounting 0.6.0, connect-the-dots at 1e-3: 4.9091 from above.
    assert 4.9 < found.lower <= found.upper < 4.9091
    assert found.upper - found.lower < 1e-6


def test_without_cutting_rare_large_losses_off_no_answer_is_affordable(monkeypatch):
    monkeypatch.setattr(
        Panels, "upper_cut", lambda self, tails, allowed: (np.full_like(allowed, np.inf), 0.0 * allowed)
    )
    with pytest.raises(ResolutionError):
        epsilon_of(decaying(1000, 1.5, 0.999, 0.01), 1e-5, ADD_REMOVE)


def test_the_public_answer_of_a_schedule_is_narrow_and_calibration_uses_the_budget_up():
    def event(scale):
        return Composed(tuple(Gaussian(scale * 1.5 * 0.999**step).poisson(0.01) for step in range(300)))

    found = epsilon(event(0.85), 1e-5)
    assert found.method == "fourier"
    assert found.upper - found.lower < 1e-6
    assert found.upper < 0.9274  # dp-accounting 0.6.0, from above
    fitted = calibrate(event, epsilon=1.0, delta=1e-5)
    assert fitted.value < 0.851
    assert 0.0 <= fitted.slack <= 1e-3


@pytest.mark.parametrize(
    "parts",
    [
        drawn(60, (0.7, 2.0), (0.002, 0.02), count=4),
        {**drawn(40, (0.6, 3.0), (0.001, 0.05), count=3), Gaussian(4.0): 3},
        drawn(50, (0.6, 0.8), (5e-4, 1e-3), count=20),
    ],
    ids=["sigmas and rates", "beside a release without sampling", "small rates"],
)
def test_the_lattice_which_shares_no_numerics_agrees(parts):
    found, other = epsilon_of(parts, 1e-5, ADD_REMOVE), lattice.epsilon_of(parts, 1e-5, ADD_REMOVE)
    assert max(found.lower, other.lower) <= min(found.upper, other.upper)
    assert other.upper - other.lower < 0.08 * other.upper
    assert found.upper - found.lower < 1e-6
    back = delta_of(parts, found.upper, ADD_REMOVE)
    assert back.lower <= 1e-5 * (1.0 + 1e-9)
    assert back.upper >= 1e-5 * (1.0 - 1e-5)


def test_the_order_and_the_grouping_of_steps_do_not_matter():
    parts = decaying(300, 1.3, 0.999, 0.01)
    forwards, backwards = (epsilon_of(dict(some), 1e-5, ADD_REMOVE) for some in (parts.items(), [*parts.items()][::-1]))
    assert math.isclose(forwards.upper, backwards.upper, rel_tol=1e-9)


def test_a_schedule_costs_between_its_least_and_its_most_noise():
    ends = [epsilon_of({Gaussian(sigma).poisson(0.01): 400}, 1e-6, ADD_REMOVE) for sigma in (1.2, 1.2 * 0.9995**399)]
    found = epsilon_of(decaying(400, 1.2, 0.9995, 0.01), 1e-6, ADD_REMOVE)
    assert ends[0].upper < found.lower <= found.upper < ends[1].lower


def test_steps_that_are_nearly_equal_cost_what_equal_ones_do():
    equal = epsilon_of({Gaussian(1.1).poisson(0.01): 500}, 1e-5, ADD_REMOVE)
    apart = epsilon_of(decaying(500, 1.1, 1.0 - 1e-12, 0.01), 1e-5, ADD_REMOVE)
    assert math.isclose(equal.upper, apart.upper, rel_tol=1e-8)


@pytest.mark.proof
def test_five_thousand_steps():
    start = time.process_time()
    found = epsilon_of(decaying(5000, 1.5, 0.9998, 0.01), 1e-5, ADD_REMOVE)
    assert time.process_time() - start < 15.0
    assert 8.8267 < found.lower <= found.upper < 8.8268


def bounded(spectrum, tilt, omega, width=1e-9):
    return spectrum.ceiling(tilt, 0.9 * omega, 2.0 * omega)(omega, omega * (1.0 + width))


@settings(max_examples=12, deadline=None)
@given(
    sigma=st.floats(0.5, 3.0),
    q=st.floats(1e-3, 0.3),
    tilt=st.floats(0.2, 15.0),
    sign=st.sampled_from([1, -1]),
    steps=st.sampled_from([1, 30, 150]),
)
def test_no_modulus_is_above_its_bounds(sigma, q, tilt, sign, steps):
    counts = {(sigma * (1.0 + 0.3 * step / steps), q): 1 for step in range(steps)}
    spectrum = SampledSpectrum(counts, sign, math.log(1e-15))
    step = 1.0 / math.sqrt(spectrum.cumulants(tilt).variance)
    lines = spectrum.lines(tilt, step, 64, 1e-12)
    for line in (1, 3, 10, 30, 64):
        modulus = lines.log_modulus[line] - lines.excess[line]
        assert modulus <= bounded(spectrum, tilt, line * step) + 1e-9
        assert modulus <= spectrum.beyond(tilt, line * step) + 1e-9


def test_mass_that_is_cut_off_but_not_added_would_be_noticed(monkeypatch):
    spectrum = SampledSpectrum({(1.0, 0.5): 1}, 1, math.log(1e-15))
    step = 0.05 / math.sqrt(spectrum.cumulants(1.0).variance)
    lines = spectrum.lines(1.0, step, 250, 1e-12)
    honest = Panels.upper_cut

    def lowest(share):
        def cut_off(self, tails, allowed):
            cut, beyond = honest(self, tails, np.full_like(allowed, 0.2))
            return cut, share * beyond

        monkeypatch.setattr(Panels, "upper_cut", cut_off)
        return min(bounded(spectrum, 1.0, line * step) - lines.log_modulus[line] for line in range(10, 250, 6))

    assert lowest(1.0) >= 0.0
    assert lowest(0.0) < -1.0


@pytest.mark.parametrize("allowed", [0.3, 0.01, 1e-6])
def test_what_lies_beyond_a_cut_is_at_most_what_is_said(allowed):
    q, sigma = np.array([0.01, 0.3, 0.999]), np.array([0.5, 1.0, 4.0])
    panels = Panels(q, sigma, (1.0, 9.0), 0.0)
    cut, beyond = panels.upper_cut(panels.tails(1.0, panels.moments(1.0)), np.full(3, allowed))
    truth = (1.0 - q) * ndtr(-cut / sigma) + q * ndtr((1.0 - cut) / sigma)  # at s = 1 the law is the mixture itself
    assert (truth <= beyond).all()
    assert (beyond <= allowed).all()
    assert (beyond <= truth + 1e-9).all()
    assert np.isfinite(cut).all()


def test_an_added_record_costs_nothing_beyond_its_largest_loss():
    parts = decaying(300, 1.0, 0.999, 0.01)
    total = loss_sum(parts, -1, -math.inf)
    assert math.isclose(total.largest, -300 * math.log1p(-0.01), rel_tol=1e-6)
    assert total.best_chernoff(total.largest) == 0.0
    assert total.best_chernoff(0.2 * total.largest) > 0.0
    assert loss_sum(parts, 1, -math.inf).largest == math.inf


def test_more_than_200_steps_under_replace_one_are_resolved_too():
    steps = tuple(Gaussian(1.2 * 0.999**step).poisson(0.01) for step in range(210))
    found = epsilon(Composed(steps), 1e-5, adjacency="replace-one")
    assert found.method == "lattice"
    assert found.upper - found.lower < 5e-3 * found.upper


def test_no_number_of_different_events_divides_by_zero():
    # Once the time for 130 events was exactly what they took, which left none for their cells.
    found = epsilon(Composed(tuple(Laplace(20.0 + step / 7) for step in range(130))), 1e-5)
    assert found.method == "lattice"
    assert found.upper - found.lower < 5e-3 * found.upper


def test_delta_of_a_schedule_is_resolved_too():
    event = Composed(tuple(Gaussian(1.2 * 0.999**step).poisson(0.02) for step in range(250)))
    found = delta(event, 1.0)
    assert found.method == "fourier"
    assert found.upper - found.lower < 1e-6 * found.upper
