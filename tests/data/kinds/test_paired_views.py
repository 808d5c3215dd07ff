"""Pairs of views keep their rows together, through columns, splits, folders and files."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from privkd.data import PairedViews, Records


def toy(n=6, labels=None, **fields):
    high = torch.linspace(0, 1, n * 64).reshape(n, 1, 8, 8)
    labels = torch.arange(n) // 2 if labels is None else torch.tensor(labels)
    return PairedViews(high, high[:, :, ::2, ::2].clone(), labels, "toy", **fields)


def test_views_of_two_sizes_are_columns_of_one_length_and_added_columns_follow():
    views = toy().with_column("keep", torch.tensor([True, False] * 3))
    assert {name: tuple(column.shape) for name, column in views.columns().items()} == {
        "high": (6, 1, 8, 8),
        "low": (6, 1, 4, 4),
        "label": (6,),
        "keep": (6,),
    }
    assert views.take([3, 0]).columns()["keep"].tolist() == [False, True]
    assert list(toy().columns()) == ["high", "low", "label"]


def test_a_part_keeps_the_number_of_classes():
    assert toy().take([0, 1]).classes == 3
    assert toy(labels=[-1] * 6, class_names=("a", "b")).take([0]).classes == 2
    with pytest.raises(ValueError, match="number of classes is unknown"):
        _ = toy(labels=[-1] * 6).classes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"high": torch.zeros(6, 8, 8)}, r"high.shape=\(6, 8, 8\) must be \(n, channels"),
        ({"low": torch.zeros(0, 1, 4, 4)}, "at least one value"),
        ({"low": torch.zeros(5, 1, 4, 4)}, "high has 6 rows but low has 5"),
        ({"high": torch.full((6, 1, 8, 8), 1.002)}, r"outside \[0, 1\], first in row 0"),
        ({"labels": torch.tensor([0, 1, -2, 0, 0, 0])}, "below -1, first in row 2"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, r"labels.shape=\(5,\) must be \(6,\)"),
        ({"class_names": ("a", "b")}, "above 1, the last of class_names, first in row 4"),
        ({"class_names": ("a", "a", "b")}, "repeats"),
        ({"extra": {"low": torch.zeros(6)}}, "column name 'low'"),
        ({"extra": {"not a name": torch.zeros(6)}}, "column name 'not a name'"),
        ({"extra": {"keep": torch.zeros(5)}}, "its first dimension must be 6"),
        ({"extra": {"keep": torch.tensor([0.0, 1, 2, np.nan, 4, 5])}}, "NaN or infinite values, first in row 3"),
    ],
)
def test_impossible_pairs_are_refused_by_the_position_of_their_row(change, message):
    good = toy()
    fields = {"high": good.high, "low": good.low, "labels": good.labels, "name": "toy", **change}
    with pytest.raises(ValueError, match=message):
        PairedViews(**fields)


def test_a_bad_value_is_named_by_its_row_and_is_not_quoted():
    high = toy().high.clone()
    high[4, 0, 3, 3] = 77.25
    with pytest.raises(ValueError, match="first in row 4") as caught:
        PairedViews(high, toy().low, toy().labels, "toy")
    assert "77" not in str(caught.value)
    high[4, 0, 3, 3] = 1.0009
    assert len(PairedViews(high, toy().low, toy().labels, "toy")) == 6


def test_nothing_is_cast():
    for change in (
        {"high": torch.zeros(6, 1, 8, 8, dtype=torch.uint8)},
        {"labels": torch.zeros(6)},
        {"labels": [0] * 6},
    ):
        fields = {"high": toy().high, "low": toy().low, "labels": toy().labels, "name": "toy", **change}
        with pytest.raises(TypeError):
            PairedViews(**fields)


@given(identities=st.lists(st.integers(0, 6), min_size=4, max_size=30), seed=st.integers(0, 99))
def test_no_identity_is_in_both_parts_and_no_row_is_lost(identities, seed):
    n = len(identities)
    views = PairedViews(torch.zeros(n, 1, 1, 1), torch.zeros(n, 1, 1, 1), torch.tensor(identities), "toy")
    views = views.with_column("row", torch.arange(n))
    if len(set(identities)) < 2:
        with pytest.raises(ValueError, match="all rows are in one group"):
            views.split(0.5, by="identity", seed=seed)
        return
    one, two = views.split(0.5, by="identity", seed=seed)
    assert not set(one.labels.tolist()) & set(two.labels.tolist())
    rows = [part.extra["row"].tolist() for part in (one, two)]
    assert sorted(rows[0] + rows[1]) == list(range(n))
    assert all(part == sorted(part) for part in rows)


def test_a_split_by_rows_lets_an_identity_into_both_parts():
    one, two = toy(40, labels=[0, 1] * 20).split(0.5, seed=0)
    assert set(one.labels.tolist()) & set(two.labels.tolist())


def test_the_same_seed_splits_alike_and_another_one_does_not():
    parts = [toy(40).split(0.3, by="identity", seed=seed)[0].labels.tolist() for seed in (1, 1, 2)]
    assert parts[0] == parts[1] != parts[2]
    assert len(set(parts[0])) == 6  # 0.3 of 20


def test_unlabelled_rows_need_an_identity_column_for_a_disjoint_split():
    views = toy(labels=[0, 0, -1, -1, 1, 1])
    with pytest.raises(ValueError, match="row 2 has no identity"):
        views.split(0.5, by="identity")
    one, two = views.with_column("identity", torch.tensor([0, 0, 5, 5, 1, 1])).split(1 / 3, by="identity")
    assert (len(one), len(two)) == (2, 4)
    with pytest.raises(ValueError, match="by='nonsense'"):
        views.split(0.5, by="nonsense")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1, float("nan"), 0.01])
def test_a_split_with_an_empty_part_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction"):
        toy().split(fraction)


def test_pairs_of_records_are_degraded_by_the_seed_alone():
    records = Records(torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)), None, "faces")

    def noisy(images, generator):
        small = images[:, :, ::2, ::2]
        return (small + 0.01 * torch.rand(small.shape, generator=generator)).clamp(0, 1), torch.ones(len(images), 8, 8)

    one, two, other = (PairedViews.of(records, noisy, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.low, two.low)
    assert not torch.equal(one.low, other.low)
    assert one.labels.tolist() == [-1] * 4
    assert list(one.columns()) == ["high", "low", "label", "occlusion"]
    assert "occlusion" not in PairedViews.of(records, lambda images, generator: images).columns()


def test_a_saved_folder_gives_the_same_pairs(tmp_path):
    views = toy(class_names=("a", "b", "c")).with_column("keep", torch.tensor([True, False] * 3))
    views.save(tmp_path / "out")
    views.save(tmp_path / "out")  # its own kind is replaced
    for again in (PairedViews.load(tmp_path / "out"), PairedViews.read(tmp_path / "out")):
        assert (again.name, again.class_names) == ("toy", ("a", "b", "c"))
        assert all(torch.equal(column, again.columns()[name]) for name, column in views.columns().items())


def test_archives_are_read_with_and_without_labels(tmp_path):
    high = np.arange(2 * 16, dtype=np.uint8).reshape(2, 4, 4)
    np.savez(tmp_path / "a.npz", high=high, low=high[:, ::2, ::2], labels=np.array(["dog", ""]))
    views = PairedViews.read(tmp_path / "a.npz", classes=["cat", "dog"])
    assert (views.high.shape, views.low.shape, views.labels.tolist()) == ((2, 1, 4, 4), (2, 1, 2, 2), [1, -1])
    assert float(views.high.max()) == pytest.approx(31 / 255)
    np.savez(tmp_path / "b.npz", high=high, low=high)
    assert PairedViews.read(tmp_path / "b.npz").labels.tolist() == [-1, -1]


def test_archives_that_are_no_pairs_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", high=np.zeros((2, 1, 4, 4), np.float32))
    with pytest.raises(ValueError, match="no array 'low'"):
        PairedViews.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", high=np.zeros((2, 1, 4, 4)), low=np.array([{}, {}]))
    with pytest.raises(ValueError, match="Python objects"):
        PairedViews.read(tmp_path / "b.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(ValueError, match=r"c\.npz"):
        PairedViews.read(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", high=np.full((2, 1, 4, 4), 255.0), low=np.zeros((2, 1, 4, 4)))
    with pytest.raises(ValueError, match=r"divide values of 0\.\.255 by 255"):
        PairedViews.read(tmp_path / "d.npz")
    with pytest.raises(FileNotFoundError):
        PairedViews.read(tmp_path / "absent.npz")
    (tmp_path / "e.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=re.escape("no .npz archive")):
        PairedViews.read(tmp_path / "e.csv")


def pictures(folder, sizes):
    for name, side in sizes.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((side, side), 51, np.uint8)).save(path)


def test_two_folders_of_images_are_paired_by_name(tmp_path):
    pictures(tmp_path / "high", {"b/1.png": 8, "a/2.png": 8})
    pictures(tmp_path / "low", {"b/1.bmp": 4, "a/2.bmp": 4})
    views = PairedViews.read(tmp_path, classes=["b", "a"])
    assert (views.high.shape, views.low.shape, views.labels.tolist()) == ((2, 1, 8, 8), (2, 1, 4, 4), [1, 0])
    with pytest.raises(ValueError, match="declare the names"):
        PairedViews.read(tmp_path)
    (tmp_path / "low" / "a" / "2.bmp").rename(tmp_path / "low" / "a" / "3.bmp")
    with pytest.raises(ValueError, match="is not in both high/ and low/"):
        PairedViews.read(tmp_path, classes=["b", "a"])


def test_a_folder_without_both_views_is_refused(tmp_path):
    pictures(tmp_path / "high", {"1.png": 8})
    with pytest.raises(ValueError, match="no sub-folder 'low'"):
        PairedViews.read(tmp_path)


def test_repr_has_counts_only():
    assert repr(toy()) == "PairedViews(name='toy', n=6, high=(1, 8, 8), low=(1, 4, 4))"
