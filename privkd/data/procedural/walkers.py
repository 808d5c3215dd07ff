"""Drawn pedestrians before four cameras, in pairs of people whom only the shoes or the bag tell apart.

Specification: RID-1 of this project. Palette, proportions and cameras are ours.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.data.degradations import blur
from privkd.data.procedural.draws import generator_of

HEIGHT, WIDTH, CAMERAS = 48, 24, 4
_PARTS = ("hair", "torso", "stripes", "legs", "shoes", "bag")
_SHIFT = 0.12  # of both sides
_OCCLUDED = 0.2
_EDGE = 0.6  # pixels over which a border fades


@dataclass(frozen=True, eq=False)
class Pedestrians:
    """Images of people with who they are and which camera saw them.

    Attributes:
        images: float32, shape (n, 3, 48, 24), in [0, 1].
        identities: int64, shape (n,), 0..people-1; 2k and 2k + 1 are a hard pair.
        cameras: int64, shape (n,), 0..3.
        differing: which part tells each pair apart, by pair: "shoes" or "bag".
    """

    images: Tensor
    identities: Tensor
    cameras: Tensor
    differing: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def columns(self) -> dict[str, Tensor]:
        """The columns "input", "label" (identity) and "camera", for batches."""
        return {"input": self.images, "label": self.identities, "camera": self.cameras}


def pedestrians(people: int = 30, per_person: int = 8, *, domain: str = "A", seed: int = 0) -> Pedestrians:
    """Photographs of drawn people; the cameras take turns.

    A person has colours of hair, torso, stripes, trousers, shoes and bag. A photograph swings legs and arms, shifts the person by
    up to 12 % of both sides, hides a part with probability 0.2, and has the gain and gamma of its camera. In domain B hues are
    turned by 20 degrees, the picture is blurred, and backgrounds and cameras are others.

    Args:
        people: number of people, even, >= 2; use another seed for the test, two seeds share nobody.
        per_person: photographs of each, >= 1.
        domain: "A" or "B".
        seed: integer >= 0.

    Raises:
        TypeError: a number is no integer.
        ValueError: a number is out of range, people is odd, or the domain unknown.

    Example:
        >>> len(pedestrians(4, 2)), pedestrians(4, 2).cameras.tolist()
        (8, [0, 1, 1, 2, 2, 3, 3, 0])
    """
    check.integer(people=people, at_least=2)
    check.integer(per_person=per_person, at_least=1)
    if people % 2:
        raise ValueError(f"people={people} must be even: they come in pairs that one part tells apart")
    if domain not in ("A", "B"):
        raise ValueError(f"domain={domain!r} must be 'A' or 'B'")
    generator = generator_of(f"pedestrians {domain}", seed)
    looks, differing = _wardrobe(people, generator, hue_shift=20 / 360 if domain == "B" else 0.0)
    identities = torch.arange(people).repeat_interleave(per_person)
    cameras = (identities + torch.arange(len(identities)) % per_person) % CAMERAS
    images = _drawn(looks[identities], generator, patches=domain == "B")
    if domain == "B":
        images = blur(images.clamp(0, 1), 0.7)
    images = _photographed(images.clamp(0, 1), cameras, domain) + 0.015 * torch.randn(images.shape, generator=generator)
    return Pedestrians(images.clamp(0, 1), identities, cameras, differing)


def _wardrobe(people: int, generator: torch.Generator, *, hue_shift: float) -> tuple[Tensor, tuple[str, ...]]:
    """Colours of the parts, shape (people, 6, 3); partners share all but one of them."""
    pairs = people // 2
    hues = torch.randint(12, (pairs, len(_PARTS)), generator=generator).repeat_interleave(2, 0)
    values = 0.35 + 0.6 * torch.rand(pairs, len(_PARTS), generator=generator).repeat_interleave(2, 0)
    part = torch.where(torch.rand(pairs, generator=generator) < 0.5, _PARTS.index("shoes"), _PARTS.index("bag"))
    # the partner's hue lies at least a quarter turn away
    hues[torch.arange(1, people, 2), part] += 3 + torch.randint(7, (pairs,), generator=generator)
    colours = _rgb((hues / 12 + hue_shift) % 1.0, 0.75, values)
    return colours, tuple(_PARTS[k] for k in part.tolist())


def _rgb(hue: Tensor, saturation: float, value: Tensor) -> Tensor:
    """Colours of hue, saturation and value, all in [0, 1]; the last dimension of the result is red, green, blue."""
    pure = torch.stack([(hue * 6 - 3).abs() - 1, 2 - (hue * 6 - 2).abs(), 2 - (hue * 6 - 4).abs()], dim=-1).clamp(0, 1)
    return value[..., None] * (1 - saturation + saturation * pure)


def _drawn(looks: Tensor, generator: torch.Generator, *, patches: bool) -> Tensor:
    """Pictures of people with these colours, shape (n, 3, 48, 24), before any camera."""
    n = len(looks)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, 1, 1, generator=generator)

    x = torch.arange(WIDTH) + 0.5 - WIDTH / 2 - WIDTH * uniform(-_SHIFT, _SHIFT)
    y = torch.arange(HEIGHT)[:, None] + 0.5 - HEIGHT * uniform(-_SHIFT, _SHIFT)
    swing, side = uniform(-1.0, 1.0), torch.where(uniform(0.0, 1.0) < 0.5, 1.0, -1.0)
    hair, torso, stripes, legs, shoes, bag = looks.unbind(1)
    skin = torch.tensor([0.85, 0.66, 0.52]).expand(n, 3)
    layers = []
    for leg in (-1, 1):
        # a leg is a bar that leans: its middle moves sideways with depth
        middle = leg * 2.0 + leg * swing * 2.2 * ((y - 28) / 14).clamp(0, 1)
        layers.append((_box(x - middle, y, 1.8, 27, 41), legs))
        layers.append((_box(x - middle - 0.7 * side, y, 2.4, 41, 44), shoes))
    body = _box(x, y, 4.6, 13, 28)
    layers.append((body, torso))
    layers.append((body * (torch.sin(y * 2 * torch.pi / 5) > 0.3), stripes))
    for arm in (-1, 1):
        middle = arm * 5.4 - arm * swing * 1.2 * ((y - 14) / 10).clamp(0, 1)
        layers.append((_box(x - middle, y, 1.1, 14, 26), torso))
    layers.append((_box(x - side * 6.2, y, 2.2, 21, 28), bag))
    layers.append((_disc(x, y - 8.5, 3.2, 4.0), skin))
    layers.append((_disc(x, y - 6.5, 3.4, 2.6), hair))
    images = _backgrounds(n, generator, patches=patches)
    for cover, colour in layers:
        images = images * (1 - cover[:, None]) + cover[:, None] * colour[:, :, None, None]
    return _occluded(images, generator)


def _box(x: Tensor, y: Tensor, half_width: float, top: float, bottom: float) -> Tensor:
    inside = torch.minimum(half_width - x.abs(), torch.minimum(y - top, bottom - y))
    return (inside / _EDGE + 0.5).clamp(0, 1)


def _disc(x: Tensor, y: Tensor, half_width: float, half_height: float) -> Tensor:
    radius = torch.sqrt((x / half_width) ** 2 + (y / half_height) ** 2)
    return ((1 - radius) * min(half_width, half_height) / _EDGE + 0.5).clamp(0, 1)


def _backgrounds(n: int, generator: torch.Generator, *, patches: bool) -> Tensor:
    """Walls over ground (domain A), or a few blocks of colour (B), shape (n, 3, 48, 24)."""
    size = (8, 4) if patches else (3, 2)
    coarse = 0.3 + 0.4 * torch.rand(n, 3, *size, generator=generator)
    if patches:
        return functional.interpolate(coarse, (HEIGHT, WIDTH), mode="nearest")
    return functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear", align_corners=False)


def _occluded(images: Tensor, generator: torch.Generator) -> Tensor:
    """Now and then a bar of one colour in front: 5 to 8 pixels wide over the full height, or 6 to 12 high over the full width."""
    n = len(images)
    chosen, upright, size, place = torch.rand(4, n, 1, 1, 1, generator=generator)
    colour = torch.rand(n, 3, 1, 1, generator=generator)
    x, y = torch.arange(WIDTH).view(1, 1, 1, -1), torch.arange(HEIGHT).view(1, 1, -1, 1)
    wide, high = 5 + 3 * size, 6 + 6 * size
    column = (x >= place * (WIDTH - wide)) & (x < place * (WIDTH - wide) + wide)
    row = (y >= place * (HEIGHT - high)) & (y < place * (HEIGHT - high) + high)
    hidden = torch.where(upright < 0.5, column.expand(n, 1, HEIGHT, WIDTH), row.expand(n, 1, HEIGHT, WIDTH))
    return torch.where(hidden & (chosen < _OCCLUDED), colour, images)


def _photographed(images: Tensor, cameras: Tensor, domain: str) -> Tensor:
    """Images with the colour gain and the gamma of their cameras, which are the same for all seeds."""
    generator = generator_of(f"cameras {domain}", 0)
    gain = 0.8 + 0.3 * torch.rand(CAMERAS, 3, generator=generator)
    gamma = 0.75 + 0.6 * torch.rand(CAMERAS, generator=generator)
    return images ** gamma[cameras][:, None, None, None] * gain[cameras][:, :, None, None]
