"""Keyed digests of private rows: they tell the owner which public queries are private records, and nobody else anything."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np
from torch import Tensor


class RowDigests:
    """The set of private rows, as 128-bit digests under a key that never leaves this object.

    Rows are alike if they are equal as float32. Copies with a little noise, or scaled otherwise, are not found.

    Args:
        rows: private inputs, shape (n, ...).
    """

    def __init__(self, rows: Tensor | np.ndarray) -> None:
        self._key = secrets.token_bytes(32)
        self._known = frozenset(self._digests(rows))

    def __repr__(self) -> str:
        return "RowDigests(hidden)"

    def found(self, queries: Tensor) -> int:
        """How many distinct queries are private rows. For the owner's eyes: it is a private number."""
        return len(self._known.intersection(self._digests(queries)))

    def _digests(self, rows: Tensor | np.ndarray) -> set[bytes]:
        flat = np.asarray(rows).reshape(len(rows), -1).astype(np.float32) + np.float32(0.0)  # -0.0 is 0.0
        flat = np.ascontiguousarray(flat)
        return {hashlib.blake2b(row.tobytes(), key=self._key, digest_size=16).digest() for row in flat}
