"""Events of other packages: one decorator, and ledgers, JSON, expressions and accountants take them."""

import subprocess
import sys

import pytest

from accountants import Adjacency, Event, Gaussian, GNMax, epsilon
from accountants.events import KINDS
from accountants.events.fields import real
from accountants.events.registry import METHODS, NAMES, event

# The files of a package as its author writes them: the dataclass with its fields, and what it costs.
PACKAGE = '''
"""Events of another package."""

import numpy as np

from accountants import Adjacency, Event, Gaussian
from accountants.events.event import Parts
from accountants.events.fields import integer, real
from accountants.events.registry import event
from accountants.events.sampling import Sampled
from accountants.methods.renyi.registry import curve


@event("two_sums", alias="both_sums", adjacencies=[Adjacency.ADD_REMOVE])
class TwoSums(Event):
    """Two noisy sums per round; costs what its Gaussians cost."""

    sigma: float = real(at_least=0.0)
    rounds: int = integer(at_least=0, at_most=100, default=1)

    def simplify(self, count: int, parts: Parts) -> None:
        parts.collect(Gaussian(self.sigma), 2 * self.rounds * count)


@event("linear_loss")
class LinearLoss(Event):
    """A release of which only the Renyi curve slope * alpha is known."""

    slope: float = real(above=0.0)


@curve.register
def _(event: LinearLoss, orders, adjacency):
    return event.slope * orders


@event("every_round", method="every_round")
class EveryRound(Sampled):
    """An event in every one of some rounds."""

    rounds: int = integer(at_least=1)
    event: Event

    def simplify(self, count: int, parts: Parts) -> None:
        parts.collect(self.event, self.rounds * count)
'''
PROGRAM = """
import json, sys
from pathlib import Path
from accountants import *

text = "two_sums(sigma=2, rounds=3) * 5 + linear_loss(0.1) + (gaussian(1) * 2).every_round(4)"
for unknown in (lambda: parse(text), lambda: from_dict({"type": "two_sums", "sigma": 2.0, "rounds": 3})):
    try:
        unknown()
    except (ValueError, UnsupportedEvent) as error:
        assert "two_sums" in str(error), error
    else:
        raise SystemExit("read before it was registered")

from elsewhere import EveryRound, LinearLoss, TwoSums
event = TwoSums(2, 3) * 5 + LinearLoss(0.1) + (Gaussian(1) * 2).every_round(4)
assert str(event) == text and parse(text) == event
assert parse("TwoSums(2)") == parse("both_sums(sigma=2)") == TwoSums(2.0) and repr(TwoSums(2)) == "two_sums(sigma=2, rounds=1)"
assert from_dict(json.loads(json.dumps(event.to_dict()))) == event
assert event.adjacencies == {Adjacency.ADD_REMOVE} and event.depth == 3
assert EveryRound(4, Gaussian(1)) == Gaussian(1).every_round(rounds=4)
for bad, name in ((lambda: TwoSums(-1), "sigma=-1"), (lambda: TwoSums(1, 101), "rounds=101"), (lambda: TwoSums("1"), "sigma='1'")):
    try:
        bad()
    except (TypeError, ValueError) as error:
        assert name in str(error), error
    else:
        raise SystemExit(f"accepted what {name} says")

assert epsilon(TwoSums(2, 3) * 5, 1e-5) == epsilon(Gaussian(2) * 30, 1e-5)
assert epsilon(Gaussian(1).every_round(4), 1e-5) == epsilon(Gaussian(1) * 4, 1e-5)
assert renyi(LinearLoss(0.5), 2.0) == renyi(Gaussian(1.0), 2.0) == 1.0
assert epsilon(LinearLoss(0.5), 1e-5).upper == epsilon(Gaussian(1.0), 1e-5, method="renyi").upper

from accountants.events.registry import event as registered
try:
    registered("plain")(type("Plain", (), {}))
except TypeError as error:
    assert "Plain must be a subclass of Event to be registered as 'plain'" in str(error), error
else:
    raise SystemExit("registered what is no event")

path = Path(sys.argv[1])
ledger = Ledger(adjacency="add-remove")
ledger.charge(event, count=2)
ledger.save(path)
again = Ledger.read(path)
assert again.events == (event * 2,) and again.epsilon(1e-5) == ledger.epsilon(1e-5)

sampled = Ledger(adjacency="add-remove", n=1000, sampler={"kind": "poisson", "q": 0.5, "n": 1000, "steps": 4})
sampled.charge(Gaussian(1).every_round(4))
said = [*audit(sampled).errors, *(str(verdict) for verdict in audit(sampled).verdicts)]
assert any("accounted as every_round sampling" in text for text in said), said  # it may claim what the loader did not do
"""


