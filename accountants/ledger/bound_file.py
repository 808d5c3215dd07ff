"""The file that a ledger is bound to, which other programs may write as well."""

import os
from pathlib import Path

from accountants.check import shown
from accountants.errors import LedgerError
from accountants.ledger.storage import read_document

__all__ = ["BoundFile"]


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
