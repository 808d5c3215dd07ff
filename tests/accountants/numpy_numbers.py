"""Numbers of numpy, enums and fractions are stored as plain Python numbers of the same value, or refused at once."""

import enum
import json
from fractions import Fraction

import numpy as np
import pytest

from accountants import (
    GDP,
    RDP,
    ZCDP,
    ApproxDP,
    Composed,
    ConfidentGNMax,
    DiscreteGaussian,
    Event,
    Exponential,
    FixedSizeSampled,
    Gaussian,
    GNMax,
    Laplace,
    Ledger,
    LNMax,
    MatrixFactorization,
    Parallel,
    PoissonSampled,
    PriorResponse,
    PureDP,
    RandomAllocation,
    RandomizedResponse,
    Repeat,
    Sampler,
    Shuffled,
    SparseVector,
    SubsetResponse,
    TreeAggregation,
    calibrate,
    curve,
    delta,
    epsilon,
    from_dict,
    group,
    group_privacy,
    teacher_ceiling,
    tradeoff,
)
from accountants.budgets.filter import Filter
from accountants.budgets.odometer import Odometer
from accountants.events import KINDS, DiscreteLaplace, GroupSampledGaussian
from accountants.pate.release import Smoothing, release_renyi

# Every kind of event, once, with numbers that narrow types hold exactly.
EVENTS = [
    Gaussian(1.5),
    Laplace(2.0),
    DiscreteGaussian(4.0, 2),
    DiscreteLaplace(0.5, 2),
    RandomizedResponse(10, 0.5),
    PriorResponse(3, 0.5),
    SubsetResponse(10, 2, 0.5),
    Exponential(0.5, "pure"),
    SparseVector(20.0, 2, 100),
    GNMax(40.0),
    ConfidentGNMax(200.0, 150.0, 40.0, 10, 4),
    LNMax(20.0),
    TreeAggregation(2.0, 100, 2),
    MatrixFactorization(2.0, 1.5),
    PureDP(0.5),
    ApproxDP(0.5, 2.0**-20),
    ZCDP(0.25, 0.5),
    GDP(0.5),
    RDP((2.0, 4.0), (0.5, 1.0)),
    Repeat(3, Gaussian(1.5)),
    Composed((Gaussian(1.5), Laplace(2.0))),
    Parallel((Gaussian(1.5), Laplace(2.0))),
    PoissonSampled(0.25, Gaussian(1.5)),
    FixedSizeSampled(10, 100, Gaussian(1.5)),
    Shuffled(10, 100, 2, Gaussian(1.5)),
    RandomAllocation(10, 2, 3, Gaussian(1.5)),
    GroupSampledGaussian(1.5, 0.25, 3),
]


class Size(enum.IntEnum):
    """An enum whose members are integers."""

    TWO = 2


class Kind(str, enum.Enum):  # noqa: UP042  the older kind of text enum prints as Kind.PURE
    """An enum whose members are strings."""

    PURE = "pure"
    POISSON = "poisson"


def narrowed(value, integer, real):
    if isinstance(value, bool) or value is None or isinstance(value, Event):
        return value
    if isinstance(value, int):
        return integer(value)
    if isinstance(value, float):
        return real(value)
    if isinstance(value, str):
        return np.str_(value)
    return [narrowed(one, integer, real) for one in value]


def only_plain(value):
    if isinstance(value, dict):
        return all(type(name) is str and only_plain(one) for name, one in value.items())
    if isinstance(value, list):
        return all(map(only_plain, value))
    return value is None or type(value) in (int, float, str, bool)


def test_the_list_holds_every_kind_of_event():
    assert sorted(event.type_name for event in EVENTS) == sorted(KINDS)


@pytest.mark.parametrize(("integer", "real"), [(np.int64, np.float64), (np.int32, np.float32), (np.uint8, np.float16)])
@pytest.mark.parametrize("event", EVENTS, ids=lambda one: one.type_name)
def test_an_event_made_with_numpy_is_the_event_made_with_python(event, integer, real):
    fields = {name: value for name, value in event.to_dict().items() if name not in ("type", "event", "events")}
    inner = {name: getattr(event, name) for name in ("event", "events") if hasattr(event, name)}
    made = type(event)(**{name: narrowed(value, integer, real) for name, value in fields.items()}, **inner)
    assert made == event
    assert repr(made) == repr(event)
    assert only_plain(made.to_dict())
    assert json.dumps(made.to_dict()) == json.dumps(event.to_dict())
    assert from_dict(json.loads(json.dumps(made.to_dict()))) == event


