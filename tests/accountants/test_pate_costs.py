"""Costs of GNMax, LNMax and threshold tests at given votes: right values, true upper bounds, in the stated direction."""

import itertools
import json
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from accountants.pate.confident import check_log_q, confidence, realised_costs
from accountants.pate.gnmax import gnmax_log_q, gnmax_renyi
from accountants.pate.lnmax import lnmax_log_q, lnmax_renyi

ORDERS = np.array([1.5, 2.0, 3.0, 6.0])


def table(*counts):
    return np.array([counts], dtype=float)


# ---------------------------------------------------------------------------------------------- slow and obvious twins


def slow_gnmax_log_q(counts, sigma):
    top = max(range(len(counts)), key=lambda j: counts[j])
    tails = [
        mp.erfc((mp.mpf(counts[top]) - counts[j]) / (2 * mp.mpf(sigma))) / 2 for j in range(len(counts)) if j != top
    ]
    return mp.log(min(sum(tails), 1 - mp.mpf(1) / len(counts)))


def slow_gnmax_renyi(log_q, sigma, alpha):
    log_q, sigma, alpha = mp.mpf(log_q), mp.mpf(sigma), mp.mpf(alpha)
    independent = alpha / sigma**2
    mu2 = sigma * mp.sqrt(-log_q)
    mu1 = mu2 + 1
    e1, e2 = mu1 / sigma**2, mu2 / sigma**2
    if not (mu1 > alpha and mu2 > 1 and -log_q > e2):
        return independent
    if log_q > (mu2 - 1) * e2 - mu2 * (mp.log(mu1 / (mu1 - 1)) + mp.log(mu2 / (mu2 - 1))):
        return independent
    q = mp.exp(log_q)
    a = (1 - q) / (1 - (q * mp.exp(e2)) ** (1 - 1 / mu2))
    b = mp.exp(e1) / q ** (1 / (mu1 - 1))
    return min(independent, mp.log((1 - q) * a ** (alpha - 1) + q * b ** (alpha - 1)) / (alpha - 1))


def slow_lnmax_log_q(counts, scale):
    top = max(range(len(counts)), key=lambda j: counts[j])
    behind = [(mp.mpf(counts[top]) - counts[j]) / scale for j in range(len(counts)) if j != top]
    return mp.log(min(sum((2 + d) / (4 * mp.exp(d)) for d in behind), 1 - mp.mpf(1) / len(counts)))


def slow_lnmax_renyi(log_q, scale, alpha):
    q, level, alpha = mp.exp(mp.mpf(log_q)), 2 / mp.mpf(scale), mp.mpf(alpha)
    always = min(alpha * level**2 / 2, level)
    if q > 1 / (1 + mp.exp(level)):
        return always
    moment = (1 - q) * ((1 - q) / (1 - q * mp.exp(level))) ** (alpha - 1) + q * mp.exp(level * (alpha - 1))
    return min(always, mp.log(moment) / (alpha - 1))


counts_strategy = st.lists(st.integers(0, 300), min_size=2, max_size=8)


@given(counts=counts_strategy, sigma=st.floats(0.5, 200.0), alpha=st.floats(1.01, 60.0))
def test_gnmax_agrees_with_fifty_digits_and_is_not_below(counts, sigma, alpha):
    with mp.workdps(400):
        slow_q = slow_gnmax_log_q(counts, sigma)
        found_q = gnmax_log_q(table(*counts), sigma)
        assert math.isclose(found_q[0], slow_q, rel_tol=1e-12)
        slow = slow_gnmax_renyi(float(slow_q), sigma, alpha)
        found = gnmax_renyi(np.array([float(slow_q)]), sigma, alpha)[0, 0]
    assert found >= float(slow) * (1 - 1e-15)
    # The slack is 1e-10 of the sum and 1e-13 of the terms before the division by alpha - 1.
    assert found <= float(slow) * (1 + 1e-9) + 1e-299


@given(counts=counts_strategy, scale=st.floats(0.2, 100.0), alpha=st.floats(1.01, 60.0))
def test_lnmax_agrees_with_fifty_digits_and_is_not_below(counts, scale, alpha):
    with mp.workdps(400):
        slow_q = slow_lnmax_log_q(counts, scale)
        assert math.isclose(lnmax_log_q(table(*counts), scale)[0], slow_q, rel_tol=1e-12)
        slow = slow_lnmax_renyi(float(slow_q), scale, alpha)
        found = lnmax_renyi(np.array([float(slow_q)]), scale, alpha)[0, 0]
    assert found >= float(slow) * (1 - 1e-15)
    assert found <= float(slow) * (1 + 1e-9) + 1e-299


