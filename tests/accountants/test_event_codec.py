"""Events survive JSON; anything unknown is refused and the inner event is named."""

import json

import pytest

from accountants import (
    ApproxDP,
    Composed,
    Event,
    Gaussian,
    GNMax,
    PoissonSampled,
    PriorResponse,
    PureDP,
    RandomizedResponse,
    Repeat,
    UnsupportedEvent,
    from_dict,
)
from accountants.events import KINDS

EVENTS = [
    Gaussian(1.1),
    GNMax(40),
    RandomizedResponse(10, 0.5),
    PriorResponse(1, 3),
    PureDP(1),
    ApproxDP(1, 1e-6),
    Repeat(3, Gaussian(1)),
    PoissonSampled(0.01, Gaussian(1.1)),
    Composed(()),
    Gaussian(1.1).poisson(0.01) * 10_000 + RandomizedResponse(10, 1) * 5,
    ((Gaussian(1) + PureDP(2)) * 3).poisson(0.5),
]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
def test_json_gives_the_same_event_back(event):
    again = from_dict(json.loads(json.dumps(event.to_dict())))
    assert again == event
    assert hash(again) == hash(event)
    assert type(event).from_dict(event.to_dict()) == event


def test_json_names_are_those_of_the_ledger_language():
    assert [event.to_dict()["type"] for event in EVENTS[:9]] == [
        "gaussian", "gnmax", "krr", "rr_topk", "pure_dp", "approx_dp", "repeat",
        "poisson_sampled", "composed",
    ]  # fmt: skip
    assert EVENTS[7].to_dict() == {
        "type": "poisson_sampled",
        "q": 0.01,
        "event": {"type": "gaussian", "sigma": 1.1},
    }


def test_every_event_class_without_classes_below_it_is_registered_under_its_own_name():
    def below(kind):
        return {kind}.union(*map(below, kind.__subclasses__()))

    found = {kind for kind in below(Event) if kind.__module__.startswith("accountants.")}
    made = {kind.__qualname__ for kind in found} - {base.__qualname__ for kind in found for base in kind.__bases__}
    assert made == {kind.__qualname__ for kind in KINDS.values()}
    assert all(kind.type_name == name for name, kind in KINDS.items())


def test_the_inner_event_is_named_when_it_is_unknown():
    inner = {"type": "svt_gaussian", "sigma1": 1.0}
    data = {"type": "repeat", "count": 2, "event": {"type": "poisson_sampled", "q": 0.1, "event": inner}}
    with pytest.raises(UnsupportedEvent, match="svt_gaussian"):
        from_dict(data)


@pytest.mark.parametrize("kind", [None, 3, [], {}, "Gaussian", "gaussian "])
def test_a_type_that_is_not_exactly_known_is_refused(kind):
    with pytest.raises(UnsupportedEvent, match="supported"):
        from_dict({"type": kind, "sigma": 1.0})


def test_a_field_that_may_change_the_meaning_is_refused():
    with pytest.raises(UnsupportedEvent, match="sensitivity"):
        from_dict({"type": "gaussian", "sigma": 1.0, "sensitivity": 2.0})


@pytest.mark.parametrize(
    ("data", "error", "named"),
    [
        ({"type": "gaussian"}, ValueError, "sigma"),
        ({"type": "gaussian", "sigma": "nan"}, TypeError, "sigma"),
        ({"type": "gaussian", "sigma": -1}, ValueError, "sigma"),
        ({"type": "krr", "k": 2.5, "eps0": 1.0}, TypeError, "k"),
        ({"type": "repeat", "count": True, "event": {"type": "gaussian", "sigma": 1}}, TypeError, "count"),
        ({"type": "repeat", "count": 2, "event": "gaussian"}, TypeError, "event"),
        ({"type": "composed", "events": {"type": "gaussian"}}, TypeError, "events"),
    ],
)
def test_bad_fields_are_refused_by_name(data, error, named):
    with pytest.raises(error, match=named):
        from_dict(data)


def test_nesting_bombs_are_refused():
    data = {"type": "gaussian", "sigma": 1.0}
    for _ in range(500):
        data = {"type": "poisson_sampled", "q": 0.5, "event": data}
    with pytest.raises(ValueError, match="nested"):
        from_dict(data)


def test_from_dict_of_a_class_refuses_other_classes():
    with pytest.raises(ValueError, match="gaussian"):
        GNMax.from_dict({"type": "gaussian", "sigma": 1.0})
