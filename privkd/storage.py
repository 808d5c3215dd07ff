"""Files and folders that are written whole, and JSON that somebody else may have written.

Writing happens under a temporary name in the same folder, which is flushed to the disk and then renamed, so that a reader
finds the old content or all of the new one. Writers of one folder take turns by a lock on that folder itself (`flock`), which
the operating system ends with their process; what has a temporary name while the lock is held was left by a writer that is
dead, and is cleared away.

Only regular files are read, so that a pipe cannot make a reader wait for ever. JSON holds nothing that readers disagree about
(two equal keys, NaN), and is bounded in size and depth.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar

from accountants.ledger.files import flush as flush
from accountants.ledger.files import is_deeper, open_regular, replacing, strict_json
from privkd.errors import CheckpointError

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("privkd")

MAX_JSON = 16 * 2**20
_MAX_DEPTH = 50
_MAX_DIGITS = 20  # of a whole number
_WAIT = 60.0  # seconds for another writer
_DRAFT, _REPLACED = "privkd-draft", "privkd-replaced"
_LAST = "ledger.json"  # of a folder that is deleted: no student may lie about without it
_LEFT = re.compile(rf"\.(?P<name>.+)\.[0-9a-f]{{8}}\.(?P<kind>{_DRAFT}|{_REPLACED})\Z", re.DOTALL)
_EXCHANGE = 2  # RENAME_EXCHANGE of renameat2
_HERE = -100  # AT_FDCWD
_ABOUT_NO_FILE = (errno.EIO, errno.EMFILE, errno.ENFILE)  # the same file may be read another time

Path_ = str | os.PathLike[str]
Document = TypeVar("Document", dict, list)


@contextmanager
def opened(path: Path_) -> Iterator[BufferedReader]:
    """A regular file, open for reading bytes.

    Raises:
        CheckpointError: it is a folder, a pipe, a device, a socket or a link to itself.
        OSError: it is missing or cannot be read.
    """
    try:
        descriptor = open_regular(path)
    except (FileNotFoundError, PermissionError):
        raise
    except OSError as error:  # a socket, a link to itself, a name below a file
        if error.errno in _ABOUT_NO_FILE:
            raise
        raise CheckpointError(f"{path} is no regular file ({error.strerror}); nothing was read from it") from None
    if descriptor is None:
        raise CheckpointError(f"{path} is no regular file; nothing was read from it")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def sha256_of(path: Path_) -> str:
    """SHA-256 of a regular file, in hex; errors as of `opened`."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_json(path: Path_, kind: type[Document], *, at_most: int = MAX_JSON) -> Document:
    """Strict JSON from a file: no NaN, no infinities, no key twice, bounded in size and depth.

    Args:
        path: UTF-8.
        kind: what must be outermost, `dict` or `list`.
        at_most: bytes.

    Raises:
        CheckpointError: it is no regular file, too large, or no such JSON.
        OSError: it is missing or cannot be read.
    """
    with opened(path) as file:
        content = file.read(at_most + 1)
    if len(content) > at_most:
        raise CheckpointError(f"{path} is larger than {at_most} bytes, which no such file needs; it was not read")
    value = _parsed(content, what=str(path))
    if not isinstance(value, kind):
        raise CheckpointError(f"{path} must hold a JSON {kind.__name__}, not {type(value).__name__}")
    return value


