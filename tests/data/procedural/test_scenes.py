"""IT-1 and FN-1: what the caption says is in the picture, unless an error says otherwise."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from privkd.data import Texts
from privkd.data.procedural import SceneObject, captioned_scenes, news_items
from privkd.data.procedural.draws import Draws
from privkd.data.procedural.news import CAUSES, SENSATIONAL
from privkd.data.procedural.scenes import COLOURS, ERRORS, RADII, SHAPES, caption_of, coverage, relation, render


@pytest.fixture(scope="module")
def true():
    return captioned_scenes(120)


def test_captions_name_all_objects_and_their_relations(true):
    assert isinstance(true.texts, Texts)
    assert len(true) == 120
    for caption, objects in zip(true.texts.texts, true.objects, strict=True):
        assert 1 <= len(objects) <= 3
        position = 0
        for item in objects:
            position = caption.index(item.phrase, position) + 1
        for before, after in pairwise(objects):
            words = relation(before, after)
            assert f"{before.phrase} {words} a {after.phrase}" in caption
            gap = {"left of": after.x - before.x, "right of": before.x - after.x}
            gap |= {"above": after.y - before.y, "below": before.y - after.y}
            assert gap[words] == max(gap.values()) > 0
    assert (true.texts.labels == 0).all()
    assert not any(any(errors) for errors in true.errors)


def test_the_named_colour_is_where_the_object_is(true):
    assert true.texts.images.shape == (120, 3, 64, 64)
    for image, objects in zip(true.texts.images, true.objects, strict=True):
        for item in objects:
            pixel = image[:, int(item.y), int(item.x)].numpy()
            gaps = {name: np.abs(pixel - rgb).sum() for name, rgb in COLOURS.items()}
            assert min(gaps, key=gaps.get) == item.colour


def test_objects_do_not_overlap_and_lie_inside(true):
    for objects in true.objects:
        for k, item in enumerate(objects):
            x, y, width, height = item.box
            assert min(x, y) >= 0
            assert max(x + width, y + height) <= 64
            for other in objects[:k]:
                assert max(abs(item.x - other.x), abs(item.y - other.y)) > RADII[item.size] + RADII[other.size]


def test_all_shapes_colours_and_sizes_come_up_alike(true):
    items = [item for objects in true.objects for item in objects]
    for names, of in ((SHAPES, "shape"), (COLOURS, "colour")):
        counts = [sum(getattr(item, of) == name for item in items) for name in names]
        share = 1 / len(names)
        assert max(abs(c / len(items) - share) for c in counts) < 4 * np.sqrt(share * (1 - share) / len(items))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", RADII)
def test_coverage_has_the_area_and_the_box_of_its_shape(shape, size):
    radius = RADII[size]
    cover = coverage(SceneObject(shape, "red", size, 32.0, 32.0))
    area = {"disc": np.pi, "square": 4.0, "triangle": 2.0, "cross": 4 * (2 * 0.36) - 4 * 0.36**2}[shape] * radius**2
    assert abs(cover.sum() - area) < 0.05 * area
    rows, columns = np.flatnonzero(cover.max(1) > 0.5), np.flatnonzero(cover.max(0) > 0.5)
    assert abs((columns[-1] - columns[0] + 1) - 2 * radius) <= 2
    assert abs((rows[-1] - rows[0] + 1) - 2 * radius) <= 2
    rounded = coverage(SceneObject(shape, "red", size, 32.0, 32.0, rounded=True))
    assert np.abs(rounded - cover).sum() > 0.04 * area


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_changes_the_picture_and_not_the_caption(true, error):
    wrong = captioned_scenes(40, errors=[error])
    assert wrong.texts.texts == true.texts.texts[:40]
    for n, (before, after, errors) in enumerate(zip(true.objects, wrong.objects, wrong.errors, strict=False)):
        changed = not torch.equal(true.texts.images[n], wrong.texts.images[n])
        assert changed == bool(wrong.texts.labels[n]) == any(errors)
        assert changed == (error != "relation" or len(before) > 1)
        for old, new, named in zip(before, after, errors, strict=True):
            assert (new.hue_shift != 0) == (named == ("hue",))
            assert new.rounded == (named == ("shape",))
            assert (new.scale != 1) == (named == ("size",))
            assert ((old.x, old.y) != (new.x, new.y)) == (named == ("relation",))
            assert 25 <= abs(new.hue_shift) <= 40 or new.hue_shift == 0


def test_a_swap_makes_the_caption_wrong():
    wrong = captioned_scenes(60, errors=["relation"])
    pairs = [(n, o) for n, o in enumerate(wrong.objects) if len(o) == 2]
    assert len(pairs) > 10
    assert all(caption_of(objects) != wrong.texts.texts[n] for n, objects in pairs)


def test_rate_sets_how_many_objects_are_wrong():
    few, many = (captioned_scenes(60, errors=["hue"], rate=rate) for rate in (0.1, 1.0))
    count = [sum(map(bool, (e for picture in data.errors for e in picture))) for data in (few, many)]
    assert count[1] == sum(map(len, many.objects))
    assert 60 <= count[0] < count[1], "at least one in each picture"


def test_scenes_repeat_with_the_seed_and_more_leave_the_first():
    first, again, other = captioned_scenes(5), captioned_scenes(9), captioned_scenes(5, seed=1)
    assert torch.equal(first.texts.images, again.texts.images[:5])
    assert first.texts.texts != other.texts.texts
    assert round(captioned_scenes(50).texts.images.mean().item(), 1) == 0.5


def test_render_of_nothing_is_a_texture_of_low_contrast():
    empty = render([], Draws("test", 0))
    assert empty.shape == (3, 64, 64)
    assert 0.02 < empty.std(axis=(1, 2)).mean() < 0.06


@pytest.mark.parametrize(
    ("settings", "named"), [({"errors": ["style"]}, "errors"), ({"rate": 0.0}, "rate"), ({"count": 0}, "count")]
)
def test_bad_settings_of_scenes_are_refused(settings, named):
    with pytest.raises(ValueError, match=named):
        captioned_scenes(**{"count": 1, **settings})


@pytest.fixture(scope="module")
def news():
    return news_items(300)


@pytest.fixture(scope="module")
def own():
    """The pictures of the news before anything was done to them, with their captions."""
    return captioned_scenes(300).texts


def test_half_of_the_news_is_fake_for_one_of_three_reasons(news):
    causes = news.extra["cause"]
    assert news.labels.sum() == 150
    assert torch.equal(causes > 0, news.labels == 1)
    # 150 draws of 1/3: standard deviation 5.8
    assert all(abs((causes == k).sum() - 50) < 4 * 5.8 for k in (1, 2, 3))
    assert CAUSES[0] == "none"


def loud(text):
    return sum(word in text.split() for word in SENSATIONAL)


def test_style_says_the_opposite_in_fifteen_of_a_hundred_items(news):
    styled = torch.tensor([loud(text) >= 2 for text in news.texts])
    is_cause = news.extra["cause"] == CAUSES.index("style")
    wrong = (styled != is_cause).float().mean().item()
    assert abs(wrong - 0.15) < 4 * np.sqrt(0.15 * 0.85 / 300)
    # the style alone is right about all of the real and style items and wrong about the other fakes, up to its noise: about 2/3
    accuracy = (styled == (news.labels == 1)).float().mean().item()
    assert 0.5 < accuracy < 0.75


def test_only_mismatched_items_have_the_caption_of_another_picture(news, own):
    for n, text in enumerate(news.texts):
        assert (f"The picture shows {own.texts[n]}. " in text) == (CAUSES[news.extra["cause"][n]] != "mismatch")


def test_only_spliced_items_have_another_picture_and_in_a_patch_only(news, own):
    changed = (news.images != own.images).any(1)
    spliced = news.extra["cause"] == CAUSES.index("splice")
    assert torch.equal(changed.flatten(1).any(1), spliced)
    assert changed[spliced].any(2).sum(1).max() <= 24
    assert changed[spliced].flatten(1).sum(1).min() > 0.8 * 24 * 24


def test_news_repeat_with_the_seed():
    first, again, other = news_items(6), news_items(6), news_items(6, seed=1)
    assert first.texts == again.texts
    assert torch.equal(first.images, again.images)
    assert first.texts != other.texts
    with pytest.raises(ValueError, match="count"):
        news_items(1)