def test_an_event_of_another_package_is_read_by_text_json_and_ledgers(tmp_path):
    # In a process of its own, so that the registry of this one stays as it is.
    (tmp_path / "elsewhere.py").write_text(PACKAGE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "ledger.json")],
        env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def registry(monkeypatch):
    """The tables, put back after the test."""
    tables = (KINDS, NAMES, METHODS)
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ({"type_name": "gaussian"}, "'gaussian': that is accountants.events.gaussian.Gaussian"),
        ({"type_name": "fresh", "alias": "krr"}, "'krr': that is accountants.events.response.RandomizedResponse"),
        ({"type_name": "fresh", "method": "poisson"}, "'poisson': that is accountants.events.sampling.PoissonSampled"),
        ({"type_name": "not a name"}, "'not a name' cannot be a name of Impostor"),
    ],
)
def test_a_name_that_another_class_has_is_refused_and_nothing_is_entered(registry, names, taken):
    before = [dict(table) for table in (KINDS, NAMES, METHODS)]
    with pytest.raises(ValueError, match=taken):

        @event(**names)
        class Impostor(Event):
            """Claims the name of another event."""

    assert before == [KINDS, NAMES, METHODS]


def test_the_name_of_a_class_is_a_name_too(registry):
    with pytest.raises(ValueError, match=r"cannot be registered as 'GNMax': that is accountants.events.voting.GNMax"):
        event("fresh")(type("GNMax", (Event,), {}))
    assert Event.from_dict({"type": "gnmax", "sigma": 3}) == GNMax(3)


def test_a_class_that_is_defined_again_takes_its_own_place(registry):
    def define():
        @event("again", adjacencies=[Adjacency.ZERO_OUT])
        class Again(Event):
            """A cell of a notebook that is run twice."""

        return Again

    first, second = define(), define()
    assert first is not second
    assert KINDS["again"] is NAMES["Again"] is second
    assert second().adjacencies == {Adjacency.ZERO_OUT}


def test_what_a_class_adds_to_its_construction_sees_checked_fields(registry):
    from accountants.events.fields import integer

    @event("ordered")
    class Ordered(Event):
        """Two numbers, the first at most the second."""

        low: int = integer(at_least=0, at_most="high")
        high: int = integer(at_least=0)

        def __post_init__(self):
            assert type(self.low) is type(self.high) is int

    assert Ordered(2, 3) == Ordered(low=2, high=3)
    with pytest.raises(ValueError, match="low=4 must be an integer, >= 0 and <= 3"):
        Ordered(4, 3)
    with pytest.raises(TypeError, match=r"high='3' must be an integer"):
        Ordered(4, "3")


def test_copies_are_made_from_the_parameters():
    import copy
    import pickle

    deep = (Gaussian(1.1).poisson(0.01) * 10 + GNMax(3, [1, 2])).shuffled(2, 10)
    for copied in (copy.copy(deep), copy.deepcopy(deep), pickle.loads(pickle.dumps(deep))):  # noqa: S301  bytes of our own
        assert copied == deep
        assert (copied.depth, hash(copied), repr(copied)) == (deep.depth, hash(deep), repr(deep))


def test_a_class_that_would_be_priced_as_its_parent_is_refused(registry):
    with pytest.raises(TypeError, match="Scaled derives from Gaussian, and would be priced as one"):

        @event("scaled")
        class Scaled(Gaussian):
            sensitivity: float = real(above=0.0, default=1.0)


def test_fields_that_nothing_checks_are_refused(registry):
    with pytest.raises(TypeError, match="Loose takes level unchecked"):

        @event("loose")
        class Loose(Event):
            level: float = 0.0

    with pytest.raises(TypeError, match="Wrapped takes event unchecked"):  # it would be stated for every adjacency

        @event("wrapped")
        class Wrapped(Event):
            event: Event


@pytest.mark.parametrize("way", ["add", "collect"])
def test_a_simplify_that_takes_cost_away_is_refused(registry, way):
    @event("rebate")
    class Rebate(Event):
        def simplify(self, number, parts):
            getattr(parts, way)(Gaussian(1.0), -3 * number)

    with pytest.raises(ValueError, match="of a part must be a whole number >= 0"):
        epsilon(Gaussian(1.0) * 3 + Rebate(), 1e-5)
