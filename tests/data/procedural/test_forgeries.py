"""FV-1 and FI-1: forged videos and generated images."""

import numpy as np
import pytest
import torch

from privkd.data import Clips
from privkd.data.procedural import face_videos, generated_images, methods_of
from privkd.data.procedural.draws import generator_of
from privkd.data.procedural.generator_traces import GENERATORS, edge_preserving_smoothing
from privkd.data.procedural.talking_heads import METHODS, _script, inner_face


def frames_of(clips):
    return torch.stack([clips[n]["clip"] for n in range(len(clips))])[:, :, 0]


def test_videos_are_clips_half_of_them_real():
    data = face_videos(24)
    assert isinstance(data, Clips)
    assert data[0]["clip"].shape == (8, 1, 48, 48)
    assert data.labels.tolist() == [0, 1] * 12
    methods = methods_of(data)
    assert [m != "real" for m in methods] == data.labels.bool().tolist()
    assert [methods.count(m) for m in METHODS] == [12, 3, 3, 3, 3]
    assert len(set(data.videos)) == 24


def test_people_of_train_and_test_are_others():
    people = [
        {int(v.split("-")[1]) for v in face_videos(60, people=part, frames=4).videos} for part in ("train", "test")
    ]
    assert max(people[0]) < 60 <= min(people[1])
    assert max(people[1]) < 100


def test_videos_repeat_with_the_seed():
    first, again, other = (frames_of(face_videos(6, seed=s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_numbers_drawn_do_not_depend_on_the_method():
    """Real and forged videos of one place in the set differ in the face only: head and background are the same."""
    swapped, lagged = (frames_of(face_videos(8, forgeries=[m])) for m in ("swap", "lag"))
    assert torch.equal(swapped[::2], lagged[::2])
    assert torch.equal(swapped[1::2, :, :5, :5], lagged[1::2, :, :5, :5])
    assert not torch.equal(swapped[1::2], lagged[1::2])


def test_head_motion_has_the_stated_deviations_and_correlation():
    script = _script(600, 8, generator_of("test", 0))
    spread = script.motion.std((0, 1))
    assert torch.allclose(spread, torch.tensor([1.2, 1.2, np.radians(3.0), 0.04]).float(), rtol=0.1)
    x = script.motion[:, :, 0]
    assert abs(np.corrcoef(x[:, 3], x[:, 4])[0, 1] - 0.9) < 0.04
    assert abs(script.mouth.abs().max().item() - 1.8) < 0.01
    steps = [(mouth[:, 1:] - mouth[:, :-1]).std().item() for mouth in (script.mouth, script.still_mouth)]
    assert abs(steps[1] - 1.3 * np.sqrt(2)) < 0.1
    assert steps[0] < steps[1]


def test_reenacted_mouths_move_without_rhythm_and_single_frames_do_not_tell():
    reenacted = frames_of(face_videos(300, forgeries=["reenact"]))
    labels = torch.arange(300) % 2
    mouth = reenacted[:, :, 28:42, 15:33]
    step = (mouth[:, 1:] - mouth[:, :-1]).abs().mean((1, 2, 3))
    real, forged = step[labels == 0], step[labels == 1]
    auc = (forged[:, None] > real[None]).float().mean().item()
    assert auc > 0.55
    still = mouth.std((2, 3)).mean(1)
    single = (still[labels == 1][:, None] > still[labels == 0][None]).float().mean().item()
    assert abs(single - 0.5) < 4 * np.sqrt(1 / (6 * 150))  # of two samples of 150 that do not differ


def test_texture_loses_detail_inside_the_face():
    textured = frames_of(face_videos(200, forgeries=["texture"]))
    inside = textured[:, :, 12:36, 16:32]
    detail = (inside[..., 1:, :] - inside[..., :-1, :]).abs().mean((1, 2, 3))
    assert detail[1::2].mean() < 0.95 * detail[::2].mean()


def test_the_inner_face_is_an_ellipse():
    inner = inner_face()
    assert inner[24, 24] == 1
    assert inner[0].max() == inner[:, 0].max() == 0
    assert torch.allclose(inner, inner.flip(1), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"count": 1}, "count"),
        ({"frames": 3}, "frames"),
        ({"forgeries": []}, "forgeries"),
        ({"forgeries": ["real"]}, "forgeries"),
        ({"people": "all"}, "people"),
    ],
)
def test_bad_settings_of_videos_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        face_videos(**settings)
    with pytest.raises(ValueError, match="clip 0 of 'other'"):
        methods_of(Clips([np.zeros((2, 4, 4, 1), np.uint8)], None, ("film",), "other"))


@pytest.mark.parametrize("part", ["train", "test"])
def test_generated_images_are_records_half_of_them_real(part):
    data = generated_images(40, part=part)
    assert data.shape == (3, 64, 64)
    assert data.labels.tolist() == [0, 1] * 20
    assert data.class_names == ("real", "generated")


def spectrum(images):
    """Mean amplitude above half of the Nyquist frequency over that below a quarter."""
    amplitude = torch.fft.fft2(images).abs()
    f = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.fftfreq(64)[None]) / 0.5
    low = (f > 0) & (f < 0.25)
    return (amplitude[..., f > 0.5].mean() / amplitude[..., low].mean()).item()


@pytest.mark.parametrize(("name", "sign"), [("A", -1), ("B", -1), ("C", 1), ("D", -1)])
def test_generators_leave_their_trace_in_the_high_frequencies(name, sign):
    images = generated_images(60).inputs[::2]
    before, after = spectrum(images), spectrum(GENERATORS[name](images))
    assert (after - before) * sign > 0.02 * before


def test_real_images_are_the_same_for_every_generator_and_the_parts_are_others():
    first, second = (generated_images(20, generator=g).inputs for g in "AB")
    assert torch.equal(first[::2], second[::2])
    assert not torch.equal(first[1::2], second[1::2])
    assert not torch.equal(generated_images(20, part="test").inputs[::2], first[::2])
    assert not torch.equal(generated_images(20, seed=1).inputs[::2], first[::2])


def test_the_bilateral_filter_agrees_with_a_loop_and_keeps_edges():
    image = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fast = edge_preserving_smoothing(image)
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2), mode="reflect")[0]
    for row in range(6):
        for column in range(7):
            total, weights = torch.zeros(3, dtype=torch.float64), 0.0
            for i in range(-2, 3):
                for j in range(-2, 3):
                    if i * i + j * j <= 4:
                        other = padded[:, row + 2 + i, column + 2 + j]
                        gap = (other - image[0, :, row, column]).abs().sum() * 255 / 18
                        weight = np.exp(-(i * i + j * j) / 8 - float(gap) ** 2 / 2)
                        total, weights = total + weight * other, weights + weight
            assert torch.allclose(fast[0, :, row, column], total / weights)
    edge = torch.zeros(1, 3, 8, 8)
    edge[..., 4:] = 1
    assert torch.allclose(edge_preserving_smoothing(edge), edge, atol=1e-6)


@pytest.mark.parametrize("settings", [{"count": 1}, {"generator": "E"}, {"part": "all"}, {"seed": -1}])
def test_bad_settings_of_generated_images_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        generated_images(**settings)
