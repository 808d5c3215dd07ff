"""Distances of ordered distributions against loops, the laws that they obey, and real votes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr, wasserstein_distance

from privkd.metrics import chi_squared, cumulative_js, cut_accuracy, emd, mean_ratings, plcc, score_distributions, srcc

HISTOGRAM = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any).map(lambda one: np.array(one) / sum(one))


def slow_cjs(p, q):
    total, above, below = 0.0, 0.0, 0.0
    for a, b in zip(p, q, strict=True):
        above, below = above + a, below + b
        middle = (above + below) / 2
        total += above * math.log(above / middle) if above > 0 else 0.0
        total += below * math.log(below / middle) if below > 0 else 0.0
    return total / 2


@settings(max_examples=15)
@given(HISTOGRAM, HISTOGRAM)
def test_distances_are_those_of_loops_and_obey_their_laws(p, q):
    places = np.arange(4)
    assert emd([p], [q]) == pytest.approx(wasserstein_distance(places, places, p, q) / 4, abs=1e-12)
    cumulated = np.cumsum(p) - np.cumsum(q)
    assert emd([p], [q], order=2) == pytest.approx(math.sqrt(np.mean(cumulated**2)), abs=1e-9)
    assert cumulative_js([p], [q]) == pytest.approx(slow_cjs(p, q), abs=1e-12)
    pairs = [(a, b) for a, b in zip(p, q, strict=True) if a + b > 0]
    assert chi_squared([p], [q]) == pytest.approx(sum((a - b) ** 2 / (a + b) for a, b in pairs) / 2, abs=1e-12)
    for distance in (emd, cumulative_js, chi_squared):
        assert distance([p], [q]) == pytest.approx(distance([q], [p]), abs=1e-12)
        assert distance([p], [p]) == pytest.approx(0.0, abs=1e-12)
        assert -1e-12 <= distance([p], [q]) <= 1.5
        assert distance([p, p], [q, p]) == pytest.approx(distance([p], [q]) / 2, abs=1e-12)


def test_order_counts_for_cumulative_distances_and_not_for_chi_squared():
    p, near, far = [1.0, 0, 0, 0], [0.0, 1, 0, 0], [0.0, 0, 0, 1]
    for distance in (emd, cumulative_js):
        assert distance([p], [far]) > 2.5 * distance([p], [near])
    assert chi_squared([p], [far]) == chi_squared([p], [near]) == 1.0


def test_correlations_are_those_of_scipy():
    random = np.random.default_rng(0)
    one = random.integers(0, 9, 40).astype(float)
    two = one + random.normal(scale=3, size=40).round()
    assert plcc(one, two) == pytest.approx(pearsonr(one, two).statistic)
    assert srcc(one, two) == pytest.approx(spearmanr(one, two).statistic)
    assert srcc(one, np.exp(one)) == pytest.approx(1.0)
    assert plcc(one, np.exp(one)) < 0.9
    assert plcc(one, -one) == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: emd([[0.5, 0.6]], [[0.5, 0.5]]), "predicted must have rows >= 0 of sum 1; 1 of 1"),
        (lambda: emd([[0.5, 0.5]], [[-0.5, 1.5]]), "target must have rows"),
        (lambda: emd([[0.5, 0.5]], [[0.2, 0.2, 0.6]]), "shapes must be equal"),
        (lambda: emd([[1.0]], [[1.0]]), "1 bin"),
        (lambda: emd([[0.5, 0.5]], [[0.5, 0.5]], order=3), "order=3"),
        (lambda: cumulative_js([[np.nan, 0.5]], [[0.5, 0.5]]), "NaN"),
        (lambda: chi_squared([0.5, 0.5], [0.5, 0.5]), "2 are needed"),
        (lambda: plcc([1.0, 1.0], [1.0, 2.0]), "predicted holds 2 equal values"),
        (lambda: srcc([1.0, 2.0], [3.0, 3.0]), "target holds 2 equal values"),
        (lambda: plcc([1.0, 2.0], [1.0]), "lengths differ"),
        (lambda: srcc([], []), "empty"),
        (lambda: cut_accuracy([1.0, 6.0], [1.0, 2.0], cut=5), "on one side of cut=5 only"),
    ],
)
def test_distributions_that_cannot_be_compared_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_counts_of_zero_are_an_empty_row_and_single_precision_is_a_sum_of_one():
    with pytest.raises(ValueError, match="first row 0"):
        mean_ratings([[0.0, 0.0]])
    rows = np.random.default_rng(0).random((50, 1000)).astype(np.float32)
    assert len(mean_ratings(rows / rows.sum(axis=1, keepdims=True))) == 50


def test_real_votes_are_predicted_better_by_themselves_than_by_their_mean(shared_file):
    """KonIQ-10k: half of the raters against the other half, against the mean histogram, and against a shuffle."""
    with np.load(shared_file("data/koniq_votes.npz")) as file:
        counts, opinion = file["counts"][:1500].astype(np.int64), file["mos"][:1500]
    random = np.random.default_rng(0)
    half = random.binomial(counts, 0.5)
    rest = counts - half
    one, two = half / half.sum(axis=1, keepdims=True), rest / rest.sum(axis=1, keepdims=True)
    good, shuffled = (score_distributions(rows, two, cut=3) for rows in (one, random.permutation(one)))
    plain = np.tile(one.mean(axis=0), (1500, 1))
    assert good.emd_1 < emd(plain, two) < shuffled.emd_1
    assert good.cjs < cumulative_js(plain, two) < shuffled.cjs
    assert good.chi_squared < chi_squared(plain, two)
    assert good.srcc > 0.9 > 0.1 > shuffled.srcc
    assert good.binary_accuracy > 0.85
    assert plcc(mean_ratings(counts / counts.sum(axis=1, keepdims=True)), opinion) > 0.99
