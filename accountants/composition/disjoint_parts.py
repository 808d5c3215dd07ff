"""Disjoint parts of the records, taken apart: one composition per place where the changed record can be."""

from collections.abc import Mapping
from itertools import combinations

from accountants.adjacency import Adjacency
from accountants.events import Event, Parallel, distinct, merge_gaussians

__all__ = ["branches"]

Parts = Mapping[Event, int]

_MOST = 64  # compositions that are worth computing one by one


def branches(parts: Parts, adjacency: Adjacency) -> tuple[list[Parts], list[Parts]] | None:
    """The compositions whose largest cost bounds these parts from below, and those that bound them from above.

    A record that comes or goes touches one of the parallel parts. A record that is replaced stays in one (from below), or
    leaves one and enters another, which costs at most both together (from above).

    Args:
        parts: a normal form.
        adjacency: neighbouring relation.

    Returns:
        (below, above), or None if there is not exactly one parallel event, or too much to compute.
    """
    found = [(part, count) for part, count in parts.items() if isinstance(part, Parallel)]
    if len(found) != 1 or found[0][1] != 1:
        return None
    (chosen, _), rest = found[0], {part: count for part, count in parts.items() if not isinstance(part, Parallel)}
    inner = [distinct(event, adjacency=adjacency) for event in chosen.events]
    single = [_sum(rest, one) for one in inner]
    if adjacency is not Adjacency.REPLACE_ONE or len(inner) < 2:
        return (single, single) if 0 < len(single) <= _MOST else None
    double = [_sum(rest, one, other) for one, other in combinations(inner, 2)]
    return (single, double) if len(double) <= _MOST else None


def _sum(*multisets: Parts) -> Parts:
    total: dict[Event, int] = {}
    for parts in multisets:
        for part, count in parts.items():
            total[part] = total.get(part, 0) + count
    return merge_gaussians(total)
