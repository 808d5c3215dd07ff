"""Which teacher sees which record: by a keyed hash of the record's id, never by position in a list.

Cutting a list into pieces moves almost every record to another teacher when one record is removed, and the
sensitivity grows from one teacher to all of them. With a keyed hash every other record stays where it was.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from accountants import check

_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is on record about an ensemble's shards. It depends on the records' ids, not on their content.

    Attributes:
        teachers: number of teachers.
        records: number of records n.
        classes: number of classes, public knowledge.
        shards_hash: sha256 over the sorted ids of every shard.
        keyed: whether ids were assigned by keyed hash; False when the caller brought the shards.
        declared_classes: whether the caller declared the number of classes; False when it was read off the labels.
        labels: what the caller says the classes are called, by index; None for 0..K-1.
    """

    teachers: int
    records: int
    classes: int
    shards_hash: str
    keyed: bool
    declared_classes: bool
    labels: tuple[str | int | bool, ...] | None = None

    def to_dict(self) -> dict[str, object]:
        """JSON form."""
        return asdict(self)


def assign_shards(ids: Sequence[str], teachers: int, key: bytes) -> np.ndarray:
    """Shard of each id: HMAC-SHA256(key, id) modulo the number of teachers.

    Args:
        ids: one distinct text per record; independent of the record's content.
        teachers: number of shards, >= 2.
        key: 16 bytes or more.

    Returns:
        Shard index per id, int64, shape (n,).

    Raises:
        ValueError: an id repeats, the key is short, or there are fewer ids than teachers.
    """
    check.integer(teachers=teachers, at_least=2)
    if len(key) < 16:
        raise ValueError(f"key has {len(key)} bytes; at least 16 are needed, e.g. secrets.token_bytes(32)")
    refuse_repeated(ids)
    if len(ids) < teachers:
        raise ValueError(
            f"{len(ids)} records cannot fill teachers={teachers} shards; use at most one teacher per record"
        )
    digests = (hmac.new(key, identifier.encode(), hashlib.sha256).digest() for identifier in ids)
    return np.array([int.from_bytes(digest, "big") % teachers for digest in digests], dtype=np.int64)


def draw_key(ids: Sequence[str], teachers: int) -> bytes:
    """A random key under which no shard is empty. Looks at ids only, so it reveals nothing about the records.

    Raises:
        ValueError: no such key was found, because there are too many teachers for so few records.
    """
    for _ in range(_TRIES):
        key = secrets.token_bytes(32)
        if len(np.unique(assign_shards(ids, teachers, key))) == teachers:
            return key
    raise ValueError(
        f"no hash key in {_TRIES} tries leaves all {teachers} shards of {len(ids)} records non-empty; "
        f"use about {max(2, len(ids) // 10)} teachers (ten records each) or bring more records"
    )


def refuse_repeated(ids: Sequence[str]) -> None:
    """Raise ValueError if an id occurs twice: one person in two shards would change two teachers."""
    seen: set[str] = set()
    repeated = [identifier for identifier in ids if identifier in seen or seen.add(identifier)]
    if repeated:
        raise ValueError(
            f"{len(repeated)} record ids repeat, first {repeated[0]!r}: a record in two shards changes two teachers. "
            "Give every record its own id, or merge the records of one person into one"
        )


def shards_hash(shards: Sequence[Sequence[str]]) -> str:
    """Sha256 over the sorted ids of every shard, in shard order."""
    digest = hashlib.sha256()
    for shard in shards:
        digest.update("\n".join(sorted(shard)).encode() + b"\x00")
    return digest.hexdigest()
