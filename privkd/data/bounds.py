"""Bounds on what a file may ask of the memory: a small file that unfolds to all of it is refused before it is unpacked."""

from pathlib import Path

_ALWAYS = 256 * 2**20  # bytes that any file may unfold to
_RATIO = 200  # times its own size, for larger ones: far more than data compress, a fifth of what deflate can


def require_regular(path: Path) -> None:
    """Refuse what is no regular file before it is opened: a pipe would be waited for, a device never ends.

    Raises:
        ValueError: a folder, pipe, device or socket.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no regular file but a folder, a pipe or a device; it was not opened")


def require_modest(unfolded: int, *, stored: int, what: str) -> None:
    """Refuse to unpack far more than is stored.

    Args:
        unfolded: bytes in memory.
        stored: bytes on the disk.
        what: what would be unpacked, for the message.

    Raises:
        ValueError: more than 256 MiB, and more than 200 times the stored size.

    Example:
        >>> require_modest(2**28, stored=100, what="a.npz")
        >>> require_modest(2**30, stored=100, what="a.npz")
        Traceback (most recent call last):
        ...
        ValueError: a.npz would unfold from 100 to 1073741824 bytes; at most 268435456 are read. Save it without compression
    """
    most = max(_ALWAYS, _RATIO * stored)
    if unfolded > most:
        raise ValueError(
            f"{what} would unfold from {stored} to {unfolded} bytes; at most {most} are read. Save it without compression"
        )
