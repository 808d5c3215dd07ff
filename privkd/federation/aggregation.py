"""Means of what clients send, in double precision and in the order in which they are given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch

from privkd.federation.contracts import Arrays, FitResult


def weighted_mean(results: Sequence[FitResult], weight: Literal["examples", "uniform"] = "examples") -> Arrays:
    """The mean of the clients' arrays, summed in float64 and cast back.

    Args:
        results: of one client or more, with arrays of equal names, shapes and dtypes.
        weight: `examples` weighs each client by its `weight`, `uniform` all alike.

    Returns:
        New tensors.

    Raises:
        ValueError: no results, arrays that differ in form, integers, values or weights that are not finite, or a weight <= 0.

    Source: McMahan et al., "Communication-efficient learning of deep networks from decentralized data", AISTATS 2017, algorithm 1.

    Example:
        >>> one, two = (FitResult({"w": torch.tensor([x])}, weight=n) for x, n in [(0.0, 30), (4.0, 10)])
        >>> weighted_mean([one, two]), weighted_mean([one, two], "uniform")
        ({'w': tensor([1.])}, {'w': tensor([2.])})
    """
    if weight not in ("examples", "uniform"):
        raise ValueError(f"weight={weight!r} must be examples or uniform")
    if not results:
        raise ValueError("results is empty; a mean needs one client or more")
    weights = [1.0 if weight == "uniform" else float(result.weight) for result in results]
    if not all(0.0 < one < math.inf for one in weights):
        raise ValueError(
            "a client has a weight that is not finite and > 0; it is the number of rows that it trained on"
        )
    first = results[0].arrays
    for place, result in enumerate(results):
        require_form(result.arrays, first, f"the arrays of result {place}")
    total = math.fsum(weights)
    mean = {}
    for name, value in first.items():
        if not value.is_floating_point():
            raise ValueError(f"{name!r} is {value.dtype}; only floating-point arrays have a mean")
        summed = torch.zeros_like(value, dtype=torch.float64)
        for one, result in zip(weights, results, strict=True):
            summed += (one / total) * result.arrays[name].double()
        if not bool(torch.isfinite(summed).all()):
            raise ValueError(
                f"the mean of {name!r} is not finite: a client sent NaN or infinity; leave it out of the round"
            )
        mean[name] = summed.to(value.dtype)
    return mean


def require_form(arrays: Arrays, wanted: Arrays, what: str) -> None:
    """Refuse arrays that have not the names, shapes and dtypes of others.

    Raises:
        ValueError: what is different is named.
    """
    missing, more = sorted(wanted.keys() - arrays.keys()), sorted(arrays.keys() - wanted.keys())
    if missing or more:
        raise ValueError(
            f"{what} lack {missing[:5]} and have {more[:5]} too many; send what was received, under its names"
        )
    for name, value in wanted.items():
        found = arrays[name]
        if found.shape != value.shape or found.dtype != value.dtype:
            raise ValueError(
                f"{what} have {name!r} as {tuple(found.shape)} {found.dtype}; {tuple(value.shape)} {value.dtype} was sent"
            )
