"""Disjoint parts of the records, taken apart: one composition per place where the changed record can be."""

from itertools import combinations

from accountants.adjacency import Adjacency
from accountants.events import Event, Parallel, distinct, merge_gaussians
from accountants.methods.method import Parts

__all__ = ["branches"]

_MOST = 64  # compositions that are worth computing one by one


def branches(parts: Parts, adjacency: Adjacency) -> tuple[list[Parts], list[Parts]] | None:
    """The compositions whose largest cost bounds these parts from below, and those that bound them from above.

    A record that comes or goes touches one of the parallel parts. A record that is replaced stays in one (from below), or
    leaves one and enters another, which costs at most both together (from above).

    Args:
        parts: a normal form.
        adjacency: neighbouring relation.

    Returns:
        (below, above), the same list twice where one place is all that a record touches; None if there is not exactly one
        parallel event, or too much to compute.
    """
    parallel = [(part, count) for part, count in parts.items() if isinstance(part, Parallel)]
    if len(parallel) != 1 or parallel[0][1] != 1:
        return None
    rest = {part: count for part, count in parts.items() if not isinstance(part, Parallel)}
    places = [distinct(event, adjacency=adjacency) for event in parallel[0][0].events]
    stays = [_sum(rest, place) for place in places]
    if adjacency is not Adjacency.REPLACE_ONE or len(places) < 2:
        return (stays, stays) if 0 < len(stays) <= _MOST else None
    moves = [_sum(rest, *pair) for pair in combinations(places, 2)]
    return (stays, moves) if len(moves) <= _MOST else None


def _sum(*multisets: Parts) -> Parts:
    total: dict[Event, int] = {}
    for parts in multisets:
        for part, count in parts.items():
            total[part] = total.get(part, 0) + count
    return merge_gaussians(total)
