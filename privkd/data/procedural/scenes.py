"""Captioned pictures of coloured shapes, and pictures that do not quite show what their caption says.

Specification: IT-1 of this project. Sizes, colours and the sentences are ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from accountants import check
from privkd.data.kinds.texts import Texts
from privkd.data.procedural.backgrounds import clouds
from privkd.data.procedural.draws import Draws

SIDE = 64
SHAPES = ("disc", "square", "triangle", "cross")
COLOURS = {
    "red": (0.90, 0.12, 0.12),
    "green": (0.10, 0.75, 0.15),
    "blue": (0.15, 0.25, 0.95),
    "yellow": (0.95, 0.88, 0.10),
    "purple": (0.60, 0.15, 0.75),
    "cyan": (0.10, 0.80, 0.85),
}
RADII = {"small": 6.0, "large": 11.0}  # pixels: half the side of an object
ERRORS = ("hue", "shape", "size", "relation")
_TRIES = 40
_CENTRES = np.arange(SIDE) + 0.5


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene.

    Attributes:
        shape: one of `SHAPES`.
        colour: a name of `COLOURS`.
        size: "small" or "large".
        x: column of the centre, pixels from the left border.
        y: row of the centre, pixels from the upper border.
        hue_shift: degrees by which the drawn colour differs from the name.
        rounded: whether the corners are rounded away.
        scale: drawn radius over that of the size.
    """

    shape: str
    colour: str
    size: str
    x: float
    y: float
    hue_shift: float = 0.0
    rounded: bool = False
    scale: float = 1.0

    @property
    def phrase(self) -> str:
        """How the caption calls it, e.g. "small red disc"."""
        return f"{self.size} {self.colour} {self.shape}"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height in pixels, from the upper left corner, as drawn."""
        radius = RADII[self.size] * self.scale
        return self.x - radius, self.y - radius, 2 * radius, 2 * radius


@dataclass(frozen=True, eq=False)
class CaptionedScenes:
    """Captioned pictures with what is in them.

    Attributes:
        texts: captions with their images, float32, shape (n, 3, 64, 64), in [0, 1], and labels: 0 "true", 1 "generated", that is
            drawn with at least one error.
        objects: what was drawn, per picture in the order of the caption.
        errors: per picture and object the errors (names of `ERRORS`) with which it was drawn.
    """

    texts: Texts
    objects: tuple[tuple[SceneObject, ...], ...]
    errors: tuple[tuple[tuple[str, ...], ...], ...]

    def __len__(self) -> int:
        return len(self.objects)


def captioned_scenes(count: int, *, errors: Sequence[str] = (), rate: float = 0.5, seed: int = 0) -> CaptionedScenes:
    """Pictures with one to three objects over a texture of low contrast, and their captions.

    With `errors` they are what an imperfect generator makes of the captions: every object gets each of these errors with
    probability `rate`, and at least one object gets one; the caption stays. Equal seeds give the same scenes with and without
    errors. Errors: "hue" shifts the colour by 25 to 40 degrees, "shape" rounds the corners (a disc gets some), "size" is 30 % off,
    "relation" swaps the places of two neighbours in the caption (where there is one object, there is none to swap with).

    Args:
        count: number of pictures, >= 1.
        errors: names of `ERRORS`; none gives true pictures.
        rate: probability of each error for each object, in (0, 1].
        seed: integer >= 0.

    Raises:
        TypeError: count or seed is no integer.
        ValueError: an unknown error, or a number out of range.

    Example:
        >>> captioned_scenes(1).texts.texts
        ('a large cyan triangle',)
    """
    check.integer(count=count, at_least=1)
    check.real(rate=rate, above=0.0, at_most=1.0)
    unknown = sorted(set(errors) - set(ERRORS))
    if unknown or isinstance(errors, str):
        raise ValueError(f"errors={errors!r} must be a list of {', '.join(ERRORS)}")
    images, captions, drawn, faults = [], [], [], []
    for n in range(count):
        draws = Draws("scenes", seed, n)
        objects = _placed_objects(draws)
        captions.append(caption_of(objects))
        mistakes = [() for _ in objects]
        if errors:
            objects, mistakes = _with_errors(objects, tuple(errors), rate, Draws("scene errors", seed, n))
        images.append(render(objects, draws))
        drawn.append(tuple(objects))
        faults.append(tuple(mistakes))
    labels = torch.tensor([int(any(map(bool, picture))) for picture in faults])
    pictures = torch.from_numpy(np.stack(images))
    texts = Texts(tuple(captions), labels, "captioned-scenes", pictures, class_names=("true", "generated"))
    return CaptionedScenes(texts, tuple(drawn), tuple(faults))


def caption_of(objects: Sequence[SceneObject]) -> str:
    """A sentence that names all objects and how neighbours in the list lie to each other."""
    words = [f"a {objects[0].phrase}"]
    for before, after in pairwise(objects):
        words.append(f"{relation(before, after)} a {after.phrase}")
    return " ".join(words)


def relation(first: SceneObject, second: SceneObject) -> str:
    """How the first lies to the second, along the axis on which they are further apart: "left of", "right of", "above", "below"."""
    across, down = second.x - first.x, second.y - first.y
    if abs(across) >= abs(down):
        return "left of" if across > 0 else "right of"
    return "above" if down > 0 else "below"


def _placed_objects(draws: Draws) -> list[SceneObject]:
    count = 1 + draws.index(3)
    objects: list[SceneObject] = []
    failures = 0
    while len(objects) < count:
        if failures == _TRIES:  # the first ones may leave no room
            objects, failures = [], 0
        shape, colour = SHAPES[draws.index(len(SHAPES))], tuple(COLOURS)[draws.index(len(COLOURS))]
        size = tuple(RADII)[draws.index(len(RADII))]
        margin = RADII[size] * 1.3 + 1  # an object that is drawn too large must fit as well
        x, y = draws.uniform(margin, SIDE - margin, 2)
        candidate = SceneObject(shape, colour, size, float(x), float(y))
        reach = [1.3 * (RADII[size] + RADII[other.size]) + 1 for other in objects]
        apart = [max(abs(x - other.x), abs(y - other.y)) for other in objects]
        is_new = candidate.phrase not in [other.phrase for other in objects]  # so that a caption is never ambiguous
        if is_new and all(distance > needed for distance, needed in zip(apart, reach, strict=True)):
            objects.append(candidate)
        else:
            failures += 1
    return objects


def _with_errors(
    objects: list[SceneObject], errors: tuple[str, ...], rate: float, draws: Draws
) -> tuple[list[SceneObject], list[tuple[str, ...]]]:
    drawn_as = list(objects)
    possible = [error for error in ERRORS if error in errors and (error != "relation" or len(objects) > 1)]
    wrong = draws.uniform(0.0, 1.0, len(objects), max(1, len(possible))) < rate
    if possible and not wrong.any():
        wrong[draws.index(len(objects)), draws.index(len(possible))] = True
    found: list[tuple[str, ...]] = []
    for k, row in enumerate(wrong):
        named = tuple(error for error, is_wrong in zip(possible, row, strict=False) if is_wrong)
        hue, larger = draws.number(25.0, 40.0) * (1 if draws.index(2) else -1), draws.index(2)
        drawn_as[k] = replace(
            drawn_as[k],
            hue_shift=hue if "hue" in named else 0.0,
            rounded="shape" in named,
            scale=(1.3 if larger else 0.7) if "size" in named else 1.0,
        )
        found.append(named)
    return _swapped(drawn_as, found)


def _swapped(
    objects: list[SceneObject], found: list[tuple[str, ...]]
) -> tuple[list[SceneObject], list[tuple[str, ...]]]:
    """Neighbours change places where one of them has the error "relation"; each moves at most once, and both then have it."""
    moved = [False] * len(objects)
    for k in range(len(objects) - 1):
        if moved[k] or not ("relation" in found[k] or "relation" in found[k + 1]):
            continue
        here, there = objects[k], objects[k + 1]
        objects[k], objects[k + 1] = _moved_to(here, there), _moved_to(there, here)
        moved[k] = moved[k + 1] = True
    others = [tuple(error for error in named if error != "relation") for named in found]
    return objects, [(*named, "relation") if was else named for named, was in zip(others, moved, strict=True)]


def _moved_to(item: SceneObject, place: SceneObject) -> SceneObject:
    radius = RADII[item.size] * item.scale
    x, y = (min(max(centre, radius), SIDE - radius) for centre in (place.x, place.y))
    return replace(item, x=x, y=y)


def render(objects: Sequence[SceneObject], draws: Draws) -> np.ndarray:
    """A picture of the objects over a grey texture, float32, shape (3, 64, 64), in [0, 1]."""
    picture = draws.number(0.35, 0.65) + 0.04 * clouds(draws, SIDE, SIDE, slope=1.0)
    for item in objects:
        cover = coverage(item)[:, :, None]
        picture = picture * (1 - cover) + cover * shifted_hue(COLOURS[item.colour], item.hue_shift)
    picture = picture + 0.01 * draws.gaussian(SIDE, SIDE, 3)
    return np.clip(picture, 0, 1).astype(np.float32).transpose(2, 0, 1)


def coverage(item: SceneObject) -> np.ndarray:
    """Share of each pixel that an object covers, by its signed distance, in [0, 1], shape (64, 64)."""
    radius = RADII[item.size] * item.scale
    across, down = np.meshgrid(_CENTRES, _CENTRES)
    x, y = np.abs(across - item.x), down - item.y
    # A rounded shape is a smaller one, grown by a circle; where an exact distance is not needed the largest of planes serves.
    rounding = 0.5 * radius if item.rounded else 0.0
    core = radius - rounding
    if item.shape == "disc":
        inside = radius - np.hypot(x, y) if not item.rounded else radius - (x**4 + y**4) ** 0.25  # a disc gets corners
    elif item.shape == "square":
        inside = rounding - _to_box(x, np.abs(y), core, core)
    elif item.shape == "cross":
        arm = 0.36 * radius
        inside = -np.minimum(_to_box(x, np.abs(y), radius, arm), _to_box(x, np.abs(y), arm, radius))
        if item.rounded:  # the four gaps between the arms fill up
            inside = np.maximum(inside, 0.75 * radius - np.hypot(x, y))
    else:
        slanted = (2 * x - (y + radius)) / np.sqrt(5.0)
        inside = -np.maximum(slanted, y - radius)
        if item.rounded:
            inside = np.minimum(inside, 0.68 * radius - np.hypot(x, y - 0.3 * radius))
    return np.clip(inside + 0.5, 0, 1)


def _to_box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    """Signed distance to a box around the origin; x and y are absolute."""
    over_x, over_y = x - half_width, y - half_height
    return np.hypot(np.maximum(over_x, 0), np.maximum(over_y, 0)) + np.minimum(np.maximum(over_x, over_y), 0)


def shifted_hue(colour: tuple[float, float, float], degrees: float) -> np.ndarray:
    """A colour whose hue is turned by some degrees (HSV), float64, shape (3,).

    Example:
        >>> shifted_hue((1.0, 0.0, 0.0), 120.0).round(6).tolist()
        [0.0, 1.0, 0.0]
    """
    from colorsys import hsv_to_rgb, rgb_to_hsv

    hue, saturation, value = rgb_to_hsv(*colour)
    return np.array(hsv_to_rgb((hue + degrees / 360) % 1.0, saturation, value))
