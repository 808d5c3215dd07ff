"""Short videos of talking heads, real and forged in four ways; two of the ways show in time only.

Specification: FV-1 of this project. The faces are ours: `syn_faces` with a side of 48 pixels stands in for the photographs of
scikit-image, so no real person is in them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.data.kinds.clips import Clips
from privkd.data.kinds.frames import ArrayFrames
from privkd.data.procedural.draws import generator_of
from privkd.data.procedural.faces import syn_faces

SIDE = 48
METHODS = ("real", "swap", "texture", "reenact", "lag")
"""What a video is: "real", or how it was forged."""
PEOPLE = {"train": range(60), "test": range(60, 100)}
_CORRELATION = 0.9  # of head motion between frames
_MOTION = (1.2, 1.2, math.radians(3.0), 0.04)  # standard deviations: x and y in pixels, rotation, gain of the light
_NOISE = 0.015


@dataclass(frozen=True, eq=False)
class _Script:
    """Everything random in n videos of t frames, drawn alike for real and forged ones, so that no stream tells them apart."""

    motion: Tensor  # (n, t, 4): x, y, rotation, gain
    mouth: Tensor  # (n, t): displacement, pixels
    still_mouth: Tensor  # (n, t): displacement without a rhythm
    jitter: Tensor  # (n, t, 2): pixels
    strength: Tensor  # (n, t)
    delay: Tensor  # (n, t): frames
    noise: Tensor  # (n, t, 48, 48)


def face_videos(
    count: int = 480, *, forgeries: Sequence[str] = METHODS[1:], people: str = "train", frames: int = 8, seed: int = 0
) -> Clips:
    """Videos of heads that move and talk; every second one is real, the others are forged by the methods in turn.

    The head wanders (position, rotation and light follow first-order autoregressions), the mouth opens and closes in a rhythm of 5
    to 9 frames. Forged: "swap" puts the inner face of somebody else into it, with a jitter of its own in every frame; "texture"
    coarsens the inner face; "reenact" moves the mouth without a rhythm; "lag" lets the inner face follow the head 0 to 2 frames
    late. No single frame of "reenact" gives it away, and one of "lag" hardly does.

    Args:
        count: number of videos, >= 2.
        forgeries: which methods of `METHODS[1:]`, at least one.
        people: "train" (60 people) or "test" (40 others); with one seed they are the same hundred.
        frames: >= 4.
        seed: integer >= 0.

    Returns:
        Clips of uint8 frames (48, 48, 1), classes "real" and "forged"; each video has one clip, and is called by its method, its
        person (0..99) and its number: "swap-017-0003". `methods_of` reads the method.

    Raises:
        TypeError: a number is no integer.
        ValueError: a number is out of range, or a name unknown.

    Example:
        >>> face_videos(4), face_videos(4).videos[1][:4]
        (Clips(name='face-videos', n=4, videos=4, labelled), 'swap')
    """
    check.integer(count=count, at_least=2)
    check.integer(frames=frames, at_least=4)
    if isinstance(forgeries, str) or not forgeries or set(forgeries) - set(METHODS[1:]):
        raise ValueError(f"forgeries={forgeries!r} must be a list of {', '.join(METHODS[1:])}")
    if people not in PEOPLE:
        raise ValueError(f"people={people!r} must be 'train' or 'test'")
    generator = generator_of(f"face videos {people}", seed)
    turn = [METHODS.index(name) for name in forgeries]
    methods = torch.tensor([turn[n // 2 % len(turn)] if n % 2 else 0 for n in range(count)])
    crowd = len(PEOPLE[people])
    first = torch.randint(crowd, (count,), generator=generator)
    second = (first + 1 + torch.randint(crowd - 1, (count,), generator=generator)) % crowd  # never the same person
    faces = syn_faces(100, 1, side=SIDE, seed=seed)[0][PEOPLE[people].start : PEOPLE[people].stop]
    clips = _rendered(faces[first], faces[second], methods, _script(count, frames, generator))
    pixels = (clips * 255).round().to(torch.uint8).permute(0, 1, 3, 4, 2).numpy()
    videos = [ArrayFrames(video) for video in pixels]
    heads = (first + PEOPLE[people].start).tolist()
    names = [f"{METHODS[m]}-{who:03}-{n:04}" for n, (m, who) in enumerate(zip(methods.tolist(), heads, strict=True))]
    return Clips(videos, (methods > 0).long(), tuple(names), "face-videos", ("real", "forged"))


def methods_of(clips: Clips) -> tuple[str, ...]:
    """How each of these clips was made: names of `METHODS`.

    Raises:
        ValueError: the clips are not those of `face_videos`; the first other one is named by its row.
    """
    methods = tuple(video.split("-", 1)[0] for video in clips.videos)
    for row, method in enumerate(methods):
        if method not in METHODS:
            raise ValueError(
                f"clip {row} of {clips.name!r} is not of face_videos: its video does not begin with a method"
            )
    return methods


def _script(count: int, frames: int, generator: torch.Generator) -> _Script:
    def normal(*shape: int) -> Tensor:
        return torch.randn(count, frames, *shape, generator=generator)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, generator=generator)

    steps = normal(4) * torch.tensor(_MOTION)
    motion = [steps[:, 0]]
    for t in range(1, frames):
        motion.append(_CORRELATION * motion[-1] + math.sqrt(1 - _CORRELATION**2) * steps[:, t])
    rhythm = 1.8 * torch.sin(2 * math.pi * (torch.arange(frames) / uniform(5.0, 9.0) + uniform(0.0, 1.0)))
    return _Script(
        motion=torch.stack(motion, dim=1),
        mouth=rhythm,
        still_mouth=1.3 * normal(),
        jitter=1.2 * normal(2),
        strength=1 + 0.05 * normal(),
        delay=torch.randint(3, (count, frames), generator=generator),
        noise=_NOISE * normal(SIDE, SIDE),
    )


def inner_face() -> Tensor:
    """Weight of the inner face, clip(1.15 - sqrt((x / 15)^2 + (y / 18)^2), 0, .3) / .3 around the centre, shape (48, 48)."""
    y, x = _pixels()
    return (1.15 - torch.sqrt(((x - SIDE / 2) / 15) ** 2 + ((y - SIDE / 2) / 18) ** 2)).clamp(0, 0.3) / 0.3


def _pixels() -> tuple[Tensor, Tensor]:
    centres = torch.arange(SIDE) + 0.5
    return centres[:, None].expand(SIDE, SIDE), centres[None, :].expand(SIDE, SIDE)


def _sampled(planes: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Values of planes (m, 1, 48, 48) at pixel positions x, y (m, 48, 48), bilinear, borders replicated; shape (m, 48, 48)."""
    grid = torch.stack([x, y], dim=-1) / SIDE * 2 - 1
    return functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)[:, 0]


