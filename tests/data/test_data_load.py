"""`load`: one data set, every road, the same records; anything else is refused with a list of what is
read."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from torch.utils.data import Dataset, TensorDataset

from privkd.data import Records, load
from privkd.data.labels import declared_names

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 5, 7), dtype=np.uint8)
LABELS = np.array([0, 0, 1, 1, 2, 2])


def write_idx(folder: Path, pack=lambda content: content, ending: str = "") -> Path:
    images = folder / f"train-images-idx3-ubyte{ending}"
    images.write_bytes(pack(struct.pack(">4I", 2051, *IMAGES.shape) + IMAGES.tobytes()))
    labels = struct.pack(">2I", 2049, len(LABELS)) + LABELS.astype(np.uint8).tobytes()
    (folder / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(labels))
    return images


def write_folder(folder: Path, suffix: str) -> Path:
    for position, (image, label) in enumerate(zip(IMAGES, LABELS, strict=True)):
        (folder / f"class{label}").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"class{label}" / f"{position}{suffix}")
    return folder


class Pairs(Dataset):
    def __init__(self, labels):
        self.labels = labels

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        return IMAGES[index], self.labels[index]


def source_of_kind(kind: str, folder: Path) -> object:
    if kind == "arrays":
        return IMAGES, LABELS
    if kind == "tensors":
        return torch.tensor(IMAGES), torch.tensor(LABELS)
    if kind == "dataset":
        return TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))
    if kind == "npz":
        np.savez(folder / "a.npz", inputs=IMAGES, labels=LABELS)
        return folder / "a.npz"
    if kind == "npz parts":
        np.savez_compressed(folder / "a.npz", train_images=IMAGES, train_labels=LABELS[:, None])
        return str(folder / "a.npz")
    if kind == "safetensors":
        save_file({"x": IMAGES, "y": LABELS}, folder / "a.safetensors")
        return folder / "a.safetensors"
    if kind == "idx":
        return write_idx(folder)
    if kind == "idx.gz":
        return write_idx(folder, gzip.compress, ".gz")
    return write_folder(folder, kind)


@pytest.mark.parametrize(
    "kind",
    [
        "arrays",
        "tensors",
        "dataset",
        "npz",
        "npz parts",
        "safetensors",
        "idx",
        "idx.gz",
        ".png",
        ".bmp",
        ".PNG",
    ],
)
def test_every_source_gives_the_same_records(kind, tmp_path):
    records = load(source_of_kind(kind, tmp_path), classes="found")
    expected = torch.tensor(IMAGES).float().div(255).unsqueeze(1)
    assert torch.equal(records.inputs, expected)
    assert torch.equal(records.labels, torch.tensor(LABELS))
    assert records.classes == 3
    assert records.shape == (1, 5, 7)


def test_npy_with_labels_beside_it_gives_the_same_records(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    records = load(tmp_path / "a.npy", labels=LABELS)
    assert torch.equal(records.inputs, load((IMAGES, LABELS)).inputs)
    assert records.labels.tolist() == LABELS.tolist()
    assert load(tmp_path / "a.npy").labels is None


def test_records_are_returned_unchanged():
    records = load((IMAGES, LABELS))
    assert load(records) is records


def test_a_pair_may_have_no_labels():
    assert load((IMAGES, None)).labels is None


def test_the_word_digits_loads_the_bundled_set_and_a_path_of_that_name_does_not(tmp_path, monkeypatch):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(write_folder(tmp_path / "digits", ".png").parent)
    assert len(load("digits")) == 1797
    assert len(load(Path("digits"), classes="found")) == 6


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".PT"])
def test_pickle_is_refused_before_it_is_opened(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(b"never read")
    with pytest.raises(ValueError, match=r"pickle.*run any code.*\.npz.*safetensors"):
        load(path)


@pytest.mark.parametrize("source", [None, 3, 2.5, {"x": 1}, b"a.npz", object(), iter([1]), {1, 2}])
def test_other_types_are_refused_with_what_was_given_and_what_is_read(source):
    with pytest.raises(TypeError, match=f"source={type(source).__name__}.*\nAccepted sources") as caught:
        load(source)
    for word in ("Dataset", ".npz", "IDX", "folder", "digits"):
        assert word in str(caught.value)


@pytest.mark.parametrize("source", [(), (IMAGES,), (IMAGES, LABELS, LABELS)])
def test_tuples_that_are_no_pairs_are_refused(source):
    with pytest.raises(ValueError, match=f"tuple of {len(source)}; a tuple must be"):
        load(source)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder 'digitz'"):
        load("digitz")
    with pytest.raises(FileNotFoundError, match="nothing"):
        load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("name", ["table.csv", "noise", "images.gz"])
def test_other_file_types_are_refused(name, tmp_path):
    (tmp_path / name).write_bytes(b"1,2")
    with pytest.raises(ValueError, match=r"type that is not read.*\nAccepted sources"):
        load(tmp_path / name)


def test_two_sets_of_labels_are_refused():
    for source in ((IMAGES, LABELS), TensorDataset(torch.zeros(6, 1), torch.tensor(LABELS))):
        with pytest.raises(ValueError, match="labels of its own"):
            load(source, labels=LABELS)
    for source in ("digits", Records(torch.zeros(6, 1), None, "toy")):
        with pytest.raises(ValueError, match="returned as it is"):
            load(source, labels=LABELS)


def test_a_part_of_something_without_parts_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", IMAGES)
    for source in ((IMAGES, LABELS), "digits", tmp_path / "a.npy"):
        with pytest.raises(ValueError, match=r"part='test'.*only .npz"):
            load(source, part="test")


@pytest.mark.parametrize("scale", [1, 255, "yes", None])
def test_scale_is_a_yes_or_no(scale):
    with pytest.raises(TypeError, match="scale"):
        load(IMAGES, scale=scale)


@pytest.mark.parametrize("kind", ["arrays", "dataset", "npz", ".png"])
def test_one_record_of_a_rare_class_moves_the_index_of_no_other_record(kind, tmp_path):
    def loaded(first: str, folder: str) -> Records:
        place = tmp_path / folder
        place.mkdir()
        labels = [first, "mild", "mild", "severe", "severe", "severe"]
        if kind == "arrays":
            source = IMAGES, labels
        elif kind == "dataset":
            source = Pairs(labels)
        elif kind == "npz":
            np.savez(place / "a.npz", inputs=IMAGES, labels=np.array(labels))
            source = place / "a.npz"
        else:
            source = place
            for position, (image, label) in enumerate(zip(IMAGES, labels, strict=True)):
                (place / label).mkdir(exist_ok=True)
                Image.fromarray(image).save(place / label / f"{position}.png")
        with pytest.raises(ValueError, match=r"declare the names of all classes.*classes='found'") as caught:
            load(source)
        assert not any(name in str(caught.value) for name in ("grave", "mild", "severe"))
        return load(source, classes=["mild", "severe", "grave"])

    one, other = loaded("mild", "one"), loaded("grave", "other")
    counts = [torch.bincount(records.labels, minlength=3) for records in (one, other)]
    assert [count.tolist() for count in counts] == [[3, 3, 0], [2, 3, 1]]
    assert one.class_names == other.class_names == ("mild", "severe", "grave")
    assert not one.names_found


def test_names_that_were_found_are_known_as_such_also_in_a_part():
    records = load((IMAGES, ["b", "a", "c", "a", "b", "a"]), classes="found")
    assert (records.labels.tolist(), records.class_names) == ([1, 0, 2, 0, 1, 0], ("a", "b", "c"))
    assert records.names_found
    assert records.take([0, 1]).names_found
    for labels in (LABELS, LABELS > 1):
        assert not load((IMAGES, labels), classes="found").names_found


def test_names_go_with_whole_numbers_too_and_with_no_labels():
    assert load((IMAGES, LABELS), classes=["a", "b", "c"]).class_names == ("a", "b", "c")
    assert load(IMAGES, classes=["a", "b", "c"]).classes == 3
    with pytest.raises(ValueError, match=r"numbers outside 0\.\.1"):
        load((IMAGES, LABELS), classes=["a", "b"])


def test_a_label_that_was_not_declared_is_refused_without_a_quotation():
    with pytest.raises(ValueError, match="not among the 2 declared classes") as caught:
        load((IMAGES, ["mild", "grave", "mild", "mild", "mild", "mild"]), classes=["mild", "severe"])
    assert "grave" not in str(caught.value)


@pytest.mark.parametrize("classes", [3, "fund", [0, 1, 2], [True, False], np.arange(3)])
def test_classes_of_a_source_are_names_or_the_word(classes):
    with pytest.raises(TypeError, match=r"list of names.*or the word 'found'"):
        declared_names(classes)
    assert declared_names(np.array(["b", "a"])) == ("b", "a")


def test_what_is_returned_as_it_is_takes_no_names():
    for source in ("digits", load((IMAGES, LABELS))):
        with pytest.raises(ValueError, match="returned as it is; declare them"):
            load(source, classes=["a", "b", "c"])
        assert len(load(source, classes="found")) in (6, 1797)