def test_reference_values_are_reached(shared_file):
    cases = json.loads(shared_file("specs/accounting-reference.json").read_text())["pate"]
    for case in cases:
        orders = case["orders"]
        if case["kind"] == "gaussian_threshold":
            noise = {"threshold": case["threshold"], "sigma1": case["sigma"]}
            reached = np.array([case["max_count"]], dtype=float)
            log_q, passed = check_log_q(reached, **noise), math.exp(case["log_pr_answered"])
            shown = math.log(min(passed, 1.0 - passed))
            costs = gnmax_renyi(log_q, math.sqrt(2.0) * case["sigma"], orders)
        elif case["kind"] == "gnmax":
            log_q, shown = gnmax_log_q(table(*case["counts"]), case["sigma"]), case["logq"]
            costs = gnmax_renyi(log_q, case["sigma"], orders)
        else:
            log_q, shown = lnmax_log_q(table(*case["counts"]), case["scale"]), case["logq"]
            costs = lnmax_renyi(log_q, case["scale"], orders)
        assert log_q[0] == pytest.approx(shown, rel=1e-8), case["id"]
        assert costs[0] == pytest.approx(case["rdp"], rel=1e-8, abs=0.0), case["id"]
    assert len(cases) >= 10


@pytest.mark.parametrize(
    ("name", "log_q", "sigma", "alpha"),
    [
        ("order1 > alpha", -4.0, 3.0, 7.5),  # order1 = 7
        ("order2 > 1", -4.0, 0.4, 1.5),  # order2 = 0.8
        ("q small enough", -6.568593401639023, 0.39127480426774597, 1.736492177169629),
    ],
)
def test_where_a_condition_fails_the_data_independent_cost_is_given(name, log_q, sigma, alpha):
    assert gnmax_renyi(np.array([log_q]), sigma, alpha)[0, 0] == pytest.approx(alpha / sigma**2, rel=1e-14), name


def test_each_condition_is_needed_and_confident_votes_cost_less():
    assert gnmax_renyi(np.array([-4.0]), 3.0, 6.5)[0, 0] < 6.5 / 9  # order1 = 7 > alpha
    assert lnmax_renyi(np.array([-3.0]), 1.0, 2.0)[0, 0] < 2.0 - 1e-6  # e^-3 < 1 / (1 + e^2)
    assert lnmax_renyi(np.array([-2.0]), 1.0, 2.0)[0, 0] == 2.0  # e^-2 > 1 / (1 + e^2)


def test_costs_are_never_zero_and_never_nan_for_extreme_votes():
    for spread in (1.0, 1e3, 1e8, 1e15):
        for noise in (1e-3, 1.0, 1e6):
            for log_q, curve in (
                (gnmax_log_q(table(spread, 0), noise), gnmax_renyi),
                (lnmax_log_q(table(spread, 0), noise), lnmax_renyi),
            ):
                costs = curve(log_q, noise, [1.001, 2.0, 1e4])
                assert (costs > 0.0).all(), (spread, noise)


@pytest.mark.parametrize("alpha", [1.0, 0.5, math.nan, math.inf, [2.0, 1.0], [[2.0]]])
def test_orders_out_of_range_are_refused(alpha):
    with pytest.raises(ValueError, match="orders > 1"):
        gnmax_renyi(np.array([-5.0]), 2.0, alpha)
    with pytest.raises(ValueError, match="orders > 1"):
        lnmax_renyi(np.array([-5.0]), 2.0, alpha)


# ------------------------------------------------------------------------------- exact laws of the argmax, all neighbours


def histograms(teachers, classes):
    for cuts in itertools.combinations(range(teachers + classes - 1), classes - 1):
        yield tuple(b - a - 1 for a, b in itertools.pairwise((-1, *cuts, teachers + classes - 1)))


def neighbours(counts):
    for giver, taker in itertools.permutations(range(len(counts)), 2):
        if counts[giver]:
            moved = list(counts)
            moved[giver] -= 1
            moved[taker] += 1
            yield tuple(moved)


