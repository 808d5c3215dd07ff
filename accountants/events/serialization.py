"""Events from JSON-able data; anything unknown is refused, never skipped."""

from collections.abc import Mapping

from accountants import check
from accountants.check import shown
from accountants.errors import UnsupportedEvent
from accountants.events.claims import GDP, RDP, ZCDP, ApproxDP, PureDP
from accountants.events.correlated import MatrixFactorization, TreeAggregation
from accountants.events.disjoint_parts import Parallel
from accountants.events.event import MAX_DEPTH, Composed, Event, Repeat, parameter_names
from accountants.events.gaussian import DiscreteGaussian, Gaussian
from accountants.events.laplace import DiscreteLaplace, Laplace
from accountants.events.person_groups import GroupSampledGaussian
from accountants.events.response import PriorResponse, RandomizedResponse, SubsetResponse
from accountants.events.sampling import FixedSizeSampled, PoissonSampled, RandomAllocation, Shuffled
from accountants.events.selection import Exponential, SparseVector
from accountants.events.voting import ConfidentGNMax, GNMax, LNMax

__all__ = ["KINDS", "from_dict"]

_NAMED = 5  # unknown fields that a message names

KINDS: dict[str, type[Event]] = {
    kind.type_name: kind
    for kind in (
        Gaussian,
        Laplace,
        DiscreteGaussian,
        DiscreteLaplace,
        RandomizedResponse,
        PriorResponse,
        SubsetResponse,
        Exponential,
        SparseVector,
        GNMax,
        ConfidentGNMax,
        LNMax,
        TreeAggregation,
        MatrixFactorization,
        PureDP,
        ApproxDP,
        ZCDP,
        GDP,
        RDP,
        Repeat,
        Composed,
        Parallel,
        PoissonSampled,
        FixedSizeSampled,
        Shuffled,
        RandomAllocation,
        GroupSampledGaussian,
    )
}


def from_dict(data: Mapping[str, object]) -> Event:
    """The event that `Event.to_dict` wrote.

    Args:
        data: "type" and exactly the fields of that event class.

    Returns:
        An event equal to the one written.

    Raises:
        UnsupportedEvent: a type, or a field that may change the meaning of a known type, is unknown; the
            inner event is named.
        TypeError: `data` is no mapping, or a field has the wrong type.
        ValueError: a field is missing or out of range, or events are nested too deeply.

    Example:
        >>> from_dict({"type": "repeat", "count": 3, "event": {"type": "gaussian", "sigma": 2}})
        gaussian(2) * 3
    """
    return _read(data, depth=0)


def _read(data: object, *, depth: int) -> Event:
    if not isinstance(data, Mapping):
        raise TypeError(f"{check.given('event', data)} must be an object with a 'type', as Event.to_dict writes it")
    if depth > MAX_DEPTH:
        raise ValueError(f"events nested deeper than {MAX_DEPTH} levels; use a repeat with a count")
    type_name = data.get("type")
    kind = KINDS.get(type_name) if isinstance(type_name, str) else None
    if kind is None:
        raise UnsupportedEvent(
            f"event {check.given('type', type_name)} is unknown; supported: {', '.join(sorted(KINDS))}"
        )
    names = parameter_names(kind)
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(f"event type {type_name!r} lacks {', '.join(missing)}; it needs {', '.join(names)}")
    extra = sorted(shown(str(name), 40) for name in data if name not in {"type", *names})
    if extra:
        more = f" and {len(extra) - _NAMED} more" if len(extra) > _NAMED else ""
        raise UnsupportedEvent(
            f"event type {type_name!r} carries unknown fields {', '.join(extra[:_NAMED])}{more}, which may change its cost; "
            f"supported: {', '.join(names)}"
        )
    return kind(**{name: _value(name, data[name], depth=depth + 1) for name in names})


def _value(name: str, value: object, *, depth: int) -> object:
    if name == "event":
        return _read(value, depth=depth)
    if name == "events":
        if not isinstance(value, list | tuple):
            raise TypeError(f"{check.given('events', value)} must be a list of events")
        return tuple(_read(part, depth=depth) for part in value)
    return tuple(value) if isinstance(value, list) else value
