"""Long schedules in groups: each group is composed at its costliest from above and at its cheapest from below."""

import numpy as np
import pytest

from accountants import Gaussian, Laplace, PureDP
from accountants.adjacency import Adjacency
from accountants.methods.lattice import accountant as lattice
from accountants.methods.lattice import directions, schedule
from accountants.methods.lattice.schedule import Group, grouped

EVERY = (Adjacency.ADD_REMOVE, Adjacency.REPLACE_ONE)


def decaying(steps, make):
    return {make(1.5 * 0.995**step): 1 for step in range(steps)}


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(schedule, "_MOST", 40)
    monkeypatch.setattr(schedule, "_GROUPS", 15)


def test_few_different_events_stand_for_themselves():
    parts = {Gaussian(1.0).poisson(0.1): 3, Laplace(2.0): 1}
    assert grouped(parts) == [Group(part, part, count) for part, count in parts.items()]


def test_a_group_lies_between_its_costliest_and_its_cheapest(few):
    random = np.random.default_rng(0)
    pairs = zip(random.uniform(0.5, 3.0, 90), random.uniform(0.001, 0.5, 90), strict=True)
    parts = {Gaussian(float(sigma)).poisson(float(q)): 2 for sigma, q in pairs}
    groups = grouped(parts)
    assert len(groups) <= 15
    assert sum(group.count for group in groups) == 180
    for part in parts:
        assert any(
            group.costly.event.sigma <= part.event.sigma <= group.cheap.event.sigma
            and group.cheap.q <= part.q <= group.costly.q
            for group in groups
        )


def test_kinds_do_not_mix_and_what_has_no_order_stays_as_it_is(few):
    parts = {
        **decaying(40, Laplace),
        **decaying(40, lambda sigma: Gaussian(sigma).poisson(0.1)),
        **{PureDP(0.01 * step): 1 for step in range(1, 5)},
    }
    groups = grouped(parts)
    assert len(groups) <= 15 + 4
    assert sum(group.count for group in groups) == len(parts)
    assert all(type(group.costly) is type(group.cheap) for group in groups)
    assert sum(group.costly == group.cheap == PureDP(0.03) for group in groups) == 1


@pytest.mark.parametrize("adjacency", EVERY, ids=str)
@pytest.mark.parametrize("make", [lambda sigma: Gaussian(sigma).poisson(0.05), Laplace], ids=["gaussian", "laplace"])
def test_the_interval_of_groups_contains_that_of_all_steps(make, adjacency, monkeypatch):
    parts = decaying(60, make)
    exact = lattice.epsilon_of(parts, 1e-5, adjacency)
    monkeypatch.setattr(schedule, "_MOST", 40)
    monkeypatch.setattr(schedule, "_GROUPS", 15)
    found = lattice.epsilon_of(parts, 1e-5, adjacency)
    assert found.lower <= exact.lower <= exact.upper <= found.upper
    assert found.upper - found.lower < 0.1 * found.upper


def test_exchanged_ends_would_be_noticed(few, monkeypatch):
    parts = decaying(60, lambda sigma: Gaussian(sigma).poisson(0.05))
    honest = lattice.epsilon_of(parts, 1e-5, Adjacency.ADD_REMOVE)
    cheap = [Group(group.cheap, group.cheap, group.count) for group in grouped(parts)]
    costly = [Group(group.costly, group.costly, group.count) for group in grouped(parts)]
    monkeypatch.setattr(directions, "grouped", lambda parts: cheap)
    assert lattice.epsilon_of(parts, 1e-5, Adjacency.ADD_REMOVE).upper < 0.99 * honest.upper
    monkeypatch.setattr(directions, "grouped", lambda parts: costly)
    assert lattice.epsilon_of(parts, 1e-5, Adjacency.ADD_REMOVE).lower > 1.01 * honest.lower
