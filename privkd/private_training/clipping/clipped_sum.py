"""The sum of clipped gradients, and the arithmetic that all strategies share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from privkd.private_training.clipping.rules import Rule

__all__ = [
    "BLOCK",
    "ClippedSum",
    "Factors",
    "clip_samples",
    "empty",
    "full_precision",
    "in_blocks",
    "row_norms",
    "without_tf32",
    "working_dtype",
]

BLOCK = 64
"""Records whose contributions are added in the models' own precision; blocks of them are added in float64."""

_BLOCK = 1024
_LARGEST_TERMS = (
    1024.0  # clipping norms that a record's terms may add up to before they cancel; then it contributes nothing
)


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
        if adjacency in ("add-remove", "zero-out"):
            return self.rule.bound
        if adjacency == "replace-one":
            return 2.0 * self.rule.bound
        raise ValueError(f"adjacency={adjacency!r}; allowed are 'add-remove', 'zero-out' and 'replace-one'")

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
        names: all trained parameters.
        dtype: in which norms are computed.
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
        names: Sequence[str],
        dtype: torch.dtype,
        sizes: Sequence[Callable[[], Tensor]] = (),
    ) -> None:
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
    """Clip and sum gradients that are there one by one.

    Args:
        samples: gradient of each record, shape (records, *parameter); absent means a zero gradient.
        losses: loss of each record, shape (records,).
        trained: the trained parameters.
        rule: the clipping rule.
    """
    with full_precision(losses), torch.no_grad():
        samples = {name: value.to(working_dtype(trained[name])) for name, value in samples.items()}
        squared = {name: row_norms(value).square() for name, value in samples.items()}
        factors = Factors(rule, squared, losses, list(trained), working_dtype(*trained.values()))
        sums = {}
        for name, value in samples.items():
            flat, own = factors.without_broken(value).flatten(1), factors.of(name)
            sums[name] = in_blocks(len(flat), lambda rows, f=flat, o=own: o[rows].to(f.dtype) @ f[rows])
            sums[name] = sums[name].reshape(trained[name].shape)
    return ClippedSum(complete(sums, trained), factors.norms, losses.detach(), len(losses), rule)


def in_blocks(records: int, block: Callable[[slice], Tensor]) -> Tensor:
    """Sum over records, float64 where the device has it: one over many would round away what single records add.

    Args:
        records: how many, >= 1.
        block: sum over a few of them, in the models' own precision.
    """
    total: Tensor | None = None
    for start in range(0, records, BLOCK):
        part = block(slice(start, min(start + BLOCK, records)))
        if total is None:
            total = part if part.device.type == "mps" else part.double()
        else:
            total += part
    assert total is not None
    return total


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


def working_dtype(*values: Tensor) -> torch.dtype:
    """In which dtype norms and sums of these parameters are computed: theirs, and at least float32."""
    dtype = torch.float32
    for value in values:
        dtype = torch.promote_types(dtype, value.dtype)
    return dtype


def row_norms(values: Tensor) -> Tensor:
    """L2 norm of every row over all other dimensions, shape (rows,), in blocks.

    One pass over a long row loses digits in float32 (relative error 6e-4 for 9 million values, and too small a norm
    would clip too little); blocks of 1024 keep the error at a few ulps.

    Example:
        >>> row_norms(torch.tensor([[3.0, 4.0], [0.0, 2.0]])).tolist()
        [5.0, 2.0]
    """
    flat = values.flatten(1)
    while flat.shape[1] > _BLOCK:
        whole = flat.shape[1] // _BLOCK * _BLOCK
        blocks = torch.linalg.vector_norm(flat[:, :whole].unflatten(1, (-1, _BLOCK)), dim=2)
        flat = torch.cat([blocks, flat[:, whole:]], dim=1) if whole < flat.shape[1] else blocks
    return torch.linalg.vector_norm(flat, dim=1)


@contextmanager
def full_precision(like: Tensor) -> Iterator[None]:
    """Norms and sums on the device of a tensor run neither in half precision nor with the ten bits of TensorFloat-32."""
    kind = like.device.type
    with torch.autocast(kind, enabled=False), without_tf32() if kind == "cuda" else nullcontext():
        yield


@contextmanager
def without_tf32() -> Iterator[None]:
    """Matrix products and convolutions of CUDA devices with all digits of float32."""
    places = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # pyright: ignore[reportAttributeAccessIssue]
    before = [place.fp32_precision for place in places]
    try:
        for place in places:
            place.fp32_precision = "ieee"
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
