"""Every call returns or raises within ten seconds of CPU time, however extreme its parameters: an assertion, no benchmark."""

import math
import time

import pytest

from accountants import (
    ZCDP,
    ApproxDP,
    CalibrationError,
    Composed,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    PureDP,
    RandomizedResponse,
    ResolutionError,
    SubsetResponse,
    UnsupportedEvent,
    calibrate,
    delta,
    epsilon,
    group,
    parse,
)

LIMIT = 10.0  # CPU seconds
REFUSALS = (UnsupportedEvent, ResolutionError, CalibrationError)

NASTY = {
    "tiny noise": (Gaussian(1e-6).poisson(0.5) * 3, "add-remove"),
    "tiny noise, many": (Gaussian(0.01).poisson(0.3) * 10**9, "add-remove"),
    "huge noise, rare": (Gaussian(1e6).poisson(1e-9) * 10**9, "add-remove"),
    "huge noise, rare, exchanged": (Gaussian(1e6).poisson(1e-9) * 10**9, "replace-one"),
    "rare, few": (Gaussian(1.0).poisson(1e-9) * 10**4, "add-remove"),
    "nearly all": (Gaussian(1.0).poisson(1 - 1e-9) * 10**6, "add-remove"),
    "largest count": (Gaussian(50.0).poisson(0.01) * 10**15, "add-remove"),
    "exchanged, many": (Gaussian(1.0).poisson(0.3) * 10**9, "replace-one"),
    "weak Laplace": (Laplace(1e9) * 10**15, "add-remove"),
    "strong Laplace": (Laplace(1e-3) * 10**4, "add-remove"),
    "sampled Laplace": (Laplace(1e3).poisson(0.01) * 10**7, "add-remove"),
    "responses of two levels": (RandomizedResponse(10, 1e-3) * 10**7 + PureDP(1e-3 / 3) * 10**7, "replace-one"),
    "strong responses": (RandomizedResponse(10**15, 700.0) * 10**6 + SubsetResponse(10, 3, 0.3), "replace-one"),
    "integers without noise": (DiscreteGaussian(1e-3, 3) * 30, "add-remove"),
    "integers of huge noise": (DiscreteGaussian(1e9, 2) * 10**4, "add-remove"),
    "integers of huge shift": (DiscreteLaplace(1e-6, 10**9) * 3, "add-remove"),
    "exponential": (Exponential(1e-6).poisson(0.1) * 10**12, "add-remove"),
    "fixed size": (Laplace(0.01).fixed_size(3, 10**9) * 10**7, "replace-one"),
    "fixed size, strong": (Gaussian(0.1).fixed_size(999, 1000) * 10**4, "replace-one"),
    "allocation": (Gaussian(0.5).random_allocation(10**6, 3) * 10**6, "add-remove"),
    "large group": (group(Gaussian(5.0).poisson(0.01) * 10**4, 30), "add-remove"),
    "claims": (ZCDP(1e-9) * 10**12 + ApproxDP(1e-9, 1e-30) * 10**12, "add-remove"),
    "a hundred kinds": (Composed(tuple(Laplace(1.0 + i / 7) * (i + 1) for i in range(100))), "add-remove"),
    "deep": (parse("(" * 50 + "laplace(3)" + ".poisson(0.9))" * 50), "add-remove"),
}
QUESTIONS = [
    pytest.param(one, marks=() if one == (epsilon, 1e-5) else pytest.mark.proof, id=f"{one[0].__name__}-{one[1]:g}")
    for one in [(epsilon, 1e-5), (epsilon, 1e-14), (epsilon, 0.5), (delta, 0.1), (delta, 50.0)]
]


def within_limit(ask):
    """The answer, or the refusal; fails if it took too long."""
    start = time.process_time()
    try:
        return ask()
    except REFUSALS as refusal:
        return refusal
    finally:
        assert time.process_time() - start < LIMIT


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_is_answered_or_refused_in_time(name, question):
    (event, adjacency), (function, argument) = NASTY[name], question
    found = within_limit(lambda: function(event, argument, adjacency=adjacency))
    if not isinstance(found, Exception):
        assert 0.0 <= found.lower <= found.upper
        assert function is epsilon or found.upper <= 1.0


@pytest.mark.parametrize(
    ("function", "argument", "name"), [(epsilon, 1e-14, "huge noise, rare"), (delta, 0.1, "rare, few")]
)
def test_enormous_tilts_do_not_loop_over_cells(function, argument, name):
    event, adjacency = NASTY[name]
    found = within_limit(lambda: function(event, argument, adjacency=adjacency))
    assert isinstance(found, Exception) or 0.0 <= found.lower <= found.upper


@pytest.mark.proof
@pytest.mark.parametrize("width", [1e-12, 1e-6, 1e6])
@pytest.mark.parametrize("name", ["sampled Laplace", "exchanged, many", "a hundred kinds"])
def test_no_requested_width_takes_longer(name, width):
    event, adjacency = NASTY[name]
    found = within_limit(lambda: epsilon(event, 1e-5, adjacency=adjacency, width=width))
    assert isinstance(found, Exception) or found.lower <= found.upper


@pytest.mark.parametrize("target", [5e-324, 1e-300, 1e-100, 1e-30, 1 - 2**-53])
@pytest.mark.parametrize(
    "event", [Gaussian(1.1).poisson(0.01) * 1000, Laplace(10.0) * 30, DiscreteGaussian(3.0) * 7 + Laplace(2.0)], ids=str
)
def test_extreme_deltas_are_answered_in_time(event, target):
    found = within_limit(lambda: epsilon(event, target))
    assert isinstance(found, Exception) or 0.0 <= found.lower <= found.upper


@pytest.mark.parametrize(
    ("make", "budget"),
    [
        (lambda sigma: Gaussian(sigma).poisson(1e-3) * 10**6, 1e-3),
        (lambda sigma: Gaussian(sigma).poisson(0.01) * 10**4, 1e3),
        (lambda sigma: Gaussian(sigma) * 10**12, 1e-9),
        (lambda scale: Laplace(scale), 1e-300),
    ],
    ids=["small", "large", "tiny", "impossible"],
)
@pytest.mark.proof
def test_calibration_ends(make, budget):
    start = time.process_time()
    try:
        found = calibrate(make, budget, 1e-5)
    except CalibrationError:
        found = None
    assert time.process_time() - start < 3 * LIMIT  # dozens of questions
    assert found is None or found.bound.upper <= budget


def test_the_guard_itself_notices(monkeypatch):
    def busy():
        start = time.process_time()
        while time.process_time() - start < 0.05:
            math.sqrt(2.0)

    monkeypatch.setitem(globals(), "LIMIT", 0.01)
    with pytest.raises(AssertionError):
        within_limit(busy)
