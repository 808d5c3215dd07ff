"""Ways to divide a labelled data set among simulated clients, from almost alike to nothing in common.

All take the labels of the rows and a number of clients, and give every row to exactly one client. One seed gives one partition.
Source of the conventions: McMahan et al., arXiv 1602.05629 (shards of sorted rows); Hsu et al., arXiv 1909.06335 (Dirichlet);
the public code of FedLMD (arXiv 2409.13136) and of PFLlib for the rule that full clients get nothing more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from privkd.federation.partition import Partition, class_indices

_TRIES = 200


def iid(labels: ArrayLike, clients: int, *, seed: int = 0) -> Partition:
    """Every client has equally many random rows, up to one.

    Args:
        labels: class index of every row, shape (n,).
        clients: how many there are, 1 to n.
        seed: of the choice, >= 0.

    Raises:
        TypeError, ValueError: an argument is out of range.

    Example:
        >>> [len(rows) for rows in iid([0, 1, 0, 1, 0], 2).rows]
        [3, 2]
    """
    known = _checked(labels, clients, min_size=1, seed=seed)
    order = np.random.default_rng(seed).permutation(len(known))
    return Partition.of(np.array_split(order, clients), known)


def quantity_skew(labels: ArrayLike, clients: int, *, alpha: float, min_size: int = 1, seed: int = 0) -> Partition:
    """The numbers of rows differ: their shares are drawn from a Dirichlet distribution, the rows at random.

    Args:
        labels: class index of every row, shape (n,).
        clients: how many there are, >= 1.
        alpha: concentration, > 0; large ones make equal shares.
        min_size: rows that every client has at least, >= 1.
        seed: of the choice, >= 0.

    Raises:
        TypeError, ValueError: an argument is out of range, or no draw gave every client its rows.
    """
    known = _checked(labels, clients, min_size=min_size, seed=seed)
    check.real(alpha=alpha, above=0.0)
    generator = np.random.default_rng(seed)

    def draw() -> list[np.ndarray]:
        return _cut(generator.permutation(len(known)), generator.dirichlet(np.full(clients, alpha)))

    return Partition.of(_until_large(draw, min_size, f"quantity_skew(alpha={alpha:g})"), known)


def dirichlet(labels: ArrayLike, clients: int, *, alpha: float, min_size: int = 1, seed: int = 0) -> Partition:
    """The mixes of classes differ: each class is shared out by a draw from a Dirichlet distribution.

    A client that has n / clients rows already gets no rows of the classes that follow, so that the sizes stay comparable; the
    whole draw is repeated until every client has `min_size` rows.

    Args:
        labels: class index of every row, shape (n,).
        clients: how many there are, >= 1.
        alpha: concentration, > 0; 0.1 gives clients of few classes each, large ones approach equal mixes.
        min_size: rows that every client has at least, >= 1.
        seed: of the choice, >= 0.

    Raises:
        TypeError, ValueError: an argument is out of range, or no draw gave every client its rows.

    Example:
        >>> partition = dirichlet([0, 1] * 50, 4, alpha=0.5, min_size=5, seed=1)
        >>> int(partition.counts.sum()), min(map(len, partition.rows)) >= 5
        (100, True)
    """
    known = _checked(labels, clients, min_size=min_size, seed=seed)
    check.real(alpha=alpha, above=0.0)
    generator = np.random.default_rng(seed)
    classes = [np.flatnonzero(known == k) for k in np.unique(known)]

    def draw() -> list[np.ndarray]:
        held: list[list[np.ndarray]] = [[] for _ in range(clients)]
        sizes = np.zeros(clients)
        for rows in classes:
            has_room = sizes < len(known) / clients  # of somebody, as not all rows are given away
            shares = generator.dirichlet(np.full(clients, alpha)) * has_room
            # A small alpha may give everything to clients that are full.
            shares = shares / shares.sum() if shares.sum() > 0 else has_room / has_room.sum()
            for client, part in enumerate(_cut(generator.permutation(rows), shares)):
                held[client].append(part)
                sizes[client] += len(part)
        return [np.concatenate(parts) for parts in held]

    return Partition.of(_until_large(draw, min_size, f"dirichlet(alpha={alpha:g})"), known)


def shards(labels: ArrayLike, clients: int, *, per_client: int, seed: int = 0) -> Partition:
    """Every client has rows of `per_client` different classes, each class in equal shards.

    Args:
        labels: class index of every row, shape (n,); every class from 0 to the largest has rows.
        clients: how many there are, >= 1.
        per_client: shards, and so classes, of each, from 1 to the number of classes K; clients * per_client is a multiple of K.
        seed: of the choice, >= 0.

    Raises:
        TypeError, ValueError: an argument is out of range, or a class has fewer rows than shards.

    Example:
        >>> shards([0, 0, 1, 1, 2, 2], 3, per_client=2).counts.astype(bool).sum(axis=1).tolist()
        [2, 2, 2]
    """
    known = _checked(labels, clients, min_size=1, seed=seed)
    sizes = np.bincount(known)
    check.integer(per_client=per_client, at_least=1, at_most=len(sizes))
    shards_each, left = divmod(clients * per_client, len(sizes))
    if left:
        raise ValueError(
            f"clients={clients} times per_client={per_client} is no multiple of {len(sizes)} classes, so that the shards of a "
            "class cannot be equally many; change one of the two"
        )
    if int(sizes.min()) < shards_each:
        raise ValueError(
            f"a class has {int(sizes.min())} rows and is to be cut into {shards_each} shards; use fewer clients or shards for each"
        )
    generator = np.random.default_rng(seed)
    cut = [
        list(np.array_split(generator.permutation(np.flatnonzero(known == k)), shards_each)) for k in range(len(sizes))
    ]
    held = []
    for _ in range(clients):
        # The classes with most shards left come first, at random among equals: nobody is left with two of one class.
        left_of = np.array([len(parts) for parts in cut]) + generator.random(len(cut))
        held.append(np.concatenate([cut[k].pop() for k in np.argsort(-left_of)[:per_client]]))
    return Partition.of(held, known)


def pathological(labels: ArrayLike, clients: int, *, per_client: int = 2, seed: int = 0) -> Partition:
    """The partition of McMahan et al.: rows sorted by class, cut into equal shards, of which each client gets some at random.

    A shard may lie across two classes, and a client may get two of one class, unlike in `shards`.

    Args:
        labels: class index of every row, shape (n,).
        clients: how many there are, >= 1.
        per_client: shards of each, >= 1; the paper's 2.
        seed: of the choice, >= 0.

    Raises:
        TypeError, ValueError: an argument is out of range, or there are more shards than rows.
    """
    known = _checked(labels, clients, min_size=1, seed=seed)
    check.integer(per_client=per_client, at_least=1)
    count = clients * per_client
    if count > len(known):
        raise ValueError(f"clients={clients} times per_client={per_client} are more shards than {len(known)} rows")
    generator = np.random.default_rng(seed)
    mixed = generator.permutation(len(known))
    cut = np.array_split(mixed[np.argsort(known[mixed], kind="stable")], count)
    dealt = generator.permutation(count).reshape(clients, per_client)
    return Partition.of([np.concatenate([cut[shard] for shard in mine]) for mine in dealt], known)


def _checked(labels: ArrayLike, clients: int, *, min_size: int, seed: int) -> np.ndarray:
    known = class_indices(labels)
    check.integer(clients=clients, min_size=min_size, at_least=1)
    check.integer(seed=seed, at_least=0)
    if clients * min_size > len(known):
        raise ValueError(
            f"clients={clients} with min_size={min_size} rows need more than the {len(known)} rows that there are"
        )
    return known


def _cut(rows: np.ndarray, shares: np.ndarray) -> list[np.ndarray]:
    """Rows cut into parts with these shares of them, which sum to 1."""
    ends = (np.cumsum(shares)[:-1] * len(rows)).round().astype(int)
    return np.split(rows, ends)


def _until_large(draw: Callable[[], list[np.ndarray]], min_size: int, name: str) -> list[np.ndarray]:
    """The first of some draws that gives every client so many rows."""
    for _ in range(_TRIES):
        held = draw()
        if min(map(len, held)) >= min_size:
            return held
    raise ValueError(
        f"{name} gave some client fewer than min_size={min_size} rows in each of {_TRIES} draws; use a larger alpha, fewer "
        "clients or a smaller min_size"
    )
