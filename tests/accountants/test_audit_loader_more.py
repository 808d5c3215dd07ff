"""Samplings that a loader did not state are never taken at their word: groups, samples of samples, parallel parts."""

import pytest

from accountants import Gaussian, Ledger, audit, group, parallel

RELEASE = Gaussian(1.0)


def audited(event, **sampler):
    ledger = Ledger(adjacency="replace-one" if sampler["kind"] == "fixed-size" else "add-remove", sampler=sampler)
    ledger.charge(event)
    ledger.claim(ledger.epsilon(1e-5).upper, 1e-5, "its own accountant")
    return audit(ledger)


@pytest.mark.parametrize("sampler", [{"kind": "shuffled"}, {"kind": "poisson", "q": 0.01}])
def test_a_group_sampled_at_a_smaller_rate_is_an_error(sampler):
    assert audited(group(RELEASE.poisson(1e-6), 2) * 600, **sampler).exit_code == 1


def test_a_group_sampled_at_the_stated_rate_passes():
    assert audited(group(RELEASE.poisson(0.01), 2) * 600, kind="poisson", q=0.01).exit_code == 0


@pytest.mark.parametrize(
    ("event", "sampler"),
    [
        ((RELEASE.poisson(1e-4) * 2).poisson(0.01), {"kind": "poisson", "q": 0.01}),
        ((RELEASE.poisson(1e-4) + RELEASE.poisson(1e-3)).poisson(0.01), {"kind": "poisson", "q": 0.01}),
        (RELEASE.random_allocation(100).random_allocation(600), {"kind": "random-allocation"}),
        (RELEASE.fixed_size(1, 60_000).fixed_size(600, 60_000), {"kind": "fixed-size", "batch": 600}),
    ],
)
def test_a_sample_inside_a_sample_that_the_loader_did_not_state_is_an_error(event, sampler):
    assert audited(event, **sampler).exit_code == 1


def test_a_chain_of_poisson_samples_counts_with_its_product():
    chain = RELEASE.poisson(0.1).poisson(0.1)
    assert audited(chain, kind="poisson", q=0.01).exit_code == 0
    assert audited(chain, kind="poisson", q=0.1).exit_code == 1


RUN = {"kind": "poisson", "q": 0.01, "steps": 1000}
STEP = Gaussian(1.1).poisson(0.01)


@pytest.mark.parametrize(
    "event",
    [
        parallel(*[STEP] * 1000),
        parallel(STEP * 500, STEP * 500),
        parallel(STEP * 500, Gaussian(50.0) * 500),
        parallel(STEP * 10, STEP * 5) * 99,
    ],
)
def test_a_record_touches_one_parallel_part_so_the_steps_of_all_do_not_add_up(event):
    report = audited(event, **RUN)
    assert report.exit_code == 1
    assert "steps are charged, but the trainer ran 1000" in report.errors[0]


@pytest.mark.parametrize(
    "event", [parallel(STEP * 1000, STEP * 500), parallel(STEP * 10, STEP * 5) * 100, parallel(STEP * 400) + STEP * 600]
)
def test_the_part_with_most_steps_counts(event):
    assert audited(event, **RUN).errors == ()


def about(event, *, n=None, sampler=None, adjacency="add-remove"):
    ledger = Ledger(adjacency=adjacency, n=n, sampler=sampler)
    ledger.charge(event)
    return audit(ledger)


def test_the_rate_follows_from_batch_and_n_where_it_is_not_stated():
    stated = {"kind": "poisson", "batch": 600, "n": 60_000, "steps": 1000}
    too_rare = about(Gaussian(1.1).poisson(0.001) * 1000, sampler=stated)
    assert "q=0.001, but the loader used q=0.01" in too_rare.errors[0]
    assert about(STEP * 1000, sampler=stated).errors == ()
    of_the_ledger = {"kind": "poisson", "batch": 600, "steps": 1000}
    assert about(Gaussian(1.1).poisson(0.001) * 1000, n=60_000, sampler=of_the_ledger).errors
    assert about(STEP * 1000, n=60_000, sampler=of_the_ledger).errors == ()


