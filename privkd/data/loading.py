"""`load`: one function for whatever users bring; each kind of source has its own reader beside this file."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from privkd.data import archives, datasets, folders, idx
from privkd.data.arrays import Raw, is_table, to_records
from privkd.data.bounds import require_regular
from privkd.data.bundled import all_digits
from privkd.data.labels import declared_names
from privkd.data.records import Records
from privkd.progress import working

ACCEPTED = """Accepted sources:
  - (inputs, labels), or inputs alone: numpy arrays, torch tensors, pandas tables, sparse matrices or nested lists
  - a torch map-style Dataset that yields x or (x, y)
  - a path to .npz or .safetensors with the keys inputs/labels, x/y or images/labels, or with a part in front:
    train_images/train_labels, chosen by part='train'
  - a path to .npy, or to an IDX file such as train-images-idx3-ubyte.gz
  - a folder of .png, .jpg or .bmp images, one sub-folder per class, or flat and unlabelled
  - the word 'digits'
  - Records, returned as they are"""

_PICKLED = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")


def load(
    source: object,
    *,
    labels: object | None = None,
    classes: Sequence[str] | np.ndarray | str | None = None,
    scale: bool = True,
    part: str | None = None,
) -> Records:
    """Records from arrays, a torch dataset, a file, a folder of images or the word `digits`.

    Never resizes, pads, converts colours, rounds labels or loads pickle. What it does do: inputs become
    float32 and are copied to the CPU; uint8 becomes [0, 1] by division by 255 if `scale`, whatever its shape,
    and every other dtype keeps its values; (n, height, width) becomes (n, 1, height, width); image folders
    become channel first and upright (EXIF orientation). Arrays (n, height, width, channels) stay as they are:
    only their owner knows which dimension is the channel.

    Args:
        source: one of
            a tuple (inputs, labels) of numpy arrays, torch tensors, pandas tables, scipy sparse matrices or
            nested lists; labels may be None;
            inputs alone;
            a torch map-style Dataset that yields x or (x, y);
            a path to .npz or .safetensors with the keys inputs/labels, x/y or images/labels (labels may be
            missing), or the same with a part, as train_images or x_train;
            a path to .npy;
            a path to IDX images (`*-images-idx3-ubyte`, also .gz), labels from the file beside it, if any;
            a folder of images with a sub-folder per class, whose name is the label, or a flat one, unlabelled;
            the word "digits": scikit-learn's set, (1797, 64), in [0, 1];
            Records, which are returned unchanged.
        labels: one class per record, shape (n,) or (n, 1), for a source that has none. Whole numbers >= 0 are
            class indices (floats and all), booleans are "False" and "True", and text needs `classes`.
        classes: names of all classes, in the order of their indices, needed for labels that are text and for sub-folders.
            Nothing numbers them by what is there, because one private record more would renumber the others. For PUBLIC data
            alone the word "found" takes the names that are there, in sorted order; the records say so (`names_found`), and
            are refused as private ones unless the names are declared there. "found" has no effect
            on anything else.
        scale: divide uint8 inputs by 255.
        part: which part of an archive; None takes the plain keys, or `train` if it has parts only.

    Returns:
        Checked records on the CPU, inputs float32, labels int64 or None.

    Raises:
        TypeError: the source or the labels have a type that is not read.
        ValueError: the content cannot be used, or an option does not fit the source; the message says what
            was found, but quotes no label.
        FileNotFoundError: there is no such file or folder.

    Example:
        >>> load(([[0.0, 1.0], [1.0, 0.0]], [0, 1]))
        Records(name='arrays', n=2, shape=(2,), labelled)
        >>> load(([[0.0], [1.0]], ["dog", "cat"]), classes=["dog", "cat", "bird"]).labels.tolist()
        [0, 1]
    """
    if not isinstance(scale, bool):
        raise TypeError(f"scale={scale!r} must be True or False")
    if part is not None and not _has_parts(source):
        raise ValueError(f"part={part!r} was given, but only .npz and .safetensors files have parts")
    names = declared_names(classes)  # before anything is read
    if isinstance(source, Records) or (isinstance(source, str) and source == "digits"):
        if labels is not None:
            raise ValueError(
                f"labels were given for {source!r}, which is returned as it is; give (inputs, labels) instead"
            )
        if names is not None:
            raise ValueError(
                f"classes were given for {source!r}, which is returned as it is; declare them where the records are used"
            )
        return source if isinstance(source, Records) else all_digits()
    with working("reading data"):
        raw = _read(source, part=part)
    if labels is not None:
        if raw.labels is not None:
            raise ValueError(
                f"labels were given, but the source {raw.name!r} has labels of its own; give one of the two"
            )
        raw = Raw(raw.inputs, labels, raw.name)
    return to_records(raw, scale=scale, classes=classes)


def _has_parts(source: object) -> bool:
    return isinstance(source, str | os.PathLike) and Path(source).suffix.lower() in (".npz", ".safetensors")


def _read(source: object, *, part: str | None) -> Raw:
    if isinstance(source, str | os.PathLike):
        return _read_path(Path(source), part=part)
    if isinstance(source, tuple):
        if len(source) != 2:
            raise ValueError(f"source is a tuple of {len(source)}; a tuple must be (inputs, labels).\n{ACCEPTED}")
        return Raw(source[0], source[1], "arrays")
    if isinstance(source, np.ndarray | Tensor | list) or is_table(source):
        return Raw(source, None, "arrays")
    if isinstance(source, Dataset):
        return datasets.read_dataset(source)
    raise TypeError(f"source={type(source).__name__} cannot be loaded.\n{ACCEPTED}")


def _read_path(path: Path, *, part: str | None) -> Raw:
    suffix = path.suffix.lower()
    if suffix in _PICKLED:
        raise ValueError(
            f"{path} is a pickle file ({suffix}), and unpickling can run any code that it contains; save the "
            "arrays with numpy.savez (.npz) or safetensors (.safetensors) under the names inputs and labels"
        )
    if not path.exists():
        raise FileNotFoundError(f"no file or folder {str(path)!r}.\n{ACCEPTED}")
    if path.is_dir():
        return folders.read_folder(path)
    require_regular(path)
    if suffix == ".npz":
        return archives.read_npz(path, part=part)
    if suffix == ".safetensors":
        return archives.read_safetensors(path, part=part)
    if suffix == ".npy":
        return archives.read_npy(path)
    if idx.is_images(path):
        return idx.read_image_pair(path)
    if idx.is_labels(path):
        raise ValueError(f"{path} has labels only; give the images file beside it, and the labels are found")
    raise ValueError(f"{path} has a type that is not read (suffix {suffix!r}).\n{ACCEPTED}")
