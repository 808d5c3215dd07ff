"""Drawn faces of made-up people: sixteen numbers are a person, ten more are a photograph.

Specification: SynFaces of this project. The faces have nothing of any real person; what they share with real ones is that
resolution and masks really hurt recognition.
"""

import math

import torch
from torch import Tensor

from accountants import check
from privkd.data.procedural.draws import generator_of

TRAITS = 16
_CHUNK = 4096 * 1024  # pixels drawn at a time, which bounds the memory


def syn_faces(
    identities: int, per_identity: int, *, side: int = 32, domain: int = 0, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Grey images of made-up faces, and who they are.

    A person is z from U[-1, 1]^16; a photograph draws rotation U(-8, 8) degrees, scale 1 + U(-.06, .06), shifts U(-.08, .08), the
    direction U(0, 2 pi) and gain U(0, .25) of the light, level U(.1, .4) and slope U(-.1, .1) of the background, and noise
    N(0, .02). Two seeds share nobody; with one seed the first people stay the same when more are asked for.

    Args:
        identities: number of people, >= 1.
        per_identity: photographs of each, >= 1.
        side: pixels, >= 4.
        domain: 0 as drawn; 1: 0.8 x^1.8 + 0.1 (another camera); 2: 1 - x (polarity inverted).
        seed: integer >= 0.

    Returns:
        Images, float32, shape (identities * per_identity, 1, side, side), in [0, 1]; labels, int64, 0..identities-1, sorted.

    Raises:
        TypeError: an argument is no integer.
        ValueError: an argument is out of range.

    Example:
        >>> images, labels = syn_faces(3, 2)
        >>> images.shape, labels.tolist()
        (torch.Size([6, 1, 32, 32]), [0, 0, 1, 1, 2, 2])
    """
    check.integer(identities=identities, per_identity=per_identity, at_least=1)
    check.integer(side=side, at_least=4)
    check.integer(domain=domain, at_least=0, at_most=2)
    people = torch.rand(identities, TRAITS, generator=generator_of("people", seed)) * 2 - 1
    labels = torch.arange(identities).repeat_interleave(per_identity)
    generator = generator_of("photographs", seed)
    settings = torch.rand(len(labels), 8, generator=generator)
    rows = max(1, _CHUNK // side**2)
    parts = [
        _photographs(people[labels[start : start + rows]], settings[start : start + rows], side, generator)
        for start in range(0, len(labels), rows)
    ]
    images = torch.cat(parts).clamp(0, 1)
    if domain == 1:
        images = 0.8 * images**1.8 + 0.1
    if domain == 2:
        images = 1 - images
    return images[:, None], labels


def _soft(x: Tensor, width: float = 0.05) -> Tensor:
    return torch.sigmoid(x / width)


def _photographs(people: Tensor, settings: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """Faces over their backgrounds, lit, with noise; not clamped yet."""
    unit = settings.T[:, :, None, None]
    across = (torch.arange(side) + 0.5) / side * 2 - 1
    u, v = across.view(1, 1, -1), across.view(1, -1, 1)
    angle, scale = (16 * unit[0] - 8) * math.pi / 180, 1 + 0.12 * unit[1] - 0.06
    x, y = u - (0.16 * unit[2] - 0.08), v - (0.16 * unit[3] - 0.08)
    face_u = (torch.cos(angle) * x + torch.sin(angle) * y) / scale
    face_v = (torch.cos(angle) * y - torch.sin(angle) * x) / scale
    head, face = _face(people, face_u, face_v)
    background = 0.1 + 0.3 * unit[6] + (0.2 * unit[7] - 0.1) * u
    direction, gain = 2 * math.pi * unit[4], 0.25 * unit[5]
    light = 1 + gain * (torch.cos(direction) * u + torch.sin(direction) * v)
    images = (background * (1 - head) + face * head) * light
    return images + 0.02 * torch.randn(images.shape, generator=generator)


def _face(people: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Where the head is, in [0, 1], and the tones of the face; u and v are pixel centres in the frame of the head."""
    z = people.T[:, :, None, None]
    head = _soft(1 - torch.sqrt((u / (0.70 + 0.10 * z[0])) ** 2 + (v / (0.85 + 0.08 * z[1])) ** 2))
    hair = _soft(-(v - (-0.48 + 0.12 * z[3])))
    face = (0.62 + 0.12 * z[2]) * (1 - hair) + hair * (0.2 + 0.15 * z[4])
    eye_v = -0.10 + 0.06 * z[6]
    for left_or_right in (-1, 1):
        beside = u - left_or_right * (0.30 + 0.06 * z[5])
        radius = torch.sqrt((beside / (0.12 + 0.03 * z[7])) ** 2 + ((v - eye_v) / (0.07 + 0.025 * z[8])) ** 2)
        eye = _soft(1 - radius, 0.12)
        face = face * (1 - eye) + eye * 0.08
        brow_v = eye_v - 0.17 - 0.03 * z[9] + left_or_right * 0.25 * z[10] * beside
        brow = _soft(0.03 - (v - brow_v).abs(), 0.02) * _soft(0.16 - beside.abs(), 0.02)
        face = face * (1 - 0.7 * brow)
    nose = torch.exp(-((u / 0.06) ** 2)) * _soft(v + 0.05) * _soft(0.20 + 0.06 * z[11] - v)
    face = face * (1 - 0.35 * nose)
    mouth_v = 0.48 + 0.06 * z[12] + 0.27 * z[15] * (u**2 - 0.03)
    mouth = _soft(0.045 + 0.02 * z[14] - (v - mouth_v).abs(), 0.02) * _soft(0.25 + 0.08 * z[13] - u.abs(), 0.03)
    return head, face * (1 - mouth) + mouth * 0.22
