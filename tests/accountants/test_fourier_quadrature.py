"""Moments of the sampled Gaussian's likelihood ratio: against mpmath, inside the bounds that the code states."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from accountants.errors import ResolutionError
from accountants.methods.fourier.panels import log_ratio
from accountants.methods.fourier.quadrature import Panels
from accountants.methods.fourier.sampled_spectrum import SampledSpectrum
from accountants.methods.fourier.spectrum import GaussianSpectrum

CASES = [
    (0.01, 1.1, 4.6, 0.0),
    (0.01, 1.1, 4.6, 300.0),
    (0.01, 1.1, -3.0, 50.0),
    (0.2, 0.5, 3.0, 20.0),
    (0.5, 0.1, 2.0, 3.0),
    (1e-6, 1.0, 8.0, 1000.0),
    (0.5, 5.0, 60.0, 10.0),
    (0.5, 5.0, -60.0, 10.0),
    (0.999, 2.0, 1.0, 5.0),
]


def integral(q, sigma, exponent):
    """E[r^s] by adaptive quadrature in many digits."""
    with mp.workdps(20):
        sigma, q, exponent = mp.mpf(sigma), mp.mpf(q), mp.mpc(exponent)

        def integrand(x):
            return mp.npdf(x, 0, sigma) * (1 - q + q * mp.e ** ((2 * x - 1) / (2 * sigma**2))) ** exponent

        cuts = {mp.re(centre) + k * sigma for centre in (0, exponent) for k in (-10, -5, -2, 0, 2, 5, 10)}
        cuts = sorted(cuts)
        finer = [a + (b - a) * k / 3 for a, b in itertools.pairwise(cuts) for k in range(3)]
        return mp.quad(integrand, [*finer, cuts[-1]])


def computed(q, sigma, exponent, omega, **options):
    panels = Panels(np.array([q]), np.array([sigma]), (exponent, exponent), omega, **options)
    moments = panels.moments(exponent)
    spectrum = complex(np.sum(moments.weight * np.exp(1j * omega * panels.loss)))
    return spectrum, float(moments.log[0]), float(panels.error(exponent, moments, omega)[0])


@pytest.mark.parametrize(("q", "sigma", "exponent", "omega"), CASES)
def test_moments_are_within_the_stated_error(q, sigma, exponent, omega):
    spectrum, log_moment, bound = computed(q, sigma, exponent, omega)
    truth = integral(q, sigma, exponent + 1j * omega)
    size = integral(q, sigma, exponent).real
    error = abs(mp.mpc(spectrum) * mp.e ** mp.mpf(log_moment) - truth) / size
    assert error <= bound
    assert bound < 1e-10


def test_too_few_nodes_are_told_by_the_bound():
    q, sigma, exponent, omega = 0.01, 1.1, 4.6, 10.0
    spectrum, log_moment, bound = computed(q, sigma, exponent, omega, order=3)
    truth = integral(q, sigma, exponent + 1j * omega)
    error = abs(mp.mpc(spectrum) * mp.e ** mp.mpf(log_moment) - truth)
    assert 1e-12 < error <= bound  # visible, and covered


def test_a_frequency_beyond_the_one_planned_for_is_told_by_the_bound():
    panels = Panels(np.array([0.2]), np.array([1.0]), (3.0, 3.0), 1.0)
    moments = panels.moments(3.0)
    assert panels.error(3.0, moments, 1.0)[0] < 1e-12
    assert panels.error(3.0, moments, 1000.0)[0] > 1.0


def test_a_cut_tail_is_told_by_the_bound():
    spectrum, log_moment, bound = computed(0.1, 1.0, 3.0, 0.0, log_tail=math.log(1e-4))
    error = abs(mp.mpc(spectrum) * mp.e ** mp.mpf(log_moment) / integral(0.1, 1.0, 3.0).real - 1)
    assert 1e-9 < error <= bound < 1e-3


def test_many_events_give_what_each_gives_alone():
    q, sigma = np.array([0.01, 0.3, 1e-5]), np.array([1.1, 4.0, 0.7])
    panels = Panels(q, sigma, (5.0, 5.0), 40.0)
    together = panels.moments(5.0)
    for index in range(3):
        alone = Panels(q[index : index + 1], sigma[index : index + 1], (5.0, 5.0), 40.0).moments(5.0)
        for name in ("log", "mean", "variance"):
            # The sums are near 1; their logs may be tiny and have the same absolute error.
            assert math.isclose(getattr(together, name)[index], getattr(alone, name)[0], rel_tol=1e-12, abs_tol=1e-14)


def test_dropped_nodes_are_accounted_for():
    panels = Panels(np.array([0.01, 0.2]), np.array([1.1, 2.0]), (3.0, 3.0), 5.0)
    moments = panels.moments(3.0)
    atoms = panels.atoms(moments, 1e-6)
    assert len(atoms.loss) < len(panels.loss)
    kept = np.add.reduceat(atoms.weight, atoms.starts)
    assert np.allclose(kept + atoms.dropped, 1.0, rtol=0, atol=1e-14)
    assert (atoms.dropped > 0).all()


def test_the_ratio_is_accurate_where_it_is_tiny_and_where_it_is_huge():
    with mp.workdps(40):
        for x, q, sigma in [(-3.0, 1e-7, 1.0), (0.5, 0.3, 1.0), (50.0, 0.01, 0.5), (2.0, 1e-12, 3.0)]:
            truth = mp.log(1 - mp.mpf(q) + mp.mpf(q) * mp.e ** ((2 * mp.mpf(x) - 1) / (2 * mp.mpf(sigma) ** 2)))
            got = float(log_ratio(np.array([x]), np.array([q]), np.array([sigma]))[0])
            assert got == pytest.approx(float(truth), rel=1e-13, abs=1e-30)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_modulus_stays_below_its_bounds(sign):
    spectrum = SampledSpectrum({(1.1, 0.01): 1}, sign)
    tilt = 3.0
    for left, right in [(5.0, 6.0), (50.0, 60.0), (200.0, 230.0), (700.0, 1000.0)]:
        omegas = np.linspace(left, right, 101)
        lines = [spectrum.lines(tilt, omega, 1, 1e-12).log_modulus[1] for omega in omegas]
        assert max(lines) <= spectrum.ceiling(tilt, left, right)(left, right)
    for omega in (300.0, 900.0, 3000.0):
        assert spectrum.lines(tilt, omega, 1, 1e-12).log_modulus[1] <= spectrum.beyond(tilt, omega)


def test_bounds_on_the_modulus_are_of_use():
    spectrum = SampledSpectrum({(1.1, 0.01): 10_000}, 1)
    assert spectrum.ceiling(3.0, 8.0, 20.0)(9.0, 9.5) < -20.0  # e^-20 of its value at 0
    assert spectrum.beyond(3.0, 1e4) < -1e4


def test_gaussian_spectrum_is_the_normal_law():
    gaussian = GaussianSpectrum(mu=0.5)
    known = gaussian.cumulants(2.0)
    assert (known.log, known.mean, known.variance) == (0.5 * 0.25 * 2 * 3, 0.25 * 2.5, 0.25)
    lines = gaussian.lines(2.0, 1.5, 2, 1e-12)
    assert np.allclose(lines.log_modulus, -0.125 * np.array([0, 1.5, 3.0]) ** 2)
    assert np.allclose(lines.phase, 0.625 * np.array([0, 1.5, 3.0]))


def test_work_without_end_is_refused():
    with pytest.raises(ResolutionError, match="nodes"):
        Panels(np.array([0.5]), np.array([0.001]), (2.0, 2.0), 0.0)