def test_a_batch_that_contradicts_the_rate_is_flagged():
    twice = {"kind": "poisson", "q": 0.001, "batch": 600, "n": 60_000, "steps": 5}
    report = about(Gaussian(1.1).poisson(0.001) * 5, sampler=twice)
    assert any("q=0.001, but also batch=600 of n=60000" in flag for flag in report.flags)
    rounded = {"kind": "poisson", "q": 0.01, "batch": 600, "n": 60_049, "steps": 5}
    assert not any("also batch" in flag for flag in about(STEP * 5, sampler=rounded).flags)


@pytest.mark.parametrize("sampler", [None, {"kind": "fixed-size", "batch": 600, "steps": 5}])
def test_the_number_of_records_of_an_event_is_that_of_the_ledger(sampler):
    event = Gaussian(1.1).fixed_size(600, 600_000) * 5
    report = about(event, n=60_000, sampler=sampler, adjacency="replace-one")
    assert "n=600000" in report.errors[0]
    assert report.exit_code == 1
    true = Gaussian(1.1).fixed_size(600, 60_000) * 5
    assert about(true, n=60_000, sampler=sampler, adjacency="replace-one").errors == ()
    fewer = about(Gaussian(1.1).fixed_size(600, 6_000) * 5, n=60_000, sampler=sampler, adjacency="replace-one")
    assert fewer.errors == ()  # costs more than the truth
    assert any("n=6000" in flag for flag in fewer.flags)


@pytest.mark.parametrize(
    ("sampler", "event", "left_open"),
    [
        ({"kind": "poisson", "steps": 5}, STEP * 5, ["q"]),
        ({"kind": "poisson"}, STEP * 5, ["q", "steps"]),
        ({"kind": "poisson", "q": 0.01, "steps": 5}, STEP * 5, []),
        ({"kind": "poisson", "steps": 5}, RELEASE * 5, []),
        ({"kind": "random-allocation", "epochs": 1}, RELEASE.random_allocation(10), ["selected", "steps"]),
    ],
)
def test_what_the_loader_leaves_open_is_flagged(sampler, event, left_open):
    flags = [flag for flag in about(event, sampler=sampler).flags if "not stated by the loader" in flag]
    assert [flag.split()[0] for flag in flags] == left_open


@pytest.mark.parametrize("n", [10**16, 10**400])
def test_an_n_beyond_all_counts_is_refused(n):
    with pytest.raises(ValueError, match="n="):
        Ledger(adjacency="add-remove", n=n)
    with pytest.raises(ValueError, match="n="):
        Ledger(adjacency="add-remove", sampler={"kind": "poisson", "n": n})


@pytest.mark.parametrize(
    ("event", "sampler"),
    [
        (RELEASE.poisson(0.01), {"kind": "poisson", "q": 0.01, "epochs": 100}),
        (RELEASE.poisson(0.01) * 9_999, {"kind": "poisson", "batch": 6, "n": 600, "epochs": 100}),
        (RELEASE.fixed_size(6, 600), {"kind": "fixed-size", "batch": 6, "n": 600, "epochs": 2}),
        (RELEASE * 4, {"kind": "full", "epochs": 5}),
    ],
)
def test_epochs_of_the_loader_say_how_many_steps_there_were_at_least(event, sampler):
    assert audited(event, **sampler).exit_code == 1
    enough = event * 10_000
    assert audited(enough, **sampler).exit_code == 0


def test_releases_that_may_hide_missing_steps_are_flagged():
    event = Gaussian(1e6) * 90 + RELEASE.poisson(0.01) * 10
    report = audited(event, kind="poisson", q=0.01, steps=100)
    assert report.exit_code == 0
    assert any("steps are missing" in flag for flag in report.flags)
    assert not any("steps are missing" in flag for flag in audited(event, kind="poisson", q=0.01, steps=10).flags)


def test_an_allocation_whose_epochs_are_not_stated_is_flagged():
    event = RELEASE.random_allocation(1000, 1, 1)
    report = audited(event, kind="random-allocation", steps=1000, selected=1)
    assert any("epochs is not stated" in flag for flag in report.flags)
