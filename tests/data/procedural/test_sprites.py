"""TR-1: boxes lie around the sprites, sprites move, variants are what they are called."""

import numpy as np
import pytest

from privkd.data import Sequences
from privkd.data.procedural import SCENES, SpriteScene, moving_sprites, thermal_targets
from privkd.data.procedural.draws import Draws
from privkd.data.procedural.sprites import COLOURS, bouncing_path, camera_path, paste, shape_mask


def overlap(first, second):
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - common
    return np.where(union > 0, common / np.maximum(union, 1e-9), 0)


def static_success(data):
    """Success AUC of a box that never moves: 21 thresholds, strictly greater, mean over sequences."""
    curves = []
    for sequence in data:
        found = overlap(np.repeat(sequence.boxes[:1], len(sequence), axis=0), sequence.boxes)
        curves.append(np.mean([(found > threshold).mean() for threshold in np.linspace(0, 1, 21)]))
    return np.array(curves)


@pytest.fixture(scope="module")
def plain():
    return moving_sprites()


def test_shapes_and_kind(plain):
    assert isinstance(plain, Sequences)
    assert len(plain) == 16
    for sequence in plain:
        assert sequence.frames[0].shape == (128, 160, 3)
        assert sequence.frames[0].dtype == np.uint8
        assert sequence.boxes.shape == (60, 4)
        assert sequence.visible.all()
        assert (sequence.boxes[:, 2:].min(), sequence.boxes[:, 2:].max()) >= (16, 16)  # 22 (1 - .25)
        assert sequence.boxes[:, 2:].max() <= 28
    assert len(set(plain.names)) == 16


def test_a_box_that_never_moves_scores_as_in_the_specification(plain):
    """0.083 of 16 sequences; the error of such a mean is found from the 16 scores themselves."""
    scores = static_success(plain)
    assert abs(scores.mean() - 0.083) < 3 * scores.std(ddof=1) / np.sqrt(len(scores))


def test_the_target_moves_and_is_never_far_from_where_it_was(plain):
    for sequence in plain:
        centres = sequence.boxes[:, :2] + sequence.boxes[:, 2:] / 2
        steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
        assert 1.5 < steps.mean() < 3.0  # speed 2.5, less what borders and rounding take
        assert steps.max() < 5


def test_equal_seeds_give_equal_videos_and_more_leave_the_first_as_they_are(plain):
    again = moving_sprites(2)
    for first, second in zip(plain, again, strict=False):
        assert np.array_equal(first.boxes, second.boxes)
        assert all(np.array_equal(first.frames[t], second.frames[t]) for t in (0, 30, 59))
    assert not np.array_equal(moving_sprites(1, seed=1)[0].boxes, plain[0].boxes)


def test_the_colour_of_the_sentence_is_in_the_box(plain):
    """In most videos the middle of the box is nearer to the colour that the sentence names than to any other."""
    right = 0
    for sequence in plain:
        x, y, side, _ = sequence.boxes[10].astype(int)
        middle = sequence.frames[10][y + side // 2 - 2 : y + side // 2 + 3, x + side // 2 - 2 : x + side // 2 + 3].mean(
            (0, 1)
        )
        gaps = {name: np.linalg.norm(middle - 204 * np.array(rgb)) for name, rgb in COLOURS.items()}
        right += min(gaps, key=gaps.get) == sequence.language.split()[1]
    assert right >= 12


def test_hidden_targets_have_no_box_and_are_not_drawn():
    shown, hidden = (moving_sprites(1, SpriteScene(occlusion=o, noise=0.0))[0] for o in (False, True))
    assert np.flatnonzero(~hidden.visible).tolist() == list(range(24, 34))
    assert not hidden.boxes[24:34].any()
    assert hidden.boxes[[*range(24), *range(34, 60)]].all(axis=1).any()
    x, y, side, _ = shown.boxes[26].astype(int)
    assert np.array_equal(shown.frames[20], hidden.frames[20])
    assert not np.array_equal(
        shown.frames[26][y : y + side, x : x + side], hidden.frames[26][y : y + side, x : x + side]
    )


def test_variants_are_harder_in_the_way_that_they_say():
    scores = {name: static_success(moving_sprites(3, name)).mean() for name in ("plain", "small", "uav")}
    assert scores["small"] < scores["uav"] < scores["plain"]
    assert moving_sprites(1, "small")[0].boxes[:, 2:].max() <= 10
    assert set(moving_sprites(1, "camo")[0].attributes.items()) >= {("camouflage", 1), ("small", 0)}
    assert list(SCENES) == ["plain", "small", "twin", "uav", "camo"]


