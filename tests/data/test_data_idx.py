"""IDX files: round trip against the format's definition, and every way in which a file can be wrong."""

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from privkd.data import load
from privkd.data.idx import read_idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def encode(array: np.ndarray) -> bytes:
    """The format, byte by byte."""
    header = bytes([0, 0, 8, array.ndim])
    for side in array.shape:
        header += side.to_bytes(4, "big")
    return header + bytes(int(value) for value in array.flatten())


@settings(max_examples=50, deadline=None)
@given(
    array=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=6)),
    compress=st.booleans(),
)
def test_idx_round_trip(array, compress):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("a.gz" if compress else "a")
        path.write_bytes(gzip.compress(encode(array), mtime=0) if compress else encode(array))
        found = read_idx(path, dimensions=array.ndim)
    assert found.dtype == np.uint8
    assert np.array_equal(found, array)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz"),
        ("emnist-letters-test-images-idx3-ubyte", "emnist-letters-test-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("images-idx3-ubyte", "labels-idx1-ubyte"),
    ],
)
def test_labels_are_found_beside_the_images(images, labels, tmp_path):
    for name, array in ((images, IMAGES), (labels, np.array([7, 3], dtype=np.uint8))):
        content = encode(array)
        (tmp_path / name).write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    records = load(tmp_path / images)
    assert records.labels.tolist() == [7, 3]
    assert records.shape == (1, 3, 4)


def test_labels_of_another_part_are_not_taken(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode(IMAGES))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(encode(np.array([7, 3], dtype=np.uint8)))
    assert load(tmp_path / "train-images-idx3-ubyte").labels is None


def test_as_many_labels_as_images_are_needed(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode(IMAGES))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(encode(np.array([7, 3, 1], dtype=np.uint8)))
    with pytest.raises(ValueError, match="2 records but labels has 3"):
        load(tmp_path / "train-images-idx3-ubyte")


def test_a_labels_file_alone_is_refused(tmp_path):
    path = tmp_path / "train-labels-idx1-ubyte"
    path.write_bytes(encode(np.array([7], dtype=np.uint8)))
    with pytest.raises(ValueError, match="labels only; give the images"):
        load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated: 0 bytes.*header alone has 16"),
        (encode(IMAGES)[:15], "truncated: 15 bytes"),
        (encode(IMAGES)[:-1], r"truncated.*\(2, 3, 4\), 24 bytes, but 23 follow"),
        (encode(IMAGES) + b"\0", "too long.*but 25 follow"),
        (encode(IMAGES.reshape(2, 12)) + bytes(4), "0x00000802.*expected 2051"),
        (struct.pack(">I", 0x00000D03) + encode(IMAGES)[4:], "magic number 3331"),
        (struct.pack("<I", 2051) + encode(IMAGES)[4:], "0x03080000"),
        (struct.pack(">4I", 2051, 0, 28, 28), r"empty.*\(0, 28, 28\)"),
        (struct.pack(">4I", 2051, *[2**32 - 1] * 3) + b"\0", "truncated"),
        (gzip.compress(encode(IMAGES), mtime=0), "magic number"),
    ],
)
def test_wrong_files_are_refused_with_their_cause(content, message, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(path)


@pytest.mark.parametrize(
    "content",
    [encode(IMAGES), gzip.compress(encode(IMAGES), mtime=0)[:-9], gzip.compress(encode(IMAGES), mtime=0)[:12], b""],
)
def test_wrong_gzip_files_are_refused(content, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"ubyte\.gz is truncated"):
        load(path)
