"""Lists of pairs for verification, drawn from a given seed, and the check that no person is in two parts of the data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from privkd.metrics.inputs import Flags, Labels, both_classes, integers, require_same_length


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of rows of a data set, and whether both show the same identity.

    Attributes:
        first: row of the first member, int64, shape (p,).
        second: row of the second member, shape (p,).
        same: bool, shape (p,), both values present.

    Raises:
        TypeError: rows that are no integers.
        ValueError: empty, lengths that differ, a negative row, or pairs of one kind only.
    """

    first: Labels
    second: Labels
    same: Flags

    def __post_init__(self) -> None:
        for name in ("first", "second"):
            rows = integers(getattr(self, name), name=name)
            if (rows < 0).any():
                raise ValueError(f"{name} must hold row numbers, >= 0; {int((rows < 0).sum())} are negative")
            object.__setattr__(self, name, rows)
        object.__setattr__(self, "same", both_classes(self.same, name="same"))
        require_same_length(first=self.first, second=self.second, same=self.same)

    def __len__(self) -> int:
        return len(self.first)


def draw_pairs(identities: ArrayLike, *, pairs: int, seed: int, ordered: bool = False) -> Pairs:
    """As many pairs of the same as of different identities, none twice, in random order.

    Args:
        identities: identity of each row, integers, shape (n,).
        pairs: how many, even, >= 2.
        seed: >= 0; equal arguments give equal pairs.
        ordered: False draws unordered pairs of two different rows. True draws ordered pairs for two views of each row (first
            by the teacher, second by the student): (a, b) and (b, a) differ; a row is still never paired with itself.

    Raises:
        TypeError: identities that are no integers.
        ValueError: an odd or too large number of pairs (the message says how many there are), or one identity only.

    Example:
        >>> found = draw_pairs([0, 0, 1, 1, 2, 2], pairs=6, seed=0)
        >>> len(found), int(found.same.sum())
        (6, 3)
    """
    check.integer(pairs=pairs, at_least=2)
    check.integer(seed=seed, at_least=0)
    if pairs % 2:
        raise ValueError(f"pairs={pairs} must be even: half of them are of the same identity")
    owner = integers(identities, name="identities")
    _, counts = np.unique(owner, return_counts=True)
    ways = 2 if ordered else 1
    same = ways * int((counts * (counts - 1) // 2).sum())
    different = ways * len(owner) * (len(owner) - 1) // 2 - same
    if pairs // 2 > min(same, different):
        raise ValueError(
            f"pairs={pairs} needs {pairs // 2} of each kind, but there are {same} of the same identity and {different} of "
            f"different ones; ask for at most {2 * min(same, different)}"
        )
    generator = np.random.default_rng(seed)
    rows = np.concatenate(
        [_draw_same(owner, pairs // 2, generator, ordered), _draw_different(owner, pairs // 2, generator, ordered)]
    )
    rows = rows[generator.permutation(pairs)]
    return Pairs(rows[:, 0], rows[:, 1], owner[rows[:, 0]] == owner[rows[:, 1]])


def require_disjoint_identities(**parts: ArrayLike) -> None:
    """Refuse parts of the data that share an identity: verification of known people measures memory.

    Args:
        **parts: identities of the rows of each part under its name, such as train=..., test=..., integers, shape (n,).

    Raises:
        TypeError: identities that are no integers.
        ValueError: two parts share identities (the message says how many, not which), or fewer than two parts.

    Example:
        >>> require_disjoint_identities(train=[0, 1, 1], test=[2, 3])
    """
    if len(parts) < 2:
        raise ValueError("give two parts or more, as train=..., test=...")
    found = {name: set(integers(part, name=name).tolist()) for name, part in parts.items()}
    for one, two in combinations(found, 2):
        shared = len(found[one] & found[two])
        if shared:
            raise ValueError(
                f"{one} and {two} share {shared} of {len(found[two])} identities; split by identity, so that people who are "
                "tested were never trained on"
            )


def _draw_same(owner: Labels, count: int, generator: np.random.Generator, ordered: bool) -> Labels:
    """Pairs within identities, without replacement, each possible pair alike."""
    groups = [np.flatnonzero(owner == identity) for identity in np.unique(owner)]
    every = np.concatenate([np.array(list(combinations(rows, 2)), dtype=np.int64).reshape(-1, 2) for rows in groups])
    if ordered:
        every = np.concatenate([every, every[:, ::-1]])
    return every[generator.choice(len(every), size=count, replace=False)]


def _draw_different(owner: Labels, count: int, generator: np.random.Generator, ordered: bool) -> Labels:
    """Pairs across identities: drawn anew until enough different ones are there, since almost all draws are good."""
    n, codes = len(owner), np.empty(0, dtype=np.int64)
    while len(codes) < count:
        rows = generator.integers(n, size=(4 * count, 2))
        rows = rows[owner[rows[:, 0]] != owner[rows[:, 1]]]
        rows = rows if ordered else np.sort(rows, axis=1)
        every = np.concatenate([codes, rows[:, 0] * n + rows[:, 1]])
        codes = every[np.sort(np.unique(every, return_index=True)[1])]  # first occurrences, in the order of the draws
    return np.stack([codes[:count] // n, codes[:count] % n], axis=1)
