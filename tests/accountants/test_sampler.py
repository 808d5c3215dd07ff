"""The ledger states what the loader did, and the audit holds the events against it."""

import json

import pytest

from accountants.auditing.audit import audit
from accountants.auditing.loader import disagreements
from accountants.errors import LedgerError
from accountants.events import Gaussian, Laplace, PoissonSampled, parallel
from accountants.ledger.chain import canonical_digest, header_of, link
from accountants.ledger.ledger import Ledger
from accountants.ledger.sampler import Sampler

STEP = Gaussian(1.0)


def found(sampler, *events):
    """How many differences understate the cost, and how many others there are."""
    too_small, others = disagreements(Sampler(**sampler), events)
    return len(too_small), len(others)


def test_a_shuffled_loader_accounted_as_poisson_is_an_error_whatever_is_claimed():
    ledger = Ledger(adjacency="add-remove", n=60_000, sampler={"kind": "shuffled", "batch": 600, "n": 60_000})
    ledger.charge(STEP.poisson(0.01), count=100)
    ledger.claim(100.0, 1e-5, "generous")
    report = audit(ledger)
    assert report.exit_code == 1
    assert [verdict.status for verdict in report.verdicts] == ["ERROR"]
    assert "poisson sampling, but the loader drew shuffled" in report.errors[0]
    assert "error: " in str(report)
    honest = Ledger(adjacency="add-remove", n=60_000, sampler={"kind": "poisson", "q": 0.01, "steps": 100})
    honest.charge(STEP.poisson(0.01), count=100)
    honest.claim(100.0, 1e-5, "generous")
    assert audit(honest).exit_code == 0
    assert audit(honest).errors == ()


def test_an_error_is_an_error_without_any_claim_and_does_not_hide_a_false_claim():
    ledger = Ledger(adjacency="add-remove", n=60_000, sampler={"kind": "full"})
    ledger.charge(STEP.poisson(0.5) * 3 + STEP)
    assert audit(ledger).exit_code == 1
    ledger.claim(0.01, 1e-5, "wish")
    assert audit(ledger).verdicts[0].status == "FAIL"


@pytest.mark.parametrize("kind", ["poisson", "fixed-size", "shuffled", "random-allocation", "full"])
def test_sampling_of_another_kind_is_found_at_any_depth_and_unsampled_events_fit_every_loader(kind):
    sampled = {
        "poisson": STEP.poisson(0.1),
        "fixed-size": STEP.fixed_size(10, 100),
        "shuffled": STEP.shuffled(10, 100),
        "random-allocation": STEP.random_allocation(10),
    }
    for other, event in sampled.items():
        wrapped = Laplace(1.0) + parallel(event * 3, STEP) * 2
        assert found({"kind": kind}, event) == found({"kind": kind}, wrapped) == (int(other != kind), 0)
    assert found({"kind": kind}, STEP * 7, Laplace(2.0), STEP.poisson(1.0)) == (0, 0)
    inside = PoissonSampled(0.1, STEP.shuffled(10, 100))
    assert found({"kind": "poisson"}, inside) == (1, 0)


@pytest.mark.parametrize(
    ("sampler", "event", "too_small", "others"),
    [
        ({"kind": "poisson", "q": 0.02}, STEP.poisson(0.01), 1, 0),
        ({"kind": "poisson", "q": 0.02}, STEP.poisson(0.03), 0, 1),
        ({"kind": "poisson", "q": 0.3 / 3}, STEP.poisson(0.1), 0, 0),  # 0.3 / 3 is 0.09999999999999999
        ({"kind": "poisson", "q": 0.02}, STEP.poisson(0.02).poisson(0.5), 1, 0),
        ({"kind": "fixed-size", "batch": 20, "n": 100}, STEP.fixed_size(20, 100), 0, 0),
        ({"kind": "fixed-size", "batch": 20, "n": 100}, STEP.fixed_size(10, 100), 1, 0),
        ({"kind": "fixed-size", "batch": 20, "n": 100}, STEP.fixed_size(20, 200), 1, 0),
        ({"kind": "shuffled", "batch": 20, "n": 100}, STEP.shuffled(10, 100), 0, 1),
        ({"kind": "random-allocation", "selected": 2}, STEP.random_allocation(10, selected=1), 1, 0),
    ],
)
def test_parameters_that_make_the_cost_too_small_are_errors_and_others_flags(sampler, event, too_small, others):
    assert found(sampler, event) == (too_small, others)


