"""SynFaces: the formula, the seeds, and that the pixels say who it is."""

import math

import pytest
import torch

from privkd.data.procedural import syn_faces
from privkd.data.procedural.faces import _face


def test_shapes_ranges_and_labels():
    images, labels = syn_faces(5, 3)
    assert images.shape == (15, 1, 32, 32)
    assert images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1
    assert labels.tolist() == [n for n in range(5) for _ in range(3)]
    assert syn_faces(1, 1, side=48)[0].shape == (1, 1, 48, 48)


def test_equal_seeds_give_equal_faces_and_others_do_not():
    first, again, other = (syn_faces(4, 2, seed=s)[0] for s in (3, 3, 4))
    assert torch.equal(first, again)
    assert (first - other).abs().mean() > 0.02


def test_figures_of_the_default_set():
    images, _ = syn_faces(200, 16)
    assert round(images.mean().item(), 2) == 0.38
    assert round(images.std().item(), 2) == 0.18
    middle = images[:, 0, 15:17, 15:17].mean().item()  # beside the nose
    corner = images[:, 0, :2, :2].mean().item()
    assert round(middle, 1) == 0.5
    assert round(corner, 2) == 0.25  # the mean level of the background


def slow_tone(z, u, v):
    """The specification, one pixel at a time."""

    def soft(x, w=0.05):
        return 1 / (1 + math.exp(-x / w))

    tone = 0.62 + 0.12 * z[2]
    hair = soft(-(v - (-0.48 + 0.12 * z[3])))
    tone = tone * (1 - hair) + (0.2 + 0.15 * z[4]) * hair
    for side in (-1, 1):
        x, y = side * (0.30 + 0.06 * z[5]), -0.10 + 0.06 * z[6]
        eye = soft(1 - math.hypot((u - x) / (0.12 + 0.03 * z[7]), (v - y) / (0.07 + 0.025 * z[8])), 0.12)
        tone = tone * (1 - eye) + 0.08 * eye
        centre = y - 0.17 - 0.03 * z[9] + side * 0.25 * z[10] * (u - x)
        tone *= 1 - 0.7 * soft(0.03 - abs(v - centre), 0.02) * soft(0.16 - abs(u - x), 0.02)
    tone *= 1 - 0.35 * math.exp(-((u / 0.06) ** 2)) * soft(v + 0.05) * soft(0.20 + 0.06 * z[11] - v)
    line = 0.48 + 0.06 * z[12] + 0.27 * z[15] * (u * u - 0.03)
    mouth = soft(0.045 + 0.02 * z[14] - abs(v - line), 0.02) * soft(0.25 + 0.08 * z[13] - abs(u), 0.03)
    return tone * (1 - mouth) + 0.22 * mouth


def test_a_face_agrees_with_the_formula_pixel_by_pixel():
    people = torch.rand(3, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    centres = (torch.arange(9, dtype=torch.float64) + 0.5) / 9 * 2 - 1
    head, tones = _face(people, centres.view(1, 1, -1), centres.view(1, -1, 1))
    for n in range(3):
        z = people[n].tolist()
        for row, v in enumerate(centres.tolist()):
            for column, u in enumerate(centres.tolist()):
                assert math.isclose(tones[n, row, column], slow_tone(z, u, v), abs_tol=1e-9)
                radius = math.hypot(u / (0.70 + 0.10 * z[0]), v / (0.85 + 0.08 * z[1]))
                assert math.isclose(head[n, row, column], 1 / (1 + math.exp(-(1 - radius) / 0.05)), abs_tol=1e-9)


def test_domains_are_the_stated_maps():
    plain, camera, inverted = (syn_faces(3, 2, domain=d)[0] for d in (0, 1, 2))
    assert torch.allclose(camera, 0.8 * plain**1.8 + 0.1)
    assert torch.allclose(inverted, 1 - plain)


def test_more_photographs_in_total_keep_the_people():
    few, many = syn_faces(3, 40, seed=1)[0], syn_faces(6, 40, seed=1)[0][:120]
    means = [images.view(3, 40, -1).mean(1) for images in (few, many)]
    gaps = torch.cdist(*means)
    assert (gaps.argmin(1) == torch.arange(3)).all()


def test_nearest_person_is_better_than_chance_and_not_perfect():
    """A mean picture tells one in twenty people apart far better than chance: there is something to learn, and left to learn."""
    images, labels = syn_faces(20, 20)
    flat = images.flatten(1).view(20, 20, -1)
    means, rest = flat[:, :10].mean(1), flat[:, 10:].flatten(0, 1)
    guessed = torch.cdist(rest, means).argmin(1)
    accuracy = (guessed == torch.arange(20).repeat_interleave(10)).float().mean().item()
    assert 0.25 < accuracy < 0.95
    assert labels.bincount().tolist() == [20] * 20


@pytest.mark.parametrize(
    "settings",
    [{"identities": 0}, {"per_identity": 0}, {"side": 3}, {"domain": 3}, {"seed": -1}, {"identities": 2.0}],
)
def test_bad_settings_are_refused_by_name(settings):
    with pytest.raises((TypeError, ValueError), match=next(iter(settings))):
        syn_faces(**{"identities": 2, "per_identity": 2, **settings})
