"""What models have in common: objects and memory, never equality of values.

Whether two models hold EQUAL weights is a question about private weights, and an exception that depends on the answer would
tell it. Whether they hold the SAME memory is a fact about the program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from privkd.teachers.isolation import answer_or_none, isolated

_CONTAINERS = (list, tuple, set, frozenset)


Span = tuple[int, int]
"""Addresses [first, last)."""


def common_part(models: Sequence[Any]) -> tuple[int, int] | None:
    """Positions of two models of which one holds the other, a fitted part of it, or its memory; None if there are none."""
    owners: dict[int, int] = {}
    with isolated(0):  # parts of foreign classes run code of theirs
        for position, model in enumerate(models):
            for part in parts_of(model):
                if part is model or _is_fitted(part):
                    owner = owners.setdefault(id(part), position)
                    if owner != position:
                        return owner, position
        return overlapping([memory_of(model) for model in models])


def memory_of(model: Any) -> list[Span]:
    """Where the arrays and tensors lie that a model holds: parameters, buffers, attributes."""
    return [span for part in parts_of(model) for span in [answer_or_none(partial(_span, part))] if span is not None]


def overlapping(spans: Sequence[Sequence[Span]]) -> tuple[int, int] | None:
    """Positions of two lists whose addresses overlap, or None.

    Example:
        >>> overlapping([[(0, 8)], [(8, 16)], [(4, 6)]]), overlapping([[(0, 8), (2, 4)], [(8, 16)]])
        ((0, 2), None)
    """
    furthest: list[tuple[int, int]] = []  # (end, owner) of the two owners that reach furthest so far
    for first, last, owner in sorted((*span, owner) for owner, listed in enumerate(spans) for span in listed):
        for end, other in furthest:
            if other != owner and first < end:
                return min(owner, other), max(owner, other)
        best: dict[int, int] = {}
        for end, other in (*furthest, (last, owner)):
            best[other] = max(end, best.get(other, 0))
        furthest = sorted(((end, other) for other, end in best.items()), reverse=True)[:2]
    return None


def parts_of(model: Any) -> Iterator[Any]:
    """The model, and every estimator, module, array and tensor inside, each once; nothing of a part that raises."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, (Tensor, np.ndarray)):
            yield part
            if isinstance(part, np.ndarray) and part.dtype == object:
                waiting += part.ravel().tolist()
        elif isinstance(part, Mapping):
            waiting += answer_or_none(lambda part=part: list(part.values())) or []
        elif isinstance(part, _CONTAINERS):
            waiting += list(part)
        elif part is model or isinstance(part, nn.Module) or (_fits(part) and not isinstance(part, type)):
            yield part
            waiting += list(getattr(part, "__dict__", {}).values())


def _is_fitted(part: Any) -> bool:
    """Whether an estimator holds what it learned, by scikit-learn's convention; templates may be shared."""
    return _fits(part) and any(name.endswith("_") and name[:1] != "_" for name in getattr(part, "__dict__", {}))


def _fits(part: Any) -> bool:
    return bool(answer_or_none(lambda: hasattr(part, "fit")))


def _span(part: Any) -> Span | None:
    if isinstance(part, Tensor) and part.layout is torch.strided and not part.is_meta:
        reach = sum((size - 1) * stride for size, stride in zip(part.shape, part.stride(), strict=True))
        first, size = part.data_ptr(), (reach + 1) * part.element_size() if part.numel() else 0
    elif isinstance(part, np.ndarray) and (part.flags.c_contiguous or part.flags.f_contiguous):
        first, size = part.ctypes.data, part.nbytes
    else:
        return None
    return (first, first + size) if first and size else None
