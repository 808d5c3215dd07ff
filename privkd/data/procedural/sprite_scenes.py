"""Videos for trackers: a coloured shape moves over a picture, among others, while the camera pans.

Specification: TR-1 of this project and its variants. The pictures are ours: two photographs of scikit-learn and two kinds of
clouds stand in for those of scikit-image.
"""

from dataclasses import dataclass

import numpy as np

from accountants import check
from privkd.data.kinds.sequence import Sequence
from privkd.data.kinds.sequences import Sequences
from privkd.data.procedural.backgrounds import background, resized
from privkd.data.procedural.draws import Draws
from privkd.data.procedural.sprites import COLOURS, SHAPES, bouncing_path, camera_path, paste, shape_mask, texture

HEIGHT, WIDTH = 128, 160
_OCCLUDED = 10  # frames
_PERIOD = 40  # frames of one oscillation of the size


@dataclass(frozen=True, kw_only=True)
class SpriteScene:
    """What a video of moving sprites is like.

    Attributes:
        frames: number of frames, >= 2.
        size: mean side of the target, pixels, 4 to 60.
        speed: pixels per frame, > 0.
        distractors: other sprites, >= 0.
        camera: typical speed of the view, pixels per frame, >= 0.
        noise: standard deviation of the noise of each frame, grey levels of 255, >= 0.
        camouflage: share of the mean background in the target's colour, in [0, 1].
        pulse: amplitude of the oscillation of the size, in [0, 0.9].
        occlusion: whether the target is hidden for ten frames, from 40 % of the video on.
        twins: whether each distractor has the target's colour or its shape. The first starts beside the target, and the box of
            the first frame lies in the middle between the two: only the sentence tells which is meant.
    """

    frames: int = 60
    size: int = 22
    speed: float = 2.5
    distractors: int = 2
    camera: float = 1.0
    noise: float = 6.0
    camouflage: float = 0.0
    pulse: float = 0.25
    occlusion: bool = False
    twins: bool = False

    def __post_init__(self) -> None:
        check.integer(frames=self.frames, at_least=2)
        check.integer(size=self.size, at_least=4, at_most=60)
        check.integer(distractors=self.distractors, at_least=1 if self.twins else 0)
        check.real(speed=self.speed, above=0.0, at_most=30.0)
        check.real(camera=self.camera, noise=self.noise, at_least=0.0)
        check.real(camouflage=self.camouflage, at_least=0.0, at_most=1.0)
        check.real(pulse=self.pulse, at_least=0.0, at_most=0.9)


SCENES = {
    "plain": SpriteScene(),
    "small": SpriteScene(size=8, speed=6.0),
    "twin": SpriteScene(twins=True),
    "uav": SpriteScene(camera=3.0, speed=4.0, pulse=0.5),
    "camo": SpriteScene(camouflage=0.6),
}
"""The variants of TR-1 by name; "tir" is `thermal_targets`."""


def sprite_video(scene: SpriteScene, *, name: str, draws: Draws) -> Sequence:
    """One video of a scene.

    Args:
        scene: what it is like.
        name: what it is called.
        draws: everything that is random in it.
    """
    kinds = _kinds(scene, draws)
    starts = draws.uniform(0.0, 1.0, len(kinds), 2) * (np.array([WIDTH, HEIGHT]) - 2 * scene.size) + scene.size
    if scene.twins:
        starts[1] = _beside(starts[0], scene.size, draws)
    margin, size = scene.size / 2, (WIDTH, HEIGHT)
    paths = [bouncing_path(draws, scene.frames, start=s, speed=scene.speed, margin=margin, size=size) for s in starts]
    phases = draws.uniform(0.0, 2 * np.pi, len(kinds), 1) + 2 * np.pi * np.arange(scene.frames) / _PERIOD
    sides = np.maximum(np.rint(scene.size * (1 + scene.pulse * np.sin(phases))), min(6, scene.size)).astype(np.int64)
    corners = np.rint(np.stack(paths) - sides[:, :, None] / 2).astype(np.int64)
    frames, visible = _rendered(scene, kinds, corners, sides, draws)
    boxes = np.concatenate([corners[0], sides[0][:, None], sides[0][:, None]], axis=1).astype(np.float64)
    if scene.twins:
        boxes[0, :2] = (corners[0, 0] + corners[1, 0]) / 2
    boxes[~visible] = 0
    colour, shape = kinds[0]
    language = f"the {colour} {shape} moving over the scene"
    return Sequence.of(name, frames, boxes, visible=visible, language=language, attributes=_attributes(scene))