def test_a_narrow_number_keeps_the_value_that_it_has():
    assert ApproxDP(0.1, np.float32(1e-5)).delta == float(np.float32(1e-5)) != 1e-5
    assert Gaussian(Fraction(3, 2)).sigma == 1.5
    assert Repeat(Size.TWO, Gaussian(1.0)).to_dict()["count"] == 2
    assert type(Repeat(Size.TWO, Gaussian(1.0)).count) is int
    assert type(Exponential(0.5, Kind.PURE).kind) is str
    assert Exponential(0.5, Kind.PURE).to_dict()["kind"] == "pure"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Gaussian(np.array(1.5)),
        lambda: Gaussian(np.array([1.5])),
        lambda: Gaussian(np.bool_(True)),
        lambda: Gaussian(True),
        lambda: Gaussian(np.complex64(1.0)),
        lambda: Gaussian(1.0) * np.float64(3.0),
        lambda: Gaussian(1.0) * np.bool_(True),
        lambda: RandomizedResponse(np.array(10), 0.5),
        lambda: ApproxDP(0.5, np.float64("nan")),
        lambda: Ledger(adjacency="add-remove", n=np.array(10)),
        lambda: Ledger(adjacency="add-remove", epsilon=1.0, delta=np.array(1e-5)),
        lambda: Sampler(kind="poisson", q=np.array(0.5)),
        lambda: Sampler(kind="poisson", steps=np.bool_(True)),
    ],
)
def test_what_is_no_single_number_is_refused(make):
    with pytest.raises((TypeError, ValueError)):
        make()


def test_a_ledger_of_numpy_numbers_is_that_of_python_numbers(tmp_path):
    ledger = Ledger(
        adjacency=np.str_("replace-one"),
        epsilon=np.float32(8.0),
        delta=np.float64(1e-5),
        unit=np.str_("patient"),
        n=np.int64(60_000),
        note=np.str_("text"),
        sampler={"kind": Kind.POISSON, "q": np.float32(0.5), "n": np.int64(60_000), "steps": np.int32(100)},
    )
    charge = ledger.charge(GNMax(np.float32(40.0)), where=np.str_("votes"), count=np.int64(3))
    ledger.claim(np.float32(2.0), np.float64(1e-5), np.str_("exact"))
    ledger.disclose(np.str_("a remark"))
    assert only_plain(ledger.to_dict())
    assert charge.event == GNMax(40.0) * 3
    ledger.save(tmp_path / "ledger.json")
    again = Ledger.read(tmp_path / "ledger.json")
    assert again.to_dict() == ledger.to_dict()
    assert (type(again.n), type(again.budget), type(again.delta)) == (int, float, float)
    header = Ledger(
        adjacency="replace-one",
        epsilon=8.0,
        delta=1e-5,
        unit="patient",
        n=60_000,
        note="text",
        sampler={"kind": "poisson", "q": 0.5, "n": 60_000, "steps": 100},
    )
    fields = ("epsilon", "delta", "n", "unit", "note", "sampler")
    assert all(ledger.to_dict()[name] == header.to_dict()[name] for name in fields)


def test_a_bound_ledger_takes_numpy_numbers(tmp_path):
    path = tmp_path / "ledger.json"
    stated = {"adjacency": "replace-one", "epsilon": np.float32(8.0), "delta": np.float64(1e-5), "n": np.int64(1000)}
    Ledger.open(path, **stated).charge(Gaussian(np.float32(40.0)))
    assert Ledger.open(path, **stated).n == 1000
    assert only_plain(json.loads(path.read_text()))


def test_bounds_made_with_numpy_numbers_are_written_as_json():
    narrow = np.float32(1e-5)
    bounds = [
        epsilon(Gaussian(np.float32(2.0)), narrow),
        epsilon(Gaussian(1.0).poisson(np.float32(0.01)) * np.int64(100), narrow, width=np.float32(0.01)),
        delta(Laplace(2.0), np.float32(0.25)),
        *curve(Gaussian(1.0), np.array([0.5, 1.0], dtype=np.float32)),
        calibrate(lambda sigma: Gaussian(sigma), np.float32(1.0), narrow).bound,
        tradeoff(Gaussian(1.0), np.array([0.1], dtype=np.float32)).tprs[0],
    ]
    for bound in bounds:
        json.dumps(bound.to_dict())


def test_arithmetic_with_narrow_numbers_is_not_done_in_their_precision():
    for eps, mass, size in [(0.7, 1e-6, 7), (0.1, 1e-9, 100)]:
        narrow = np.float32(eps), np.float32(mass)
        assert group_privacy(*narrow, np.int64(size)) == group_privacy(*map(float, narrow), size)
    assert group(Gaussian(4.0), np.int64(2)) == Gaussian(2.0)
    assert teacher_ceiling(np.float16(1.0), np.float16(1e-3), np.uint8(10)) == teacher_ceiling(
        1.0, float(np.float16(1e-3)), 10
    )
    narrow = release_renyi(10.0, beta=np.float32(0.045), noise_multiplier=np.float32(5.0))
    assert narrow == release_renyi(10.0, beta=float(np.float32(0.045)), noise_multiplier=5.0)
    assert type(Smoothing(np.float32(7.0), np.float32(7.0), np.float32(0.01)).beta) is float


def test_filters_and_odometers_take_numpy_numbers():
    budget = Filter(np.float32(1.0), np.float64(1e-5))
    assert budget.try_spend(Gaussian(40.0), count=np.int64(2))
    odometer = Odometer(np.float64(1e-5), failure=np.float64(1e-6))
    odometer.spend(Gaussian(40.0), count=np.int32(2))
    assert (type(budget.epsilon), type(odometer.delta)) == (float, float)
