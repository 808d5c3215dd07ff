"""Rényi curves against all public reference values."""

import json
import math

from accountants.events import Exponential, Gaussian, Laplace, RandomizedResponse
from accountants.methods.renyi.renyi import renyi

BUILDERS = {
    "poisson_gaussian": lambda e: Gaussian(e["sigma"]).poisson(e["q"]),
    "laplace": lambda e: Laplace(e["b"]),
    "krr": lambda e: RandomizedResponse(e["k"], e["eps0"]),
    "exponential": lambda e: Exponential(e["eps"]),
    "random_allocation": lambda e: Gaussian(e["sigma"]).random_allocation(e["steps"], e["selected"]),
}


def test_every_reference_value_is_met(shared_file):
    cases = json.loads(shared_file("specs/accounting-reference.json").read_text())["rdp"]
    assert len(cases) == 35
    for case in cases:
        event = BUILDERS[case["event"]["type"]](case["event"])
        value = float(renyi(event, case["alpha"], adjacency=case.get("adjacency", "add-remove")))
        assert math.isclose(value, case["rdp"], rel_tol=1e-8), case
        assert value >= case["rdp"] * (1 - 1e-14), case
