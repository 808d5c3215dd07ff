"""The folder of a run: made, held by one process at a time, and what is wrong with it when it cannot be written."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from privkd.errors import CheckpointError

if sys.platform != "win32":
    import fcntl

log = logging.getLogger("privkd")

_LOCK = "lock"
_descriptors: set[int] = set()  # of the lock files that this process holds open


def made(folder: str | Path) -> Path:
    """The folder, which is there from now on.

    Raises:
        CheckpointError: it is a file, or cannot be made where it should lie.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "it exists and is no folder" if os.path.lexists(folder) else str(error)
        raise CheckpointError(f"the folder {folder} cannot be made: {why}; choose another folder") from error
    return folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder until the block ends or the process does, however it ends.

    The operating system holds the lock (`flock` on the file `lock`, which stays behind and means nothing by itself), so
    nothing has to be cleaned up after a kill. It is not a POSIX record lock: that one ends unnoticed as soon as the process
    closes any descriptor of the file, for example because something copies the folder, and does not keep two runs in one
    process apart. What `flock` would do wrong, live on in forked workers that outlive their run, is undone here: a forked
    copy of the process closes the descriptor at once, and a program that is started never gets it.

    Where there are no locks (Windows, some network file systems), the log says so and the block runs.

    Args:
        folder: exists.

    Raises:
        CheckpointError: another run holds it, or the folder cannot be written.
    """
    owner = os.getpid()
    path = folder / _LOCK
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        why, remedy = trouble(error, folder)
        raise CheckpointError(f"{path} cannot be opened: {why}; {remedy}") from error
    _descriptors.add(descriptor)
    try:
        _lock(descriptor, folder)
        try:
            yield
        finally:
            if os.getpid() == owner:
                with suppress(OSError):
                    os.ftruncate(descriptor, 0)
    finally:
        if os.getpid() == owner:  # a forked copy has closed it already and has nothing to give back
            _descriptors.discard(descriptor)
            os.close(descriptor)


def trouble(error: Exception, folder: Path) -> tuple[str, str]:
    """Why something could not be written into a folder, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (match := re.search(r"os error (\d+)", str(error))):
        number = int(match[1])  # as safetensors writes it
    if not os.path.lexists(folder):
        return f"{folder} is not there any more", "put it back, or start the run again from the beginning"
    if not folder.is_dir():
        return f"{folder} is no folder", "move it away or choose another folder"
    if number == errno.ENOSPC or "No space" in str(error):
        return "the disk is full", "make room"
    if number == errno.EDQUOT:
        return "your quota of the disk is used up", "make room"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{folder} cannot be written ({os.strerror(number)})", "make it writable or choose another folder"
    return str(error), "remove the cause"


def _lock(descriptor: int, folder: Path) -> None:
    if sys.platform == "win32":
        log.warning("%s is not locked, since this system has no flock: see to it that no other run uses it", folder)
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CheckpointError(
            f"{folder} is in use by another run ({_holder(descriptor)}); wait for it or choose another folder"
        ) from None
    except OSError as error:
        log.warning("%s is not locked (%s): see to it that no other run uses it", folder, error)
        return
    with suppress(OSError):  # whose it is, for the messages of others alone
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}".encode(), 0)


def _holder(descriptor: int) -> str:
    number, _, host = os.pread(descriptor, 300, 0).decode(errors="replace").partition(" ")
    if not number.isdigit():
        return "its process is not known"
    if host != socket.gethostname():
        return f"process {number} on {host}"
    return f"process {number}" + ", this one" * (int(number) == os.getpid())


def _let_go() -> None:
    """Close the descriptors of a forked copy: the locks are its parent's, and must end with it."""
    for descriptor in _descriptors:
        with suppress(OSError):
            os.close(descriptor)
    _descriptors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
