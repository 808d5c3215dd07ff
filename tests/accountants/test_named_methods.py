"""A method that is named refuses what it does not take, also where only the lower end needs it."""

import pytest

from accountants import Gaussian, Laplace, UnsupportedEvent, epsilon, parallel

APART = parallel(
    Gaussian(0.0), Laplace(1.0)
)  # together no noise, which settles the upper end before any method is asked


def test_a_named_method_says_that_it_does_not_apply_to_one_of_disjoint_parts():
    with pytest.raises(UnsupportedEvent, match="method='gaussian' does not apply to laplace"):
        epsilon(APART, 1e-5, adjacency="replace-one", method="gaussian")


def test_the_automatic_choice_answers_the_same_event():
    assert epsilon(APART, 1e-5, adjacency="replace-one").lower == float("inf")
