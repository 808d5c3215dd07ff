"""Smooth sensitivity of PATE costs: exhaustive on small votes, against the published algorithm, and the cost of release."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfc, erfcinv

from accountants.pate.gnmax import gnmax_log_q, gnmax_renyi
from accountants.pate.release import Smoothing, release_renyi
from accountants.pate.sensitivity import check_smooth_costs, gnmax_smooth_costs, smooth_sensitivity
from accountants.pate.staircase import quantile, staircase


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


def described(parts, beta, distances=4):
    """Cost, smooth sensitivity and the first bounds A_0, A_1, ... of a data set."""
    local = [sum(each) for each in zip(*(itertools.islice(p.sensitivities(), distances) for p in parts), strict=True)]
    return sum(part.total() for part in parts), smooth_sensitivity(parts, beta=beta), local


def assert_smooth(data, neighbouring, beta):
    """Every neighbour's cost within the local sensitivity, every bound within the neighbour's next, S beta-smooth."""
    changed = 0
    for here, (cost, smooth, local) in data.items():
        assert smooth >= local[0] * (1 - 1e-12)
        for there in neighbouring(here):
            other_cost, other_smooth, other_local = data[there]
            assert abs(cost - other_cost) <= local[0] * (1 + 1e-12), (here, there)
            assert smooth <= math.exp(beta) * other_smooth * (1 + 1e-12), (here, there)
            for near, far in itertools.pairwise(range(len(local))):
                assert local[near] <= other_local[far] * (1 + 1e-12), (here, there)
            changed += cost != other_cost
    assert changed  # the cost really depends on the votes


@pytest.mark.parametrize(
    ("teachers", "classes", "sigma", "order", "beta"),
    [
        (20, 2, 1.0, 2.0, 0.1),
        (20, 2, 3.0, 2.0, 0.05),
        (12, 3, 1.0, 3.0, 0.1),
        (12, 3, 2.0, 1.5, 0.3),
        (9, 4, 1.2, 2.0, 0.2),
    ],
)
def test_gnmax_sensitivity_holds_for_all_votes_and_neighbours(teachers, classes, sigma, order, beta):
    def parts(counts):
        return [gnmax_smooth_costs(np.array([counts], float), sigma=sigma, order=order, teachers=teachers)]

    data = {h: described(parts(h), beta) for h in histograms(teachers, classes)}
    assert_smooth(data, neighbours, beta)


def test_sensitivity_of_two_queries_holds_when_one_record_moves_a_vote_in_both():
    beta, tables = 0.1, list(histograms(9, 2))

    def parts(both):
        return [gnmax_smooth_costs(np.array(both, float), sigma=1.0, order=2.0, teachers=9)]

    data = {both: described(parts(both), beta) for both in itertools.product(tables, tables)}
    moves = {h: [h, *neighbours(h)] for h in tables}
    assert_smooth(data, lambda both: itertools.product(moves[both[0]], moves[both[1]]), beta)


@pytest.mark.parametrize(("threshold", "sigma1"), [(14.0, 1.0), (3.0, 2.0), (25.0, 1.5)])
def test_sensitivity_of_a_test_holds_for_all_largest_counts(threshold, sigma1):
    beta, teachers = 0.1, 20

    def parts(reached):
        found = np.array([float(reached)])
        return [check_smooth_costs(found, threshold=threshold, sigma1=sigma1, order=2.0, teachers=teachers)]

    # Quarters of a vote too: the interactive variant subtracts probabilities. Neighbours are up to one vote apart.
    data = {quarter: described(parts(quarter / 4), beta) for quarter in range(4 * teachers + 1)}
    assert_smooth(data, lambda v: (w for w in range(v - 4, v + 5) if w in data), beta)


def test_tests_and_answers_are_smooth_together():
    beta, teachers = 0.2, 10

    def parts(counts):
        votes = np.array([counts], float)
        return [
            check_smooth_costs(votes.max(axis=1), threshold=6.0, sigma1=1.0, order=2.0, teachers=teachers),
            gnmax_smooth_costs(votes, sigma=1.0, order=2.0, teachers=teachers),
        ]

    data = {h: described(parts(h), beta) for h in histograms(teachers, 3)}
    assert_smooth(data, neighbours, beta)


def test_local_sensitivity_alone_is_not_smooth_so_the_check_can_fail():
    def parts(counts):
        return [gnmax_smooth_costs(np.array([counts], float), sigma=1.0, order=2.0, teachers=20)]

    data = {h: described(parts(h), 0.1) for h in histograms(20, 2)}
    local_only = {h: (cost, local[0], local) for h, (cost, _, local) in data.items()}
    with pytest.raises(AssertionError):
        assert_smooth(local_only, neighbours, 0.1)


# ---------------------------------------------------------------------------------------- the staircase and the published way


@given(
    sigma=st.floats(0.3, 300.0),
    classes=st.integers(2, 20),
    order=st.floats(1.05, 50.0),
    teachers=st.integers(2, 3000),
    share=st.floats(0.0, 1.0),
)
def test_the_staircase_is_above_the_cost_and_falls_with_agreement(sigma, classes, order, teachers, share):
    furthest = teachers / (math.sqrt(2) * sigma)
    stairs = staircase(sigma, classes=classes, order=order, furthest=furthest)
    first = math.ceil(teachers * (1 + share * (classes - 1)) / classes)
    counts = np.array([[first, teachers - first] + [0] * (classes - 2)], float)
    log_q = gnmax_log_q(counts, sigma)
    step = stairs.step_of(quantile(log_q, classes))
    assert stairs.costs[step][0] >= gnmax_renyi(log_q, sigma, order)[0, 0] * (1 - 1e-12)
    assert (np.diff(stairs.costs) <= 0).all()
    assert stairs.costs[0] == pytest.approx(order / sigma**2)
    assert len(stairs.costs) <= 2**19


class Published:
    """Papernot et al. 2018, Appendix B: local sensitivities from q alone, by greedy moves between the first two classes."""

    def __init__(self, sigma, order, classes):
        self.sigma, self.order, self.most = sigma, order, (classes - 1) / 2
        grid = np.geomspace(1e-60, 0.9, 20_000)
        self.q0 = grid[self.cost(grid) < order / sigma**2 * (1 - 1e-12)].max()
        self.q1 = self.shifted(self.q0, 1 / sigma)
        self.plateau = self.local(self.q1)
        # The conditions under which the published algorithm is right; ours does not need them.
        small = grid[grid <= self.q1]
        growth = self.cost(self.shifted(small, -1 / sigma)) - self.cost(small)
        self.is_right = (np.diff(self.cost(small)) >= 0).all() and (np.diff(growth) >= -1e-9 * growth.max()).all()

    def cost(self, q):
        return gnmax_renyi(np.log(np.atleast_1d(q)), self.sigma, self.order)[:, 0]

    def shifted(self, q, by):
        return np.minimum(1 - 1e-12, self.most * erfc(erfcinv(q / self.most) + by))

    def local(self, q):
        up, down = self.shifted(q, -1 / self.sigma), self.shifted(q, 1 / self.sigma)
        return max((self.cost(up) - self.cost(q))[0], (self.cost(q) - self.cost(down))[0])

    def sensitivities(self, counts, distances):
        votes, direction = sorted(counts, reverse=True), 0
        for _ in range(distances):
            q = math.exp(gnmax_log_q(np.array([votes], float), self.sigma)[0])
            outside = -1 if q < self.q1 else 1 if q > self.q0 else 0
            direction = direction or outside
            if outside == 0 or outside != direction or votes[1] == 0:
                yield from itertools.repeat(self.plateau, distances)
            yield self.local(q)
            votes[0] += direction
            votes[1] -= direction
            votes[1:] = sorted(votes[1:], reverse=True)


@pytest.mark.parametrize(
    "counts",
    [(190, 20, 20, 10, 10), (200, 30, 10, 5, 5), (240, 5, 5, 0, 0), (140, 70, 20, 10, 10), (110, 90, 20, 20, 10)],
)
def test_sensitivities_agree_with_the_published_algorithm_to_a_few_steps_of_the_staircase(counts):
    sigma, order, distances = 40.0, 8.0, 60
    published = Published(sigma, order, len(counts))
    assert published.is_right
    expected = np.array(list(itertools.islice(published.sensitivities(counts, distances), distances)))
    part = gnmax_smooth_costs(np.array([counts], float), sigma=sigma, order=order, teachers=250)
    found = np.array(list(itertools.islice(part.sensitivities(), distances)))
    # Both sides of a difference, and the plateau's end, are off by one step each; a step is at most this steep.
    rounding = 3 * float(-np.diff(part.stairs.costs).min())
    assert np.abs(found - expected).max() <= rounding
    assert rounding < 0.1 * published.plateau
    assert expected.max() > 2 * expected.min()  # the distances matter


# ------------------------------------------------------------------------------------------------------- cost of the release


def gaussians(alpha, mean, ratio):
    """D_alpha(N(0, 1) || N(mean, ratio^2)) by adaptive quadrature."""
    with mp.workdps(30):
        alpha, mean, ratio = mp.mpf(alpha), mp.mpf(mean), mp.mpf(ratio)
        inside = lambda x: mp.npdf(x) ** alpha * mp.npdf(x, mean, ratio) ** (1 - alpha)  # noqa: E731
        return float(mp.log(mp.quad(inside, [-80, -40, -20, -10, -5, 0, 5, 10, 20, 40, 80])) / (alpha - 1))


@pytest.mark.parametrize(
    ("alpha", "beta", "multiplier", "margin"),
    [
        (10.0, 0.045, 5.0, 0.0),
        (2.0, 0.1, 3.0, 0.0),
        (20.0, 0.01, 5.0, 4.4),
        (5.0, 0.02, 20.0, 4.4),
        (1.5, 0.3, 2.0, 2.0),
    ],
)
def test_release_cost_is_the_exact_divergence_of_the_worst_pair(alpha, beta, multiplier, margin):
    mean = math.exp(-beta) / multiplier + margin * (1 - math.exp(-beta))  # in noise standard deviations
    exact = gaussians(alpha, mean, math.exp(-beta))
    found = release_renyi(alpha, beta=beta, noise_multiplier=multiplier, margin=margin)[0]
    assert exact * (1 - 1e-12) <= found <= exact * (1 + 1e-9)


@given(
    alpha=st.floats(1.01, 30.0),
    share=st.floats(0.01, 0.49),
    multiplier=st.floats(0.5, 50.0),
    margin=st.floats(0.0, 5.0),
    at=st.floats(-1.0, 1.0),
    moved=st.floats(-1.0, 1.0),
)
def test_no_allowed_pair_of_neighbours_costs_more_than_charged(alpha, share, multiplier, margin, at, moved):
    beta = share / alpha
    charged = release_renyi(alpha, beta=beta, noise_multiplier=multiplier, margin=margin)[0]
    ratio = math.exp(beta * at)  # neighbour's smooth sensitivity, ours being 1
    mean = moved * min(1.0, ratio) + margin * multiplier * (ratio - 1.0)
    mixed = (1 - alpha) + alpha * ratio**2
    exact = alpha * (mean / multiplier) ** 2 / (2 * mixed) + (alpha * math.log(ratio) - 0.5 * math.log(mixed)) / (
        alpha - 1
    )
    assert exact <= charged * (1 + 1e-9) + 1e-12


def test_the_published_release_cost_is_too_low():
    """Papernot et al. 2018, Theorem 23, against quadrature of two Gaussians that its premises allow."""
    alpha, beta, multiplier = 10.0, 0.045, 5.0
    published = alpha * math.exp(2 * beta) / multiplier**2
    published += (beta * alpha - 0.5 * math.log(1 - 2 * alpha * beta)) / (alpha - 1)
    exact = gaussians(alpha, math.exp(-beta) / multiplier, math.exp(-beta))
    assert published < 0.5 * exact
    assert release_renyi(alpha, beta=beta, noise_multiplier=multiplier)[0] >= exact


def test_where_the_noise_of_neighbours_differs_too_much_the_cost_is_infinite_and_the_choice_is_refused():
    assert release_renyi(10.0, beta=0.06, noise_multiplier=5.0)[0] == math.inf
    assert release_renyi(10.0, beta=0.05, noise_multiplier=5.0)[0] < math.inf
    with pytest.raises(ValueError, match=r"beta=0.06 at order=10.0 .* for example beta=0.03"):
        Smoothing(order=10.0, noise_multiplier=5.0, beta=0.06)


@pytest.mark.parametrize(
    "bad",
    [
        {"order": 1.0},
        {"order": math.nan},
        {"noise_multiplier": 0.0},
        {"noise_multiplier": math.inf},
        {"beta": 0.0},
        {"beta": -0.1},
    ],
)
def test_bad_smoothing_is_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        Smoothing(**({"order": 8.0, "noise_multiplier": 5.0} | bad))
