"""The sum of clipped gradients, and the clipping that all strategies share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from privkd.mechanisms.sums import unit_sensitivity
from privkd.private_training.clipping.precision import full_precision, in_blocks, row_norms, working_dtype
from privkd.private_training.clipping.rules import Rule

_LARGEST_TERMS = 1024.0
"""Clipping norms that a record's terms may add up to before they cancel; beyond, it contributes nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class ClippedSum:
    """Sum over records of clipped gradients, without noise: PRIVATE in all its fields but the rule.

    Nothing but the rule is shown by `repr`; only a mechanism that adds noise may release anything of it.

    Attributes:
        gradients: sum per trained parameter, under the names of `model.named_parameters()`, float64: a sum over many records
            that is rounded before the noise is added would jump by more than the bound when one record changes.
        norms: L2 norm of each record's whole gradient before clipping, shape (records,); inf where it is not finite.
        losses: loss of each record (mean over its views), shape (records,).
        records: how many records were summed; private too where their number is random.
        rule: how they were clipped.
    """

    gradients: dict[str, Tensor] = field(repr=False)
    norms: Tensor = field(repr=False)
    losses: Tensor = field(repr=False)
    records: int = field(repr=False)
    rule: Rule

    def sensitivity(self, adjacency: str) -> float:
        """How far the sum can move in L2 norm when one record changes.

        Args:
            adjacency: `"add-remove"` or `"zero-out"` (the bound), or `"replace-one"` (twice the bound).

        Raises:
            ValueError: another word.
        """
        return self.rule.bound * unit_sensitivity(adjacency)

    def __add__(self, other: ClippedSum) -> ClippedSum:
        """The sum over both sets of records, which must be disjoint and clipped by the same rule."""
        if not isinstance(other, ClippedSum):
            return NotImplemented
        if self.rule != other.rule or self.gradients.keys() != other.gradients.keys():
            raise ValueError(
                f"sums of different rules or parameters cannot be added: {self.rule} over {len(self.gradients)} "
                f"parameters and {other.rule} over {len(other.gradients)}; clip all records in the same way"
            )
        return ClippedSum(
            gradients={name: total + other.gradients[name] for name, total in self.gradients.items()},
            norms=torch.cat([self.norms, other.norms]),
            losses=torch.cat([self.losses, other.losses]),
            records=self.records + other.records,
            rule=self.rule,
        )


class Factors:
    """Factor of each record for each parameter; exactly zero for records whose gradient or loss is not finite.

    Args:
        rule: the clipping rule.
        squared: squared gradient norms, one tensor of shape (records,) per parameter; absent means a zero gradient.
        losses: shape (records,).
        trained: all trained parameters.
        sizes: where a gradient is added up from terms that the sum over records meets one by one, bounds on the sum of their
            norms, shape (records,), from loose to close: terms that cancel each other must not swallow other records by
            rounding on the way. The next is asked for where the one before excludes a record.

    Attributes:
        norms: L2 norm of each whole gradient, shape (records,), inf where it is not finite.
        broken: records that must not contribute, bool, shape (records,); None if there are none.
    """

    def __init__(
        self,
        rule: Rule,
        squared: Mapping[str, Tensor],
        losses: Tensor,
        trained: Mapping[str, Tensor],
        sizes: Sequence[Callable[[], Tensor]] = (),
    ) -> None:
        names, dtype = list(trained), working_dtype(*trained.values())
        groups = dict(zip(names, rule.groups(names), strict=True))
        total = losses.new_zeros((len(losses), rule.size), dtype=dtype)
        for name, value in squared.items():
            total[:, groups[name]] += value.to(dtype)
        norms = total.sqrt()
        usable = norms.isfinite().all(1) & losses.isfinite()
        self.norms = torch.where(usable, total.sum(1).sqrt(), torch.inf)
        factors = rule.factors(norms)
        small = torch.ones_like(usable)
        for bound in sizes:
            small = bound().to(dtype) * factors.max(1).values <= _LARGEST_TERMS * rule.bound
            if bool((small | ~usable).all()):
                break
        usable &= small
        factors = torch.where(usable[:, None], factors, 0.0)
        self.broken = None if bool(usable.all()) else ~usable
        self._columns = {name: factors[:, group] for name, group in groups.items()}

    def of(self, name: str) -> Tensor:
        """Factors for one parameter, shape (records,)."""
        return self._columns[name]

    def without_broken(self, values: Tensor) -> Tensor:
        """The values with zeros in the rows of broken records (0 * inf would be NaN); not in place."""
        if self.broken is None:
            return values
        return torch.where(self.broken.reshape(-1, *(1,) * (values.dim() - 1)), 0.0, values)


def clip_samples(
    samples: Mapping[str, Tensor], losses: Tensor, trained: Mapping[str, Tensor], rule: Rule
) -> ClippedSum:
    """Clip and sum gradients that are there one by one, shape (records, *parameter); absent means a zero gradient."""
    with full_precision(losses), torch.no_grad():
        samples = {name: value.to(working_dtype(trained[name])) for name, value in samples.items()}
        squared = {name: row_norms(value).square() for name, value in samples.items()}
        factors = Factors(rule, squared, losses, trained)
        sums = {}
        for name, value in samples.items():
            flat, own = factors.without_broken(value).flatten(1), factors.of(name)
            sums[name] = in_blocks(len(flat), lambda rows, f=flat, o=own: o[rows].to(f.dtype) @ f[rows])
            sums[name] = sums[name].reshape(trained[name].shape)
    return ClippedSum(complete(sums, trained), factors.norms, losses.detach(), len(losses), rule)


def complete(sums: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The sums in the order of the parameters, zeros where a parameter took no part."""
    return {name: sums[name] if name in sums else torch.zeros_like(p, dtype=_widest(p)) for name, p in trained.items()}


def empty(trained: Mapping[str, nn.Parameter], rule: Rule) -> ClippedSum:
    """The sum over no record: zeros."""
    first = next(iter(trained.values()))
    none = first.new_zeros(0, dtype=working_dtype(*trained.values())).detach()
    with torch.no_grad():
        return ClippedSum(complete({}, trained), none, none.clone(), 0, rule)


def _widest(parameter: Tensor) -> torch.dtype:
    return working_dtype(parameter) if parameter.device.type == "mps" else torch.float64
