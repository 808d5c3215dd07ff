"""Composed lattice laws against references, direct convolutions and closed forms."""

import json
import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants.adjacency import Adjacency
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import (
    ZCDP,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    PureDP,
    RandomizedResponse,
)
from accountants.events.person_groups import GroupSampledGaussian
from accountants.methods.exact import gaussian, responses
from accountants.methods.lattice import accountant as lattice
from accountants.methods.lattice.composed import decayed_gains
from accountants.methods.lattice.delta_curve import DeltaCurve
from accountants.methods.lattice.directions import directions_of
from accountants.methods.lattice.first_look import Window, log_mgf, look
from accountants.methods.lattice.law import LatticeLaw, Tails, upper_law
from accountants.methods.lattice.lower import lower_law
from accountants.methods.lattice.pairs.atomic import response_pair
from accountants.methods.lattice.pairs.gaussian_pairs import GaussianPair
from accountants.methods.lattice.pairs.sampled import SampledPair
from accountants.methods.lattice.transform import compose

ADD_REMOVE, REPLACE_ONE = Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE

EVENTS = {
    "gaussian": lambda e: Gaussian(e["sigma"]),
    "poisson_gaussian": lambda e: Gaussian(e["sigma"]).poisson(e["q"]),
    "krr": lambda e: RandomizedResponse(e["k"], e["eps0"]),
    "laplace": lambda e: Laplace(e["b"]),
    "discrete_laplace": lambda e: DiscreteLaplace(e["a"], e["sensitivity"]),
    "approx_dp": lambda e: PureDP(e["eps0"]) if e["delta0"] == 0 else None,
    "poisson_laplace": lambda e: Laplace(e["b"]).poisson(e["q"]),
    "discrete_gaussian": lambda e: DiscreteGaussian(e["sigma"]),
}


def reference_cases(shared_file):
    for case in json.loads(shared_file("specs/accounting-reference.json").read_text())["composition"]:
        parts = {}
        for entry in case["events"]:
            event = EVENTS[entry["type"]](entry)
            parts[event] = parts.get(event, 0) + entry["count"]
        if None not in parts:
            relation = ADD_REMOVE if case["adjacency"] == "any" else Adjacency(case["adjacency"])
            yield case, parts, relation


def test_reference_cases_are_enclosed_tightly(shared_file):
    seen = 0
    for case, parts, relation in reference_cases(shared_file):
        if case["id"] == "sg-12":  # 5e4 steps with sigma = 0.6: two seconds, covered by the Fourier accountant
            continue
        answer = lattice.epsilon_of(parts, case["delta"], relation)
        low, high = case["eps_lower"], case["eps_upper"]
        digits = 1e-8 * (1 + high)  # of the printed reference
        assert answer.lower <= high + digits, case["id"]
        assert answer.upper >= low - digits, case["id"]
        assert answer.upper - answer.lower <= max(2e-3, 2e-3 * high), case["id"]
        assert answer.upper <= high * (1 + 2e-3) + 2e-3, case["id"]
        seen += 1
    assert seen >= 55


def test_each_direction_encloses_its_reference(shared_file):
    seen = 0
    for case, parts, relation in reference_cases(shared_file):
        if len(parts) > 3 or sum(parts.values()) > 20_000 or case["id"] in ("sg-12", "sg-17"):
            continue
        for direction, (low, high) in case.get("direction_bounds", {}).items():
            (releases,) = [found for found in directions_of(parts, relation) if found.direction == direction]
            lower, upper = one_direction(releases, case["delta"])
            assert lower <= high + 1e-9
            assert upper >= low - 1e-9
            assert upper - lower <= max(5e-3, 5e-3 * high)
            seen += 1
    assert seen >= 30


def one_direction(releases, delta, width=1e-3):
    from accountants.methods.lattice.refinement import refined
    from accountants.methods.lattice.resolution import Resolution
    from accountants.methods.lattice.targets import EpsilonAt

    target = EpsilonAt(delta)
    plan = target.plan(releases)
    resolution = Resolution.of(plan)
    answer = refined(plan, resolution, resolution.first_step(width), width, target).answer
    return answer.lower, answer.upper


