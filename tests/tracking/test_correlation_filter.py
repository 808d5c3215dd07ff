"""The correlation filter follows what moves and grows, answers the same twice, and keeps its settings in a file."""

import json

import numpy as np
import pytest

from privkd.data.procedural import SpriteScene, moving_sprites
from privkd.errors import CheckpointError
from privkd.metrics.overlap import iou
from privkd.tracking import CorrelationFilter, CorrelationFilterConfig, Tracker, track


def ground(height=90, width=120):
    """A smooth ground with weak structure, the same at every call."""
    y, x = np.mgrid[:height, :width]
    return 90 + 15 * np.sin(x / 9) + 15 * np.cos(y / 7)


def scene(box, *, channels=3, dtype=np.uint8):
    """A bright target with a dark core in the box, drawn to a part of a pixel."""
    frame = ground()
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
    for inset, grey in ((0.0, 220.0), (0.3, 40.0)):
        left, top = box[0] + inset * box[2], box[1] + inset * box[3]
        wide, high = (1 - 2 * inset) * box[2], (1 - 2 * inset) * box[3]
        cover_x = np.clip(np.minimum(x + 1, left + wide) - np.maximum(x, left), 0, 1)
        cover_y = np.clip(np.minimum(y + 1, top + high) - np.maximum(y, top), 0, 1)
        frame = frame + (grey - frame) * cover_x * cover_y
    frame = np.repeat(frame[..., None], channels, axis=2)
    return np.rint(frame).astype(np.uint8) if dtype == np.uint8 else (frame / 255).astype(dtype)


def follow(boxes, settings=None, **how):
    tracker = CorrelationFilter(settings or CorrelationFilterConfig())
    tracker.init(scene(boxes[0], **how), np.array(boxes[0]))
    return np.stack([tracker.update(scene(box, **how)).box for box in boxes[1:]])


def moving(frames=12, dx=2.3, dy=-1.4, growth=1.0):
    sides = np.array([16.0, 12.0]) * growth ** np.arange(frames)[:, None]
    centres = np.array([40.0, 60.0]) + np.arange(frames)[:, None] * [dx, dy]
    return np.concatenate([centres - sides / 2, sides], axis=1)


@pytest.mark.parametrize("how", [{}, {"channels": 1}, {"channels": 4}, {"dtype": np.float32}], ids=str)
def test_a_target_that_moves_is_followed_to_a_part_of_a_pixel(how):
    boxes = moving()
    found = follow(boxes, **how)
    centres = found[:, :2] + found[:, 2:] / 2 - (boxes[1:, :2] + boxes[1:, 2:] / 2)
    # a cell of the patch is 3 x sqrt(16 x 12) / 48, less than one pixel
    assert np.abs(centres).max() < 0.87


@pytest.mark.parametrize("growth", [1.02, 1 / 1.02])
def test_a_target_that_grows_or_shrinks_is_followed_in_scale_and_not_without_scales(growth):
    boxes = moving(25, dx=0.8, dy=-0.5, growth=growth)
    found, fixed = follow(boxes), follow(boxes, CorrelationFilterConfig(scales=1))
    assert iou(found[-1:], boxes[-1:])[0] > 0.7 > 0.6 > iou(fixed[-1:], boxes[-1:])[0]
    assert fixed[-1, 2:].tolist() == boxes[0, 2:].tolist()


def test_answers_stay_in_the_frame_and_never_get_smaller_than_two_pixels():
    boxes = moving(30, dx=-4.0, dy=-3.0)
    found = follow(boxes)
    centres = found[:, :2] + found[:, 2:] / 2
    assert (centres >= 0).all()
    assert (centres <= [120, 90]).all()
    tiny = np.tile([40.0, 40.0, 2.0, 2.0], (6, 1))
    assert (follow(tiny)[:, 2:] >= 2.0).all()


def test_the_score_falls_when_the_target_is_gone():
    tracker, boxes = CorrelationFilter(), moving()
    tracker.init(scene(boxes[0]), boxes[0])
    there = tracker.update(scene(boxes[1])).score
    gone = tracker.update(np.repeat(np.rint(ground())[..., None], 3, axis=2).astype(np.uint8)).score
    assert there > 2 * gone


def test_it_answers_the_same_twice_and_forgets_an_earlier_target():
    first, second = moving_sprites(2, SpriteScene(frames=8))
    used = CorrelationFilter()
    track(used, first)
    again, fresh = track(used, second), track(CorrelationFilter(), second)
    assert np.array_equal(again.boxes, fresh.boxes)
    assert isinstance(used, Tracker)


def test_settings_come_back_from_their_file_and_files_of_others_are_refused(tmp_path):
    path = tmp_path / "tracker"
    CorrelationFilter(CorrelationFilterConfig(scales=5)).save(path)
    assert CorrelationFilter.load(path).settings == CorrelationFilterConfig(scales=5)
    whole = json.loads(path.read_text())
    for spoilt in (
        {**whole, "schema": "other/1"},
        {**whole, "settings": {"size": 48}},
        {**whole, "settings": {**whole["settings"], "size": 3}},
        {**whole, "settings": {**whole["settings"], "rate": "fast"}},
    ):
        path.write_text(json.dumps(spoilt))
        with pytest.raises(CheckpointError, match="settings"):
            CorrelationFilter.load(path)
    with pytest.raises(FileNotFoundError):
        CorrelationFilter.load(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 8),
        ("context", 1.0),
        ("sigma", 0.0),
        ("ridge", 0.0),
        ("rate", 1.5),
        ("scale_step", 1.0),
        ("scales", 2),
        ("scales", 0),
        ("scale_penalty", 0.0),
        ("window", -1.0),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        CorrelationFilterConfig(**{name: value})


@pytest.mark.parametrize("frame", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 2), np.uint8), np.zeros((8, 8, 3), int)])
def test_frames_that_are_none_are_refused(frame):
    with pytest.raises(ValueError, match="frame of shape"):
        CorrelationFilter().init(frame, np.array([1.0, 1.0, 4.0, 4.0]))
