"""Votes ride along and are never shown."""

import copy
import dataclasses
import pickle
import pprint
import subprocess
import sys

import pytest

from accountants import from_dict
from accountants.events import ConfidentGNMax, GNMax, LNMax, distinct
from accountants.ledger.ledger import Ledger

SECRET = (4711, 815, 90210)
EVENTS = [
    (lambda votes: GNMax(40.0, votes), SECRET),
    (lambda votes: LNMax(40.0, votes), SECRET),
    (lambda votes: ConfidentGNMax(100.0, 50.0, 40.0, 2, 1, votes), (SECRET, SECRET)),
]


def shown(text):
    return any(str(secret) in text for secret in SECRET)


@pytest.mark.parametrize(("make", "votes"), EVENTS)
def test_votes_are_kept_and_shown_nowhere(make, votes):
    with_votes, without = make(votes), make(None)
    assert with_votes.votes.unsafe_value() == votes
    for text in (
        repr(with_votes),
        str(with_votes),
        f"{with_votes}",
        str(with_votes.to_dict()),
        repr(with_votes * 2),
        repr(with_votes.votes),
    ):
        assert not shown(text)
    assert with_votes == without
    assert hash(with_votes) == hash(without)
    again = from_dict(with_votes.to_dict())
    assert again == with_votes
    assert again.votes is None


@pytest.mark.parametrize(("make", "votes"), EVENTS)
def test_votes_do_not_reach_what_a_ledger_counts(make, votes):
    for part in distinct(make(votes) * 3):
        assert getattr(part, "votes", None) is None


def sent(thing):
    """What another process would get."""
    return pickle.loads(pickle.dumps(thing))  # noqa: S301  bytes of our own


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": sent,
    "in a sum": lambda event: sent(event + event).events[0],
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize(("make", "votes"), EVENTS)
def test_no_copy_of_an_event_has_votes(make, votes, how):
    event = make(votes)
    again = COPIES[how](event)
    assert (again, again.votes) == (event, None)
    assert event.votes.unsafe_value() == votes


@pytest.mark.parametrize(("make", "votes"), EVENTS)
def test_what_the_standard_library_writes_of_an_event_has_no_votes(make, votes):
    event = make(votes)
    written = [dataclasses.asdict(event), dataclasses.astuple(event), pprint.pformat(event), event.__getstate__()]
    assert not any(shown(str(one)) for one in written)
    assert not any(str(secret).encode() in pickle.dumps(event, protocol=0) for secret in SECRET)
    assert sent(event.votes) is None


@pytest.mark.parametrize(("make", "votes"), EVENTS)
def test_a_ledger_holds_events_without_votes(make, votes):
    ledger = Ledger(adjacency="replace-one")
    ledger.charge(make(votes))
    ledger.charge(make(votes) * 2 + GNMax(30.0, SECRET), count=2)
    (first, second) = ledger.events
    assert first == make(None)
    assert first.votes is None
    assert [getattr(part, "votes", None) for part in distinct(second)] == [None] * len(distinct(second))
    assert second.event.events[0].event.votes is None
    assert second.event.events[1].votes is None


def test_votes_in_the_place_of_another_argument_are_not_quoted():
    # In a process of its own, as below.
    program = """
import traceback
import numpy as np
from accountants import Gaussian, Ledger, epsilon, group, renyi
from accountants.events import ConfidentGNMax, GNMax, LNMax, PoissonSampled
from accountants.pate.epsilon import pate_epsilon
from accountants.pate.release import release_renyi
secret = [4711, 815, 90210]
for bad in (secret, tuple(secret), np.array(secret), {4711: 815}, [secret], GNMax(1.0, secret).votes):
    for call in (
        lambda: GNMax(bad, 40.0), lambda: LNMax(bad), lambda: ConfidentGNMax(bad, 1.0, 1.0, 2, 1),
        lambda: ConfidentGNMax(1.0, 1.0, 1.0, bad, 1), lambda: PoissonSampled(bad, Gaussian(1.0)),
        lambda: PoissonSampled(0.1, bad), lambda: Gaussian(1.0) * bad, lambda: epsilon(bad, 1e-5),
        lambda: epsilon(Gaussian(1.0), bad), lambda: renyi(bad, 2.0), lambda: group(bad, 2),
        lambda: pate_epsilon(40.0, bad, 1e-5, teachers=5), lambda: pate_epsilon(bad, 40.0, 1e-5, teachers=5),
        lambda: Ledger(adjacency="replace-one").charge(bad), lambda: Ledger(adjacency="replace-one", n=bad),
        lambda: release_renyi([bad], beta=0.1, noise_multiplier=5.0),
    ):
        try:
            call()
        except (TypeError, ValueError) as error:
            text = "".join(traceback.format_exception_only(error))
            assert not any(number in text for number in ("4711", "815", "90210")), text
        else:
            raise SystemExit(f"accepted {bad}")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_votes_of_different_queries_do_not_tell_events_apart():
    assert len({GNMax(1.0, (1, 2)), GNMax(1.0, (3, 4)), GNMax(1.0)}) == 1
    assert dataclasses.replace(GNMax(1.0, (1, 2)), sigma=2.0) == GNMax(2.0)


def test_bad_votes_are_refused_and_not_printed():
    # In a process of its own: the run-time type checks of this test run print what they refuse.
    program = """
import math
import traceback
from accountants.events import ConfidentGNMax, GNMax, LNMax
secret = (4711, 815, 90210)
for bad in (
    (), (4711,), (4711, -815), (4711, 815.5), (4711, math.nan), (4711, math.inf), (4711, 10**30), (4711, "815"),
    (4711, True), (4711, None), 4711, "4711815", (secret, secret), {"4711": 815}, (4711, 1j),
):
    for make in (
        lambda: GNMax(40.0, bad), lambda: LNMax(40.0, bad), lambda: ConfidentGNMax(1.0, 1.0, 1.0, 2, 1, (secret, bad))
    ):
        try:
            make()
        except (TypeError, ValueError) as error:
            text = "".join(traceback.format_exception_only(error))
            assert "votes" in text and "4711" not in text and "815" not in text, text
            assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
        else:
            raise SystemExit(f"accepted {bad}")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("rows", [(SECRET,), (SECRET, SECRET, SECRET), (SECRET, SECRET[:2]), SECRET, 5])
def test_tables_of_the_wrong_shape_are_refused(rows):
    with pytest.raises((ValueError, TypeError), match="votes"):
        ConfidentGNMax(100.0, 50.0, 40.0, 2, 1, rows)


def test_whole_floats_and_arrays_are_votes():
    # In a process of its own: the run-time type checks of this test run know Python's own numbers only.
    program = """
import numpy as np
from accountants.events import ConfidentGNMax, GNMax
for counts in (np.array([3.0, 4.0]), np.array([3, 4], dtype=np.uint8)):
    assert GNMax(1, counts).votes.unsafe_value() == (3, 4)
assert type(GNMax(1, np.array([3.0, 4.0])).votes.unsafe_value()[0]) is int
assert ConfidentGNMax(1, 1, 1, 2, 1, np.eye(2)).votes.unsafe_value() == ((1, 0), (0, 1))
for bad in (np.array([[1, 2]]), np.array([1.5, 2]), np.array([np.nan, 2]), np.array([True, False])):
    try:
        GNMax(1, bad)
    except (TypeError, ValueError) as error:
        assert "private" in str(error)
    else:
        raise SystemExit("accepted")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
