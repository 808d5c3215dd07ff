"""Outside accountants: asked where they are right, never trusted blindly, never able to break an audit."""

import json
import math

import pytest

from accountants import Gaussian, Ledger, PureDP, RandomizedResponse, audit, epsilon
from accountants.adjacency import Adjacency
from accountants.auditing.opinions.opinion import OUTSIDERS, Outsider, ask
from accountants.bound import Bound
from accountants.events import Composed, Laplace, normal_form

NAMES = tuple(OUTSIDERS)
STEPS = Gaussian(1.1).poisson(0.01) * 1000
TRUTH = Bound(1.51533, 1.51537, "lattice")  # certified elsewhere


def opinion_on(event, bound=None, *, name, delta=1e-5, adjacency=Adjacency.ADD_REMOVE):
    bound = epsilon(event, delta, adjacency=adjacency) if bound is None else bound
    return ask(name, normal_form(event, adjacency=adjacency), delta, adjacency, bound)


def installed(name):
    pytest.importorskip(name.replace("-", "_"))


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_agreed_with_and_numbers_beside_it_are_not(name):
    installed(name)
    found = opinion_on(STEPS, TRUTH, name=name)
    assert found.finding == "agrees"
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < TRUTH.upper < found.upper + 1e-6
    assert name in found.source
    assert opinion_on(STEPS, Bound(1.2, 1.3, "wrong"), name=name).finding == "contradicts"  # truth above
    assert opinion_on(STEPS, Bound(1.7, 1.8, "wrong"), name=name).finding == "contradicts"  # truth below


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("event", [Gaussian(2.0) * 3, Gaussian(0.4), STEPS + Gaussian(5.0), Gaussian(300.0) * 1000])
def test_they_agree_with_us_where_they_are_asked(name, event):
    installed(name)
    assert opinion_on(event, name=name).finding == "agrees"


def test_laplace_noise_is_asked_of_one_of_them_only():
    installed("dp-accounting")
    event, bound = Laplace(10.0) * 1000, Bound(17.423, 17.4237, "lattice")  # 17.42365 in the literature
    assert opinion_on(event, bound, name="dp-accounting").finding == "agrees"
    assert opinion_on(event, bound, name="prv-accountant").finding == "not applicable"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("event", "delta", "adjacency"),
    [
        (RandomizedResponse(10, 0.5) * 100, 1e-5, "replace-one"),  # one of them ignores the count, the other fails
        (PureDP(0.1) * 5, 1e-5, "add-remove"),
        (Gaussian(1.0), 1e-18, "add-remove"),  # wrong there
        (Gaussian(0.0), 1e-5, "add-remove"),  # does not end there
        (Gaussian(0.1), 1e-5, "add-remove"),
        (Gaussian(5000.0), 1e-5, "add-remove"),
        (Gaussian(1.0), 0.0, "add-remove"),
        (Gaussian(30.0).poisson(0.001) * 60_000, 1e-5, "add-remove"),
        (Composed(tuple(Gaussian(float(sigma)).poisson(0.01) for sigma in range(2, 12))), 1e-5, "add-remove"),
        (Composed(()), 1e-5, "add-remove"),
    ],
)
def test_they_are_not_asked_where_they_are_wrong_slow_or_fail(name, event, delta, adjacency):
    installed(name)
    parts = normal_form(event, adjacency=Adjacency(adjacency))
    bound = epsilon(event, delta, adjacency=adjacency)
    assert OUTSIDERS[name].obstacle(parts, delta, Adjacency(adjacency), bound) is not None
    found = opinion_on(event, bound, name=name, delta=delta, adjacency=Adjacency(adjacency))
    assert (found.finding, found.lower, found.upper) == ("not applicable", None, None)


def ledger(claimed):
    made = Ledger(adjacency="add-remove", n=1000)
    made.charge(Gaussian(1.0))
    made.claim(claimed, 1e-5, "test")
    return made


def say(monkeypatch, **intervals):
    """Replace every outsider: by an interval, or by an exception that it raises."""
    for name, said in intervals.items():

        def interval(parts, delta, bound, said=said):
            if isinstance(said, Exception):
                raise said
            return said

        monkeypatch.setitem(OUTSIDERS, name.replace("_", "-"), Outsider(lambda *_: None, interval))


@pytest.mark.parametrize(
    "said",
    [
        RuntimeError("Discrete mean differs"),
        OverflowError("too large"),
        ZeroDivisionError("division"),
        MemoryError(),
        ImportError("half installed"),
        AttributeError("another version"),
        (math.nan, math.nan),
        (2.0, 1.0),
    ],
    ids=str,
)
def test_whatever_an_outsider_does_the_audit_goes_on(monkeypatch, said):
    installed("prv-accountant")
    say(monkeypatch, prv_accountant=said)
    report = audit(ledger(5.0), opinions=["prv-accountant"])
    assert report.exit_code == 0
    assert report.verdicts[0].opinions[0].finding == "not applicable"
    assert not any("prv" in flag for flag in report.flags)
    json.dumps(report.to_dict(), allow_nan=False)


def test_one_contradiction_is_a_flag_and_two_on_the_same_side_an_internal_error(monkeypatch):
    for name in NAMES:
        installed(name)
    truth = epsilon(Gaussian(1.0), 1e-5)
    right, high, low = (truth.lower, truth.upper), (6.0, 7.0), (1.0, 2.0)
    for first, second, status in ((right, high, "PASS"), (low, high, "PASS"), (high, high, "INTERNAL-ERROR")):
        say(monkeypatch, prv_accountant=first, dp_accounting=second)
        report = audit(ledger(truth.upper), opinions=NAMES)
        assert report.verdicts[0].status == status
        assert len([flag for flag in report.flags if "contradicts" in flag]) == (first != right) + (second != right)
    say(monkeypatch, prv_accountant=right, dp_accounting=right)
    report = audit(ledger(truth.upper), opinions=NAMES)
    assert (report.verdicts[0].status, report.flags) == ("PASS", ())
    assert str(report).count("opinion: ") == 2


def test_nobody_is_asked_unless_named_and_unknown_names_are_refused(monkeypatch):
    say(monkeypatch, prv_accountant=AssertionError("asked"), dp_accounting=AssertionError("asked"))
    assert audit(ledger(5.0)).verdicts[0].opinions == ()
    for names in (["prv"], "prv-accountant", ["prv-accountant", "opacus"]):
        with pytest.raises(ValueError, match="prv-accountant, dp-accounting"):
            audit(ledger(5.0), opinions=names)
    with pytest.raises(ValueError, match="unknown"):
        opinion_on(Gaussian(1.0), name="opacus")


def test_an_accountant_that_is_not_installed_says_so(monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("accountants.auditing.opinions.opinion.version", absent)
    found = opinion_on(Gaussian(1.0), name="prv-accountant")
    assert found.finding == "not applicable"
    assert "pip install prv-accountant" in found.reason
