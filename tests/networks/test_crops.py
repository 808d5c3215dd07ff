"""Windows of frames: boxes go there and back exactly, pixels land where boxes say, and formulas by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from privkd.networks import CenterHead, CenterMaps, Window, clamp_box, context_side, hann2d, near_centre, scaled_side

places = st.floats(-500, 4000)
lengths = st.floats(0.5, 2000)
windows = st.builds(Window, places, places, st.floats(2, 4000), st.integers(8, 512))


@given(window=windows, x=places, y=places, w=lengths, h=lengths)
def test_boxes_into_the_patch_and_back_are_the_same_to_a_millionth(window, x, y, w, h):
    box = torch.tensor([[x, y, w, h]], dtype=torch.float64)
    assert (window.into_frame(window.into_patch(box)) - box).abs().max() < 1e-6
    assert (window.into_patch(window.into_frame(box)) - box).abs().max() < 1e-6


@given(window=windows)
def test_the_whole_patch_is_the_window(window):
    whole = torch.tensor([0.0, 0.0, window.size, window.size])
    expected = torch.tensor([window.x - window.side / 2, window.y - window.side / 2, window.side, window.side])
    assert torch.allclose(window.into_frame(whole), expected.double(), atol=1e-3)  # expected is float32


def test_a_window_of_the_scale_of_the_frame_copies_its_pixels():
    frame = torch.rand(3, 30, 40, generator=torch.Generator().manual_seed(0))
    patch = Window(20.0, 10.0, 16.0, 16).crop(frame)  # columns 12..28, rows 2..18
    assert torch.allclose(patch, frame[:, 2:18, 12:28], atol=1e-5)
    assert not torch.allclose(Window(20.5, 10.0, 16.0, 16).crop(frame), frame[:, 2:18, 12:28], atol=1e-2)


@pytest.mark.parametrize(("side", "size"), [(16.0, 16), (32.0, 16), (16.0, 48), (20.0, 33)])
def test_pixels_land_where_boxes_say(side, size):
    """On a frame whose pixels hold their own coordinates, linear interpolation gives coordinates."""
    rows, columns = torch.arange(60.0) + 0.5, torch.arange(80.0) + 0.5
    frame = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
    window = Window(41.3, 30.7, side, size)
    patch = window.crop(frame)
    for i, j in ((0, 0), (size // 2, 3), (size - 1, size - 2)):
        cell = window.into_frame(torch.tensor([j + 0.5, i + 0.5, 0.0, 0.0]))
        assert torch.allclose(patch[:, i, j].double(), cell[:2], atol=1e-3)


def test_what_lies_outside_the_frame_has_its_mean_colour():
    frame = torch.rand(3, 10, 10, generator=torch.Generator().manual_seed(0))
    patch = Window(0.0, 0.0, 40.0, 40).crop(frame)
    mean = frame.mean(dim=(1, 2))
    assert torch.allclose(patch[:, 0, 0], mean)
    assert torch.allclose(patch[:, 20:30, 20:30], frame, atol=1e-5)


def test_sides_are_those_of_the_formulas():
    w, h = 30.0, 12.0
    for factor in (1, 2, 4):
        expected = math.sqrt((w + (factor - 1) * (w + h) / 2) * (h + (factor - 1) * (w + h) / 2))
        assert context_side(w, h, factor) == pytest.approx(expected)
    assert context_side(w, h, 1) == pytest.approx(math.sqrt(w * h))
    assert scaled_side(w, h, 4) == math.ceil(4 * math.sqrt(360)) == 76


@given(x=places, y=places, w=lengths, h=lengths)
def test_a_clamped_box_has_its_centre_in_the_frame_and_at_least_two_pixels(x, y, w, h):
    box = clamp_box(torch.tensor([x, y, w, h], dtype=torch.float64), 64, 48)
    centre = box[:2] + box[2:] / 2
    assert (box[2:] >= 2).all()
    assert (box[2:] <= torch.tensor([64, 48])).all()
    assert (centre >= -1e-9).all()
    assert (centre <= torch.tensor([64, 48]) + 1e-9).all()
    assert torch.allclose(clamp_box(box, 64, 48), box)


def test_a_box_that_fits_is_not_changed_even_if_it_is_small():
    box = torch.tensor([10.0, 10.0, 2.5, 3.0])
    assert clamp_box(box, 64, 48).tolist() == box.tolist()


@pytest.mark.parametrize("n", [1, 2, 5, 16])
def test_the_window_of_hann_is_the_formula_and_symmetric(n):
    window = hann2d(n)
    for i in range(n):
        for j in range(n):
            ends = [0.5 - 0.5 * math.cos(2 * math.pi * k / (n - 1)) if n > 1 else 1.0 for k in (i, j)]
            assert window[i, j].item() == pytest.approx(ends[0] * ends[1], abs=1e-6)
    assert torch.allclose(window, window.flip(0, 1), atol=1e-6)


def test_scores_near_the_centre_win_ties():
    score = torch.zeros(1, 7, 7)
    score[0, 0, 0] = score[0, 3, 3] = 0.8
    mixed = near_centre(score)
    assert mixed.argmax() == 3 * 7 + 3
    assert mixed[0, 3, 3].item() == pytest.approx(0.51 * 0.8 + 0.49)
    assert torch.equal(near_centre(score, 0.0), score)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Window(0.0, 0.0, 0.0, 8), "side=0.0"),
        (lambda: Window(math.nan, 0.0, 8.0, 8), "x=nan"),
        (lambda: Window(0.0, 0.0, 8.0, 0), "size=0"),
        (lambda: Window(0.0, 0.0, 8.0, 8).crop(torch.zeros(8, 8)), "floats"),
        (lambda: Window(0.0, 0.0, 8.0, 8).crop(torch.zeros(3, 8, 8, dtype=torch.uint8)), "torch.uint8"),
        (lambda: Window(0.0, 0.0, 8.0, 8).into_patch(torch.zeros(3)), "boxes have shape"),
        (lambda: context_side(0.0, 1.0, 2.0), "width=0.0"),
        (lambda: context_side(1.0, 1.0, 0.5), "factor=0.5"),
        (lambda: clamp_box(torch.zeros(4), 1, 8), "width=1"),
        (lambda: near_centre(torch.zeros(4, 5)), "square map"),
        (lambda: near_centre(torch.zeros(4, 4), 1.5), "weight=1.5"),
        (lambda: CenterHead(4)(torch.zeros(1, 3, 8, 8)), r"maps \(b, 4, h, w\)"),
    ],
)
def test_what_has_no_geometry_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_the_box_of_a_head_is_read_off_its_best_cell():
    score, offset, size = torch.zeros(1, 1, 4, 8), torch.zeros(1, 2, 4, 8), torch.zeros(1, 2, 4, 8)
    score[0, 0, 2, 5] = 9.0
    offset[0, :, 2, 5] = torch.tensor([0.5, 0.25])
    size[0, :, 2, 5] = torch.tensor([0.25, 0.5])
    maps = CenterMaps(score, offset, size)
    centre = torch.tensor([5.5 / 8, 2.25 / 4])
    assert torch.allclose(maps.boxes()[0], torch.cat([centre - torch.tensor([0.125, 0.25]), torch.tensor([0.25, 0.5])]))
    other = torch.zeros_like(score)
    other[0, 0, 0, 0] = 1.0
    assert maps.boxes(other)[0].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_offsets_and_sizes_of_a_head_are_parts_of_a_cell_and_of_the_map():
    maps = CenterHead(4, 8)(torch.randn(2, 4, 6, 5))
    assert maps.score.shape == (2, 1, 6, 5)
    for found in (maps.offset, maps.size):
        assert found.shape == (2, 2, 6, 5)
        assert 0 < found.min() <= found.max() < 1