@pytest.mark.parametrize("delta", [0.2, 1e-3, 1e-8, 1e-15])
@pytest.mark.parametrize(("sigma", "count"), [(1.0, 1), (0.3, 2), (8.0, 100), (40.0, 5000)])
def test_gaussians_agree_with_the_closed_form(sigma, count, delta):
    mu = math.sqrt(count) / sigma
    true = gaussian.epsilon_of(mu, delta)
    answer = lattice.epsilon_of({Gaussian(sigma): count}, delta, ADD_REMOVE, width=1e-3)
    assert answer.lower <= true[1]
    assert answer.upper >= true[0]
    assert answer.upper - answer.lower <= 1e-3


@pytest.mark.parametrize("sigma", [0.05, 0.03, 0.01, 0.001])
def test_losses_beyond_the_range_of_floats_stay_enclosed(sigma):
    """Masses under Q underflow there; taken at face value they would raise the lower end above the upper one."""
    true = gaussian.epsilon_of(1.0 / sigma, 1e-5)
    try:
        answer = lattice.epsilon_of({Gaussian(sigma): 1}, 1e-5, ADD_REMOVE)
    except ResolutionError:
        assert sigma < 0.03
        return
    assert answer.lower <= true[1]
    assert answer.upper >= true[0]


@pytest.mark.parametrize("delta", [1e-2, 1e-6, 1e-15])
@pytest.mark.parametrize("alphabets", [{2: 10}, {10: 300}, {3: 40, 7: 25}])
def test_responses_agree_with_the_exact_law(alphabets, delta):
    for eps0 in (0.01, 0.3, 2.0):
        true = responses.epsilon_of(alphabets, eps0, delta)
        parts = {RandomizedResponse(k, eps0): count for k, count in alphabets.items()}
        answer = lattice.epsilon_of(parts, delta, REPLACE_ONE)
        assert answer.lower <= true[1] + 1e-12
        assert answer.upper >= true[0] - 1e-12
        assert answer.upper - answer.lower <= 1e-6 * (1 + true[1])


def slow_composition(law, count):
    """Masses of the sum and its losses, by direct convolution without any tilt."""
    mass = law.mass
    for _ in range(count - 1):
        mass = np.convolve(mass, law.mass)
    return mass, law.origin * count + (law.first * count + np.arange(len(mass))) * law.step


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("pair", "step"), [(SampledPair(GaussianPair(0.9), 0.2), 0.02), (GaussianPair(1.5), 0.03)], ids=repr
)
def test_windowed_transform_agrees_with_direct_convolution(pair, step, sign):
    law = (upper_law if sign > 0 else lower_law)(pair, step, Tails(1e-14, 1e-18))
    count = 7
    mass, losses = slow_composition(law, count)
    middle = float(mass @ losses) + 3.0 * math.sqrt(float(mass @ losses**2) - float(mass @ losses) ** 2)
    window = look([law], [count], epsilon=middle).window
    composed = compose([law], [count], window, sign=float(sign))
    for epsilon in np.linspace(0.9 * middle, 1.1 * middle, 13):
        at = epsilon - sign * composed.shift
        true = float(np.maximum(-np.expm1(at - losses), 0) @ mass)
        end, numeric = composed.delta(epsilon, sign=float(sign))
        if sign > 0:
            true += -math.expm1(count * math.log1p(-law.infinity))
        assert sign * (end - true) >= -1e-14 * true - 1e-15 * (true < 1e-13)
        assert abs(end - true) <= 2 * numeric + 1e-11 * true + 1e-15
    assert not composed.is_whole


def test_tiny_deltas_agree_with_forty_digits():
    """The tail of three steps, where direct convolution in floats has no digits left."""
    law = upper_law(GaussianPair(2.0), 0.25, Tails(1e-20, 1e-40))
    with mp.workdps(60):
        mass = [mp.mpf(float(m)) for m in law.mass]
        total = mass
        for _ in range(2):
            wide = [mp.mpf(0)] * (len(total) + len(mass) - 1)
            for i, a in enumerate(total):
                for j, b in enumerate(mass):
                    wide[i + j] += a * b
            total = wide
        for delta in (1e-12, 1e-15, 1e-20):
            window = look([law], [3], log_delta=math.log(delta)).window
            end, _ = compose([law], [3], window, sign=1.0).epsilon(delta, sign=1.0)

            def stick(epsilon, total=total):
                losses = ((3 * law.first + i) * mp.mpf(law.step) for i in range(len(total)))
                return mp.fsum(m * (1 - mp.exp(epsilon - x)) for m, x in zip(total, losses, strict=True) if x > epsilon)

            assert stick(mp.mpf(end)) <= delta
            assert stick(mp.mpf(end) - mp.mpf("1e-6")) >= delta * (1 - 1e-4)
        # Untilted, the same transform knows nothing about such a tail.
        untilted = np.fft.irfft(np.fft.rfft(law.mass, 4096) ** 3, 4096)[: len(total)]
        losses = (3 * law.first + np.arange(len(total))) * law.step
        for delta in (1e-20,):
            beyond = np.maximum(-np.expm1(float(end) - losses), 0) @ untilted
            assert abs(beyond / delta - 1) > 1.0


