"""Composed randomized response against a direct convolution in 60 digits."""

import math
from functools import cache

import mpmath as mp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import PriorResponse, PureDP, RandomizedResponse, ResolutionError, delta, epsilon
from accountants.methods.exact.responses import _Releases, delta_of, epsilon_of


@cache
def slow_law(alphabets, eps0):
    """Probabilities of the sums -T..T by direct convolution, 60 digits."""
    with mp.workdps(60):
        law = [mp.mpf(1)]
        for k, count in alphabets:
            grown = mp.exp(mp.mpf(eps0))
            step = [1 / (grown + k - 1), (k - 2) / (grown + k - 1), grown / (grown + k - 1)]
            for _ in range(count):
                wide = [mp.mpf(0)] * (len(law) + 2)
                for i, mass in enumerate(law):
                    for j in range(3):
                        wide[i + j] += mass * step[j]
                law = wide
        return law


def slow_delta(alphabets, eps0, eps):
    with mp.workdps(60):
        law = slow_law(tuple(alphabets.items()), eps0)
        total = len(law) // 2
        losses = [(i - total) * mp.mpf(eps0) for i in range(len(law))]
        return mp.fsum(m * (1 - mp.exp(eps - loss)) for m, loss in zip(law, losses, strict=True) if loss > eps)


mixtures = st.dictionaries(st.sampled_from([2, 3, 4, 10, 1000]), st.integers(1, 12), min_size=1, max_size=3)


@given(alphabets=mixtures, log_eps0=st.floats(-9.0, 3.5), share=st.floats(0.0, 1.0))
def test_delta_interval_holds_the_truth(alphabets, log_eps0, share):
    eps0 = math.exp(log_eps0)
    eps = share * sum(alphabets.values()) * eps0
    truth = slow_delta(alphabets, eps0, eps)
    lower, upper = delta_of(alphabets, eps0, eps)
    assert lower <= truth <= upper
    # Relative, but for epsilon within rounding of the largest loss, where delta itself is rounding.
    assert upper - lower <= 1e-9 * float(truth) + 1e-13 * max(eps, eps0)


@pytest.mark.parametrize(
    ("k", "count", "eps0", "eps"),
    [
        (1_000_000, 56, 0.6842317359875258, 37.97159233295126),
        (100, 249, 1.6953376133877898, 421.64573332159813),
        (100_000, 65, 0.21024844066349044, 13.590526669850933),
    ],
)
def test_delta_interval_holds_the_truth_where_delta_is_subnormal(k, count, eps0, eps):
    assert eps > (count - 1) * eps0  # only the loss count * eps0 exceeds it
    with mp.workdps(60):
        grown = mp.exp(mp.mpf(eps0))
        truth = (grown / (grown + k - 1)) ** count * (1 - mp.exp(eps - count * mp.mpf(eps0)))
    lower, upper = delta_of({k: count}, eps0, eps)
    assert 0.0 < truth < 2.3e-308
    assert lower <= truth <= upper


@given(alphabets=mixtures, log_eps0=st.floats(-6.0, 3.5), log_delta=st.floats(-34.5, -0.7))
def test_epsilon_is_never_too_low_and_tight(alphabets, log_eps0, log_delta):
    eps0, target = math.exp(log_eps0), math.exp(log_delta)
    lower, upper = epsilon_of(alphabets, eps0, target)
    assert slow_delta(alphabets, eps0, upper) <= target
    if lower > 0.0:
        assert slow_delta(alphabets, eps0, lower) >= target * (1 - 1e-12)
    assert upper - lower <= 1e-9 * max(upper, eps0)


@pytest.mark.parametrize(("count", "eps0", "tilt"), [(3000, 0.1, 0.05), (100_000, 0.01, 0.001), (2000, 2.0, 0.4)])
def test_rounding_allowances_cover_the_rounding_and_no_more(count, eps0, tilt):
    law = _Releases({2: count}, eps0).tilted(tilt)
    with mp.workdps(40):
        up, down = mp.exp(mp.mpf(eps0) + tilt), mp.exp(-mp.mpf(tilt))
        total = up + down
        log_scale = count * (mp.log(total) - mp.log(1 + mp.exp(mp.mpf(eps0))))
        index = int(count * up / total) - 50  # of the binomial, near its mean; the sum is 2 index - count
        worst = 0.0
        mass = mp.binomial(count, index) * (up / total) ** index * (down / total) ** (count - index)
        for step in range(100):
            place = 2 * (index + step) - count - law.first
            worst = max(worst, abs(float(mass - law.mass[place])))
            mass *= up / down * (count - index - step) / (index + step + 1)
    assert 0.0 < worst <= law.cell_error <= 1e5 * worst
    assert 0.0 < abs(float(log_scale - law.log_scale)) <= law.exponent_error


