"""Lower ends where no tight method takes everything: whoever sees all can forget a part, so a part costs no more.

One odd event, however cheap, must not hide what the others are proven to cost.
"""

import math
from collections.abc import Callable
from contextlib import suppress

from accountants.adjacency import Adjacency
from accountants.composition.table import tight_methods
from accountants.errors import ResolutionError, UnsupportedEvent
from accountants.events import Event
from accountants.methods.method import Answer, Method, Parts
from accountants.methods.renyi.renyi import renyi

_MOST = 100  # parts that are worth sorting into groups
_ORDER = 2.0  # of the Rényi divergence that parts are ranked by


def lower_end(parts: Parts, adjacency: Adjacency, ask: Callable[[Method, Parts], Answer]) -> float:
    """The best lower end that a tight method proves for some of the parts; 0 if there is none.

    Args:
        parts: what no method takes, or resolves, as a whole.
        adjacency: neighbouring relation.
        ask: (method, some of the parts) -> its answer; may raise ResolutionError.
    """
    costliest = sorted(parts, key=lambda part: (-_rank(part, parts[part], adjacency), str(part)))[:_MOST]
    best = 0.0
    answered: Parts = {}
    for method in tight_methods():
        if method.name == "sampled-once":  # Fourier inversion takes that release, and others with it
            continue
        group: dict[Event, int] = {}
        for part in costliest:
            if method.unsupported_part({**group, part: parts[part]}, adjacency) is None:
                group[part] = parts[part]
        if len(group) <= len(answered) and group.keys() <= answered.keys():
            continue  # nothing that an earlier method has not answered for
        for size in _sizes(len(group), is_all=len(group) == len(parts)):
            some = dict(list(group.items())[:size])
            with suppress(ResolutionError):
                best = max(best, ask(method, some).lower)
                answered = some
                break
    return best


def _sizes(known: int, *, is_all: bool) -> list[int]:
    """How many of the costliest parts to try: all that are known (unless that has failed before), half of them, one."""
    first = known - 1 if is_all else known
    return sorted({size for size in (first, (known + 1) // 2, 1) if 0 < size <= max(first, 1)}, reverse=True)


def _rank(part: Event, count: int, adjacency: Adjacency) -> float:
    try:
        return count * float(renyi(part, _ORDER, adjacency=str(adjacency)))
    except UnsupportedEvent:
        return math.inf
