"""What a message says about an argument of the wrong kind: its name, what is allowed, what to do; never a list of values."""

import json
import subprocess
import sys

import pytest

from accountants import check

# In a process of its own: the run-time type checks of this test run would speak first.
PROGRAM = """
import json, sys
from dataclasses import dataclass
from typing import ClassVar
import numpy as np
from accountants import *
from accountants.events import Event

@dataclass(frozen=True, repr=False)
class Odd(Event):
    type_name: ClassVar[str] = "odd"

G = Gaussian(1.0)
messages = {}
for case in sys.argv[1:]:
    try:
        eval(case)
    except Exception as error:
        messages[case] = [type(error).__name__, str(error)]
    else:
        messages[case] = ["accepted", ""]
sys.stdout.write(json.dumps(messages))
"""

CASES = {
    "audit('ledger.json')": ("TypeError", "ledger='ledger.json' must be a Ledger; Ledger.read(path)"),
    "Filter(1, 1e-5, rule='gdp')": ("TypeError", "rule='gdp' must be a rule of accountants.budgets.rules"),
    "Filter(1, 1e-5, plan='gdp')": ("TypeError", "event='gdp' must be an event"),
    "Filter(1, 1e-5).try_spend(G, 1.0)": ("TypeError", "count=1.0 must be an integer"),
    "Filter(1, 1e-5).try_spend(G, True)": ("TypeError", "count=True must be an integer"),
    "Odometer(1e-5).spend(G, 2.0)": ("TypeError", "count=2.0 must be an integer"),
    "Ledger(adjacency='add-remove').charge(G, count=1.0)": ("TypeError", "count=1.0 must be an integer"),
    "Ledger(adjacency='add-remove', sampler=[1])": ("TypeError", "sampler (a list) must be a Sampler or a mapping"),
    "renyi('x', 2)": ("TypeError", "event='x' must be an event"),
    "renyi(G, 'a')": ("TypeError", "alpha='a' must be a number"),
    "renyi(G, [2.0, 0.5])": ("ValueError", "alpha (a list) must be finite orders > 1"),
    "renyi(Odd(), 2.0)": ("UnsupportedEvent", "TreeAggregation"),
    "group('G', 3)": ("TypeError", "event='G' must be an event"),
    "epsilon([1, 2], 1e-5)": ("TypeError", "event (a list) must be an event"),
    "Gaussian(np.ones(2))": ("TypeError", "sigma (a ndarray) must be a finite number, >= 0"),
    "Gaussian(None)": ("TypeError", "sigma=None must be a finite number"),
    "Gaussian(10**400)": ("ValueError", "sigma=(an integer of 1329 bits) must be a finite number"),
    "Gaussian('x' * 1000)": ("TypeError", "xxx... must be a finite number"),
    "RDP(5, 6)": ("TypeError", "orders=5 must be a sequence of numbers"),
    "parse('group(gaussian(1), 3)')": ("ValueError", "did you mean 'group_poisson_gaussian'?"),
    "parse('gausian(1)')": ("ValueError", "did you mean 'gaussian'?"),
    "epsilon(G.shuffled(10, 100) + G.fixed_size(1, 9), 1e-5)": ("AdjacencyError", "no adjacency fits all parts"),
    "epsilon(G.shuffled(10, 100), 1e-5)": ("AdjacencyError", "pass adjacency='zero-out'"),
}


def test_messages_name_the_argument_what_is_allowed_and_what_to_do():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *CASES], check=True, timeout=60, capture_output=True, text=True
    )
    found = json.loads(run.stdout)
    wrong = {
        case: found[case]
        for case, (kind, text) in CASES.items()
        if found[case][0] != kind or text not in found[case][1]
    }
    assert not wrong
    assert max(len(text) for _, text in found.values()) < 1000  # a list of all events is the longest


@pytest.mark.parametrize("value", [[1], (1, 2), {"a": 1}, {3}, object(), b"secret"])
def test_only_numbers_and_words_are_quoted(value):
    assert check.given("sigma", value).startswith("sigma (a")


@pytest.mark.parametrize("value", [1, -2.5, True, None, "word", 1j])
def test_numbers_and_words_are(value):
    assert check.given("sigma", value) == f"sigma={value!r}"
