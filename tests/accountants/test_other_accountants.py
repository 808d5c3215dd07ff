"""Other people's accountants as a second opinion."""

import math

import pytest

from accountants import Gaussian, PureDP, epsilon, gaussian_mu


@pytest.mark.parametrize(("sigma", "q", "count"), [(1.1, 0.01, 1000), (2.0, 0.05, 2000), (0.8, 0.004, 500)])
def test_dp_accounting_agrees_on_renyi_and_is_tighter_by_its_lattice(sigma, q, count):
    pytest.importorskip("dp_accounting")
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.rdp import RdpAccountant

    event = dp_event.PoissonSampledDpEvent(q, dp_event.GaussianDpEvent(sigma))
    ours = epsilon(Gaussian(sigma).poisson(q) * count, 1e-5, method="renyi")
    theirs = RdpAccountant().compose(event, count).get_epsilon(1e-5)
    assert ours.upper <= theirs * (1 + 1e-9)  # they search a fixed grid of orders
    assert math.isclose(ours.upper, theirs, rel_tol=0.01)
    lattice = PLDAccountant(value_discretization_interval=1e-3).compose(event, count).get_epsilon(1e-5)
    exact = epsilon(Gaussian(sigma).poisson(q) * count, 1e-5)
    assert exact.lower <= lattice <= ours.upper
    assert math.isclose(exact.upper, lattice, rel_tol=2e-3)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 5.0])
def test_dp_accounting_agrees_on_gaussians(sigma):
    pytest.importorskip("dp_accounting")
    from dp_accounting import dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(value_discretization_interval=1e-4)
    theirs = accountant.compose(dp_event.GaussianDpEvent(sigma), 3).get_epsilon(1e-5)
    ours = epsilon(Gaussian(sigma) * 3, 1e-5)
    assert math.isclose(ours.upper, theirs, rel_tol=1e-3)
    assert ours.upper <= theirs + 1e-9  # theirs is rounded up


def test_dp_accounting_agrees_on_the_analytic_mechanism():
    pytest.importorskip("dp_accounting")
    from dp_accounting import get_epsilon_gaussian, get_sigma_gaussian

    for eps, target in [(0.1, 1e-6), (1.0, 1e-5), (5.0, 1e-9)]:
        assert math.isclose(1 / gaussian_mu(eps, target), get_sigma_gaussian(eps, target), rel_tol=1e-8)
        sigma = 1 / gaussian_mu(eps, target)
        assert math.isclose(get_epsilon_gaussian(sigma, target), epsilon(Gaussian(sigma), target).upper, rel_tol=1e-7)


def test_prv_accountant_brackets_overlap_ours():
    prv = pytest.importorskip("prv_accountant")
    mechanism = prv.PoissonSubsampledGaussianMechanism(sampling_probability=0.01, noise_multiplier=1.1)
    accountant = prv.PRVAccountant(prvs=[mechanism], max_self_compositions=[1000], eps_error=0.05, delta_error=1e-8)
    lower, _, _ = accountant.compute_epsilon(1e-5, [1000])
    ours = epsilon(Gaussian(1.1).poisson(0.01) * 1000, 1e-5)
    assert ours.upper >= lower
    pure = prv.PRVAccountant(
        prvs=[prv.PureDPMechanism(0.1)], max_self_compositions=[100], eps_error=0.05, delta_error=1e-8
    )
    low, _, high = pure.compute_epsilon(1e-5, [100])
    exact = epsilon(PureDP(0.1) * 100, 1e-5)
    assert low <= exact.upper
    assert exact.lower <= high
