"""Coloured shapes with a texture, their paths, and a camera that pans."""

import numpy as np

from privkd.data.procedural.backgrounds import resized
from privkd.data.procedural.draws import Draws

COLOURS = {
    "red": (1.0, 0.1, 0.1),
    "green": (0.1, 0.9, 0.1),
    "blue": (0.15, 0.2, 1.0),
    "yellow": (1.0, 0.95, 0.1),
    "white": (1.0, 1.0, 1.0),
    "black": (0.05, 0.05, 0.05),
}
SHAPES = ("square", "disc", "triangle")


def shape_mask(shape: str, side: int) -> np.ndarray:
    """Where a shape is in its square box, boolean (side, side).

    Args:
        shape: one of `SHAPES`; a triangle stands on its base.
        side: pixels, >= 1.

    Example:
        >>> shape_mask("triangle", 5).sum(axis=1).tolist()
        [1, 3, 3, 5, 5]
    """
    down, across = np.mgrid[0:side, 0:side]
    middle = (side - 1) / 2
    if shape == "disc":
        return (across - middle) ** 2 + (down - middle) ** 2 <= (side / 2) ** 2
    if shape == "triangle":
        return np.abs(across - middle) <= (down + 1) / 2
    return np.ones((side, side), dtype=bool)


def texture(draws: Draws, colour: str, side: int) -> np.ndarray:
    """A square of a colour with smooth variations: clip(0.8 * 255 * rgb + 40 g), g a 5x5 normal field made larger bicubically.

    Returns:
        float32, shape (side, side, 3), 0..255.
    """
    field = resized(draws.gaussian(5, 5, 3), side, side, mode="bicubic")
    return np.clip(0.8 * 255 * np.array(COLOURS[colour], dtype=np.float32) + 40 * field, 0, 255)


def paste(
    frame: np.ndarray, sprite: np.ndarray, mask: np.ndarray, left: int, top: int, *, camouflage: float = 0.0
) -> None:
    """Draw a sprite into a frame, in place; what lies outside the frame is cut off.

    Args:
        frame: float32, shape (height, width, 3), 0..255.
        sprite: float32, shape (n, n, 3).
        mask: boolean, shape (n, n); where the sprite is.
        left: column of the frame at which the sprite begins; may be negative.
        top: row.
        camouflage: share in [0, 1] of the mean colour under the box that replaces the sprite's own colour.
    """
    side = len(mask)
    rows = slice(max(0, top), max(0, min(len(frame), top + side)))
    columns = slice(max(0, left), max(0, min(frame.shape[1], left + side)))
    under = frame[rows, columns]
    if not under.size:
        return
    inner = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
    shown = sprite[inner]
    if camouflage:
        shown = (1 - camouflage) * shown + camouflage * under.mean(axis=(0, 1))
    under[mask[inner]] = shown[mask[inner]]


def bouncing_path(
    draws: Draws, frames: int, *, start: np.ndarray, speed: float, margin: float, size: tuple[int, int]
) -> np.ndarray:
    """Centres of a thing that moves at a constant speed, in a direction that wanders, and bounces off the borders.

    Each step adds N(0, 0.15 speed) to both parts of the velocity, which is then brought back to the length `speed`.

    Args:
        draws: directions.
        frames: number of centres.
        start: (x, y) before the first step.
        speed: pixels per frame.
        margin: smallest distance of a centre from the borders.
        size: (width, height) of the frame.

    Returns:
        float64, shape (frames, 2), columns x and y.
    """
    turns = draws.gaussian(frames + 1, 2).astype(np.float64)
    velocity = speed * turns[0] / np.linalg.norm(turns[0])
    place, path = np.array(start, dtype=np.float64), np.empty((frames, 2))
    for t in range(frames):
        velocity = velocity + 0.15 * speed * turns[t + 1]
        velocity *= speed / np.linalg.norm(velocity)
        place += velocity
        for axis in (0, 1):
            if not margin <= place[axis] <= size[axis] - margin:
                away = 1 if place[axis] < margin else -1
                velocity[axis] = away * abs(velocity[axis])
        place = np.clip(place, margin, np.array(size) - margin)
        path[t] = place
    return path


def camera_path(draws: Draws, frames: int, camera: float, *, room: tuple[int, int]) -> np.ndarray:
    """Corners of a view that pans over a larger picture: v <- 0.9 v + N(0, 0.4 camera), clipped to the picture.

    Args:
        draws: start and velocities.
        frames: number of corners.
        camera: typical speed, pixels per frame.
        room: largest row and column of the corner.

    Returns:
        int64, shape (frames, 2): row and column of the upper left corner.
    """
    steps = draws.gaussian(frames + 1, 2).astype(np.float64)
    corner, velocity = draws.uniform(0.0, 1.0, 2) * room, camera * steps[0]
    corners = np.empty((frames, 2))
    for t in range(frames):
        corner = np.clip(corner + velocity, 0, room)
        velocity = 0.9 * velocity + 0.4 * camera * steps[t + 1]
        corners[t] = corner
    return corners.astype(np.int64)
