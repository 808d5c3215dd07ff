"""Keyed digests of private rows: they tell the owner which public queries are private records, and nobody else anything."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
from torch import Tensor

_KEY, _DIGEST = 32, 16  # bytes


class RowDigests:
    """The set of private rows, as 128-bit digests under a key that never leaves this object.

    Rows are alike if they are equal as float32. Copies with a little noise, or scaled otherwise, are not found.

    Args:
        rows: private inputs, shape (n, ...).
    """

    def __init__(self, rows: Tensor | np.ndarray) -> None:
        self._key = secrets.token_bytes(_KEY)
        self._known = frozenset(self._digests(rows))

    def __repr__(self) -> str:
        return "RowDigests(hidden)"

    def __len__(self) -> int:
        """Number of distinct private rows."""
        return len(self._known)

    def found(self, queries: Tensor) -> int:
        """How many distinct queries are private rows. For the owner's eyes: it is a private number."""
        return len(self._known.intersection(self._digests(queries)))

    def to_bytes(self) -> bytes:
        """The key and the digests, for a file that is as private as the rows."""
        return self._key + b"".join(sorted(self._known))

    @classmethod
    def from_bytes(cls, content: bytes) -> RowDigests:
        """Read what `to_bytes` gave.

        Raises:
            ValueError: it has another length.
        """
        if len(content) < _KEY or (len(content) - _KEY) % _DIGEST:
            raise ValueError(f"{len(content)} bytes are no key of {_KEY} with digests of {_DIGEST} each")
        found = cls.__new__(cls)
        found._key = content[:_KEY]
        found._known = frozenset(content[i : i + _DIGEST] for i in range(_KEY, len(content), _DIGEST))
        return found

    def _digests(self, rows: Tensor | np.ndarray) -> set[bytes]:
        flat = np.asarray(rows).reshape(len(rows), -1).astype(np.float32) + np.float32(0.0)  # -0.0 is 0.0
        flat = np.ascontiguousarray(flat)
        return {hashlib.blake2b(row.tobytes(), key=self._key, digest_size=_DIGEST).digest() for row in flat}
