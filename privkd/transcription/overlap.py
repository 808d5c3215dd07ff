"""Whether the "public" queries are private records: then the student would be made from private inputs, outside all accounting.

What is found is for the owner: an error or a warning, before anything is charged. If queries and private rows are largely the same
array, nothing is made; if most of the queries are private rows, a release carries that as a leak. Fewer coincidences change nothing
that is released: that one of them is there may depend on one record. At both edges one record decides, where the queries are not
public on either side, so that no guarantee holds.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor

from privkd.errors import GuaranteeError, PrivacyScopeWarning
from privkd.teachers.row_digests import RowDigests

_LARGELY = 0.5
_OFTEN = 0.1  # of the queries repeat another one: then rows are few and coincide by chance


def leaks_of_queries(queries: Tensor, private: Iterable[RowDigests]) -> tuple[str, ...]:
    """What a release made with these queries has to disclose as leaks; the owner is warned if any are private rows at hand.

    Raises:
        GuaranteeError: more than half of the distinct queries are private rows and the other way round, although rows hardly
            ever repeat.
    """
    distinct = len(torch.unique(queries.flatten(1), dim=0))
    found, rows = max(((rows.found(queries), len(rows)) for rows in private), default=(0, 0))
    if not found:
        return ()
    by_chance = distinct < (1 - _OFTEN) * len(queries)
    largely = found > _LARGELY * distinct and not by_chance
    if largely and found > _LARGELY * rows:
        raise GuaranteeError(
            "queries= are largely the private records themselves: more than half of the rows are the same. Queries are published "
            "in the student, so it would be made from private inputs outside all accounting. Give other, public inputs"
        )
    warnings.warn(
        f"{found} of {distinct} distinct queries are rows of the private data. If they were taken from it, they are not "
        "public, and no guarantee holds for those records: take them out. This message is for you alone: it is private",
        PrivacyScopeWarning,
        stacklevel=5,
    )
    return ("most of the public queries are rows of the private data",) if largely else ()
