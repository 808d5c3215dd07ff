"""The folder of saved data: `data.json` says what it is, `tensors.safetensors` holds the tensors; no pickle.

A kind adds files of its own where its rows do not fit into memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from accountants.check import shown
from privkd.data.kinds.kind import Path_
from privkd.errors import CheckpointError
from privkd.storage import draft_of, put_back, read_json, write_bytes, write_json

DESCRIPTION, TENSORS = "data.json", "tensors.safetensors"
EXTRA = "extra."  # stands before the names of columns that were added


@dataclass(frozen=True, eq=False)
class Stored:
    """What a folder of saved data holds.

    Attributes:
        tensors: by name.
        values: JSON values by name.
    """

    tensors: dict[str, Tensor]
    values: dict[str, Any]

    def extra(self) -> dict[str, Tensor]:
        """The columns that were added, by their own names."""
        return {name.removeprefix(EXTRA): tensor for name, tensor in self.tensors.items() if name.startswith(EXTRA)}

    def text(self, name: str) -> str:
        """A value that must be text.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(self.values[name], str):
            raise ValueError(f"{DESCRIPTION}: {name} must be text, not {type(self.values[name]).__name__}")
        return self.values[name]

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A value that must be a list of texts, or null.

        Raises:
            ValueError: it is something else.
        """
        value = self.values[name]
        if value is not None and not (isinstance(value, list) and all(isinstance(text, str) for text in value)):
            raise ValueError(f"{DESCRIPTION}: {name} must be a list of texts, or null")
        return None if value is None else tuple(value)

    def whole(self, name: str) -> int:
        """A value that must be a whole number.

        Raises:
            ValueError: it is something else.
        """
        if type(self.values[name]) is not int:
            raise ValueError(f"{DESCRIPTION}: {name} must be a whole number, not {type(self.values[name]).__name__}")
        return self.values[name]


def save_folder(
    path: Path_,
    schema: str,
    tensors: Mapping[str, Tensor | None],
    values: Mapping[str, object],
    *,
    further: Callable[[Path], None] | None = None,
) -> None:
    """Write a folder of data; all of it or nothing.

    Args:
        path: of the folder.
        schema: what it is, such as "privkd.crowd/1".
        tensors: by name; what is None is left out.
        values: JSON values by name.
        further: writes more files into the folder that it is given.

    Raises:
        ValueError: there is something else at the path.
        OSError: the folder cannot be written.
    """
    with draft_of(path, allowed=lambda: _require_ours(Path(path), schema)) as draft:
        write_json(draft / DESCRIPTION, {"schema": schema, **values})
        write_tensors(draft / TENSORS, tensors)
        if further is not None:
            further(draft)


def load_folder(
    path: Path_, schema: str, *, required: Collection[str] = (), optional: Collection[str] = (), values: Collection[str]
) -> Stored:
    """Read a folder of data, strictly.

    Args:
        path: of the folder.
        schema: what it must be.
        required: tensors that must be there.
        optional: tensors that may be; "extra." stands for every name that begins with it.
        values: JSON values that must be there, and no others.

    Raises:
        ValueError: another schema, or something is missing, unknown or unreadable.
        FileNotFoundError: there is no such folder.
    """
    folder = Path(path)
    put_back(folder)
    found = _description(folder)
    if found.pop("schema", None) != schema:
        raise ValueError(f"{folder} does not hold {schema}; {DESCRIPTION} names another schema, or none")
    _require_names(found, required=values, optional=(), what=f"{folder / DESCRIPTION}: values")
    tensors = read_tensors(folder / TENSORS)
    _require_names(tensors, required=required, optional=optional, what=f"{folder / TENSORS}: tensors")
    return Stored(tensors, found)


def is_saved(path: Path_) -> bool:
    """Whether a path looks like a folder that `save_folder` wrote."""
    return (Path(path) / DESCRIPTION).is_file()


def write_tensors(path: Path, tensors: Mapping[str, Tensor | None]) -> None:
    """Write a .safetensors file; what is None is left out.

    Raises:
        OSError: the folder cannot be written.
    """
    from safetensors.torch import save

    # Clones, because tensors that share memory are refused.
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items() if tensor is not None}
    write_bytes(path, save(kept))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a .safetensors file.

    Raises:
        ValueError: it is damaged, or no regular file.
        FileNotFoundError: it is missing.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        raise FileNotFoundError(f"{path} is missing")
    if not path.is_file():
        raise ValueError(f"{path} is no regular file; it was not opened")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a readable .safetensors file ({shown(error)})") from None


def packed_texts(texts: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Texts as UTF-8 bytes, uint8, and their ends, int64, shape (n,).

    Example:
        >>> packed_texts(("ab", "", "c"))[1].tolist()
        [2, 2, 3]
    """
    encoded = [text.encode("utf-8") for text in texts]
    ends = torch.tensor([len(one) for one in encoded], dtype=torch.int64).cumsum(0)
    together = b"".join(encoded)
    return torch.frombuffer(bytearray(together), dtype=torch.uint8) if together else torch.empty(
        0, dtype=torch.uint8
    ), ends


def unpacked_texts(content: Tensor, ends: Tensor) -> tuple[str, ...]:
    """What `packed_texts` packed.

    Raises:
        ValueError: ends that do not fit the bytes, or bytes that are no UTF-8.
    """
    if (
        content.dtype != torch.uint8
        or content.ndim != 1
        or ends.dtype != torch.int64
        or ends.ndim != 1
        or not len(ends)
    ):
        raise ValueError("saved texts must be uint8 bytes and int64 ends")
    starts = torch.cat([ends.new_zeros(1), ends[:-1]])
    if (ends < starts).any() or int(ends[-1]) != len(content):
        raise ValueError("saved texts have ends that do not fit their bytes")
    together = content.numpy().tobytes()
    try:
        return tuple(together[a:b].decode("utf-8") for a, b in zip(starts.tolist(), ends.tolist(), strict=True))
    except UnicodeDecodeError:
        raise ValueError("saved texts are no UTF-8") from None


def _description(folder: Path) -> dict[str, Any]:
    if not folder.exists():
        raise FileNotFoundError(f"no folder {str(folder)!r}")
    try:
        return read_json(folder / DESCRIPTION, dict)
    except (CheckpointError, OSError) as error:
        raise ValueError(f"{folder} is no folder of saved data: {error}") from None


def _require_names(found: Collection[str], *, required: Collection[str], optional: Collection[str], what: str) -> None:
    missing = sorted(set(required) - set(found))
    extra_allowed = EXTRA in optional
    unknown = sorted(
        name
        for name in set(found) - set(required) - set(optional)
        if not (extra_allowed and name.startswith(EXTRA) and name != EXTRA)
    )
    if missing or unknown:
        raise ValueError(f"{what} missing: {missing}; unknown: {[shown(name, 80) for name in unknown]}")


def _require_ours(path: Path, schema: str) -> None:
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not is_saved(path) or _description(path).get("schema") != schema:
        raise ValueError(f"{path} exists and is no folder of {schema}; nothing was overwritten. Give another path")