def test_one_answer_has_the_closed_form():
    for k, eps0, target in [(10, 0.5, 1e-5), (2, 3.0, 1e-15), (3, 700.0, 1e-3), (1000, 20.0, 0.4)]:
        keep = 1 / (1 + (k - 1) * math.exp(-eps0))
        closed = eps0 + math.log1p(-target / keep)
        bound = epsilon(RandomizedResponse(k, eps0), target, adjacency="replace-one")
        assert bound.lower <= closed * (1 + 1e-14)
        assert bound.upper >= closed * (1 - 1e-14)
        assert math.isclose(bound.upper, closed, rel_tol=1e-13)


TABLE = {
    (10, 0.1): {1: 0.10, 10: 0.54, 100: 1.82, 1000: 6.74, 10000: 29.17},
    (2, 0.1): {1: 0.10, 10: 0.99, 100: 4.31, 1000: 17.79, 10000: 91.69},
    (3, 0.1): {1: 0.10, 10: 0.88, 100: 3.46, 1000: 13.87, 10000: 68.13},
    (10, 1.0): {1: 1.0, 10: 7.99, 100: 37.21, 1000: 219.2, 10000: 1697.5},
    (10, 3.0): {1: 3.0, 10: 30.0, 100: 257.9, 1000: 2180.7, 10000: 20372.6},
}


@pytest.mark.parametrize(("k", "eps0"), TABLE)
def test_table_of_composed_responses(k, eps0):
    for count, printed in TABLE[k, eps0].items():
        bound = epsilon(RandomizedResponse(k, eps0) * count, 1e-5, adjacency="replace-one")
        step = 0.005 if printed < 100 else 0.05
        assert abs(bound.upper - printed) <= step * 1.0001
        assert bound.method == "response"


def test_table_of_eps0_for_a_budget():
    table = {
        (1.0, 10): (0.1720, 0.1166), (1.0, 100): (0.0589, 0.1054), (1.0, 1000): (0.0189, 0.1017),
        (1.0, 10000): (0.0060, 0.1005), (10.0, 10): (1.1448, 0.2588), (10.0, 100): (0.4076, 0.1431),
        (10.0, 1000): (0.1374, 0.1131), (10.0, 10000): (0.0443, 0.1041),
    }  # fmt: skip
    for (budget, count), (eps0, keep) in table.items():
        assert round(math.exp(eps0) / (math.exp(eps0) + 9), 4) == pytest.approx(keep, abs=1.1e-4)
        half_digit = 0.5e-4
        for value, side in [(eps0 - 1.5 * half_digit, -1), (eps0 + 1.5 * half_digit, 1)]:
            bound = epsilon(RandomizedResponse(10, value) * count, 1e-5, adjacency="replace-one")
            assert side * (bound.upper - budget) > 0


@pytest.mark.parametrize("count", [100, 10_000, 1_000_000])
@pytest.mark.parametrize("eps0", [1e-6, 1e-2, 1.0, 30.0, 700.0, 5000.0])
@pytest.mark.parametrize("target", [1e-15, 1e-5, 0.3])
def test_large_counts_and_large_eps0_stay_finite_and_tight(count, eps0, target):
    bound = epsilon(RandomizedResponse(10, eps0) * count, target, adjacency="replace-one")
    assert bound.method in ("response", "pure")
    assert bound.upper <= count * eps0 * (1 + 1e-14)
    assert bound.upper - bound.lower <= 1e-6 * bound.upper + 1e-9 * eps0


def test_prior_response_costs_as_much_as_its_set_and_one_candidate_is_free():
    inside = epsilon(PriorResponse(3, 1.0) * 20, 1e-5, adjacency="replace-one")
    assert inside == epsilon(RandomizedResponse(3, 1.0) * 20, 1e-5, adjacency="replace-one")
    assert epsilon(PriorResponse(1, 1.0) * 20, 1e-5, adjacency="replace-one").upper == 0.0


def test_pure_claims_cost_as_much_as_binary_response():
    pure = epsilon(PureDP(0.1) * 100, 1e-5)
    binary = epsilon(RandomizedResponse(2, 0.1) * 100, 1e-5, adjacency="replace-one")
    assert pure.upper == binary.upper
    assert pure.upper > epsilon(RandomizedResponse(3, 0.1) * 100, 1e-5, adjacency="replace-one").upper


def test_epsilon_and_delta_are_inverse():
    event = RandomizedResponse(10, 0.5) * 100
    eps = epsilon(event, 1e-5, adjacency="replace-one")
    assert delta(event, eps.upper, adjacency="replace-one").lower <= 1e-5
    assert delta(event, eps.lower, adjacency="replace-one").upper >= 1e-5


def test_too_many_answers_raise_instead_of_filling_memory():
    with pytest.raises(ResolutionError, match="renyi"):
        epsilon_of({2: 10**14}, 1.0, 1e-5)
    loose = epsilon(RandomizedResponse(2, 1e-9) * 10**14, 1e-5, adjacency="replace-one")
    assert loose.method == "renyi"
    assert loose.lower <= loose.upper < math.inf
