"""Files that somebody else may have written, and files that a reader must find whole: what every reader and writer shares.

Ledgers are read and written with it, and so is everything that `privkd.storage` keeps.
"""

import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from accountants.check import shown

_BINARY = getattr(os, "O_BINARY", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # without it, opening a pipe waits for somebody who writes


def open_regular(path: str | os.PathLike[str]) -> int | None:
    """The descriptor of a regular file, for reading; None for a folder, a pipe or a device.

    Raises:
        OSError: it is missing, cannot be read, or is a socket.
    """
    descriptor = os.open(path, os.O_RDONLY | _BINARY | _AT_ONCE)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def strict_json(content: bytes, *, whole: Callable[[str], int] = int) -> Any:
    """The value of a JSON text, refusing everything that JSON readers disagree about.

    Args:
        content: UTF-8.
        whole: reads whole numbers.

    Raises:
        ValueError: no JSON or no UTF-8 (by the subclasses of `json` and `str.decode`), a number that is not finite, or a key
            that occurs twice in an object.
        RecursionError: it is nested too deeply to be read.
    """
    return json.loads(
        content.decode("utf-8"),
        parse_constant=_refused,
        parse_float=_finite,
        parse_int=whole,
        object_pairs_hook=_unique,
    )


def is_deeper(value: object, most: int) -> bool:
    """Whether objects and lists are nested more than so many levels deep, which recursion over them might not survive."""
    level = [value]
    for _ in range(most):
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


@contextmanager
def replacing(path: Path, temporary: Path) -> Iterator[BinaryIO]:
    """A file to fill, which takes the place of `path` when the block ends, or is gone if the block fails.

    At any moment the path holds either the old content or all of the new one, also after a power failure.

    Args:
        path: what is written or replaced.
        temporary: an unused name in the same folder, because a rename is atomic only within one file system.

    Raises:
        OSError: the folder cannot be written.
    """
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)


def flush(path: Path) -> None:
    """Send a file, or the names in a folder where the system can, to the disk itself, so that no rename overtakes the data.

    Raises:
        OSError: the data may not have reached the disk.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        if not path.is_dir():
            raise
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _refused(token: str) -> NoReturn:
    raise ValueError(f"{token} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        double = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise ValueError(f"key '{shown(double, 80)}' occurs twice in one object")
    return found
