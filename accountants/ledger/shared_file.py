"""A ledger file that several programs write: its lock, and whether somebody else has written it.

One thread of one program writes at a time; the system takes the lock back when a process dies.
"""

import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from accountants.check import shown
from accountants.errors import LedgerError
from accountants.ledger.storage import read_document

_PATIENCE = 60.0  # seconds; who holds a lock writes a file and lets go
_LONGEST_PAUSE = 0.01  # seconds
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)

_held: set[int] = set()


class BoundFile:
    """A ledger file, and how it looked when it was last read or written here; all methods need its lock.

    Args:
        path: absolute, links resolved, so that every program finds the same lock beside it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, ...] | None = None

    def news(self) -> dict[str, object] | None:
        """The document, if somebody else has written it since `settle`; None if nothing was written.

        Raises:
            LedgerError: the file is gone or damaged.
            OSError: it cannot be read.
        """
        if self._stamp() == self._seen:
            return None
        return read_document(self.path)

    def settle(self) -> None:
        """Note that the ledger in memory is what lies in the file."""
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, ...]:
        """Properties of the file that change with every write, because the file is replaced and grows."""
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            raise LedgerError(
                f"{shown(self.path.name)} is gone, and with it what others have spent; nothing was changed. Put it back: a new "
                "file would let the whole budget be spent again"
            ) from None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which need not exist.

    The lock is that of a file beside it, `.NAME.lock`, because the file itself is replaced when it is written. It is not
    re-entrant: a thread that holds it and asks again waits for itself.

    Raises:
        LedgerError: somebody else held it for a minute.
        OSError: the folder cannot be written, or its file system has no locks.
    """
    beside = path.with_name(f".{path.name}.lock")
    handle = _acquired(beside)
    _held.add(handle)
    try:
        yield
    finally:
        _held.discard(handle)
        _release(handle, beside)


def _acquired(beside: Path) -> int:
    end = time.monotonic() + _PATIENCE
    while True:
        handle = os.open(beside, os.O_RDWR | os.O_CREAT | _NO_LINKS, 0o666)
        try:
            # Who held the lock before has removed the file: a lock of a file that has no name keeps nobody out.
            if _try_lock(handle) and _has_name(handle, beside):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if time.monotonic() > end:
            raise LedgerError(
                f"{shown(beside.name)} is held by another program for {_PATIENCE:g} s; nothing was changed. Look for a program "
                "that stands still while it writes this file, and try again"
            )
        time.sleep(random.uniform(0.0, _LONGEST_PAUSE))  # random, so that waiting programs do not keep in step


def _has_name(handle: int, beside: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.stat(beside))
    except FileNotFoundError:
        return False


def _close_inherited() -> None:
    """Close the files of locks in a forked process, because a lock is held as long as any process has its file open."""
    for handle in _held:
        with suppress(OSError):
            os.close(handle)
    _held.clear()


if sys.platform == "win32":
    import msvcrt

    def _try_lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _release(handle: int, beside: Path) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        os.close(handle)
        with suppress(OSError):  # somebody else has it open, and removes it later
            beside.unlink()

else:
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of the opened file: it keeps threads apart, too
        except BlockingIOError:
            return False
        return True

    def _release(handle: int, beside: Path) -> None:
        with suppress(OSError):  # before the lock is let go, so that nobody's lock loses its name
            beside.unlink()
        os.close(handle)

    os.register_at_fork(after_in_child=_close_inherited)
