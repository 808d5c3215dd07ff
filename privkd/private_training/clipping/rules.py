"""Clipping rules: how much of a record's gradient is kept, and the L2 norm that no contribution exceeds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from accountants import check
from privkd.plain import make_plain, plain

_LEAST = 1e-12  # the squares of smaller norms may vanish in float32
_SLACK_ULPS = 32  # covers the rounding of a norm and of the product factor * gradient, element by element


class Rule(ABC):
    """Turns the gradient norms of records into factors.

    Attributes:
        bound: L2 norm, over all trained parameters together, that no record's contribution exceeds.
    """

    bound: float

    @property
    def size(self) -> int:
        """Number of parameter groups with a norm of their own."""
        return 1

    def groups(self, names: Sequence[str]) -> tuple[int, ...]:
        """The group of each parameter, in [0, size)."""
        return (0,) * len(names)

    @abstractmethod
    def factors(self, norms: Tensor) -> Tensor:
        """Factors that the gradients are multiplied with.

        Args:
            norms: finite L2 norms, shape (records, size), dtype of at least float32.

        Returns:
            Factors >= 0, same shape and dtype; `factors * norms` stays a few ulps below the bound.
        """


def as_rule(bound: float | Rule) -> Rule:
    """A rule as it is; a number as flat clipping at that norm."""
    return bound if isinstance(bound, Rule) else Flat(bound)


@dataclass(frozen=True)
class Flat(Rule):
    """Scale a gradient down to the norm `bound` if it is longer, and leave it alone otherwise.

    Attributes:
        bound: L2 norm over all trained parameters, >= 1e-12.

    Source: Abadi et al., arXiv 1607.00133, Algorithm 1.

    Example:
        >>> Flat(1.0).factors(torch.tensor([[0.5], [4.0]])).flatten().tolist()
        [1.0, 0.2499990463256836]
    """

    bound: float

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(bound=self.bound, at_least=_LEAST, below=math.inf)

    def factors(self, norms: Tensor) -> Tensor:
        """min(1, bound / norm), shape (records, 1)."""
        return (_below(self.bound, norms.dtype) / norms).clamp(max=1.0)


@dataclass(frozen=True)
class PerLayer(Rule):
    """Clip groups of parameters, each at a norm of its own.

    Attributes:
        bounds: L2 norm (>= 1e-12) per group. A group is named by the start of its parameters' names, up to a dot: `"conv1"`
            holds `conv1.weight` and `conv1.bias`. The longest fitting name wins; `""` takes whatever is left.

    Source: McMahan et al., arXiv 1710.06963, section 3 (per-layer clipping).

    Example:
        >>> PerLayer({"features": 0.6, "head": 0.8}).bound
        1.0
    """

    bounds: Mapping[str, float] = field(hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "bounds", {name: plain(value) for name, value in self.bounds.items()})
        if not self.bounds:
            raise ValueError("bounds is empty; give one L2 norm per group, e.g. PerLayer({'features': 0.5, '': 1.0})")
        for name, value in self.bounds.items():
            check.real(**{f"bounds[{name!r}]": value}, at_least=_LEAST, below=math.inf)

    @property
    def bound(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Norm of a gradient that is as long as allowed in every group."""
        return math.hypot(*self.bounds.values())

    @property
    def size(self) -> int:
        """Number of groups."""
        return len(self.bounds)

    def groups(self, names: Sequence[str]) -> tuple[int, ...]:
        """The group of each parameter.

        Raises:
            ValueError: parameters that no group takes, or groups without any; the message lists them all.
        """
        found = [self._group(name) for name in names]
        lost = [name for name, group in zip(names, found, strict=True) if group is None]
        if lost:
            raise ValueError(
                f"bounds name {', '.join(map(repr, self.bounds))}, but no group takes {', '.join(lost)}; add a group "
                "for them, or '' for whatever is left"
            )
        idle = [name for place, name in enumerate(self.bounds) if place not in found]
        if idle:
            raise ValueError(
                f"no parameter belongs to {', '.join(map(repr, idle))}, whose bound would only make the noise larger; the "
                f"parameters are {', '.join(names[:6])}{', ...' * (len(names) > 6)}"
            )
        return tuple(group for group in found if group is not None)

    def _group(self, name: str) -> int | None:
        fitting = [p for p in self.bounds if p == "" or name == p or name.startswith(p + ".")]
        return list(self.bounds).index(max(fitting, key=len)) if fitting else None

    def factors(self, norms: Tensor) -> Tensor:
        """min(1, bound / norm) group by group, shape (records, groups)."""
        bounds = [_below(value, norms.dtype) for value in self.bounds.values()]
        return (torch.tensor(bounds, dtype=norms.dtype, device=norms.device) / norms).clamp(max=1.0)


@dataclass(frozen=True)
class Automatic(Rule):
    """Normalise every gradient: g * bound / (|g| + stability), so that `bound` and the learning rate are one setting.

    Attributes:
        bound: L2 norm that no contribution exceeds, >= 1e-12.
        stability: added to the norm, > 0, so that small gradients stay small.

    Source: Bu et al., arXiv 2206.07136 (AUTO-S).

    Example:
        >>> Automatic(1.0).factors(torch.tensor([[0.0], [0.99]], dtype=torch.float64)).flatten().round(decimals=6).tolist()
        [100.0, 1.0]
    """

    bound: float
    stability: float = 0.01

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(bound=self.bound, at_least=_LEAST, below=math.inf)
        check.real(stability=self.stability, above=0.0, below=math.inf)

    def factors(self, norms: Tensor) -> Tensor:
        """Quotient bound / (norm + stability), shape (records, 1)."""
        return _below(self.bound, norms.dtype) / (norms + self.stability)


def _below(bound: float, dtype: torch.dtype) -> float:
    """The bound less the rounding errors that a norm in this dtype can have."""
    return bound * (1.0 - _SLACK_ULPS * torch.finfo(dtype).eps)
