"""Texts come back as they are, from tables, folders and batches."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from privkd.data import Texts

WORDS = ("ä b", "", "never!", "€ 5")


def toy(**change):
    return Texts(**{"texts": WORDS, "labels": torch.tensor([0, 1, 2, 0]), "name": "toy", **change})


def pictured(**change):
    images = torch.tensor([0, 51], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 2, 2).clone()
    return toy(images=images, picture=torch.tensor([1, -1, 0, 1]), **change)


def test_batches_carry_lists_of_str_and_images_in_0_to_1():
    batch = Texts.collate([pictured()[0], pictured()[1]])
    assert batch["text"] == ["ä b", ""]
    assert batch["label"].tolist() == [0, 1]
    assert batch["image"][:, 0, 0, 0].tolist() == [pytest.approx(0.2), 0.0]
    assert batch["pictured"].tolist() == [True, False]
    assert set(toy(labels=None)[0]) == {"text"}


def test_parts_and_added_columns_keep_rows_together():
    part = pictured().with_column("likes", torch.tensor([5, 6, 7, 8])).take([3, 1])
    assert (part.texts, part.labels.tolist(), part.classes) == (("€ 5", ""), [0, 1], 3)
    assert [int(part[row]["likes"]) for row in range(2)] == [8, 6]
    assert part.picture.tolist() == [1, -1]


def test_equal_texts_stay_together():
    texts = Texts(("a", "b", "a", "c", "b", "a"), None, "toy")
    one, two = texts.split(0.5, by="text")
    assert not set(one.texts) & set(two.texts)
    assert len(one) + len(two) == 6
    with pytest.raises(ValueError, match="by='likes'"):
        texts.split(0.5, by="likes")
    groups = texts.with_column("likes", torch.tensor([1, 1, 2, 2, 2, 2])).split(0.5, by="likes")
    assert sorted(map(len, groups)) == [2, 4]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": (), "labels": None}, "at least one str"),
        ({"texts": ("a", "\ud800", "b", "c")}, "lone surrogate.* in row 1"),
        ({"labels": torch.tensor([0, 1])}, r"labels.shape=\(2,\) must be \(4,\)"),
        ({"labels": torch.tensor([0, 1, -1, 0])}, "below 0, first in row 2"),
        ({"picture": torch.tensor([0, 0, 0, 0])}, "picture was given without images"),
        ({"images": torch.zeros(3, 1, 2, 2)}, "3 images for 4 rows"),
        ({"images": torch.full((4, 1, 2, 2), 2.0)}, r"outside \[0, 1\]"),
        ({"images": torch.zeros(2, 2, 2, dtype=torch.uint8)}, "must be"),
        ({"images": torch.zeros(2, 1, 2, 2), "picture": torch.tensor([0, 2, 0, 0])}, "outside -1..1, first in row 1"),
        ({"images": torch.zeros(2, 1, 2, 2), "picture": torch.tensor([0, -2, 0, 0])}, "outside -1..1, first in row 1"),
        ({"images": torch.zeros(2, 1, 2, 2), "picture": torch.tensor([0])}, "picture.shape"),
        ({"extra": {"text": torch.zeros(4)}}, "column name 'text'"),
    ],
)
def test_impossible_texts_are_refused_by_their_row(change, message):
    with pytest.raises(ValueError, match=message):
        toy(**change)


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=6))
def test_any_texts_come_back_from_a_folder(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("texts") / "out"
    Texts(tuple(texts), None, "toy").save(path)
    assert Texts.load(path).texts == tuple(texts)


def test_a_saved_folder_gives_the_same_texts(tmp_path):
    data = pictured(class_names=("a", "b", "c")).with_column("likes", torch.arange(4))
    data.save(tmp_path / "out")
    again = Texts.read(tmp_path / "out")
    assert (again.texts, again.class_names) == (WORDS, ("a", "b", "c"))
    for row in range(4):
        one, two = data[row], again[row]
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one if name != "text")


ROWS = [{"text": "so, it is", "label": "no"}, {"text": 'a "b"\nc', "label": "yes"}]


def test_tables_are_read_in_all_three_formats(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)) + "\n\n")
    (tmp_path / "a.csv").write_text('label,text\nno,"so, it is"\nyes,"a ""b""\nc"\n', newline="")
    for suffix in ("jsonl", "csv"):
        data = Texts.read(tmp_path / f"a.{suffix}", classes=["yes", "no"])
        assert (data.texts, data.labels.tolist(), data.class_names) == (
            ("so, it is", 'a "b"\nc'),
            [1, 0],
            ("yes", "no"),
        )
    (tmp_path / "a.tsv").write_text('gold\ttext\n1\tsay "so\n0\tno\n')
    data = Texts.read(tmp_path / "a.tsv", label="gold")
    assert (data.texts, data.labels.tolist()) == (('say "so', "no"), [1, 0])
    assert Texts.read(tmp_path / "a.tsv").labels is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": NaN}', "line 1.*not valid JSON"),
        ('{"text": "a", "text": "b"}', "twice"),
        ('{"text": "a"}\n[]', "line 2 .*must hold a JSON object"),
        ('{"text": ["a"]}', "line 1 has a value that is an object or a list"),
        ('{"text": "a"}\n{"label": 1}', "line 2 has no 'text'"),
        ('{"body": "a"}', "no column 'text'"),
        ("", "no rows"),
        ('{"text": "' + "a" * 2**20 + '"}', "longer than"),
        ('{"text": "\\ud800"}', "lone surrogate.* in row 0"),
        ('{"text": "a"', "not valid JSON"),
    ],
)
def test_lines_that_are_no_texts_are_refused(tmp_path, text, message):
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        Texts.read(tmp_path / "a.jsonl")


def test_labels_that_were_not_declared_are_refused_and_not_quoted(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,secret77\n")
    for classes in (None, ["x", "y"]):
        with pytest.raises(ValueError, match="declare") as caught:
            Texts.read(tmp_path / "a.csv", classes=classes)
        assert "77" not in str(caught.value)


def test_images_are_read_from_files_beside_the_table(tmp_path):
    (tmp_path / "pictures").mkdir()
    for name in ("1.png", "2.png"):
        Image.fromarray(np.full((2, 2, 3), 51, np.uint8)).save(tmp_path / "pictures" / name)
    (tmp_path / "a.csv").write_text("text,image\na,pictures/2.png\nb,\nc,pictures/1.png\n")
    data = Texts.read(tmp_path / "a.csv", image="image")
    assert (data.picture.tolist(), tuple(data.images.shape)) == ([0, -1, 1], (2, 3, 2, 2))


@pytest.mark.parametrize(
    "name", ["../a.png", "/etc/passwd", "pictures/../../a.png", "C:/a.png", "b\\a.png", "link/a.png", "a\x00b"]
)
def test_images_outside_of_the_folder_are_refused_and_not_quoted(tmp_path, name):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "in" / "a.jsonl").write_text(json.dumps({"text": "a", "image": name}))
    with pytest.raises(ValueError, match="image of row 0") as caught:
        Texts.read(tmp_path / "in" / "a.jsonl", image="image")
    assert "passwd" not in str(caught.value)


def test_images_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("text,thumb\na,0\nb,5\n")
    images = np.zeros((2, 3, 2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"outside -1..1, first in row 1"):
        Texts.read(tmp_path / "a.csv", image="thumb", images=images)
    with pytest.raises(ValueError, match="without image="):
        Texts.read(tmp_path / "a.csv", images=images)
    with pytest.raises(ValueError, match="is no table of texts"):
        Texts.read(__file__)


def test_weibo_posts_with_their_thumbs(shared_file):
    with np.load(shared_file("data/fake_news/weibo_thumbs.npz")) as file:
        thumbs = file["thumbs"].transpose(0, 3, 1, 2)
    path = shared_file("data/fake_news/weibo_posts.tsv")
    data = Texts.read(path, label="is_rumor", image="thumb", images=thumbs)
    assert (len(data), data.classes, int((data.picture >= 0).sum())) == (3936, 2, 76)


def test_liar_statements(shared_file):
    names = ["pants-fire", "false", "barely-true", "half-true", "mostly-true", "true"]
    data = Texts.read(shared_file("data/fake_news/liar_valid.tsv"), text="statement", classes=names)
    assert (len(data), data.classes) == (1284, 6)
