"""AE-1, SAL-1, TAP-1 and Digits-20, and the streams that all draw from."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from privkd.data.bundled import all_digits
from privkd.data.procedural import attention_videos, digit_sessions, rating_histograms, untrimmed_videos
from privkd.data.procedural.draws import Draws, generator_of


def test_streams_depend_on_purpose_and_every_number():
    keys = [("a", 0), ("a", 1), ("b", 0), ("a", 0, 1), ("a", 1, 0)]
    drawn = [torch.rand(4, generator=generator_of(*key)).tolist() for key in keys]
    assert len({tuple(numbers) for numbers in drawn}) == len(keys)
    assert drawn[0] == torch.rand(4, generator=generator_of("a", 0)).tolist()
    with pytest.raises(ValueError, match="seed"):
        generator_of("a", -1)
    assert sorted(Draws("a", 0).order(5)) == list(range(5))


MARKS = torch.arange(1, 11.0)


def moments(histograms):
    mean = histograms @ MARKS
    spread = (histograms * (MARKS - mean[:, None]) ** 2).sum(1)
    return mean, spread, (histograms * (MARKS - mean[:, None]) ** 4).sum(1) / spread.clamp(min=1e-3) ** 2


def test_histograms_are_shares_of_their_raters():
    things = rating_histograms()
    assert things.inputs.shape == (200, 16)
    assert torch.allclose(things.histograms.sum(1), torch.ones(200))
    counts = things.histograms * things.raters[:, None]
    assert torch.allclose(counts, counts.round(), atol=1e-4)
    assert torch.equal(rating_histograms(9).histograms, rating_histograms(9).histograms)
    assert not torch.equal(rating_histograms(9, seed=1).inputs, rating_histograms(9).inputs)


def test_few_raters_give_other_kurtosis_as_measured_in_the_specification():
    things = rating_histograms(2000)
    excess = (moments(things.histograms)[2] - 3).abs()
    assert abs(excess[::2].mean().item() - 0.90) < 0.1
    assert abs(excess[1::2].mean().item() - 0.30) < 0.1


def test_true_distributions_have_the_stated_moments():
    things = rating_histograms(500, rated=False)
    assert torch.equal(things.histograms, things.true)
    assert (things.raters == 0).all()
    mean, spread, _ = moments(things.true)
    taste = torch.randn(16, generator=torch.Generator().manual_seed(77)) / 4
    expected = 5.5 + 2 * torch.tanh(1.2 * things.inputs @ taste) + 0.5 * torch.sin(2 * things.inputs[:, 0])
    inner = (expected > 4.5) & (
        expected < 6.5
    )  # far from the ends the discrete Gaussian has the mean of the continuous one
    assert torch.allclose(mean[inner], expected[inner], atol=0.1)
    assert 1.1**2 - 0.1 < spread.min() < spread.max() < 1.7**2 + 0.2


def test_averaged_histograms_approach_the_true_ones():
    things = rating_histograms(3000)
    gaps = (things.histograms - things.true).square().sum(1)
    # E = (1 - sum p^2) / raters
    expected = (1 - things.true.square().sum(1)) / things.raters
    for part in (slice(0, None, 2), slice(1, None, 2)):
        assert abs(gaps[part].mean() / expected[part].mean() - 1) < 0.1


@pytest.mark.parametrize("aerial", [False, True])
def test_attention_is_a_density_that_fixations_follow(aerial):
    data = attention_videos(2, frames=12, aerial=aerial)
    assert data.frames.shape == (2, 12, 96, 96, 3)
    assert data.frames.dtype == np.uint8
    assert np.allclose(data.density.sum((2, 3)), 1, atol=1e-4)
    assert data.fixations.shape == (2, 12, 25, 2)
    rows, columns = data.fixations[..., 0], data.fixations[..., 1]
    n, t = np.ogrid[:2, :12]
    found = data.density[n[..., None], t[..., None], rows, columns].mean()
    expected = (data.density.astype(float) ** 2).sum((2, 3)).mean()  # E p(X) for X from p
    assert abs(found / expected - 1) < 0.1
    middle = data.density[:, :, 47:49, 47:49].mean()
    assert (middle > 1e-6) or aerial


def test_attention_videos_move_and_repeat_with_the_seed():
    first, again, other = (attention_videos(1, frames=6, seed=s) for s in (1, 1, 2))
    assert np.array_equal(first.frames, again.frames)
    assert not np.array_equal(first.frames, other.frames)
    peaks = [np.unravel_index(d.argmax(), d.shape) for d in attention_videos(1, frames=20).density[0]]
    assert len(set(peaks)) > 10
    for settings, named in (({"count": 0}, "count"), ({"frames": 1}, "frames"), ({"seed": -1}, "seed")):
        with pytest.raises(ValueError, match=named):
            attention_videos(**settings)


@pytest.fixture(scope="module")
def untrimmed():
    return untrimmed_videos(300)


def test_segments_lie_inside_do_not_touch_and_are_sorted(untrimmed):
    assert untrimmed.features.shape == (300, 32, 128)
    for segments, decoys, labels in zip(untrimmed.segments, untrimmed.decoys, untrimmed.labels, strict=True):
        assert 1 <= len(segments) == len(labels)
        assert len(segments) + len(decoys) <= 5
        spans = sorted(map(tuple, np.concatenate([segments, decoys])))
        assert spans[0][0] >= 1
        assert spans[-1][1] < 128
        assert all(first[1] < second[0] for first, second in pairwise(spans))
        assert all(4 <= end - start <= 96 for start, end in spans)
        assert (np.diff(segments[:, 0]) > 0).all()


def test_nearly_a_third_are_decoys_without_transients(untrimmed):
    onset = Draws("proposal vectors", 0).gaussian(12, 32)[-2]
    onset = torch.from_numpy(onset / np.linalg.norm(onset))
    starts = [[], []]
    for video, *spans in zip(untrimmed.features, untrimmed.segments, untrimmed.decoys, strict=True):
        for found, parts in zip(starts, spans, strict=True):
            found += [(video[:, int(start)] @ onset).item() for start, _ in parts]
    assert np.mean(starts[0]) > 2.5
    assert abs(np.mean(starts[1])) < 0.5
    assert 0.18 < len(starts[1]) / (len(starts[0]) + len(starts[1])) < 0.3


def test_every_instance_has_its_sign_far_away_and_a_decoy_the_wrong_one(untrimmed):
    vectors = Draws("proposal vectors", 0).gaussian(12, 32)
    signs = torch.from_numpy(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[5:10]
    right = []
    for video, segments, labels, decoys in zip(*vars(untrimmed).values(), strict=True):
        if len(segments) == 1 and not len(decoys):
            response = signs @ video
            kind, place = np.unravel_index(int(response.argmax()), response.shape)
            start, end = segments[0]
            away = max(start - place, place - (end - 1))
            right.append(kind == labels[0] and away >= min(40, max(start, 127 - (end - 1))))
    assert len(right) > 30
    assert np.mean(right) > 0.9


def test_untrimmed_videos_repeat_with_the_seed(untrimmed):
    again = untrimmed_videos(3)
    assert torch.equal(again.features, untrimmed.features[:3])
    assert not torch.equal(untrimmed_videos(3, seed=1).features, again.features)
    for settings in ({"count": 0}, {"snippets": 97}, {"channels": 7}, {"seed": -1}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            untrimmed_videos(**settings)


def test_sessions_have_the_sizes_of_the_protocol():
    data = digit_sessions()
    assert data.classes == (12, 14, 16, 18, 20)
    assert [sorted(part.labels.unique().tolist()) for part in data.train[1:]] == [
        [12, 13],
        [14, 15],
        [16, 17],
        [18, 19],
    ]
    assert all((part.labels.bincount()[-2:] == 5).all() for part in data.train[1:])
    assert data.train[0].labels.unique().tolist() == list(range(12))
    assert len(data.test) == 1080
    assert len(data.seen(4)) == 1080
    assert data.seen(0).labels.max() == 11
    assert data.train[0].classes == 20


def test_no_test_image_is_in_a_session_in_either_orientation():
    data = digit_sessions(seed=3)
    upright = {image.numpy().tobytes() for image in all_digits(image=True).inputs}

    def sources(records):
        turned_back = (torch.rot90(records.inputs, -1, dims=(2, 3))).contiguous()
        names = [records.class_names[k] for k in records.labels.tolist()]
        chosen = [b if "turned" in name else a for a, b, name in zip(records.inputs, turned_back, names, strict=True)]
        return {image.numpy().tobytes() for image in chosen}

    test = sources(data.test)
    assert test <= upright
    assert len(test) == 540
    for part in data.train:
        assert sources(part) <= upright
        assert not sources(part) & test


def test_orders_of_classes_differ_by_seed_and_repeat():
    first, again, other = (digit_sessions(seed=s) for s in (0, 0, 1))
    assert first.test.class_names == again.test.class_names != other.test.class_names
    assert torch.equal(first.train[1].inputs, again.train[1].inputs)


@pytest.mark.parametrize("settings", [{"base": 1}, {"sessions": 5}, {"ways": 0}, {"shots": 51}, {"seed": -1}])
def test_bad_settings_of_sessions_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        digit_sessions(**settings)
    with pytest.raises(ValueError, match="session"):
        digit_sessions().seen(5)
