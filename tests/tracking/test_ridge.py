"""The filter in the Fourier domain is the ridge regression that it says it is, and its peak is where the target went."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.tracking import RidgeFilter
from privkd.tracking.fixed_channels import CHANNELS, fixed_channels
from privkd.tracking.ridge import gaussian_label, peak_of

SIZE = 13


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def by_all_shifts(patch, wanted, ridge, asked):
    """The regression with every cyclic shift as a row, solved as a system of linear equations."""
    shifts = [(r, c) for r in range(SIZE) for c in range(SIZE)]
    rows = np.stack([torch.roll(patch, (-r, -c), (1, 2)).double().numpy().ravel() for r, c in shifts])
    answers = np.array([float(wanted[r, c]) for r, c in shifts])
    weights = np.linalg.solve(rows.T @ rows + ridge * np.eye(rows.shape[1]), rows.T @ answers)
    asked_rows = np.stack([torch.roll(asked, (-r, -c), (1, 2)).double().numpy().ravel() for r, c in shifts])
    return (asked_rows @ weights).reshape(SIZE, SIZE)


@pytest.mark.parametrize("channels", [1, 3])
def test_one_patch_gives_the_ridge_regression_over_all_its_shifts(channels):
    patch, asked = noise(channels, SIZE, SIZE), noise(channels, SIZE, SIZE, seed=1)
    ours = RidgeFilter(SIZE, 1.5, 20.0)
    ours.learn(patch, 1.0)
    slow = by_all_shifts(patch, gaussian_label(SIZE, 1.5), 20.0, asked)
    # float32 sums over size^2 cells: rounding of about 1e-7 x sqrt(169) of values of order 1
    np.testing.assert_allclose(ours.response(asked).numpy(), slow, atol=2e-5)
    other = by_all_shifts(patch, gaussian_label(SIZE, 1.5), 2.0, asked)
    assert np.abs(ours.response(asked).numpy() - other).max() > 1e-3


@given(st.integers(-6, 6), st.integers(-6, 6))
def test_a_patch_that_was_rolled_answers_with_the_roll(down, across):
    ours, patch = RidgeFilter(SIZE, 1.0, 1e-3), noise(2, SIZE, SIZE)
    ours.learn(patch, 1.0)
    found = peak_of(ours.response(torch.roll(patch, (down, across), (1, 2))))
    assert found[:2] == pytest.approx((down, across), abs=1e-2)


@given(st.floats(-0.45, 0.45), st.floats(-0.45, 0.45))
def test_the_peak_of_a_parabola_is_found_to_a_part_of_a_cell(down, across):
    r, c = torch.meshgrid(torch.arange(15.0) - 7, torch.arange(15.0) - 7, indexing="ij")
    response = torch.roll(-((r - down) ** 2) - (c - across) ** 2, (-7 + 3, -7 - 2), (0, 1))
    assert peak_of(response)[:2] == pytest.approx((3 + down, -2 + across), abs=1e-4)


def test_a_target_in_noise_stands_out_and_noise_alone_does_not():
    ours, patch = RidgeFilter(48, 2.0, 20.0), noise(3, 48, 48)
    ours.learn(patch, 1.0)
    here, nowhere = (peak_of(ours.response(asked))[2] for asked in (patch, noise(3, 48, 48, seed=2)))
    assert here > 20 > 6 > nowhere


def test_the_running_averages_forget_at_their_rate():
    old, new = noise(2, SIZE, SIZE), noise(2, SIZE, SIZE, seed=1)
    kept, half, renewed, fresh = (RidgeFilter(SIZE, 1.0, 1.0) for _ in range(4))
    for one, rate in ((kept, 0.0), (half, 0.5), (renewed, 1.0)):
        one.learn(old, 1.0)
        before = one.response(old)
        one.learn(new, rate)
    fresh.learn(new, 1.0)
    torch.testing.assert_close(kept.response(old), before)
    torch.testing.assert_close(renewed.response(old), fresh.response(old))
    assert 0 < float(half.response(old)[0, 0]) < float(before[0, 0])


def test_a_filter_that_learned_nothing_and_wrong_settings_are_refused():
    with pytest.raises(RuntimeError, match="learned nothing"):
        RidgeFilter(SIZE, 1.0, 1.0).response(noise(1, SIZE, SIZE))
    for settings, name in (((12, 1.0, 1.0), "size"), ((SIZE, 0.0, 1.0), "sigma"), ((SIZE, 1.0, 0.0), "ridge")):
        with pytest.raises(ValueError, match=name):
            RidgeFilter(*settings)


def test_gradients_turn_with_the_picture_and_grey_has_no_colour():
    picture = noise(1, 1, 16, 16).abs().clamp(max=1)
    channels = fixed_channels(picture)
    assert channels.shape == (1, CHANNELS, 16, 16)
    assert torch.equal(channels[:, 1:3], torch.zeros(1, 2, 16, 16))
    # a ramp to the right lies in the first direction, one downwards in the third of eight
    ramp = torch.linspace(0, 1, 16).expand(1, 1, 16, 16)
    for turned, direction in ((ramp, 0), (ramp.mT, 2), (ramp.flip(-1), 4), (ramp.flip(-1).mT, 6)):
        assert int(fixed_channels(turned.contiguous())[0, 3:, 8, 8].argmax()) == direction


def test_the_shares_of_a_gradient_sum_to_one_and_smoothing_is_that_of_torch():
    picture = noise(2, 3, 12, 12).sigmoid()
    grey = picture.mean(dim=1, keepdim=True)
    padded = torch.nn.functional.pad(grey, (1, 1, 1, 1), mode="replicate")
    line = torch.tensor([1.0, 2.0, 1.0])
    kernel = torch.outer(line, torch.tensor([-1.0, 0.0, 1.0]))[None, None] / 8
    across, down = (torch.nn.functional.conv2d(padded, k) for k in (kernel, kernel.mT))
    strength = (across**2 + down**2 + 1e-12) ** 0.25
    plain = torch.nn.functional.avg_pool2d(strength, 3, stride=1, padding=1)
    torch.testing.assert_close(fixed_channels(picture)[:, 3:].sum(dim=1, keepdim=True), plain, atol=1e-5, rtol=1e-4)
    assert math.isfinite(float(fixed_channels(torch.zeros(1, 3, 8, 8)).sum()))
