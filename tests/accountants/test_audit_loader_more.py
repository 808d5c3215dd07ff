"""Samplings that a loader did not state are never taken at their word: groups, and samples of samples."""

import pytest

from accountants import Gaussian, Ledger, audit, group

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
