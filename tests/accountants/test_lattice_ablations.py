"""What the lattice would say without one of its ideas: each ablation misses the truth that the whole accountant finds."""

import math

import numpy as np
import pytest

from accountants.adjacency import Adjacency
from accountants.events import Gaussian
from accountants.methods.exact import gaussian
from accountants.methods.lattice import accountant as lattice
from accountants.methods.lattice.first_look import look
from accountants.methods.lattice.law import Tails, upper_law
from accountants.methods.lattice.pairs.gaussian_pairs import GaussianPair
from accountants.methods.lattice.pairs.sampled import SampledPair
from accountants.methods.lattice.transform import compose

ADD_REMOVE = Adjacency.ADD_REMOVE


@pytest.mark.parametrize(
    ("sigma", "q", "count", "delta", "truth", "fixed"),
    [(4.0, 0.00033, 10_000, 1e-9, 0.0412, 0.0456), (1.0, 1e-5, 1000, 1e-5, 0.00071, 0.00169)],
)
def test_a_fixed_step_of_1e4_is_too_coarse_for_rare_sampling(sigma, q, count, delta, truth, fixed):
    answer = lattice.epsilon_of({Gaussian(sigma).poisson(q): count}, delta, ADD_REMOVE)
    assert math.isclose(answer.upper, truth, rel_tol=0.02)
    law = upper_law(SampledPair(GaussianPair(sigma), q), 1e-4, Tails(1e-14, 1e-20))
    coarse = compose([law], [count], look([law], [count], log_delta=math.log(delta)).window, sign=1.0)
    ablated = coarse.epsilon(delta, sign=1.0)[0]
    assert math.isclose(ablated, fixed, rel_tol=0.02)
    assert ablated > 1.1 * answer.upper


@pytest.mark.parametrize("mass", [1e-15, 1e-12])
def test_tails_of_a_fixed_mass_make_small_deltas_infinite(mass):
    law = upper_law(GaussianPair(4.0), 0.01, Tails(mass, mass))
    window = look([law], [10], log_delta=math.log(1e-12)).window
    # Ten releases leave out ten such tails, all of which count as infinite losses.
    assert compose([law], [10], window, sign=1.0).epsilon(5 * mass, sign=1.0)[0] == math.inf
    answer = lattice.epsilon_of({Gaussian(4.0): 10}, 5 * mass, ADD_REMOVE)
    low, high = gaussian.epsilon_of(math.sqrt(10) / 4.0, 5 * mass)
    assert answer.lower <= high
    assert low <= answer.upper <= high + 1e-2


def test_an_untilted_transform_has_no_digits_at_small_deltas():
    """Round-off of a plain transform is a share of the largest mass, not of the tail."""
    sigma, q, count, delta, step = 1.1, 0.1, 200, 1e-15, 5e-3
    law = upper_law(SampledPair(GaussianPair(sigma), q), step, Tails(1e-20, 1e-22))
    window = look([law], [count], log_delta=math.log(delta)).window
    end, numeric = compose([law], [count], window, sign=1.0).epsilon(delta, sign=1.0)
    assert numeric <= 1e-3 * delta
    size = 2**16
    untilted = np.fft.irfft(np.fft.rfft(law.mass, size) ** count, size)
    losses = (count * law.first + np.arange(size)) * step
    plain = float(np.maximum(-np.expm1(np.minimum(end - losses, 0.0)), 0.0) @ untilted)
    assert abs(plain / delta - 1.0) > 0.1
    # Its own error bound says so: cells above epsilon times the rounding of one cell.
    assert float((losses > end).sum()) * 2.0**-53 > delta
