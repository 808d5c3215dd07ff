"""Fewer pixels: exact means, normalised blur, one seed one view."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.data.degradations import area, bilinear, blur, low_resolution


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(factor=st.integers(1, 4), rows=st.integers(1, 3), columns=st.integers(1, 3), seed=st.integers(0, 100))
def test_area_is_the_mean_of_every_block(factor, rows, columns, seed):
    images = torch.rand(2, 3, rows * factor, columns * factor, generator=seeded(seed))
    pooled = area(images, factor)
    for row in range(rows):
        for column in range(columns):
            block = images[:, :, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            assert torch.allclose(pooled[:, :, row, column], block.mean((2, 3)), atol=1e-6)


def test_area_refuses_a_factor_that_leaves_a_rest_and_bilinear_takes_the_size():
    images = torch.rand(1, 1, 10, 12, generator=seeded())
    with pytest.raises(ValueError, match=r"factor=5 does not divide images of 10x12 pixels.*bilinear"):
        area(images, 5)
    assert bilinear(images, (2, 3)).shape == (1, 1, 2, 3)
    assert bilinear(images, 16).shape == (1, 1, 16, 16)


def test_bilinear_does_not_alias_a_checkerboard():
    board = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float()[None, None]
    assert (bilinear(board, 8) - 0.5).abs().max() < 0.1


def test_blur_agrees_with_a_direct_sum():
    images = torch.rand(2, 1, 7, 9, generator=seeded(), dtype=torch.float64)
    sigma = torch.tensor([0.5, 1.0], dtype=torch.float64)
    blurred = blur(images, sigma)
    for n in range(2):
        weights = {
            (i, j): math.exp(-(i * i + j * j) / (2 * float(sigma[n]) ** 2)) for i in range(-3, 4) for j in range(-3, 4)
        }
        for row in range(7):
            for column in range(9):
                around = sum(
                    weight * float(images[n, 0, min(max(row + i, 0), 6), min(max(column + j, 0), 8)])
                    for (i, j), weight in weights.items()
                )
                assert math.isclose(float(blurred[n, 0, row, column]), around / sum(weights.values()), abs_tol=1e-9)


def test_blur_of_width_zero_changes_nothing_and_constants_stay():
    images = torch.rand(3, 2, 8, 8, generator=seeded())
    assert torch.equal(blur(images, 0.0), images)
    mixed = blur(images, torch.tensor([0.0, 2.0, 0.0]))
    assert torch.equal(mixed[[0, 2]], images[[0, 2]])
    assert not torch.allclose(mixed[1], images[1], atol=0.01)
    assert torch.allclose(blur(torch.full((1, 1, 5, 5), 0.3), 2.0), torch.tensor(0.3))


def test_blur_refuses_widths_that_are_none():
    images = torch.rand(2, 1, 4, 4, generator=seeded())
    for sigma in (-1.0, math.nan, torch.tensor([1.0]), torch.tensor([1.0, -1.0]), torch.tensor([1.0, math.inf])):
        with pytest.raises(ValueError, match="sigma"):
            blur(images, sigma)


def test_low_resolution_is_area_plus_noise_of_the_stated_size():
    images = torch.full((4, 1, 256, 256), 0.5)
    noise = low_resolution(images, 2, generator=seeded(), noise=0.02) - 0.5
    count = noise.numel()
    assert abs(noise.std().item() - 0.02) < 4.5 * 0.02 / math.sqrt(2 * count)
    assert torch.equal(low_resolution(images, 4, generator=seeded(), noise=0.0), area(images, 4))


def test_low_resolution_repeats_with_the_seed_only():
    images = torch.rand(3, 1, 16, 16, generator=seeded())
    first, again, other = (low_resolution(images, 2, generator=seeded(s), blur_up_to=1.0) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_low_resolution_blurs_only_when_asked():
    images = torch.rand(3, 1, 16, 16, generator=seeded())
    plain = low_resolution(images, 1, generator=seeded(), noise=0.0)
    assert torch.equal(plain, images)
    assert low_resolution(images, 1, generator=seeded(), noise=0.0, blur_up_to=1.0).var() < images.var()
