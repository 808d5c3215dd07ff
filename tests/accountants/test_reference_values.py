"""Public test values: truths for Gaussians, responses and claims, and what must not be contradicted."""

import json
import math

import pytest

from accountants import ApproxDP, Composed, Gaussian, PureDP, RandomizedResponse, epsilon, renyi

BUILDERS = {
    "gaussian": lambda e: Gaussian(e["sigma"]),
    "krr": lambda e: RandomizedResponse(e["k"], e["eps0"]),
    "approx_dp": lambda e: ApproxDP(e["eps0"], e["delta0"]),
    "poisson_gaussian": lambda e: Gaussian(e["sigma"]).poisson(e["q"]),
    # Laplace and discrete Laplace noise of sensitivity 1 are pure mechanisms: the claim can only cost more.
    "laplace": lambda e: PureDP(1.0 / e["b"]),
    "discrete_laplace": lambda e: PureDP(e["a"] * e["sensitivity"]),
}
EXACT = ("gauss-", "krr-", "approx-", "dlap-")


@pytest.fixture
def reference(shared_file):
    return json.loads(shared_file("specs/accounting-reference.json").read_text())


def cases(reference):
    for case in reference["composition"]:
        if all(event["type"] in BUILDERS for event in case["events"]) and not case["id"].startswith("sg-ro"):
            parts = tuple(BUILDERS[event["type"]](event) * event["count"] for event in case["events"])
            adjacency = "add-remove" if case["adjacency"] == "any" else case["adjacency"]
            bound = epsilon(Composed(parts), case["delta"], adjacency=adjacency)
            yield case["id"], bound, float(case["eps_lower"]), float(case["eps_upper"])


def test_no_reference_case_is_contradicted(reference):
    seen = 0
    for name, bound, lower, upper in cases(reference):
        printed = 1e-8 * (1 + lower) if lower < math.inf else 0.0  # the file has nine digits
        assert bound.upper >= lower - printed, name
        if not name.startswith(("lap-", "het-")):
            assert bound.lower <= upper + printed, name
        seen += 1
    assert seen >= 50


def test_exact_cases_are_reached(reference):
    seen = 0
    for name, bound, lower, upper in cases(reference):
        if name.startswith(EXACT):
            seen += 1
            if upper == math.inf:
                assert bound.lower == math.inf, name
                continue
            middle = 0.5 * (lower + upper)
            assert abs(bound.upper - middle) <= 1e-8 * (1 + middle), name
            assert abs(bound.lower - middle) <= 1e-8 * (1 + middle), name
    assert seen >= 25


def test_renyi_values(reference):
    seen = 0
    for case in reference["rdp"]:
        if case["event"]["type"] in ("poisson_gaussian", "krr"):
            event = BUILDERS[case["event"]["type"]](case["event"])
            assert math.isclose(renyi(event, case["alpha"]), case["rdp"], rel_tol=1e-10), case
            seen += 1
    assert seen >= 20


def test_renyi_bound_of_training_runs_matches_published_figures():
    # opacus and dp-accounting give 1.71177, 5.63199 and 22.5025 on coarser grids of orders.
    for count, published in [(1_000, 1.71177), (10_000, 5.63199), (100_000, 22.5025)]:
        bound = epsilon(Gaussian(1.1).poisson(0.01) * count, 1e-5, method="renyi")
        assert bound.upper <= published
        assert bound.upper >= 0.999 * published