@given(tilt=st.floats(0.01, 40.0), step=st.floats(1e-5, 1.0), size=st.integers(1, 400), seed=st.integers(0, 99))
def test_decayed_gains_equal_the_double_sum(tilt, step, size, seed):
    mass = np.random.default_rng(seed).exponential(size=size)
    gains, sums = decayed_gains(mass, step, tilt)
    for i in (0, size // 2, size - 1):
        gap = step * np.arange(size - i)
        assert gains[i] == pytest.approx(
            float(mass[i:] @ (np.exp(-tilt * gap) * -np.expm1(-gap))), rel=1e-10, abs=1e-300
        )
        assert sums[i] == pytest.approx(float(mass[i:] @ np.exp(-(tilt + 1) * gap)), rel=1e-10)


def test_add_direction_is_needed():
    """Sampled Laplace: removing is cheaper than adding here, and dropping "add" would report too little."""
    parts = {Laplace(2.0).poisson(0.5): 2}
    ends = {found.direction: one_direction(found, 0.1, 1e-4) for found in directions_of(parts, ADD_REMOVE)}
    answer = lattice.epsilon_of(parts, 0.1, ADD_REMOVE, width=1e-4)
    assert ends["remove"][1] < 0.6 * ends["add"][0]
    assert answer.lower >= ends["add"][0]
    assert answer.settings["direction"] == "add"
    assert ends["remove"][1] < answer.lower  # the ablated accountant is certainly wrong


def test_maximum_over_directions_is_taken_after_composing():
    """Both directions of one release are pointwise below a curve whose composition would be too large or too small."""
    parts = {GroupSampledGaussian(2.0, 0.1, 4): 20}
    remove, add = directions_of(parts, ADD_REMOVE)
    assert (remove.direction, add.direction) == ("remove", "add")
    high = one_direction(remove, 1e-5)
    low = one_direction(add, 1e-5)
    assert low[1] < high[0]
    answer = lattice.epsilon_of(parts, 1e-5, ADD_REMOVE)
    assert high[0] - 1e-2 <= answer.lower <= answer.upper <= high[1] + 1e-2


def test_a_fixed_step_is_too_coarse_for_rare_sampling():
    """sigma = 1, q = 1e-5, 1000 steps: the step 1e-4 gives more than twice the truth."""
    event = Gaussian(1.0).poisson(1e-5)
    answer = lattice.epsilon_of({event: 1000}, 1e-5, ADD_REMOVE)
    assert answer.upper <= 0.00070186 * (1 + 2e-3) + 1e-5
    law = upper_law(SampledPair(GaussianPair(1.0), 1e-5), 1e-4, Tails(1e-12, 1e-16))
    window = look([law], [1000], log_delta=math.log(1e-5)).window
    fixed = compose([law], [1000], window, sign=1.0).epsilon(1e-5, sign=1.0)[0]
    assert fixed > 0.0016


def test_tails_fixed_at_one_in_1e15_cannot_reach_small_deltas():
    law = upper_law(GaussianPair(4.0), 0.01, Tails(1e-15, 1e-15))
    window = Window(tilt=20.0, low=1.0, high=6.0, right=8.0, left=8.0)
    composed = compose([law], [10], window, sign=1.0)
    assert composed.epsilon(1e-15, sign=1.0)[0] == math.inf
    answer = lattice.epsilon_of({Gaussian(4.0): 10}, 1e-15, ADD_REMOVE)
    true = gaussian.epsilon_of(math.sqrt(10) / 4.0, 1e-15)
    assert answer.lower <= true[1]
    assert true[0] <= answer.upper <= true[1] + 1e-2


def test_ceil_of_floats_would_push_atoms_up():
    """k-RR on a lattice of eps0 / 100: rounding up losses that are an ulp too large costs 1 % of epsilon."""
    eps0, count = 0.5, 100
    exact = responses.epsilon_of({10: count}, eps0, 1e-5)
    answer = lattice.epsilon_of({RandomizedResponse(10, eps0): count}, 1e-5, REPLACE_ONE)
    assert exact[0] <= answer.upper <= exact[1] * (1 + 1e-7)
    step, atoms = eps0 / 100, response_pair(10, eps0).atoms(0.0)
    mass = np.zeros(300)
    for loss, held in zip((-eps0, 0.0, math.nextafter(eps0, 1.0)), atoms.p, strict=True):
        mass[math.ceil(loss / step) + 150] += held
    pushed = LatticeLaw(step, 0.0, -150, mass, 0.0, 0.0, 0.0)
    window = look([pushed], [count], log_delta=math.log(1e-5)).window
    assert compose([pushed], [count], window, sign=1.0).epsilon(1e-5, sign=1.0)[0] > 1.008 * exact[1]


def event_loss(event):
    """Largest loss of an event of these tests, or infinity."""
    (releases, *_) = directions_of({event: 1}, ADD_REMOVE)
    anchor = releases.above[0].anchor
    return math.inf if anchor is None else anchor[1]


@settings(max_examples=12)
@given(
    parts=st.dictionaries(
        st.one_of(
            st.floats(0.8, 30.0).map(Gaussian),
            st.floats(1.0, 40.0).map(Laplace),
            st.tuples(st.floats(0.8, 3.0), st.floats(0.01, 0.9)).map(lambda sq: Gaussian(sq[0]).poisson(sq[1])),
            st.tuples(st.floats(1.0, 9.0), st.floats(0.05, 0.9)).map(lambda bq: Laplace(bq[0]).poisson(bq[1])),
            st.floats(0.01, 0.6).map(PureDP),
            st.sampled_from([DiscreteGaussian(3.0), DiscreteLaplace(0.2, 3), Exponential(0.2)]),
        ),
        st.integers(1, 12),
        min_size=1,
        max_size=3,
    ),
    log_delta=st.floats(-30.0, -2.0),
)
def test_laws_of_random_ledgers(parts, log_delta):
    delta = math.exp(log_delta)
    answer = lattice.epsilon_of(parts, delta, ADD_REMOVE)
    assert 0.0 <= answer.lower <= answer.upper < math.inf
    json.dumps(dict(answer.settings))
    # The order of events does not matter.
    turned = lattice.epsilon_of(dict(reversed(parts.items())), delta, ADD_REMOVE)
    assert turned.lower <= answer.upper
    assert answer.lower <= turned.upper
    # delta of epsilon is the inverse; at the largest loss of all it falls by more than it can be resolved.
    is_at_top = answer.upper > (1 - 1e-6) * sum(count * event_loss(event) for event, count in parts.items())
    if answer.upper > 0.0 and not is_at_top:
        assert lattice.delta_of(parts, answer.upper, ADD_REMOVE).lower <= delta
    if answer.lower > 0.0 and not is_at_top:
        assert lattice.delta_of(parts, answer.lower, ADD_REMOVE).upper >= delta
    # One more release never costs less.
    first = next(iter(parts))
    more = lattice.epsilon_of({**parts, first: parts[first] + 1}, delta, ADD_REMOVE)
    assert more.upper >= answer.lower
    assert lattice.epsilon_of(parts, delta / 2, ADD_REMOVE).upper >= answer.lower


def test_a_profile_equals_single_questions_with_few_compositions():
    parts = {Gaussian(1.0).poisson(0.05): 200, Laplace(10.0): 20}
    profile = DeltaCurve(parts, ADD_REMOVE)
    for epsilon in np.linspace(9.0, 0.0, 10):
        found, one = profile.delta(float(epsilon)), lattice.delta_of(parts, float(epsilon), ADD_REMOVE)
        assert one.lower <= found.upper
        assert one.upper >= found.lower
        assert found.lower <= found.upper <= 1.05 * found.lower + 1e-12
    assert all(len(known) < 8 for _, known in profile.composed)


def test_delta_of_one_release_has_the_closed_form():
    for epsilon in (0.0, 0.3, 0.999):
        answer = lattice.delta_of({Laplace(1.0): 1}, epsilon, ADD_REMOVE)
        true = -math.expm1((epsilon - 1.0) / 2)
        assert answer.lower <= true <= answer.upper
        assert answer.upper - answer.lower <= 1e-2 * true + 1e-9


def test_epsilon_is_zero_when_delta_exceeds_the_total_variation():
    answer = lattice.epsilon_of({Gaussian(100.0): 1}, 0.01, ADD_REMOVE)
    assert answer.lower == answer.upper == 0.0
    assert lattice.epsilon_of({}, 1e-5, ADD_REMOVE).upper == 0.0


def test_other_accountants_agree():
    pytest.importorskip("dp_accounting")
    from dp_accounting.pld import privacy_loss_distribution as pld

    theirs = pld.from_laplace_mechanism(3.0, value_discretization_interval=1e-4).self_compose(50)
    answer = lattice.epsilon_of({Laplace(3.0): 50}, 1e-7, ADD_REMOVE)
    assert answer.lower <= theirs.get_epsilon_for_delta(1e-7) + 1e-9
    assert answer.upper == pytest.approx(theirs.get_epsilon_for_delta(1e-7), rel=2e-3)


def test_nothing_is_returned_when_it_cannot_be_resolved():
    with pytest.raises(ResolutionError, match="renyi"):
        lattice.epsilon_of({PureDP(0.001 + i / 1e6): 1 for i in range(1001)}, 1e-5, ADD_REMOVE)
    with pytest.raises(ResolutionError, match="renyi"):
        lattice.epsilon_of({Gaussian(1.0): 1}, 1e-280, ADD_REMOVE)
    with pytest.raises(UnsupportedEvent, match="zcdp"):
        lattice.epsilon_of({ZCDP(0.1): 1}, 1e-5, ADD_REMOVE)
    law = upper_law(GaussianPair(1.0), 1e-3, Tails(1e-12, 1e-16))
    with pytest.raises(ResolutionError, match="cells"):
        compose([law], [10**6], Window(tilt=1e-3, low=-1e5, high=1e5, right=1e-3, left=1e-3), sign=1.0)
    broken = LatticeLaw(law.step, law.origin, law.first, law.mass * math.nan, 0.0, 0.0, 0.0)
    with pytest.raises(ResolutionError, match="not finite"):
        compose([broken], [1], Window(2.0, 1.0, 5.0, 1.0, 1.0), sign=1.0).epsilon(1e-5, sign=1.0)


def test_error_terms_cover_the_rounding_and_no_more():
    """Composed masses against 50 digits, under a tilt; then the same with a window that aliases."""
    law = upper_law(SampledPair(GaussianPair(1.0), 0.3), 0.1, Tails(1e-12, 1e-12))
    tilt, count = 1.5, 12
    whole = compose([law], [count], Window(tilt, -1e3, 1e3, 1.0, 1.0), sign=1.0)
    assert whole.is_whole
    with mp.workdps(50):
        mass = [mp.mpf(float(m)) for m in law.mass]
        total = [mp.mpf(1)]
        for _ in range(count):
            wide = [mp.mpf(0)] * (len(total) + len(mass) - 1)
            for i, a in enumerate(total):
                for j, b in enumerate(mass):
                    wide[i + j] += a * b
            total = wide
        losses = [(count * law.first + i) * mp.mpf(law.step) for i in range(len(total))]
        for epsilon in (2.0, 5.0, 9.0, 12.0):
            at = mp.mpf(epsilon) - mp.mpf(whole.shift)
            true = mp.fsum(m * (1 - mp.exp(at - x)) for m, x in zip(total, losses, strict=True) if x > at)
            end, numeric = whole.delta(epsilon, sign=1.0)
            gap = float(mp.mpf(end) - true)
            assert 0.0 <= gap <= 2 * numeric
            assert numeric - whole.infinity <= 1e-6 * float(true)
            small = look([law], [count], epsilon=epsilon).window
            aliased, _ = compose([law], [count], small, sign=1.0).delta(epsilon, sign=1.0)
            assert aliased >= float(true)


def test_log_mgf_has_the_closed_form_of_a_gaussian():
    law = upper_law(GaussianPair(1.0), 1e-3, Tails(1e-16, 1e-16))
    tilts = np.array([0.0, 0.5, 3.0])
    logs, means, variances = log_mgf(law, tilts)
    assert logs == pytest.approx(0.5 * tilts * (tilts + 1.0), abs=2e-6)
    assert means == pytest.approx(0.5 + tilts, abs=1e-5)
    assert variances == pytest.approx(1.0, abs=1e-5)


def test_a_window_that_is_too_long_makes_the_interval_wider_not_useless():
    neighbours = [
        lattice.epsilon_of({Gaussian(s).poisson(1e-4): 10**5}, 1e-8, Adjacency.ADD_REMOVE) for s in (0.66, 0.6884, 0.7)
    ]
    assert neighbours[0].lower > neighbours[1].upper > neighbours[1].lower > neighbours[2].upper