@pytest.mark.parametrize(
    ("sampler", "event", "too_small", "others"),
    [
        ({"kind": "poisson", "steps": 100}, STEP.poisson(0.1) * 100, 0, 0),
        ({"kind": "poisson", "steps": 100}, STEP.poisson(0.1) * 99, 1, 0),
        ({"kind": "poisson", "steps": 100}, STEP.poisson(0.1) * 101, 0, 1),
        ({"kind": "poisson", "steps": 100}, STEP.poisson(0.1) * 60 + STEP * 40, 0, 0),
        ({"kind": "full", "steps": 5}, STEP * 4, 1, 0),
        ({"kind": "full", "steps": 5}, STEP * 5 + Laplace(1.0), 0, 0),
        ({"kind": "shuffled", "steps": 25, "epochs": 3}, STEP.shuffled(40, 300, epochs=3), 1, 0),  # 8 batches each
        ({"kind": "shuffled", "steps": 24, "epochs": 3}, STEP.shuffled(40, 300, epochs=3), 0, 0),
        ({"kind": "shuffled", "epochs": 3}, STEP.shuffled(40, 300, epochs=2), 1, 0),
        ({"kind": "shuffled", "epochs": 3, "steps": 24}, STEP * 3, 0, 0),  # an epoch is one unsampled release
        ({"kind": "shuffled", "epochs": 3}, STEP * 2, 1, 0),
        ({"kind": "random-allocation", "steps": 30}, STEP.random_allocation(10, epochs=3), 0, 0),
        ({"kind": "random-allocation", "steps": 30}, STEP.random_allocation(20, epochs=3), 1, 0),
        ({"kind": "random-allocation", "epochs": 3}, STEP.random_allocation(20, epochs=4), 0, 1),
    ],
)
def test_steps_and_epochs_are_counted(sampler, event, too_small, others):
    assert found(sampler, event) == (too_small, others)


def test_a_difference_that_costs_too_much_is_a_flag():
    ledger = Ledger(adjacency="add-remove", n=100, sampler={"kind": "poisson", "steps": 2, "n": 90, "unit": "batch"})
    ledger.charge(STEP.poisson(0.1), count=3)
    ledger.claim(50.0, 1e-5, "generous")
    report = audit(ledger)
    assert report.exit_code == 0
    text = "\n".join(report.flags)
    assert "count mismatch: 3 steps are charged, but the trainer ran 2" in text
    assert "unit mismatch: the loader draws 'batch'" in text
    assert "size mismatch: the loader draws from n=90" in text


def test_the_sampler_survives_the_file_and_is_covered_by_the_chain(tmp_path):
    stated = {"kind": "poisson", "q": 0.01, "steps": 10}
    ledger = Ledger(adjacency="add-remove", sampler=stated)
    ledger.charge(STEP.poisson(0.01), count=10)
    ledger.save(tmp_path / "ledger.json")
    back = Ledger.read(tmp_path / "ledger.json")
    assert back.sampler == Sampler(**stated)
    assert back.sampler is not None
    assert back.sampler.to_dict() == stated
    document = json.loads((tmp_path / "ledger.json").read_text())
    document["sampler"]["q"] = 0.1
    (tmp_path / "ledger.json").write_text(json.dumps(document))
    with pytest.raises(LedgerError, match="header was edited"):
        Ledger.read(tmp_path / "ledger.json")


def test_ledgers_without_a_sampler_are_as_they_were(tmp_path):
    ledger = Ledger(adjacency="add-remove")
    assert "sampler" not in ledger.to_dict()
    assert ledger.digest == canonical_digest(
        {
            "schema": "privkd.ledger/1",
            "adjacency": "add-remove",
            "unit": "training-record",
            "epsilon": None,
            "delta": None,
            "n": None,
            "note": None,
        }
    )
    ledger.charge(STEP)
    ledger.save(tmp_path / "old.json")
    assert Ledger.read(tmp_path / "old.json").sampler is None


def with_sampler(sampler, path):
    """A file with a sound chain around a header that states any sampler."""
    ledger = Ledger(adjacency="add-remove")
    ledger.charge(STEP)
    document = {**ledger.to_dict(), "sampler": sampler}
    document["events"] = [link(document["events"][0], index=0, previous=canonical_digest(header_of(document)))]
    document["head"] = document["events"][0]["hash"]
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    "sampler",
    [
        "poisson",
        {},
        {"q": 0.1},
        {"kind": "Poisson"},
        {"kind": "poisson", "rate": 0.1},  # an unknown field may change what was drawn
        {"kind": "poisson", "q": 1.5},
        {"kind": "poisson", "q": "0.1"},
        {"kind": "shuffled", "batch": 0},
        {"kind": "full", "steps": -1},
        {"kind": "full", "unit": 3},
    ],
)
def test_a_sampler_that_says_nothing_clear_is_refused(sampler, tmp_path):
    with pytest.raises((ValueError, TypeError)):
        Ledger(adjacency="add-remove", sampler=sampler)
    with pytest.raises(LedgerError, match="header"):
        Ledger.read(with_sampler(sampler, tmp_path / "ledger.json"))
    assert Ledger.read(with_sampler({"kind": "full"}, tmp_path / "ledger.json")).sampler == Sampler(kind="full")