def json_lines(path: Path_, *, longest: int = 2**20) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and value of each line of a file with one JSON object per line; empty lines are left out.

    Args:
        path: UTF-8.
        longest: bytes of one line.

    Raises:
        CheckpointError: as of `read_json`, for a line, or it is longer.
        OSError: it is missing or cannot be read.
    """
    with opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(longest + 1), b""), start=1):
            what = f"line {number} of {path}"
            if len(line) > longest:
                raise CheckpointError(f"{what} is longer than {longest} bytes; it was not read")
            if not line.strip():
                continue
            value = _parsed(line, what=what)
            if not isinstance(value, dict):
                raise CheckpointError(f"{what} must hold a JSON object, not {type(value).__name__}")
            yield number, value


def write_json(path: Path_, value: Any, *, at_most: int = MAX_JSON) -> None:
    """Write JSON that `read_json` takes; all of it or nothing.

    Args:
        path: of the file; its folder exists.
        value: JSON values, numbers finite.
        at_most: bytes.

    Raises:
        ValueError: a number is not finite, or the text is longer than `at_most`.
        TypeError: something is no JSON value.
        OSError: the folder cannot be written.
    """
    content = (json.dumps(value, indent=1, allow_nan=False) + "\n").encode("ascii")
    if len(content) > at_most:
        raise ValueError(f"{path} would have {len(content)} bytes, more than {at_most}, which is what readers take")
    write_bytes(path, content)


def write_text(path: Path_, text: str) -> None:
    """Write UTF-8 text; all of it or nothing, errors as of `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path_, content: bytes) -> None:
    """Write a file; all of it or nothing. An earlier file of the name is replaced.

    Raises:
        CheckpointError: another process has been writing in the folder for a minute.
        OSError: the folder cannot be written.
    """
    path = Path(path)
    with _turn(path.parent), replacing(path, _beside(path, _DRAFT)) as file:
        file.write(content)


@contextmanager
def draft_of(target: Path_, *, allowed: Callable[[], object]) -> Iterator[Path]:
    """A folder to fill, which takes the place of `target` when the block ends, or is gone if the block fails.

    Other writers in the same parent folder wait. Where the system can exchange two names (Linux), the target is the old
    folder or the new one at any moment; elsewhere it is missing between two renames, and `put_back` mends what a kill
    leaves there.

    Args:
        target: the folder to make or to replace, with everything in it.
        allowed: raises if the target may not be written; asked when nobody else writes there.

    Raises:
        CheckpointError: another process has been writing beside the target for a minute.
        OSError: the parent folder cannot be written.
    """
    target = Path(os.path.abspath(target))  # so that it has a name
    target.parent.mkdir(parents=True, exist_ok=True)
    with _turn(target.parent):
        allowed()
        draft = _beside(target, _DRAFT)
        try:
            draft.mkdir()
            yield draft
            for path in (*draft.iterdir(), draft):
                flush(path)
            _swap(draft, target)
        finally:
            _remove(draft)
        flush(target.parent)


def put_back(target: Path_) -> None:
    """Give a folder its name again that a killed writer had moved aside; a reader calls it first.

    Nothing happens if the name is taken, or where the folder above cannot be written.
    """
    target = Path(target)
    with suppress(OSError):
        if not os.path.lexists(target) and any(name == target.name for _, name, _ in _leftovers(target.parent)):
            with _turn(target.parent):
                pass


def is_draft(path: Path_, *, of: str) -> bool:
    """Whether a path is what `write_json` and its like write before they rename it to the name `of`."""
    match = _LEFT.match(Path(path).name)
    return match is not None and match["name"] == of and match["kind"] == _DRAFT


def _leftovers(folder: Path) -> list[tuple[Path, str, str]]:
    """Path, final name and kind of everything that dead writers left behind, while nobody else writes in the folder."""
    matches = map(_LEFT.match, os.listdir(folder))
    return [(folder / match[0], match["name"], match["kind"]) for match in matches if match]


def _beside(path: Path, kind: str) -> Path:
    """A new name in the same folder, because a rename is atomic only within one file system."""
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.{kind}"


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """Keep other writers of a folder waiting, and clear away what dead ones left in it."""
    descriptor = _lock(folder)
    try:
        if descriptor is not None:
            for path, name, kind in _leftovers(folder):
                if kind == _REPLACED and not os.path.lexists(folder / name):
                    path.rename(folder / name)
                else:
                    _remove(path)
        yield
    finally:
        if descriptor is not None and sys.platform != "win32":
            with suppress(OSError):  # explicitly, because a forked copy of the process may have the descriptor, too
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """The descriptor of the locked folder; None where folders cannot be locked (Windows, some network file systems)."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # it may be written, but not read
        return None
    end = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > end:
                os.close(descriptor)
                raise CheckpointError(
                    f"another process has been writing into {folder} for {_WAIT:g} seconds; wait for it, or end it"
                ) from None
            time.sleep(0.01)
        except OSError as error:
            log.debug("%s cannot be locked (%s)", folder, error)
            os.close(descriptor)
            return None


def _swap(draft: Path, target: Path) -> None:
    """Put the finished folder in place; the old one then lies under the draft's name, or is gone."""
    if not os.path.lexists(target):
        draft.rename(target)
    elif not _exchanged(draft, target):
        old = _beside(target, _REPLACED)
        target.rename(old)
        try:
            draft.rename(target)
        except BaseException:
            old.rename(target)
            raise
        _remove(old)


def _exchanged(draft: Path, target: Path) -> bool:
    """Exchange two names in one step, where the system and its file system can."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        call = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # an old C library
        return False
    return call(_HERE, os.fsencode(draft), _HERE, os.fsencode(target), _EXCHANGE) == 0


def _remove(path: Path) -> None:
    """Delete a file, or a folder with its ledger last; what cannot be deleted now is left to the next writer."""
    if not path.is_dir() or path.is_symlink():
        with suppress(OSError):
            path.unlink()
        return
    with suppress(OSError):
        for inside in path.iterdir():
            if inside.is_dir() and not inside.is_symlink():
                shutil.rmtree(inside)
            elif inside.name != _LAST:
                inside.unlink()
        shutil.rmtree(path)


def _parsed(content: bytes, *, what: str) -> Any:
    try:
        value = strict_json(content, whole=_whole)
        if is_deeper(value, _MAX_DEPTH):  # later recursion over it would not survive
            raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{what} is not valid JSON: {type(error).__name__}: {error}") from error
    return value


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"whole number {text[:40]}... has {len(text)} digits, more than {_MAX_DIGITS}")
    return int(text)
