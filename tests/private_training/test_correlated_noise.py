"""Banded noise is C^-1 z, costs what its columns cost, and serves running sums better than independent noise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accountants import Gaussian, MatrixFactorization, epsilon
from privkd.private_training import Banded
from privkd.private_training.banded_noise import BandedNoise


def dense(design, steps):
    """C as a matrix."""
    column = design.coefficients()
    return np.array([[column[i - j] if 0 <= i - j < len(column) else 0.0 for j in range(steps)] for i in range(steps)])


@given(bands=st.integers(1, 9), steps=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_the_noise_solves_the_banded_system(bands, steps):
    design = Banded(bands)
    fresh = torch.randn(steps, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(bands))
    noise = BandedNoise(design)
    made = torch.stack([noise.correlated({"w": row})["w"] for row in fresh])
    assert np.allclose(dense(design, steps) @ made.numpy(), fresh.numpy(), atol=1e-10)


@given(bands=st.integers(1, 5), spare=st.integers(0, 3), passes=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_sensitivity_is_that_of_the_worst_record(bands, spare, passes):
    apart = bands + spare
    matrix = dense(Banded(bands), apart * passes)
    # A record takes part at one place of every pass; gradients of unit norm in the worst directions.
    worst = max(math.sqrt(np.abs(matrix[:, place::apart].T @ matrix[:, place::apart]).sum()) for place in range(apart))
    bound = Banded(bands).sensitivity(participations=passes)
    assert worst <= bound * (1 + 1e-12)
    assert bound == pytest.approx(math.sqrt(passes * sum(c * c for c in Banded(bands).coefficients())), rel=1e-11)


def test_participations_within_the_bands_would_cost_more_and_are_refused():
    matrix = dense(Banded(4), 8)
    close = math.sqrt(np.abs(matrix[:, ::2].T @ matrix[:, ::2]).sum())
    assert close > Banded(4).sensitivity(participations=4)
    with pytest.raises(ValueError, match="bands=4 are more than the 2 steps"):
        Banded(4).event(1.0, steps=8, steps_per_epoch=2, adjacency="zero-out")


@pytest.mark.parametrize("steps", [1, 3, 6, 9])
def test_a_run_that_is_shorter_than_the_bands_pays_for_its_own_steps_alone(steps):
    """The twin: columns of the factor of so many steps, which has no more rows."""
    design = Banded(6)
    column = [design.coefficients()[row] if row < 6 else 0.0 for row in range(steps)]
    event = design.event(1.0, steps=steps, steps_per_epoch=20, adjacency="add-remove")
    assert event.sensitivity == pytest.approx(math.hypot(*column), rel=1e-9)
    assert event.sensitivity >= math.hypot(*column)


def test_one_band_is_independent_noise_and_costs_one_release_per_pass():
    event = Banded(1).event(2.0, steps=30, steps_per_epoch=10, adjacency="zero-out")
    assert isinstance(event, MatrixFactorization)
    plain = epsilon(Gaussian(2.0) * 3, 1e-5, adjacency="zero-out").upper
    assert epsilon(event, 1e-5, adjacency="zero-out").upper == pytest.approx(plain, rel=1e-6)
    noise, fresh = BandedNoise(Banded(1)), torch.randn(4, 2, dtype=torch.float64)
    assert all(torch.equal(noise.correlated({"w": row})["w"], row) for row in fresh)


def test_replacing_a_record_costs_twice_the_sensitivity():
    one = Banded(3).event(2.0, steps=6, steps_per_epoch=6, adjacency="zero-out")
    two = Banded(3).event(4.0, steps=6, steps_per_epoch=6, adjacency="replace-one")
    assert one == two


def test_at_equal_privacy_running_sums_carry_less_noise():
    steps = 64

    def error(bands):
        design = Banded(bands)
        noise = np.tril(np.ones((steps, steps))) @ np.linalg.inv(dense(design, steps))
        return design.sensitivity(participations=1) * math.sqrt((noise**2).sum() / steps)

    assert error(16) < 0.5 * error(1)
    assert error(64) < error(16) < error(4) < error(1)


def test_a_run_that_goes_on_carries_the_same_noise():
    fresh = torch.randn(6, 3, dtype=torch.float64)
    whole, first, second = (BandedNoise(Banded(3)) for _ in range(3))
    expected = [whole.correlated({"w": row})["w"] for row in fresh]
    for row in fresh[:4]:
        first.correlated({"w": row})
    second.load_state_dict(first.state_dict())
    assert torch.equal(second.correlated({"w": fresh[4]})["w"], expected[4])
    assert not torch.equal(BandedNoise(Banded(3)).correlated({"w": fresh[4]})["w"], expected[4])
