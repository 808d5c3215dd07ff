"""Videos and where people would look: at what moves against the background, and at what stands out by its colour.

Specification: SAL-1 of this project, and its aerial variant. The pictures and the sprites are those of TR-1.
"""

from dataclasses import dataclass

import numpy as np

from accountants import check
from privkd.data.procedural.backgrounds import background
from privkd.data.procedural.draws import Draws
from privkd.data.procedural.sprites import SHAPES, bouncing_path, camera_path, paste, shape_mask, texture

SIDE, FIXATIONS = 96, 25
_SPREAD = 6.0  # pixels, of the Gaussians of attention
_MOVING, _STATIC, _CENTRE = 0.6, 0.3, 0.1


@dataclass(frozen=True, eq=False)
class AttentionVideos:
    """Videos with densities of attention and fixations drawn from them.

    Attributes:
        frames: uint8, shape (n, t, 96, 96, 3).
        density: float32, shape (n, t, 96, 96), >= 0, each map sums to 1.
        fixations: row and column of 25 fixated pixels in each frame, int64, shape (n, t, 25, 2).
    """

    frames: np.ndarray
    density: np.ndarray
    fixations: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)


def attention_videos(count: int = 15, *, frames: int = 48, aerial: bool = False, seed: int = 0) -> AttentionVideos:
    """Videos of a panning background with three sprites.

    One moves relative to the background (weight 0.6 of the attention), one stands still on it and contrasts in colour (0.3), one is
    dull and locked to the camera (0); the rest (0.1) is drawn to the centre. The density is a sum of Gaussians with a standard
    deviation of 6 pixels. So a single frame cannot tell what moves, and motion alone misses the coloured one.

    Args:
        count: number of videos, >= 1.
        frames: of each, >= 2.
        aerial: sprites of 3 to 6 pixels and a fast camera, without attention to the centre.
        seed: integer >= 0.

    Raises:
        TypeError: a number is no integer.
        ValueError: a number is out of range.
    """
    check.integer(count=count, at_least=1)
    check.integer(frames=frames, at_least=2)
    videos = [_video(frames, aerial, Draws("attention", seed, n)) for n in range(count)]
    shown, density, fixations = (np.stack(column) for column in zip(*videos, strict=True))
    return AttentionVideos(shown, density, fixations)


def _video(frames: int, aerial: bool, draws: Draws) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    picture = background(draws, smallest=(SIDE + 40, SIDE + 40))
    room = (picture.shape[0] - SIDE, picture.shape[1] - SIDE)
    views = camera_path(draws, frames, 3.0 if aerial else 1.0, room=room)
    sides = [int(side) for side in (3 + draws.below(4, 3) if aerial else 12 + draws.below(7, 3))]
    looks = [SHAPES[k] for k in draws.below(len(SHAPES), 3)]
    # (x, y) of the centres in each frame: one on its own way, one fixed on the ground, one fixed in the view
    start = draws.uniform(20.0, SIDE - 20.0, 2)
    moving = bouncing_path(draws, frames, start=start, speed=2.0, margin=sides[0] / 2, size=(SIDE, SIDE))
    static = views[frames // 2, ::-1] + draws.uniform(20.0, SIDE - 20.0, 2) - views[:, ::-1]
    locked = np.tile(draws.uniform(15.0, SIDE - 15.0, 2), (frames, 1))
    under = picture.mean(axis=(0, 1))
    bright = "yellow" if under[2] > under[0] else "blue"  # against the warm or the cold
    sprites = [_dull(draws, under, sides[0]), texture(draws, bright, sides[1]), _dull(draws, under, sides[2])]
    shown = np.empty((frames, SIDE, SIDE, 3), dtype=np.uint8)
    for t, (top, left) in enumerate(views):
        frame = picture[top : top + SIDE, left : left + SIDE].copy()
        for sprite, look, side, path in reversed(
            list(zip(sprites, looks, sides, (moving, static, locked), strict=True))
        ):
            corner = np.rint(path[t] - side / 2).astype(int)
            paste(frame, sprite, shape_mask(look, side), int(corner[0]), int(corner[1]))
        shown[t] = np.clip(frame + 3.0 * draws.gaussian(*frame.shape), 0, 255)
    density = _density(moving, static, centre=0.0 if aerial else _CENTRE)
    return shown, density, _fixated(density, draws)


def _dull(draws: Draws, under: np.ndarray, side: int) -> np.ndarray:
    """A sprite in the mean colour of the background, lighter or darker by a little."""
    shade = 30.0 * (1 if draws.index(2) else -1)
    return np.clip(np.broadcast_to(under + shade, (side, side, 3)), 0, 255).astype(np.float32)


def _density(moving: np.ndarray, static: np.ndarray, *, centre: float) -> np.ndarray:
    pixels = np.arange(SIDE) + 0.5
    middle = np.full_like(moving, SIDE / 2)
    density = np.zeros((len(moving), SIDE, SIDE))
    for path, weight in ((moving, _MOVING), (static, _STATIC), (middle, centre)):
        across, down = (np.exp(-((pixels - path[:, k : k + 1]) ** 2) / (2 * _SPREAD**2)) for k in (0, 1))
        density += weight * down[:, :, None] * across[:, None, :]
    return (density / density.sum(axis=(1, 2), keepdims=True)).astype(np.float32)


def _fixated(density: np.ndarray, draws: Draws) -> np.ndarray:
    """Pixels drawn from each map by inversion of its cumulative sum, int64, shape (t, 25, 2)."""
    steps = density.reshape(len(density), -1).astype(np.float64).cumsum(axis=1)
    drawn = draws.uniform(0.0, 1.0, len(density), FIXATIONS) * steps[:, -1:]
    flat = np.stack([np.searchsorted(row, numbers, side="right") for row, numbers in zip(steps, drawn, strict=True)])
    return np.stack(np.unravel_index(flat.clip(max=SIDE * SIDE - 1), (SIDE, SIDE)), axis=-1)