def test_camouflage_brings_the_target_nearer_to_the_ground():
    plain, camo = (moving_sprites(3, SpriteScene(frames=3, camouflage=c)) for c in (0.0, 0.6))
    for first, second in zip(plain, camo, strict=True):
        assert np.array_equal(first.boxes, second.boxes)
        x, y, side, _ = first.boxes[0].astype(int)
        boxes = [sequence.frames[0][y : y + side, x : x + side].astype(float) for sequence in (first, second)]
        ring = first.frames[0][max(0, y - 6) : y + side + 6, max(0, x - 6) : x + side + 6].astype(float).mean((0, 1))
        gaps = [np.abs(box[side // 2, side // 2] - ring).mean() for box in boxes]
        assert gaps[1] < gaps[0]


def test_the_first_box_of_twins_lies_between_target_and_twin():
    for sequence in moving_sprites(6, SpriteScene(frames=3, twins=True)):
        centres = sequence.boxes[:2, :2] + sequence.boxes[:2, 2:] / 2
        gap = np.linalg.norm(centres[1] - centres[0])
        # half of 1.1 sizes, up to one step of both sprites (2.5 pixels each) and the rounding of their corners
        assert abs(gap - 1.1 * 22 / 2) < 2.5 + 2.5 + 2
        assert sequence.attributes["similar_object"] == 1


@pytest.mark.parametrize("side", [1, 2, 7, 22])
def test_shapes_fill_their_boxes(side):
    assert shape_mask("square", side).all()
    for shape in ("disc", "triangle"):
        mask = shape_mask(shape, side)
        assert mask.shape == (side, side)
        assert np.array_equal(mask, mask[:, ::-1])
        assert mask.any(axis=1).all()
    if side == 22:
        assert abs(shape_mask("disc", 22).mean() - np.pi / 4) < 0.03


def test_pasting_is_cut_off_at_the_borders():
    for left, top in ((-3, -3), (8, 8), (-20, 0), (0, 20)):
        frame = np.zeros((10, 10, 3), np.float32)
        paste(frame, np.ones((5, 5, 3), np.float32), np.ones((5, 5), bool), left, top)
        expected = np.zeros((10, 10))
        for row in range(10):
            for column in range(10):
                expected[row, column] = top <= row < top + 5 and left <= column < left + 5
        assert np.array_equal(frame[:, :, 0], expected)


def test_paths_keep_their_speed_and_their_margin():
    path = bouncing_path(Draws("test", 0), 500, start=np.array([50.0, 50.0]), speed=3.0, margin=11.0, size=(160, 128))
    assert (path >= 11).all()
    assert (path <= np.array([149, 117])).all()
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert abs(np.median(steps) - 3.0) < 1e-9
    still = camera_path(Draws("test", 0), 50, 0.0, room=(30, 40))
    assert (still == still[0]).all()


def test_thermal_targets_leave_and_come_back():
    for sequence in thermal_targets(6):
        gone = np.flatnonzero(~sequence.visible)
        assert sequence.modality == "tir"
        assert 10 <= len(gone) <= 20
        assert gone[-1] - gone[0] + 1 == len(gone), "away once"
        assert sequence.visible[0]
        assert sequence.visible[-1]
        assert not sequence.boxes[gone].any()
        border = sequence.boxes[gone[0] - 1, :2] + sequence.boxes[gone[0] - 1, 2:] / 2
        assert min(*border, *((160, 128) - border)) < 16, "it left by a border"


def test_thermal_targets_are_warm():
    warmer = []
    for sequence in thermal_targets(6):
        frame, (x, y, side, _) = sequence.frames[0][:, :, 0].astype(float), sequence.boxes[0]
        row, column = int(y + side / 2), int(x + side / 2)
        around = frame[max(0, row - 10) : row + 11, max(0, column - 10) : column + 11]
        warmer.append(frame[row - 1 : row + 2, column - 1 : column + 2].mean() - np.median(around))
    assert np.mean(warmer) > 20


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"sequences": 0}, "sequences"),
        ({"scene": "nonsense"}, "plain, small, twin, uav, camo"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_settings_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        moving_sprites(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"frames": 1},
        {"size": 3},
        {"speed": 0.0},
        {"camouflage": 1.1},
        {"noise": -1.0},
        {"pulse": 1.0},
        {"distractors": -1},
    ],
)
def test_scenes_refuse_what_cannot_be_drawn(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SpriteScene(**settings)
    with pytest.raises(ValueError, match="frames"):
        thermal_targets(1, frames=39)
