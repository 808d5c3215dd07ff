"""The bundled digits: sizes, disjoint parts, withheld labels."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from privkd.data import Records, digits, load


def test_parts_have_the_promised_sizes_and_types():
    split = digits()
    assert [len(part) for part in (split.private, split.public, split.test)] == [1100, 400, 297]
    for part in (split.private, split.public, split.test):
        assert isinstance(part, Records)
        assert part.shape == (64,)
        assert part.classes == 10
        assert part.inputs.min() >= 0
        assert part.inputs.max() == 1


def test_labels_of_the_public_part_are_withheld_and_the_others_are_not():
    split = digits()
    assert split.public.labels is None
    assert split.private.labels is not None
    assert split.test.labels is not None


@pytest.mark.parametrize(("seed", "private", "public"), [(0, 1100, 400), (1, 1, 1), (2, 1795, 1), (3, 100, 1600)])
def test_parts_are_disjoint_and_together_the_whole_set(seed, private, public):
    split = digits(seed=seed, private=private, public=public)
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(1797)
    rows = np.split(order, [private, private + public])
    assert sorted(np.concatenate(rows)) == list(range(1797))
    for part, row in zip((split.private, split.public, split.test), rows, strict=True):
        assert np.array_equal(part.inputs.numpy() * 16, pixels[row])
        if part.labels is not None:
            assert np.array_equal(part.labels.numpy(), labels[row])


def test_no_image_occurs_in_two_parts():
    parts = digits()
    seen = [{tuple(row.tolist()) for row in part.inputs} for part in (parts.private, parts.public, parts.test)]
    assert sum(len(images) for images in seen) == 1797  # the set has no duplicates, so this means disjoint
    assert not (seen[0] & seen[1])
    assert not (seen[0] & seen[2])
    assert not (seen[1] & seen[2])


def test_images_are_the_same_numbers_in_another_shape():
    flat, image = digits(), digits(image=True)
    assert image.private.shape == image.public.shape == image.test.shape == (1, 8, 8)
    assert torch.equal(image.test.inputs.flatten(1), flat.test.inputs)


def test_a_seed_gives_one_split_and_another_seed_another():
    assert torch.equal(digits(seed=5).private.inputs, digits(seed=5).private.inputs)
    assert not torch.equal(digits(seed=5).private.inputs, digits(seed=6).private.inputs)


def test_the_word_digits_gives_the_whole_set_with_labels():
    records = load("digits")
    assert len(records) == 1797
    assert records.name == "digits"
    assert records.class_names == tuple("0123456789")
    assert np.array_equal(records.labels.numpy(), load_digits().target)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"private": 0}, ValueError, "private=0 must be >= 1"),
        ({"public": 0}, ValueError, "public=0 must be >= 1"),
        ({"private": 1397, "public": 400}, ValueError, "leave no test record of 1797.*<= 1796"),
        ({"private": 10.0}, TypeError, "private"),
        ({"public": True}, TypeError, "public=True"),
        ({"seed": None}, TypeError, "seed"),
        ({"seed": -1}, ValueError, "seed=-1 must be >= 0"),
        ({"image": 1}, TypeError, "image"),
    ],
)
def test_impossible_splits_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        digits(**options)
