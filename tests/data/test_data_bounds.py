"""Small files that would fill the memory, and what is no file at all, are refused before they are unpacked or waited for."""

import gzip
import os
import struct

import numpy as np
import pytest
from PIL import Image

from privkd.data import bounds, load

LIMIT = 2**16


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(bounds, "_ALWAYS", LIMIT)


def idx_gz(path, shape, values):
    path.write_bytes(gzip.compress(struct.pack(">4I", 2051, *shape) + values))
    return path


def test_npz_that_unfolds_to_far_more_than_its_size_is_refused(tmp_path, small_limit):
    zeros = np.zeros((1000, 300), np.float32)
    np.savez_compressed(tmp_path / "bomb.npz", inputs=zeros)
    with pytest.raises(ValueError, match=r"would unfold from \d+ to \d+ bytes.*without compression"):
        load(tmp_path / "bomb.npz")
    np.savez(tmp_path / "plain.npz", inputs=zeros)
    assert load(tmp_path / "plain.npz").shape == (300,)
    np.savez_compressed(tmp_path / "noise.npz", inputs=np.random.default_rng(0).random((1000, 30)))
    assert load(tmp_path / "noise.npz").shape == (30,)


def test_gzipped_idx_is_unpacked_no_further_than_its_header_says(tmp_path, small_limit, monkeypatch):
    bomb = idx_gz(tmp_path / "a-images-idx3-ubyte.gz", (1000, 100, 100), bytes(10**7))
    with pytest.raises(ValueError, match="would unfold"):
        load(bomb)
    liar = idx_gz(tmp_path / "b-images-idx3-ubyte.gz", (2, 3, 4), bytes(10**7))
    read = gzip.GzipFile.read
    monkeypatch.setattr(
        gzip.GzipFile,
        "read",
        lambda self, size=-1: read(self, size) if 0 <= size <= LIMIT else pytest.fail("unbounded"),
    )
    with pytest.raises(ValueError, match="too long"):
        load(liar)
    other = tmp_path / "c-images-idx3-ubyte.gz"
    other.write_bytes(gzip.compress(b"a text that is no image at all"))
    with pytest.raises(ValueError, match="magic number"):
        load(other)
    assert len(load(idx_gz(tmp_path / "d-images-idx3-ubyte.gz", (2, 3, 4), bytes(range(24))))) == 2


def test_images_that_unfold_to_far_more_than_their_files_are_refused(tmp_path, small_limit):
    for number in range(3):
        Image.new("L", (500, 500)).save(tmp_path / f"{number}.png")
    with pytest.raises(ValueError, match=r"3 images like .* would unfold"):
        load(tmp_path)
    for number in range(3):
        Image.new("L", (50, 50)).save(tmp_path / f"{number}.png")
    assert load(tmp_path).shape == (1, 50, 50)


def test_npy_whose_header_states_more_than_there_is_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**13, 4)})
    with pytest.raises(ValueError, match="cannot be read"):
        load(path)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "name", ["a.npz", "a.npy", "a.safetensors", "train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"]
)
def test_pipes_and_devices_are_refused_without_waiting(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="no regular file"):
        load(tmp_path / name)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="no regular file"):
        load(tmp_path / name)


@pytest.mark.timeout(20)
def test_pipes_among_images_are_refused_without_waiting(tmp_path):
    Image.new("L", (5, 5)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(ValueError, match="no regular file"):
        load(tmp_path)