def gaussian_argmax(counts, sigma):
    """Trapezoid sum of the analytic density of 'class j is largest': geometric convergence."""
    n = np.array(counts, dtype=float)
    points = np.arange(-13 * sigma, n.max() + 13 * sigma, sigma / 20)
    u = (points[:, None] - n) / sigma
    density = np.exp(-0.5 * u * u) / math.sqrt(2 * math.pi) / 20
    return np.array([(density[:, j] * np.delete(ndtr(u), j, axis=1).prod(axis=1)).sum() for j in range(len(n))])


def laplace_argmax(counts, scale):
    """Gauss-Legendre between the kinks, where the density is a sum of exponentials."""
    n = np.array(counts, dtype=float)
    knots = np.arange(-45 * scale, n.max() + 45 * scale, scale)
    knots = np.unique(np.concatenate([knots, n]))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    half = 0.5 * np.diff(knots)[:, None]
    points = (0.5 * (knots[1:] + knots[:-1])[:, None] + half * nodes).ravel()
    u = (points[:, None] - n) / scale
    below = np.where(u < 0, 0.5 * np.exp(np.minimum(u, 0)), 1 - 0.5 * np.exp(-np.maximum(u, 0)))
    density = np.exp(-np.abs(u)) / (2 * scale) * (half * weights).ravel()[:, None]
    return np.array([(density[:, j] * np.delete(below, j, axis=1).prod(axis=1)).sum() for j in range(len(n))])


def divergence(p, q, alpha):
    """Rényi divergence; the likeliest outcome is taken as one minus the others, so that tiny values keep their digits."""
    rest = [j for j in range(len(p)) if j != int(np.argmax(p))]
    log_kept = alpha * math.log1p(-p[rest].sum()) + (1 - alpha) * math.log1p(-q[rest].sum())
    return math.log1p(math.expm1(log_kept) + (p[rest] ** alpha * q[rest] ** (1 - alpha)).sum()) / (alpha - 1)


SMALL = [(10, 2, 1.0), (10, 3, 1.0), (12, 3, 1.5), (8, 4, 1.0), (14, 2, 0.7)]


def worst_ratios(teachers, classes, noise, *, law, log_q, curve):
    """Largest exact divergence / bound, over all histograms and neighbours: as stated, and with P and Q exchanged."""
    laws = {h: law(h, noise) for h in histograms(teachers, classes)}
    stated = exchanged = 0.0
    for here, p in laws.items():
        bound = curve(log_q(table(*here), noise), noise, ORDERS)[0]
        for there in neighbours(here):
            q = laws[there]
            stated = max(stated, *(divergence(p, q, a) / b for a, b in zip(ORDERS, bound, strict=True)))
            exchanged = max(exchanged, *(divergence(q, p, a) / b for a, b in zip(ORDERS, bound, strict=True)))
    return stated, exchanged


@pytest.mark.parametrize(("teachers", "classes", "sigma"), SMALL)
def test_gnmax_cost_bounds_the_exact_divergence_of_every_neighbour_and_only_as_stated(teachers, classes, sigma):
    law = {"law": gaussian_argmax, "curve": gnmax_renyi}
    stated, exchanged = worst_ratios(teachers, classes, sigma, log_q=gnmax_log_q, **law)
    assert 0.8 < stated <= 1.0  # true, and not by a wide margin
    assert exchanged > 1.0  # the direction in the docstring is no formality
    # Taking the noise of one count for that of a difference makes q too small: the same check sees it.
    wrong, _ = worst_ratios(teachers, classes, sigma, log_q=lambda n, s: gnmax_log_q(n, s / math.sqrt(2)), **law)
    assert wrong > 1.0


@pytest.mark.parametrize(("teachers", "classes", "scale"), SMALL)
def test_lnmax_cost_bounds_the_exact_divergence_of_every_neighbour(teachers, classes, scale):
    law = {"law": laplace_argmax, "curve": lnmax_renyi}
    stated, _ = worst_ratios(teachers, classes, scale, log_q=lnmax_log_q, **law)
    assert 0.5 < stated <= 1.0
    wrong, _ = worst_ratios(teachers, classes, scale, log_q=lambda n, s: lnmax_log_q(n, s / 2), **law)
    assert wrong > 1.0


