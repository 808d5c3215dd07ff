"""Array files: round trips, names of arrays, damage and pickle."""

import contextlib
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.torch import save_file

from privkd.data import load

VECTORS, LABELS = np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])


class Bomb:
    """Leaves a file behind if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@settings(max_examples=50, deadline=None)
@given(
    inputs=hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int16, np.uint8]),
        hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=4),
        elements=st.integers(0, 100),
    ),
    label=st.integers(0, 9),
    compress=st.booleans(),
)
def test_npz_round_trip(inputs, label, compress):
    labels = np.full(len(inputs), label)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        (np.savez_compressed if compress else np.savez)(path, x=inputs, y=labels)
        found = load(path)
    expected = load((inputs, labels))
    assert torch.equal(found.inputs, expected.inputs)
    assert torch.equal(found.labels, expected.labels)


@pytest.mark.parametrize(("input_key", "label_key"), [("inputs", "labels"), ("x", "y"), ("images", "labels")])
def test_plain_names_are_found(input_key, label_key, tmp_path):
    np.savez(tmp_path / "a.npz", **{input_key: VECTORS, label_key: LABELS, "comment": np.zeros(9)})
    records = load(tmp_path / "a.npz")
    assert records.inputs.tolist() == VECTORS.tolist()
    assert records.labels.tolist() == [0, 1, 1]
    assert records.name == "a"


@pytest.mark.parametrize("names", [("{}_images", "{}_labels"), ("x_{}", "y_{}"), ("{}_x", "{}_y")])
def test_a_part_is_chosen_by_name_and_train_is_the_default(names, tmp_path):
    arrays = {
        name.format(part): array + shift
        for part, shift in (("train", 0), ("test", 10))
        for name, array in zip(names, (VECTORS, LABELS), strict=True)
    }
    np.savez(tmp_path / "a.npz", **arrays)
    assert load(tmp_path / "a.npz").labels.tolist() == [0, 1, 1]
    assert load(tmp_path / "a.npz", part="train").labels.tolist() == [0, 1, 1]
    assert load(tmp_path / "a.npz", part="test").labels.tolist() == [10, 11, 11]
    with pytest.raises(ValueError, match=r"no inputs for part='val'; keys found: \["):
        load(tmp_path / "a.npz", part="val")


def test_missing_labels_give_unlabelled_records(tmp_path):
    np.savez(tmp_path / "a.npz", x=VECTORS)
    assert load(tmp_path / "a.npz").labels is None
    assert load(tmp_path / "a.npz", labels=LABELS).labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["data", "target"], r"no inputs.*\['data', 'target'\]"),
        (["labels"], r"no inputs.*\['labels'\]"),
        (["x", "images", "labels"], "more than one choice of inputs"),
        (["x", "y", "labels"], "more than one choice of labels"),
        (["test_images"], "no inputs for part=None"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_other_names_are_refused_and_listed(keys, message, suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        np.savez(path, **dict.fromkeys(keys, LABELS))
    else:
        save_file({key: torch.tensor(LABELS) for key in keys}, path)
    with pytest.raises(ValueError, match=message):
        load(path)


def test_pickled_objects_are_refused_and_never_run(tmp_path):
    trace = tmp_path / "ran"
    bombs = np.array([Bomb(trace), Bomb(trace)], dtype=object)
    np.savez(tmp_path / "a.npz", x=bombs, y=np.array([0, 1]))
    np.save(tmp_path / "a.npy", bombs, allow_pickle=True)
    for name in ("a.npz", "a.npy"):
        with pytest.raises(ValueError, match=r"Python objects.*unpickling runs code"):
            load(tmp_path / name)
    assert not trace.exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)  # the same file does run code when pickle is allowed
    assert trace.exists()


def test_files_under_the_wrong_name_are_refused(tmp_path):
    with open(tmp_path / "a.npz", "wb") as stream:
        np.save(stream, VECTORS)
    with open(tmp_path / "a.npy", "wb") as stream:
        np.savez(stream, x=VECTORS)
    with pytest.raises(ValueError, match=r"single .npy array under the name .npz"):
        load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r".npz archive under the name .npy"):
        load(tmp_path / "a.npy")


def test_members_that_are_no_arrays_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x", b"hello")
    with pytest.raises(ValueError, match=r"'x'.*is not an array"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x04K\x01."])
def test_other_content_is_refused(suffix, content, tmp_path):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"a{suffix}"):
        load(path)


@settings(max_examples=100, deadline=None)
@given(position=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
@pytest.mark.parametrize("suffix", [".npz", ".npy", ".safetensors"])
def test_a_damaged_file_is_read_or_refused_but_raises_nothing_else(suffix, position, byte, cut):
    stream = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        if suffix == ".safetensors":
            save_file({"x": torch.tensor(VECTORS)}, path)
        else:
            np.savez_compressed(stream, x=VECTORS) if suffix == ".npz" else np.save(stream, VECTORS)
        content = bytearray(stream.getvalue() or path.read_bytes())
        position %= len(content)
        content[position] = byte
        path.write_bytes(content[:position] if cut else content)
        with contextlib.suppress(ValueError, TypeError):
            load(path)
