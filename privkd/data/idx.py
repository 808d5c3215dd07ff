"""IDX files, the format of MNIST and its kin (http://yann.lecun.com/exdb/mnist/, "file formats").

Layout: two zero bytes, a type byte (0x08 is uint8), the number of dimensions, each dimension as a big-endian
uint32, then the values in C order.
"""

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np

from privkd.data.arrays import Raw
from privkd.data.bounds import require_modest

IMAGE_DIMENSIONS = 3
LABEL_DIMENSIONS = 1
_UINT8 = 0x08
_IMAGES = re.compile(r"images([-.])idx3-ubyte(\.gz)?$")
_LABELS = re.compile(r"labels[-.]idx1-ubyte(\.gz)?$")


def is_images(path: Path) -> bool:
    """Whether the name is that of an IDX image file, such as `train-images-idx3-ubyte.gz`."""
    return _IMAGES.search(path.name) is not None


def is_labels(path: Path) -> bool:
    """Whether the name is that of an IDX label file, such as `train-labels-idx1-ubyte`."""
    return _LABELS.search(path.name) is not None


def read_image_pair(path: Path) -> Raw:
    """Images with the labels that lie beside them.

    Args:
        path: image file, gzipped or not. Its labels are the file of the same name with `labels` for `images`
            and `idx1` for `idx3`, also where only one of the two is gzipped; without such a file the records
            are unlabelled.

    Returns:
        Images uint8 (n, height, width), labels uint8 (n,) or None.

    Raises:
        ValueError: one of the files is not what its name says; see `read_idx`.
    """
    images = read_idx(path, dimensions=IMAGE_DIMENSIONS)
    labels_path = next((beside for beside in _label_paths(path) if beside.is_file()), None)
    labels = None if labels_path is None else read_idx(labels_path, dimensions=LABEL_DIMENSIONS)
    return Raw(images, labels, _IMAGES.sub("", path.name).rstrip("-._") or path.parent.name or "images")


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """The array of one IDX file of unsigned bytes.

    Args:
        path: file, gzipped if its name ends in .gz.
        dimensions: number of dimensions that it must have.

    Returns:
        uint8 array with `dimensions` dimensions.

    Raises:
        ValueError: wrong magic number, a dimension of zero, fewer or more values than the header says,
            damaged gzip.
    """
    start = 4 + 4 * dimensions
    content = _content(path, start=start)
    if len(content) < start:
        raise ValueError(f"{path} is truncated: {len(content)} bytes, but the IDX header alone has {start}")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", content[:start])
    expected = _UINT8 << 8 | dimensions
    if magic != expected:
        raise ValueError(
            f"{path} has IDX magic number {magic} (0x{magic:08x}), expected {expected} (0x{expected:08x}: "
            f"unsigned bytes, {dimensions} dimension{'s' if dimensions > 1 else ''}); is it another file "
            "under this name?"
        )
    values, declared = len(content) - start, math.prod(shape)
    if declared == 0:
        raise ValueError(f"{path} is empty: its header says shape {tuple(shape)}")
    if values != declared:
        state = "truncated" if values < declared else "too long"
        raise ValueError(
            f"{path} is {state}: its header says shape {tuple(shape)}, {declared} bytes, but {values} follow"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _label_paths(path: Path) -> list[Path]:
    plain = _IMAGES.sub(r"labels\1idx1-ubyte", path.name)
    names = [f"{plain}.gz", plain] if path.name.endswith(".gz") else [plain, f"{plain}.gz"]
    return [path.with_name(name) for name in names]


def _content(path: Path, *, start: int) -> bytes:
    """All bytes; of a gzipped file no more than its header of `start` bytes says, and one to show that there are more."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            header = stream.read(start)
            if len(header) < start or header[:3] != bytes((0, 0, _UINT8)):
                return header  # refused by whoever reads on, with the reason
            values = math.prod(struct.unpack(f">{start // 4 - 1}I", header[4:]))
            require_modest(values, stored=path.stat().st_size, what=str(path))
            return header + stream.read(values + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is truncated or not a gzip file ({error})") from None
