"""Saved folders are read strictly, and nothing else is overwritten."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from privkd.data import Crowd, PairedViews, Records, Skeletons, Texts, read
from privkd.data.kinds.stored import packed_texts, unpacked_texts


@pytest.fixture
def folder(tmp_path):
    Skeletons(torch.zeros(2, 5, 3, 2), torch.tensor([5, 4]), torch.tensor([0, 1]), "toy", ((0, 1),)).save(
        tmp_path / "data"
    )
    return tmp_path / "data"


def rewrite(folder, **values):
    found = json.loads((folder / "data.json").read_text())
    (folder / "data.json").write_text(
        json.dumps({name: value for name, value in (found | values).items() if value != "gone"})
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"schema": "privkd.skeletons/2"}, "does not hold privkd.skeletons/1"),
        ({"schema": "gone"}, "does not hold"),
        ({"name": "gone"}, r"missing: \['name'\]"),
        ({"more": 1}, r"unknown: \['more'\]"),
        ({"name": 5}, "name must be text, not int"),
        ({"class_names": "ab"}, "must be a list of texts"),
        ({"class_names": ["a", 1]}, "must be a list of texts"),
        ({"class_names": ["a"]}, "above 0, the last of class_names, first in row 1"),
    ],
)
def test_a_description_that_is_not_as_written_is_refused(folder, values, message):
    rewrite(folder, **values)
    with pytest.raises(ValueError, match=message):
        Skeletons.load(folder)


@pytest.mark.parametrize("text", ['{"schema": NaN}', "[]", '{"a": 1, "a": 2}', "{", ""])
def test_a_description_that_is_no_strict_json_is_refused(folder, text):
    (folder / "data.json").write_text(text)
    with pytest.raises(ValueError, match="no folder of saved data"):
        Skeletons.load(folder)


def test_tensors_that_are_missing_unknown_damaged_or_of_another_dtype_are_refused(folder):
    path = folder / "tensors.safetensors"
    whole, tensors = path.read_bytes(), load_file(path)
    path.write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="not a readable"):
        Skeletons.load(folder)
    path.write_bytes((2**40).to_bytes(8, "little") + whole[8:])
    with pytest.raises(ValueError, match="not a readable"):
        Skeletons.load(folder)
    save_file(tensors | {"extra.column": torch.zeros(2)}, path)  # of kinds that have none
    with pytest.raises(ValueError, match=r"unknown: \['extra.column'\]"):
        Skeletons.load(folder)
    save_file({name: tensor for name, tensor in tensors.items() if name != "lengths"}, path)
    with pytest.raises(ValueError, match=r"missing: \['lengths'\]"):
        Skeletons.load(folder)
    save_file(tensors | {"lengths": torch.tensor([5.0, 4.0])}, path)
    with pytest.raises(TypeError, match="lengths"):
        Skeletons.load(folder)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        Skeletons.load(folder)
    path.mkdir()
    with pytest.raises(ValueError, match="no regular file"):
        Skeletons.load(folder)


def test_one_kind_is_not_loaded_as_another(folder):
    for kind in (PairedViews, Crowd, Texts):
        with pytest.raises(ValueError, match="does not hold"):
            kind.load(folder)


def test_only_folders_of_the_same_kind_are_overwritten(folder, tmp_path):
    texts = Texts(("a",), None, "toy")
    with pytest.raises(ValueError, match="nothing was overwritten"):
        texts.save(folder)
    assert len(Skeletons.load(folder)) == 2
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="nothing was overwritten"):
        texts.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    texts.save(tmp_path / "empty")
    assert len(Texts.load(tmp_path / "empty")) == 1


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        Texts.load(tmp_path / "absent")


@pytest.mark.parametrize(
    ("content", "ends", "message"),
    [
        (b"ab", [1, 3], "ends that do not fit"),
        (b"ab", [2, 1], "ends that do not fit"),
        (b"ab", [-1, 2], "ends that do not fit"),
        (b"\xff\xfe", [2], "no UTF-8"),
        ("ü".encode(), [1, 2], "no UTF-8"),
        (b"ab", [], "must be uint8 bytes"),
    ],
)
def test_packed_texts_that_cannot_have_been_written_are_refused(content, ends, message):
    with pytest.raises(ValueError, match=message):
        unpacked_texts(torch.frombuffer(bytearray(content), dtype=torch.uint8), torch.tensor(ends, dtype=torch.int64))


@pytest.mark.parametrize("texts", [("",), ("", "ü€😀", ""), ("a", "b" * 1000)])
def test_packed_texts_come_back(texts):
    assert unpacked_texts(*packed_texts(texts)) == texts


def test_a_source_is_read_as_the_kind_that_is_asked_for(folder):
    data = read(Skeletons, folder)
    assert read(Skeletons, data) is data
    assert isinstance(read(Records, "digits"), Records)
    with pytest.raises(TypeError):
        read(dict, folder)
    with pytest.raises(TypeError, match="nonsense"):
        read(Skeletons, folder, nonsense=1)
