"""A guarantee for several records, or for the exchange of one, is true, at a delta below 1/n, or is refused."""

import math
from dataclasses import replace

import pytest

from accountants import (
    GDP,
    Gaussian,
    GNMax,
    Laplace,
    Ledger,
    PureDP,
    RandomizedResponse,
    calibrate,
    epsilon,
    gaussian_mu,
    group_privacy,
)
from accountants.events.person_groups import GroupSampledGaussian
from privkd.certificates.certificate import Certificate
from privkd.errors import CertificateError, GuaranteeError


def certificate(*events, adjacency="replace-one", n=1000, delta=1e-5):
    ledger = Ledger(adjacency=adjacency, delta=delta, n=n)
    for event in events:
        ledger.charge(event)
    return Certificate.from_ledger(ledger, scope="training-record", delta=delta, basis="disjoint-shards")


@pytest.mark.parametrize("asked", [1.0, 3.0])
@pytest.mark.parametrize("size", [2, 3, 5, 10])
def test_a_group_costs_what_the_gaussian_of_its_distance_costs(asked, size):
    sigma = calibrate(lambda s: GNMax(sigma=s), asked, 1e-5, adjacency="replace-one").value
    one = certificate(GNMax(sigma))
    many = one.for_group(size)
    mu = gaussian_mu(one.epsilon, 1e-5)
    exact = epsilon(Gaussian(sigma=1 / (mu * size)), 1e-5, adjacency="add-remove")
    assert exact.lower * (1 - 1e-4) <= many.epsilon <= exact.upper * 1.001
    assert many.delta == 1e-5
    assert (many.records, many.steps, many.step_delta) == (size, size, None)
    assert many.verify().upper <= many.epsilon
    assert f"for any {size} of those that scope 'training-record' protects" in str(many)
    assert many.epsilon > size * one.epsilon  # "size times epsilon" would be too low at this delta


def test_groups_of_groups_and_replacement_agree_whatever_their_order():
    added = certificate(Gaussian(9.0), adjacency="add-remove")
    replaced = added.as_replace_one()
    assert (replaced.adjacency, replaced.records, replaced.steps) == ("replace-one", 1, 2)
    assert replaced.epsilon == epsilon(Gaussian(4.5), 1e-5, adjacency="add-remove").upper
    assert replaced.as_replace_one() is replaced
    six = [
        added.for_group(6),
        replaced.for_group(3),
        added.for_group(3).as_replace_one(),
        added.for_group(2).for_group(3),
    ]
    assert len({one.epsilon for one in six}) == 1
    assert {(one.adjacency.value, one.records) for one in six} == {("add-remove", 6), ("replace-one", 3)}
    assert all(one.verify() for one in six)


def test_several_sampled_records_that_are_replaced_follow_by_the_general_rule():
    one = certificate(Gaussian(2.0).poisson(0.01) * 50)
    two = one.for_group(2)
    assert (two.epsilon, two.delta) == group_privacy(one.ledger.epsilon(two.step_delta).upper, two.step_delta, 2)
    assert two.epsilon > 2 * one.epsilon
    assert two.delta <= 1e-5
    assert two.verify()
    with pytest.raises(CertificateError, match="the events cost epsilon=inf"):
        replace(two, step_delta=None).verify()


def test_a_replacement_of_sampled_records_is_not_priced_as_a_removal_of_two():
    """The worst case of a sampled group is proven for records that all go: here one goes and one comes."""
    added = certificate(Gaussian(3.0).poisson(0.01) * 100, adjacency="add-remove")
    gone = added.for_group(2)
    assert gone.epsilon == epsilon(GroupSampledGaussian(3.0, 0.01, 2) * 100, 1e-5, adjacency="add-remove").upper
    replaced = added.as_replace_one()
    assert replaced.step_delta is not None
    by_hand = group_privacy(added.ledger.epsilon(replaced.step_delta).upper, replaced.step_delta, 2)
    assert (replaced.epsilon, replaced.delta) == by_hand
    assert 0.9e-5 < replaced.delta <= 1e-5
    assert gone.verify()
    assert replaced.verify()
    with pytest.raises(CertificateError):
        replace(replaced, step_delta=None, epsilon=gone.epsilon).verify()


@pytest.mark.parametrize(
    "events", [(PureDP(0.1),), (RandomizedResponse(10, 0.1),), (Laplace(8.0), PureDP(0.05)), (GDP(0.2),)]
)
def test_groups_of_other_mechanisms_are_never_cheaper_than_their_single_records(events):
    one = certificate(*events)
    costs = [one.for_group(size).epsilon for size in (1, 2, 4)]
    assert costs[0] == one.epsilon
    assert costs == sorted(costs)
    assert all(one.for_group(size).verify() for size in (2, 4))


def test_delta_reaches_neither_one_nor_one_over_n():
    declared = Certificate.declared(epsilon=2.0, delta=1e-6, by="x", n=10_000)
    three = declared.for_group(3)  # nothing but the general rule is known, so that delta has to grow
    assert (three.epsilon, three.delta) == pytest.approx(group_privacy(2.0, 1e-6, 3))
    assert "as declared by x" in str(three)
    assert three.verify()
    for size in (4, 1000):
        with pytest.raises(GuaranteeError, match=r"must lie below 1/n = 0\.0001"):
            declared.for_group(size)
    unknown = Certificate.declared(epsilon=2.0, delta=1e-6, by="x")
    with pytest.raises(GuaranteeError, match="must lie below 1"):
        unknown.for_group(1000)
    with pytest.raises(GuaranteeError, match="nothing useful"):
        certificate(Gaussian(0.0), adjacency="replace-one", n=None, delta=0.0).for_group(2)


@pytest.mark.parametrize("change", [{"steps": 1}, {"steps": 2}, {"records": 2}, {"delta": 1e-3}, {"step_delta": 1e-9}])
def test_a_changed_group_does_not_verify(change):
    three = certificate(GNMax(60.0)).for_group(3)
    with pytest.raises(CertificateError):
        replace(three, **change).verify()


def test_answers_add_up_and_compose_one_by_one_only():
    ledger = Ledger(adjacency="replace-one", unit="synthetic-label")
    ledger.charge(RandomizedResponse(k=10, eps0=0.5), count=100)
    answer = Certificate.from_ledger(ledger, scope="synthetic-label", delta=1e-5)
    three = answer.for_group(3)
    assert three.epsilon == pytest.approx(1.5)
    assert three.delta == 0.0
    assert three.verify().upper == pytest.approx(1.5)
    with pytest.raises(CertificateError, match="cost epsilon"):
        replace(three, epsilon=answer.epsilon).verify()
    with pytest.raises(GuaranteeError, match="compose the certificate of one answer"):
        three.in_teacher_scope(queries_independent=True)


@pytest.mark.parametrize("bad", [0, -1, 1.5, math.inf, True])
def test_sizes_of_groups_are_whole_and_positive(bad):
    with pytest.raises((TypeError, ValueError), match="size"):
        certificate(GNMax(60.0)).for_group(bad)