def _talking(faces: Tensor, mouth: Tensor, shift: Tensor) -> Tensor:
    """Every face in every frame, its mouth displaced and the whole shifted, shape (n, t, 48, 48)."""
    n, t = mouth.shape
    y, x = _pixels()
    near_mouth = torch.exp(-(((y - 0.72 * SIDE) / 5) ** 2) - ((x - SIDE / 2) / 9) ** 2)
    moved = y - mouth[:, :, None, None] * near_mouth - shift[:, :, 1, None, None]
    across = (x - shift[:, :, 0, None, None]).expand_as(moved)
    planes = faces[:, None].expand(n, t, 1, SIDE, SIDE).reshape(n * t, 1, SIDE, SIDE)
    return _sampled(planes, across.flatten(0, 1), moved.flatten(0, 1)).view(n, t, SIDE, SIDE)


def _posed(pictures: Tensor, motion: Tensor) -> Tensor:
    """Pictures (n, t, 48, 48) rotated around their centre and shifted."""
    dx, dy, angle = (motion[:, :, k, None, None] for k in range(3))
    y, x = _pixels()
    x, y = x - SIDE / 2 - dx, y - SIDE / 2 - dy
    u = torch.cos(angle) * x + torch.sin(angle) * y + SIDE / 2
    v = torch.cos(angle) * y - torch.sin(angle) * x + SIDE / 2
    return _sampled(pictures.flatten(0, 1)[:, None], u.flatten(0, 1), v.flatten(0, 1)).view_as(pictures)


def _rendered(faces: Tensor, others: Tensor, methods: Tensor, script: _Script) -> Tensor:
    rows = {name: (methods == k).nonzero().squeeze(1) for k, name in enumerate(METHODS)}
    mouth, inner = script.mouth.clone(), inner_face()
    mouth[rows["reenact"]] = script.still_mouth[rows["reenact"]]
    pictures = _talking(faces, mouth, torch.zeros_like(script.jitter))
    if len(chosen := rows["swap"]):
        stranger = _talking(_matched(others[chosen], faces[chosen]), mouth[chosen], script.jitter[chosen])
        pictures[chosen] = pictures[chosen] * (1 - inner) + stranger * inner
    if len(chosen := rows["texture"]):
        coarse = functional.avg_pool2d(pictures[chosen], 2)
        coarse = (
            functional.interpolate(coarse, scale_factor=2.0, mode="bicubic") * script.strength[chosen, :, None, None]
        )
        pictures[chosen] = pictures[chosen] * (1 - inner) + coarse * inner
    frames = _posed(pictures, script.motion)
    if len(chosen := rows["lag"]):
        late = (torch.arange(script.delay.shape[1]) - script.delay[chosen]).clamp(min=0)
        motion = script.motion[chosen].gather(1, late[:, :, None].expand(-1, -1, 4))
        mask = _posed(inner.expand_as(pictures[chosen]).contiguous(), motion)
        frames[chosen] = frames[chosen] * (1 - mask) + _posed(pictures[chosen], motion) * mask
    lit = frames * (1 + script.motion[:, :, 3, None, None]) + script.noise
    return lit.clamp(0, 1)[:, :, None]


def _matched(others: Tensor, faces: Tensor) -> Tensor:
    """Other faces with the mean and the standard deviation of these."""
    mean, spread = (getattr(others, name)(dim=(1, 2, 3), keepdim=True) for name in ("mean", "std"))
    return (others - mean) / spread * faces.std(dim=(1, 2, 3), keepdim=True) + faces.mean(dim=(1, 2, 3), keepdim=True)
