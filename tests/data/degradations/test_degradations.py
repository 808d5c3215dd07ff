"""Noise, light, occluders and JPEG; what all degradations refuse."""

import math

import pytest
import torch

from privkd.data import degradations


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


OPERATIONS = {
    "area": lambda x: degradations.area(x, 2),
    "bilinear": lambda x: degradations.bilinear(x, 3),
    "blur": lambda x: degradations.blur(x, 1.0),
    "low_resolution": lambda x: degradations.low_resolution(x, 2, generator=seeded()),
    "add_noise": lambda x: degradations.add_noise(x, 0.1, generator=seeded()),
    "photometric_shift": lambda x: degradations.photometric_shift(x, generator=seeded()),
    "lower_face_masks": lambda x: degradations.lower_face_masks(x, generator=seeded())[0],
    "rectangles": lambda x: degradations.rectangles(x, generator=seeded())[0],
    "jpeg": lambda x: degradations.jpeg(x, 50),
}
BAD = {
    "not a tensor": [[0.5]],
    "whole numbers": torch.zeros(1, 1, 4, 4, dtype=torch.uint8),
    "no image": torch.zeros(0, 1, 4, 4),
    "no channel dimension": torch.zeros(1, 4, 4),
    "NaN": torch.full((1, 1, 4, 4), math.nan),
    "infinite": torch.full((1, 1, 4, 4), math.inf),
    "0..255": torch.full((1, 1, 4, 4), 255.0),
    "negative": torch.full((1, 1, 4, 4), -0.01),
}


def test_every_operation_is_here():
    assert sorted(OPERATIONS) == degradations.__all__


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("name", OPERATIONS)
def test_bad_images_are_refused(name, bad):
    with pytest.raises((TypeError, ValueError), match="images"):
        OPERATIONS[name](BAD[bad])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPERATIONS)
def test_good_images_stay_in_range_keep_their_dtype_and_are_not_changed(name, dtype):
    images = torch.rand(3, 1, 8, 8, generator=seeded()).to(dtype)
    before = images.clone()
    once, twice = OPERATIONS[name](images), OPERATIONS[name](images)
    assert once.dtype == dtype
    assert -1e-6 <= once.min() <= once.max() <= 1 + 1e-6
    assert torch.equal(once, twice)
    assert torch.equal(images, before)
    assert not torch.equal(once, images)


def test_a_tiny_overshoot_is_tolerated():
    assert degradations.area(torch.full((1, 1, 2, 2), 1.0005), 2).item() == pytest.approx(1.0005)


@pytest.mark.parametrize("generator", [None, 0])
def test_a_seed_in_place_of_a_generator_is_refused(generator):
    images = torch.rand(1, 1, 4, 4)
    for call in (degradations.photometric_shift, degradations.lower_face_masks, degradations.rectangles):
        with pytest.raises(TypeError, match="generator"):
            call(images, generator=generator)


def test_photometric_shift_follows_its_formula():
    images = torch.rand(2, 1, 6, 6, generator=seeded())
    noise = 0.02 * torch.randn(images.shape, generator=seeded(5))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    box = sum(padded[:, :, i : i + 6, j : j + 6] for i in range(3) for j in range(3)) / 9
    expected = (0.45 * (0.5 * images + 0.5 * box) + 0.05 + noise).clamp(0, 1)
    assert torch.allclose(degradations.photometric_shift(images, generator=seeded(5)), expected, atol=1e-6)


def test_masks_change_what_the_map_says_and_nothing_else():
    images = torch.rand(200, 3, 32, 32, generator=seeded())
    masked, occluded = degradations.lower_face_masks(images, generator=seeded())
    assert set(occluded.unique().tolist()) == {0.0, 1.0}
    visible = (occluded == 0).expand_as(images)
    assert torch.equal(masked[visible], images[visible])
    assert (masked != images)[~visible].float().mean() > 0.99


def test_masks_cover_the_lower_middle_as_specified():
    _, occluded = degradations.lower_face_masks(torch.zeros(2000, 1, 64, 64), generator=seeded())
    # E[half] (in pixels of both sides) times the rows from E[top] = .1 to .92: the slope cancels
    expected = 0.625 * (0.92 - 0.10) / 2
    assert abs(occluded.mean().item() - expected) < 0.01  # one pixel of 64 is .016 of a side
    assert not occluded[:, :, : 32 - 5].any()  # top > -.02 - .15 * .75
    assert not occluded[:, :, 62:].any()
    assert not occluded[:, :, :, :8].any()  # |u| < .75
    assert occluded[:, :, 48, 24:40].all()


def test_rectangles_lie_inside_and_have_the_sides_asked_for():
    _, occluded = degradations.rectangles(torch.zeros(4000, 1, 20, 40), generator=seeded(), smallest=0.25, largest=0.5)
    heights, widths = occluded.amax(3).sum(2), occluded.amax(2).sum(2)
    assert torch.equal(heights * widths, occluded.sum((2, 3)))  # solid, one each
    assert 5 <= heights.min() <= heights.max() <= 10
    assert 10 <= widths.min() <= widths.max() <= 20
    assert (occluded.mean(0) > 0).all(), "every pixel is covered now and then"


def test_more_rectangles_cover_more_and_bad_settings_are_refused():
    images = torch.zeros(100, 1, 16, 16)
    one, four = (degradations.rectangles(images, generator=seeded(), count=n)[1].mean() for n in (1, 4))
    assert four > 2 * one
    for settings in ({"count": 0}, {"smallest": 0.0}, {"largest": 0.1}, {"largest": 1.5}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            degradations.rectangles(images, generator=seeded(), **settings)


def test_jpeg_loses_more_at_lower_quality_and_takes_grey_and_colour_only():
    images = torch.rand(2, 3, 16, 16, generator=seeded())
    losses = [(degradations.jpeg(images, quality) - images).abs().mean() for quality in (95, 50, 10)]
    assert losses == sorted(losses)
    with pytest.raises(ValueError, match="2 channels"):
        degradations.jpeg(torch.rand(1, 2, 8, 8), 50)
    for quality in (0, 96):
        with pytest.raises(ValueError, match="quality"):
            degradations.jpeg(images, quality)
