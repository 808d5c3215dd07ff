"""Closed formulas: the teacher ceiling and group privacy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accountants import Gaussian, epsilon, group_privacy, teacher_ceiling

CEILINGS = [
    (10, 0.2, 0.1195), (10, 1, 0.232), (10, 2, 0.451), (10, 3, 0.691), (10, 5, 0.943), (10, 10, 0.9996),
    (2, 1, 0.731), (100, 1, 0.027), (100, 10, 0.9955), (1000, 10, 0.957),
]  # fmt: skip


@pytest.mark.parametrize(("classes", "eps", "printed"), CEILINGS)
def test_ceiling_table(classes, eps, printed):
    digits = len(str(printed)) - 2
    # Half a unit of the last printed digit, and the table's own truncation of 0.2319.
    assert abs(teacher_ceiling(eps, 1e-5, classes) - printed) <= 0.6 * 10**-digits


@given(eps=st.floats(0, 2000), delta=st.floats(0, 0.99), classes=st.integers(2, 10_000))
def test_ceiling_stays_between_chance_and_certainty(eps, delta, classes):
    value = teacher_ceiling(eps, delta, classes)
    assert 1 / classes - 1e-15 <= value <= 1.0
    assert value <= teacher_ceiling(eps + 0.1, delta, classes)


def test_one_response_on_the_relabeling_attains_the_ceiling():
    for eps in (0.5, 2.0):
        assert math.isclose(teacher_ceiling(eps, 0.0, 10), math.exp(eps) / (math.exp(eps) + 9), rel_tol=1e-14)


@given(eps=st.floats(0, 3), delta=st.floats(0, 1e-3), size=st.integers(1, 20))
def test_group_privacy_matches_the_sum_of_steps(eps, delta, size):
    total, mass = group_privacy(eps, delta, size)
    slow = sum(delta * math.exp(step * eps) for step in range(size))
    assert total >= size * eps * (1 - 1e-15)
    assert math.isclose(total, size * eps, rel_tol=1e-12)
    assert mass >= min(1.0, slow) * (1 - 1e-14)
    assert math.isclose(mass, min(1.0, slow), rel_tol=1e-9)


def test_group_privacy_at_the_ends():
    assert group_privacy(1.0, 1e-5, 1) == (1.0, 1e-5)
    assert group_privacy(500.0, 0.0, 10)[1] == 0.0
    assert group_privacy(500.0, 1e-5, 10)[1] == 1.0


def test_group_privacy_is_looser_than_the_mechanism_itself():
    single = epsilon(Gaussian(10.0), 1e-8).upper
    group_epsilon, group_delta = group_privacy(single, 1e-8, 5)
    assert epsilon(Gaussian(10.0 / 5), group_delta).upper <= group_epsilon


@pytest.mark.parametrize("bad", [0, -1])
def test_bad_arguments_are_named(bad):
    with pytest.raises(ValueError, match="size="):
        group_privacy(1.0, 1e-5, bad)
    with pytest.raises(ValueError, match="classes="):
        teacher_ceiling(1.0, 1e-5, bad)
    with pytest.raises(ValueError, match="delta="):
        teacher_ceiling(1.0, 1.0, 10)