@pytest.mark.parametrize("scale", [0.7, 2.0])
def test_laplace_noise_of_a_scale_is_a_two_over_scale_mechanism_and_no_better(scale):
    laws = {h: laplace_argmax(h, scale) for h in histograms(24, 2)}
    worst = max(np.abs(np.log(p / laws[t])).max() for h, p in laws.items() for t in neighbours(h))
    assert worst <= 2 / scale + 1e-9
    assert worst > 1.6 / scale  # one vote moves two counts: 1 / scale would be wrong


# ----------------------------------------------------------------------------------------------- tests and then answers


def exact_moment(here, there, alpha, cost_test, cost_answer, *, threshold, sigma1, sigma2):
    """E_P[(dP/dQ)^(alpha - 1) e^(-(alpha - 1) cost)] of one test and, if it passes, one answer."""
    passed = [float(ndtr((max(n) - threshold) / sigma1)) for n in (here, there)]
    p, q = gaussian_argmax(here, sigma2), gaussian_argmax(there, sigma2)
    answers = (p**alpha * q ** (1 - alpha)).sum() * math.exp(-(alpha - 1) * cost_answer)
    total = passed[0] ** alpha * passed[1] ** (1 - alpha) * answers
    total += (1 - passed[0]) ** alpha * (1 - passed[1]) ** (1 - alpha)
    return total * math.exp(-(alpha - 1) * cost_test)


def test_realised_costs_compensate_the_exact_likelihood_ratio_and_their_mean_over_the_test_does_not():
    noise = {"threshold": 7.0, "sigma1": 1.0, "sigma2": 0.8}
    worst_realised = worst_expected = 0.0
    for here in histograms(10, 3):
        counts = table(*here)
        both = realised_costs(counts, np.array([True]), alpha=ORDERS, **noise)[0]
        test = realised_costs(counts, np.array([False]), alpha=ORDERS, **noise)[0]
        passed = ndtr(max(here) - 7.0)  # the test, at sigma1 = 1
        expected = test + passed * (both - test)
        for there in neighbours(here):
            for alpha, one, two, mean in zip(ORDERS, test, both, expected, strict=True):
                worst_realised = max(worst_realised, exact_moment(here, there, alpha, one, two - one, **noise))
                worst_expected = max(worst_expected, exact_moment(here, there, alpha, mean, 0.0, **noise))
    assert worst_realised <= 1.0 + 1e-12
    assert worst_expected > 1.01


@given(
    counts=st.lists(st.integers(0, 20), min_size=2, max_size=5).filter(sum),
    weights=st.lists(st.floats(0.01, 1.0), min_size=5, max_size=5),
)
def test_one_moved_vote_moves_the_confidence_by_at_most_one_also_after_a_prediction_is_subtracted(counts, weights):
    predictions = np.array([weights[: len(counts)]]) / sum(weights[: len(counts)])
    for given_predictions in (None, predictions):
        here = confidence(table(*counts), predictions=given_predictions)[0]
        assert here >= -1e-9
        for there in neighbours(counts):
            assert abs(confidence(table(*there), predictions=given_predictions)[0] - here) <= 1.0 + 1e-9


def test_a_student_that_agrees_lowers_the_confidence_and_bad_predictions_are_refused():
    counts = table(80, 15, 5)
    assert confidence(counts)[0] == 80
    assert confidence(counts, predictions=[[0.8, 0.15, 0.05]])[0] == pytest.approx(0.0, abs=1e-9)
    for bad in ([[0.8, 0.15]], [[0.8, 0.3, 0.1]], [[1.2, -0.1, -0.1]], [[math.nan, 0.5, 0.5]]):
        with pytest.raises(ValueError, match="predictions"):
            confidence(counts, predictions=bad)


def test_only_answered_queries_pay_for_an_answer():
    counts = np.array([[90.0, 10.0], [55.0, 45.0]])
    noise = {"threshold": 70.0, "sigma1": 10.0, "sigma2": 8.0, "alpha": [4.0]}
    none = realised_costs(counts, np.array([False, False]), **noise)
    first = realised_costs(counts, np.array([True, False]), **noise)
    assert first[1] == none[1]
    assert first[0, 0] - none[0, 0] == pytest.approx(gnmax_renyi(gnmax_log_q(counts[:1], 8.0), 8.0, 4.0)[0, 0])
