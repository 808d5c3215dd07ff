"""Records for checks: a few of a batch, and batches with one record changed."""

from __future__ import annotations

from collections.abc import Callable

import torch

from privkd.private_training.clipping.job import Rows


def spread(batch: Rows, count: int, first: int) -> list[int]:
    """Places of some records all over the batch; labels and masks among them differ as far as they do in the batch.

    Rules about rare classes (weights by the counts of a batch) show nothing among records of one class.
    """
    apart = len(batch[0]) // count
    chosen = [first % apart]
    for place in range(first % apart + apart, len(batch[0]), apart)[: count - 1]:
        chosen.append(unlike(batch, chosen, place))
    return chosen


def unlike(batch: Rows, chosen: list[int], preferred: int) -> int:
    """A record that differs from the chosen ones in as many tensors of whole numbers as possible; the preferred one of equals."""
    differing = torch.zeros(len(chosen), len(batch[0]), dtype=torch.int64, device=batch[0].device)
    for part in batch:
        if not part.is_floating_point() and not part.is_complex():
            for place, index in enumerate(chosen):
                differing[place] += (part != part[index]).flatten(1).any(1) if part.dim() > 1 else part != part[index]
    nearest = differing.min(0).values
    return preferred if nearest[preferred] == nearest.max() else int(nearest.argmax())


def without(rows: Rows, place: int) -> Rows:
    """All records but one; the one that there is if there is no other."""
    others = [index for index in range(len(rows[0])) if index != place] or [0]
    return tuple(part[others] for part in rows)


def exchanged(rows: Rows, place: int, other: int, change: Callable[[Rows], Rows] | None = None) -> Rows:
    """The records with a copy of another one in a place, changed or as it is."""
    copied = tuple(part.clone() for part in rows)
    record = tuple(part[other : other + 1] for part in rows)
    for part, value in zip(copied, record if change is None else change(record), strict=True):
        part[place] = value[0]
    return copied


def magnified(rows: Rows) -> Rows:
    """The records with numbers a thousand times as large; as they are on accelerators, where an assertion would end the process."""
    return tuple(part * 1e3 if part.is_floating_point() and part.device.type == "cpu" else part for part in rows)


def singly(rows: Rows) -> list[Rows]:
    """One batch of one record after another."""
    return [tuple(part[index : index + 1] for part in rows) for index in range(len(rows[0]))]
