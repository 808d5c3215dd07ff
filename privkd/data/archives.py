"""Array files: .npz, .npy and .safetensors. Pickle is never loaded, not even inside an .npz."""

import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from privkd.data.arrays import Raw
from privkd.data.bounds import require_modest

INPUT_KEYS = ("inputs", "x", "images")
LABEL_KEYS = ("labels", "y")
DEFAULT_PART = "train"

# Damaged files were seen to raise each of these from inside numpy and zipfile.
_UNREADABLE = (
    ValueError,
    EOFError,
    OSError,
    RuntimeError,
    MemoryError,  # an array whose header states more than there is
    zipfile.BadZipFile,
    zlib.error,
    tokenize.TokenError,
)


def read_npy(path: Path) -> Raw:
    """The array of an .npy file as inputs, without labels.

    Raises:
        ValueError: not an .npy file, a damaged one, or one that holds pickled objects.
    """
    with _opened(path) as array:
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path} holds an .npz archive under the name .npy; rename it")
        return Raw(array, None, path.stem)


def read_npz(path: Path, *, part: str | None) -> Raw:
    """Inputs and labels of an .npz archive, found by their names.

    Args:
        path: archive with the keys `inputs`, `x` or `images`, and `labels`, `y` or none. A part stands before
            or after: `train_images`, `x_train`.
        part: which part; None takes the plain keys, or `train` if the archive has parts only.

    Returns:
        Arrays as stored.

    Raises:
        ValueError: no or more than one candidate for inputs or labels, a damaged archive, or pickled objects.
    """
    with _opened(path) as archive:
        if isinstance(archive, np.ndarray):
            raise ValueError(f"{path} holds a single .npy array under the name .npz; rename it")
        input_key, label_key = find_keys(archive.files, part=part, path=path)
        _refuse_bombs(archive, path)
        labels = None if label_key is None else _member(archive, label_key, path=path)
        return Raw(_member(archive, input_key, path=path), labels, path.stem)


def read_safetensors(path: Path, *, part: str | None) -> Raw:
    """Inputs and labels of a .safetensors file, found by the same names as in an .npz.

    Raises:
        ValueError: as `read_npz`.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as tensors:
            input_key, label_key = find_keys(tensors.keys(), part=part, path=path)
            labels = None if label_key is None else tensors.get_tensor(label_key)
            return Raw(tensors.get_tensor(input_key), labels, path.stem)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable .safetensors file ({error})") from None


def read_arrays(path: Path, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """Arrays of an .npz archive by their names, as stored; other arrays are left alone.

    Raises:
        ValueError: a required name is missing (the names found are listed), a damaged archive, or pickled objects.
    """
    required = tuple(required)
    with _opened(path) as archive:
        if isinstance(archive, np.ndarray):
            raise ValueError(f"{path} holds a single .npy array under the name .npz; rename it")
        missing = [name for name in required if name not in archive.files]
        if missing:
            raise ValueError(f"{path} has no array {missing[0]!r}; arrays found: {sorted(archive.files)}")
        _refuse_bombs(archive, path)
        wanted = (*required, *(name for name in optional if name in archive.files))
        return {name: _member(archive, name, path=path) for name in wanted}


def array_names(path: Path) -> list[str]:
    """Names of the arrays of an .npz archive.

    Raises:
        ValueError: a damaged archive.
    """
    with _opened(path) as archive:
        if isinstance(archive, np.ndarray):
            raise ValueError(f"{path} holds a single .npy array under the name .npz; rename it")
        return list(archive.files)


def stated_shape(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype that an .npz archive states for one of its arrays, without unpacking it.

    Raises:
        ValueError: there is no such array, or a damaged archive.
    """
    with _refused(f"{path}[{name!r}]"), zipfile.ZipFile(path) as archive:
        if f"{name}.npy" not in archive.namelist():
            found = [member.removesuffix(".npy") for member in archive.namelist()]
            raise ValueError(f"there is no array {name!r} among {sorted(found)}")
        with archive.open(f"{name}.npy") as member:
            header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            version = np.lib.format.read_magic(member)
            if version not in header:
                raise ValueError(f"its format {version} is not read")
            shape, _, dtype = header[version](member)
    if dtype.hasobject or any(size < 0 for size in shape):
        raise ValueError(f"{path}[{name!r}] holds Python objects or a negative size; save plain numeric arrays")
    return shape, dtype


def find_keys(keys: Iterable[str], *, part: str | None, path: Path) -> tuple[str, str | None]:
    """Names of inputs and labels among the keys of an archive.

    Args:
        keys: names in the archive.
        part: as in `read_npz`.
        path: for the error message.

    Returns:
        Key of the inputs, key of the labels or None.

    Raises:
        ValueError: the choice is impossible or not unique; says which keys were found.

    Example:
        >>> find_keys(["train_images", "train_labels", "test_images"], part=None, path=Path("a.npz"))
        ('train_images', 'train_labels')
    """
    found = sorted(keys)
    candidates: list[list[str]] = []
    for roles in (INPUT_KEYS, LABEL_KEYS):
        wanted = _spellings(roles, part)
        if part is None and not _present(found, INPUT_KEYS):
            wanted = _spellings(roles, DEFAULT_PART)
        candidates.append(_present(found, wanted))
    inputs, labels = candidates
    if len(inputs) == 1 and len(labels) <= 1:
        return inputs[0], labels[0] if labels else None
    problem = "more than one choice of" if len(inputs) > 1 or len(labels) > 1 else "no"
    role = "labels" if len(labels) > 1 and len(inputs) == 1 else "inputs"
    raise ValueError(
        f"{path} has {problem} {role} for part={part!r}; keys found: {found}. Needed: one of "
        f"{list(INPUT_KEYS)} with at most one of {list(LABEL_KEYS)}, or these with a part as in "
        "'test_images' or 'x_test' and part='test'"
    )


def _spellings(roles: Iterable[str], part: str | None) -> list[str]:
    if part is None:
        return list(roles)
    return [spelling for role in roles for spelling in (f"{part}_{role}", f"{role}_{part}")]


def _present(found: list[str], wanted: Iterable[str]) -> list[str]:
    return [key for key in wanted if key in found]


@contextmanager
def _opened(path: Path) -> Iterator[np.ndarray | np.lib.npyio.NpzFile]:
    with path.open("rb") as stream:  # opened here, because numpy leaves a damaged archive open
        with _refused(str(path)):
            content = np.load(stream, allow_pickle=False)
        yield content


def _refuse_bombs(archive: np.lib.npyio.NpzFile, path: Path) -> None:
    """Refuse an archive by the sizes that it states, beyond which no entry is unpacked."""
    assert archive.zip is not None  # it is open
    unfolded = sum(info.file_size for info in archive.zip.infolist())
    require_modest(unfolded, stored=path.stat().st_size, what=str(path))


def _member(archive: np.lib.npyio.NpzFile, key: str, *, path: Path) -> np.ndarray:
    with _refused(f"{path}[{key!r}]"):
        array = archive[key]
    if not isinstance(array, np.ndarray):  # numpy hands out the bytes of a member that is no .npy
        raise ValueError(f"{path}[{key!r}] is not an array; save plain numeric arrays with numpy.savez")
    return array


@contextmanager
def _refused(what: str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise ValueError(
            f"{what} cannot be read: it is damaged, or holds Python objects, which are refused because "
            f"unpickling runs code; save plain numeric arrays with numpy.savez ({error})"
        ) from None
