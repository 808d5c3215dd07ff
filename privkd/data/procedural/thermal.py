"""Thermal videos for trackers: a small warm thing in the sky, which leaves the view for a while and comes back.

Specification: variant TR-tir of TR-1. The sizes, the heights of the horizon and the way out are ours.
"""

import numpy as np

from accountants import check
from privkd.data.kinds.sequence import Sequence
from privkd.data.kinds.sequences import Sequences
from privkd.data.procedural.backgrounds import clouds
from privkd.data.procedural.draws import Draws
from privkd.data.procedural.sprite_scenes import HEIGHT, WIDTH
from privkd.data.procedural.sprites import bouncing_path, camera_path

_SIZE, _SPEED, _CAMERA, _NOISE = 10, 2.0, 1.0, 3.0
_WARMTH = 40.0  # grey levels above the background
_RAMP = 6  # frames in which the target flies out, and back in
_SHORTEST = 40  # frames of a video


def thermal_targets(sequences: int = 16, *, frames: int = 75, seed: int = 0) -> Sequences:
    """Thermal videos of a target that is out of view for 10 to 20 frames: 20 % of 75 on average.

    Boxes are all zero where it is. Each video has random numbers of its own: the first ones stay when more are asked for.

    Args:
        sequences: number of videos, >= 1.
        frames: of each, >= 40.
        seed: integer >= 0.

    Returns:
        Videos of the modality "tir", with three equal channels.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is out of range.
    """
    check.integer(sequences=sequences, at_least=1)
    check.integer(frames=frames, at_least=_SHORTEST)
    check.integer(seed=seed, at_least=0)
    videos = [thermal_video(frames, name=f"tir-{n:04}", draws=Draws("thermal", seed, n)) for n in range(sequences)]
    return Sequences(tuple(videos), "thermal-targets")


def thermal_video(frames: int, *, name: str, draws: Draws) -> Sequence:
    """One thermal video: Gaussian blobs of +40 grey levels over smooth sky and ground, one or two of them distractors.

    Args:
        frames: number of frames, >= 40.
        name: what it is called.
        draws: everything that is random in it.
    """
    blobs = 2 + draws.index(2)
    starts = draws.uniform(0.15, 0.85, blobs, 2) * (WIDTH, HEIGHT)
    speeds = [_SPEED, *draws.uniform(0.2 * _SPEED, _SPEED, blobs - 1)]
    paths = np.stack(
        [
            bouncing_path(draws, frames, start=start, speed=speed, margin=_SIZE, size=(WIDTH, HEIGHT))
            for start, speed in zip(starts, speeds, strict=True)
        ]
    )
    paths[0] += _way_out(paths[0], draws)
    sides = _SIZE * draws.uniform(0.8, 1.2, blobs)
    warmth = _WARMTH * np.concatenate([[1.0], draws.uniform(0.7, 1.0, blobs - 1)])
    ground = _ground(draws)
    views = camera_path(draws, frames, _CAMERA, room=(ground.shape[0] - HEIGHT, ground.shape[1] - WIDTH))
    pictures = np.stack([ground[top : top + HEIGHT, left : left + WIDTH] for top, left in views])
    for path, side, height in zip(paths, sides, warmth, strict=True):
        pictures = pictures + height * _blobs(path, side)
    pictures = pictures + _NOISE * draws.gaussian(*pictures.shape)
    grey = np.clip(pictures, 0, 255).astype(np.uint8)
    boxes = np.concatenate([paths[0] - sides[0] / 2, np.full((frames, 2), sides[0])], axis=1)
    visible = (boxes[:, :2] < (WIDTH, HEIGHT)).all(1) & (boxes[:, :2] + sides[0] > 0).all(1)
    boxes[~visible] = 0
    language = "the warm spot that flies over the scene"
    hard = {"small": 1, "out_of_view": 1, "similar_object": 1, "camera_motion": 0}
    video = np.repeat(grey[:, :, :, None], 3, axis=3)
    return Sequence.of(name, video, boxes, visible=visible, language=language, attributes=hard, modality="tir")


def _way_out(path: np.ndarray, draws: Draws) -> np.ndarray:
    """What is added to a path so that it leaves by the nearest border and is out of view for 10 to 20 frames."""
    frames = len(path)
    gone = 10 + draws.index(11)
    start = _RAMP + 1 + draws.index(frames - gone - 2 * _RAMP - 1)
    to_border = np.stack([path, (WIDTH, HEIGHT) - path])  # to the left and upper, to the right and lower border
    side, axis = np.unravel_index(to_border[:, start].argmin(), (2, 2))
    times = np.arange(frames)
    share = np.clip(np.minimum(times - (start - _RAMP), start + gone - 1 + _RAMP - times) / _RAMP, 0, 1)
    added = np.zeros((frames, 2))
    # its centre comes up to the border while the share is below 1, and is beyond it by a whole target then
    added[:, axis] = (1.0 if side else -1.0) * (share * to_border[side, :, axis] + _SIZE * (share == 1))
    return added


def _ground(draws: Draws) -> np.ndarray:
    """A scene without blobs, larger than the view: cool sky, warmer ground, a soft horizon, smooth noise; float32."""
    height, width = HEIGHT + 40, WIDTH + 60
    horizon = height * draws.number(0.55, 0.85) + 4 * clouds(draws, 1, width, channels=1, slope=1.0)[:, :, 0]
    ground = 1 / (1 + np.exp((horizon - np.arange(height)[:, None]) / 3))
    sky_level, ground_level = draws.number(40.0, 70.0), draws.number(90.0, 130.0)
    smooth = clouds(draws, height, width, channels=2, slope=1.5)
    sky, soil = sky_level + 5 * smooth[:, :, 0], ground_level + 12 * smooth[:, :, 1]
    return (sky * (1 - ground) + soil * ground).astype(np.float32)


def _blobs(path: np.ndarray, side: float) -> np.ndarray:
    """Gaussians of height 1 and standard deviation side / 4 around each centre, float32, shape (frames, height, width)."""
    across = np.exp(-((np.arange(WIDTH) + 0.5 - path[:, :1]) ** 2) / (2 * (side / 4) ** 2))
    down = np.exp(-((np.arange(HEIGHT) + 0.5 - path[:, 1:]) ** 2) / (2 * (side / 4) ** 2))
    return (down[:, :, None] * across[:, None, :]).astype(np.float32)
