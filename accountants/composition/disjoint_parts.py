"""Disjoint parts of the records, taken apart: one composition per place where the changed record can be."""

from itertools import combinations

from accountants.adjacency import Adjacency
from accountants.events import Event, Parallel, distinct, merge_gaussians
from accountants.methods.method import Parts

_MOST = 64  # compositions that are worth computing one by one


def taken_apart(parts: Parts, adjacency: Adjacency) -> tuple[list[Parts], list[Parts]]:
    """The compositions whose largest cost bounds these parts from below, and those that bound them from above.

    A record that comes or goes touches one of the parallel parts. A record that is replaced stays in one (from below), or
    leaves one and enters another, which costs at most both together (from above). Parts inside parts are taken apart too.

    Args:
        parts: a normal form.
        adjacency: neighbouring relation.

    Returns:
        (below, above): the same list twice where no record can change places. The parts themselves, as the only composition,
        if there is not exactly one parallel event, or too much to compute.
    """
    whole = [parts]
    parallel = [(part, count) for part, count in parts.items() if isinstance(part, Parallel)]
    if len(parallel) != 1 or parallel[0][1] != 1:
        return whole, whole
    rest = {part: count for part, count in parts.items() if not isinstance(part, Parallel)}
    places = [distinct(event, adjacency=adjacency) for event in parallel[0][0].events]
    can_move = adjacency is Adjacency.REPLACE_ONE and len(places) > 1
    stays = [_sum(rest, place) for place in places]
    moves = [_sum(rest, *pair) for pair in combinations(places, 2)] if can_move else stays
    if not 0 < len(moves) <= _MOST:
        return whole, whole
    below = [inner for place in stays for inner in taken_apart(place, adjacency)[0]]
    if adjacency is not Adjacency.REPLACE_ONE:
        return below, below
    return below, [inner for pair in moves for inner in taken_apart(pair, adjacency)[1]]


def _sum(*multisets: Parts) -> Parts:
    total: dict[Event, int] = {}
    for parts in multisets:
        for part, count in parts.items():
            total[part] = total.get(part, 0) + count
    return merge_gaussians(total)