def _kinds(scene: SpriteScene, draws: Draws) -> list[tuple[str, str]]:
    """Colour and shape of the target, then of the distractors."""
    colours, shapes = draws.below(len(COLOURS), 1 + scene.distractors), draws.below(len(SHAPES), 1 + scene.distractors)
    if scene.twins:
        # one of the two is shared, the other is surely different: shifted by 1..k-1 around the list
        same_colour = draws.below(2, 1 + scene.distractors) == 0
        other_colour = (colours[0] + 1 + colours % (len(COLOURS) - 1)) % len(COLOURS)
        other_shape = (shapes[0] + 1 + shapes % (len(SHAPES) - 1)) % len(SHAPES)
        colours[1:] = np.where(same_colour, colours[0], other_colour)[1:]
        shapes[1:] = np.where(same_colour, other_shape, shapes[0])[1:]
    names = tuple(COLOURS)
    return [(names[c], SHAPES[s]) for c, s in zip(colours, shapes, strict=True)]


def _beside(place: np.ndarray, size: int, draws: Draws) -> np.ndarray:
    """A centre 1.1 sizes away, in whichever of eight directions leaves most room (a random one of equals)."""
    angles = draws.number(0.0, 2 * np.pi) + np.arange(8) * np.pi / 4
    places = place + 1.1 * size * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    room = np.minimum(places, np.array([WIDTH, HEIGHT]) - places).min(axis=1)
    return places[np.minimum(room, size).argmax()]


def _rendered(
    scene: SpriteScene, kinds: list[tuple[str, str]], corners: np.ndarray, sides: np.ndarray, draws: Draws
) -> tuple[np.ndarray, np.ndarray]:
    picture = background(draws, smallest=(HEIGHT + 30, WIDTH + 30))
    views = camera_path(draws, scene.frames, scene.camera, room=(picture.shape[0] - HEIGHT, picture.shape[1] - WIDTH))
    textures = [texture(draws, colour, 3 * scene.size) for colour, _ in kinds]
    start = int(0.4 * scene.frames)
    hidden = np.zeros(scene.frames, dtype=bool)
    hidden[start : start + _OCCLUDED] = scene.occlusion
    drawn: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}  # by sprite and side: sizes come again and again
    frames = np.empty((scene.frames, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for t, (top, left) in enumerate(views):
        frame = picture[top : top + HEIGHT, left : left + WIDTH].copy()
        for k in reversed(range(len(kinds))):  # the target comes last, in front of the others
            if k == 0 and hidden[t]:
                continue
            side = int(sides[k, t])
            if (k, side) not in drawn:
                drawn[k, side] = resized(textures[k], side, side), shape_mask(kinds[k][1], side)
            sprite, mask = drawn[k, side]
            camouflage = scene.camouflage if k == 0 else 0.0
            paste(frame, sprite, mask, int(corners[k, t, 0]), int(corners[k, t, 1]), camouflage=camouflage)
        frame += scene.noise * draws.gaussian(*frame.shape)
        frames[t] = np.clip(frame, 0, 255)
    return frames, ~hidden


def _attributes(scene: SpriteScene) -> dict[str, int]:
    plain = SpriteScene()
    hard = {
        "small": scene.size < plain.size,
        "fast_motion": scene.speed > plain.speed,
        "camera_motion": scene.camera > plain.camera,
        "scale_variation": scene.pulse > plain.pulse,
        "camouflage": scene.camouflage > 0,
        "similar_object": scene.twins,
        "full_occlusion": scene.occlusion,
    }
    return {name: int(value) for name, value in hard.items()}


def moving_sprites(sequences: int = 16, scene: str | SpriteScene = "plain", *, seed: int = 0) -> Sequences:
    """Videos of one scene, with boxes, sentences and attributes. Boxes are all zero where the target is hidden.

    Each video has random numbers of its own: the first ones stay when more are asked for. Scenes that differ in speed, camera,
    noise or camouflage only have the same sprites and paths up to those.

    Args:
        sequences: number of videos, >= 1.
        scene: a name of `SCENES` or a `SpriteScene`. "small" is small and fast, "twin" has look-alikes, "uav" a camera that moves
            with the target, "camo" a target in the colours of the ground.
        seed: integer >= 0.

    Raises:
        TypeError: a number is no integer.
        ValueError: a number is out of range, or the scene unknown.

    Example:
        >>> moving_sprites(2, SpriteScene(frames=5))
        Sequences(name='moving-sprites', n=2, frames=10)
    """
    check.integer(sequences=sequences, at_least=1)
    check.integer(seed=seed, at_least=0)
    named = f"{scene}-" if isinstance(scene, str) else ""
    if isinstance(scene, str):
        if scene not in SCENES:
            raise ValueError(f"scene={scene!r} is unknown; known are {', '.join(SCENES)}, or a SpriteScene of your own")
        scene = SCENES[scene]
    videos = [sprite_video(scene, name=f"{named}{n:04}", draws=Draws("sprites", seed, n)) for n in range(sequences)]
    return Sequences(tuple(videos), "moving-sprites")
