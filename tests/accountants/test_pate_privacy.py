"""Nothing private about votes is shown by accident: boxes, plans and error messages."""

import copy
import dataclasses
import io
import json
import logging
import math
import pickle
import pprint
import traceback

import numpy as np
import pytest

from accountants.pate.confident import confidence
from accountants.pate.epsilon import confident_pate_epsilon, lnmax_pate_epsilon, pate_epsilon
from accountants.pate.hidden_cost import PrivateCost
from accountants.pate.release import Smoothing
from accountants.pate.votes import vote_table

SECRET = 0.8675309
VOTES = [[950, 30, 20], [700, 250, 50]] * 40


@pytest.fixture
def box():
    return PrivateCost(SECRET, what="epsilon of 3 answers")


@pytest.fixture
def plan():
    smoothing = Smoothing(order=8.0, noise_multiplier=6.0)
    return pate_epsilon(VOTES, 60.0, 1e-5, teachers=1000, disclose="smooth-sensitivity", smoothing=smoothing)


def logged(value):
    stream = io.StringIO()
    logger = logging.Logger("test")
    logger.addHandler(logging.StreamHandler(stream))
    logger.warning("cost %s %r", value, value)
    return stream.getvalue()


SHOWN = {
    "repr": repr,
    "str": str,
    "format": lambda v: f"{v}",
    "format with digits": lambda v: f"{v:.3f}" if isinstance(v, PrivateCost) else f"{v!s:>300}",
    "percent": lambda v: "%s %r" % (v, v),  # noqa: UP031  an old way of showing it
    "list": lambda v: str([v, {"cost": v}]),
    "pprint": pprint.pformat,
    "log": logged,
    "json with default=str": lambda v: json.dumps({"cost": v}, default=str),
    "numpy": lambda v: repr(np.array([v], dtype=object)),
    "members": lambda v: repr([(name, getattr(v, name)) for name in dir(v) if not name.startswith("__")]),
    "slots": lambda v: repr([getattr(v, name) for name in v.__slots__]),
}


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_of_showing_a_box_shows_the_number_and_the_check_can_fail(box, way):
    text = SHOWN[way](box)
    assert "8675" not in text
    assert "hidden" in text or "function" in text
    if way not in ("members", "slots"):
        assert "8675" in SHOWN[way](dataclasses.make_dataclass("Bare", ["x"])(SECRET))


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_of_showing_a_plan_shows_its_private_numbers(plan, way):
    text = SHOWN[way](plan)
    for secret in (plan.cost, plan.sensitivity):
        assert f"{secret.unsafe_value():.12g}"[:7] not in text
    assert "hidden" in text


REFUSED = {
    "float": float,
    "int": int,
    "bool": bool,
    "json": json.dumps,
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "vars": vars,
    "to_dict": lambda v: v.to_dict(),
    "sum": lambda v: v + 1.0,
    "comparison": lambda v: v < 1.0,
    "isfinite": math.isfinite,
    "numpy": lambda v: np.array([v], dtype=float),
    "attribute": lambda v: setattr(v, "value", 1.0),
}


@pytest.mark.parametrize("use", REFUSED)
def test_no_use_as_a_number_or_a_file_works_and_the_error_hides_the_number(box, use):
    with pytest.raises((TypeError, AttributeError)) as caught:
        REFUSED[use](box)
    shown = "".join(traceback.format_exception(caught.value))
    assert "8675" not in shown


@pytest.mark.parametrize("use", ["pickle", "deepcopy", "json"])
def test_a_plan_cannot_be_written_or_copied(plan, use):
    with pytest.raises(TypeError):
        REFUSED[use](plan)
    with pytest.raises(TypeError):
        dataclasses.asdict(plan)


def test_only_the_unsafe_door_opens_and_equal_numbers_do_not_compare_equal(box):
    assert box.unsafe_value() == SECRET
    assert box != PrivateCost(SECRET, what="epsilon of 3 answers")
    assert box != SECRET


@pytest.mark.parametrize("bad", [-0.8675309, math.nan, math.inf, "0.8675309", None, True])
def test_a_box_refuses_no_cost_without_showing_it(bad):
    check = PrivateCost.__init__
    while hasattr(check, "__wrapped__"):  # the test run's type checks would quote the value
        check = check.__wrapped__
    with pytest.raises(ValueError, match="finite number >= 0") as caught:
        check(object.__new__(PrivateCost), bad, what="cost")
    assert "8675" not in "".join(traceback.format_exception(caught.value))


BAD_VOTES = {
    "sum": [[8675309, 1]],
    "negative": [[-8675309, 8676309]],
    "fraction": [[867.5309, 132.4691]],
    "nan": [[8675309, math.nan]],
    "infinite": [[8675309, math.inf]],
    "text": [["8675309", "x"]],
    "ragged": [[8675309, 1], [1]],
    "vector": [8675309, 1],
    "empty": np.zeros((0, 2)),
    "one class": [[8675309]],
    "booleans": [[True, False]],
    "objects": [[object(), 8675309]],
}


@pytest.mark.parametrize("kind", BAD_VOTES)
@pytest.mark.parametrize("ask", [vote_table, lambda v, teachers: pate_epsilon(v, 60.0, 1e-5, teachers=teachers)])
def test_bad_votes_are_refused_without_showing_a_count(kind, ask):
    with pytest.raises((TypeError, ValueError), match="votes") as caught:
        ask(BAD_VOTES[kind], teachers=1000)
    assert "8675" not in f"{caught.value} {caught.value.__context__} {caught.value.__cause__}"


def test_good_votes_pass_as_lists_arrays_and_whole_floats():
    for votes in ([[6, 4]], np.array([[6, 4]], dtype=np.uint8), np.array([[6.0, 4.0]], dtype=np.float32)):
        assert vote_table(votes, teachers=10).tolist() == [[6.0, 4.0]]


def test_private_only_answers_of_every_kind_are_boxed():
    noise = {"threshold": 600.0, "sigma1": 100.0, "sigma2": 40.0}
    answers = [
        pate_epsilon(VOTES, 40.0, 1e-5, teachers=1000, disclose="private-only"),
        lnmax_pate_epsilon(VOTES, 40.0, 1e-5, teachers=1000, disclose="private-only"),
        confident_pate_epsilon(
            VOTES, [True, False] * 40, 1e-5, teachers=1000, disclose="private-only", order=12.0, **noise
        ),
    ]
    assert all(type(answer) is PrivateCost for answer in answers)
    assert confidence(vote_table(VOTES, teachers=1000)).max() == 950
