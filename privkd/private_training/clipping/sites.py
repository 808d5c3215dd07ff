"""Sites: one use of trained parameters in a forward pass, and the gradient of each record that it gives rise to.

A site keeps what went into a layer and learns, after the backward pass, the gradient at what came out. From these two
it computes squared norms per record and weighted sums without touching the parameters' own gradients. Nothing here
knows about models, rules or privacy.

Source: Goodfellow, arXiv 1510.01799; Bu et al., arXiv 2210.00038 (book-keeping).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn import functional

from privkd.private_training.clipping.clipped_sum import row_norms
from privkd.private_training.clipping.job import NotCovered

__all__ = ["EmbeddingSite", "NormalizationSite", "Site", "Target", "normalized"]


@dataclass(frozen=True, slots=True)
class Target:
    """A parameter that a site adds a gradient to, or some rows of it.

    Attributes:
        name: of the parameter.
        start: first row; None for the whole parameter.
        stop: behind the last row.
    """

    name: str
    start: int | None = None
    stop: int | None = None

    @property
    def rows(self) -> slice:
        """The rows as a slice of the parameter's first dimension."""
        return slice(self.start, self.stop)


class Site(ABC):
    """One call of a layer.

    Args:
        name: path of the layer, for messages.
        source: what went in; its dimension 0 must be the rows.
        output: what came out, before anything else happened to it.
        targets: by role (`"weight"`, `"bias"`), the parameters that are trained.
        rows: number of rows of the batch.

    Raises:
        NotCovered: dimension 0 of source or output is not the rows.
    """

    def __init__(self, name: str, source: Tensor, output: Tensor, targets: Mapping[str, Target], rows: int) -> None:
        for what, tensor in (("input", source), ("output", output)):
            if tensor.dim() < 1 or tensor.shape[0] != rows:
                raise NotCovered(
                    f"dimension 0 of the {what} of {name} is not the rows of the batch"  # their number is private
                )
        self.name = name
        self.targets = dict(targets)
        self.source = source.detach()
        self.edge = _edge(output)
        self.inward = [get_gradient_edge(source)] if source.requires_grad else []
        self._version = source._version
        self._shape = output.shape
        self._kept: dict[str, Tensor] = {}
        self.records = rows
        self.views = 1

    def require_unchanged(self) -> None:
        """Raise NotCovered when the input was overwritten after the layer had read it, and is needed still."""
        if "weight" in self.targets and self.source._version != self._version:
            raise NotCovered(f"the input of {self.name} was changed in place after the layer had used it")

    def receive(self, gradient: Tensor, records: int) -> None:
        """Take the gradient of the summed record losses at the output; rows of one record are neighbours."""
        self.records, self.views = records, self._shape[0] // records
        dtype = torch.promote_types(gradient.dtype, torch.float32)
        self.gradient = gradient.reshape(self._shape).to(dtype)
        if self.source.is_floating_point():
            self.source = self.source.to(dtype)

    def discard(self, clean: Callable[[Tensor], Tensor]) -> None:
        """Set to zero all that belongs to records that must not contribute.

        Args:
            clean: gives a copy with zeros in the rows of these records, for tensors of shape (records, ...).
        """

        def by_record(values: Tensor) -> Tensor:
            return clean(values.unflatten(0, (self.records, self.views))).flatten(0, 1)

        if self.source.is_floating_point():
            self.source = by_record(self.source)
        self.gradient = by_record(self.gradient)
        self._kept = {role: clean(values) for role, values in self._kept.items()}

    @abstractmethod
    def squared_norms(self, role: str) -> Tensor:
        """Squared L2 norm of each record's gradient, shape (records,)."""

    @abstractmethod
    def samples(self, role: str, records: slice) -> Tensor:
        """Gradients of some records, shape (chosen records, *target)."""

    @abstractmethod
    def weighted(self, role: str, factors: Tensor, records: slice) -> Tensor:
        """Sum over some records of factor * gradient, shape of the target; one factor for each of them."""

    @abstractmethod
    def magnitudes(self, role: str, closely: bool) -> Tensor:
        """At least the sum of the norms of the terms that `weighted` adds up for each record, shape (records,).

        Args:
            role: of the parameter.
            closely: take the time for a bound that is close, where there are two.
        """


def _edge(output: Tensor) -> GradientEdge:
    """Where the gradient of the output arrives, also when the output is overwritten in place later on.

    An in-place operation on a view replaces the view's place in the graph, but keeps that of its base. (`nn.Linear`
    returns a view on inputs of three dimensions.)
    """
    base = output._base
    if (
        base is not None
        and base.grad_fn is not None
        and output.is_contiguous()
        and base.is_contiguous()
        and base.numel() == output.numel()
    ):
        return get_gradient_edge(base)
    return get_gradient_edge(output)


class _SmallSite(Site):
    """A site whose gradients are so small that they are kept one by one."""

    @abstractmethod
    def _compute(self, role: str) -> Tensor:
        """Gradients of all records, shape (records, *target)."""

    def _all(self, role: str) -> Tensor:
        if role not in self._kept:
            self._kept[role] = self._compute(role)
        return self._kept[role]

    def squared_norms(self, role: str) -> Tensor:
        return row_norms(self._all(role)).square()

    def samples(self, role: str, records: slice) -> Tensor:
        return self._all(role)[records]

    def magnitudes(self, role: str, closely: bool) -> Tensor:
        return row_norms(self._all(role))

    def weighted(self, role: str, factors: Tensor, records: slice) -> Tensor:
        kept = self._all(role)[records]
        return (factors.to(kept.dtype) @ kept.flatten(1)).reshape(kept.shape[1:])


def normalized(module: nn.Module, source: Tensor) -> Tensor:
    """What a normalisation layer multiplies with its weight."""
    if isinstance(module, nn.LayerNorm):
        return functional.layer_norm(source, module.normalized_shape, None, None, module.eps)
    if isinstance(module, nn.GroupNorm):
        return functional.group_norm(source, module.num_groups, None, None, module.eps)
    if isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d):
        return functional.instance_norm(source, eps=module.eps)
    raise NotCovered(f"no rule for {type(module).__name__}")


class NormalizationSite(_SmallSite):
    """Scale and shift of LayerNorm, GroupNorm and InstanceNorm.

    Args:
        name: path of the layer.
        module: the layer.
        source: its input.
        output: its output.
        targets: trained parameters by role.
        rows: rows of the batch.
    """

    def __init__(
        self, name: str, module: nn.Module, source: Tensor, output: Tensor, targets: Mapping[str, Target], rows: int
    ) -> None:
        super().__init__(name, source, output, targets, rows)
        per_row = len(module.normalized_shape) if isinstance(module, nn.LayerNorm) else 2
        if source.dim() <= (per_row if isinstance(module, nn.LayerNorm) else 1):
            raise NotCovered(f"the input of {name} has no dimension for the rows of the batch")
        self._module = module

    def _compute(self, role: str) -> Tensor:
        values = self.gradient
        if role == "weight":
            values = values * normalized(self._module, self.source)
        if isinstance(self._module, nn.LayerNorm):
            shape = self._module.normalized_shape
            return values.reshape(self.records, -1, *shape).sum(1)
        channels = values.shape[1]
        return values.reshape(self.records, self.views, channels, -1).sum((1, 3))


class EmbeddingSite(Site):
    """Rows of a table, looked up by index.

    Args:
        name: path of the layer.
        module: the layer.
        source: its indices, shape (rows, ...).
        output: its output, shape (rows, ..., d).
        targets: trained parameters by role.
        rows: rows of the batch.
    """

    def __init__(
        self, name: str, module: nn.Embedding, source: Tensor, output: Tensor, targets: Mapping[str, Target], rows: int
    ) -> None:
        super().__init__(name, source, output, targets, rows)
        self._size = module.num_embeddings
        self._padding = module.padding_idx

    def _lookups(self, records: slice) -> tuple[Tensor, Tensor]:
        """Indices (n, T) and gradients (n, T, d), those of the padding index being zero."""
        indices = self.source.reshape(self.records, -1)[records]
        gradient = self.gradient.reshape(*self.source.reshape(self.records, -1).shape, -1)[records]
        if self._padding is not None:
            gradient = torch.where((indices == self._padding)[..., None], 0.0, gradient)
        return indices, gradient

    def squared_norms(self, role: str) -> Tensor:
        """Squared L2 norm of each record's gradient, shape (records,)."""
        indices, gradient = self._lookups(slice(None))
        owner = torch.arange(self.records, device=indices.device)[:, None] * self._size
        keys, place = torch.unique(
            owner + indices, return_inverse=True
        )  # one key per record and table row it looked up
        sums = gradient.new_zeros(len(keys), gradient.shape[-1]).index_add_(0, place.flatten(), gradient.flatten(0, 1))
        norms = row_norms(sums).square()
        return norms.new_zeros(self.records).index_add_(0, keys // self._size, norms)

    def samples(self, role: str, records: slice) -> Tensor:
        """Gradients of some records as whole tables, shape (chosen records, entries, d)."""
        indices, gradient = self._lookups(records)
        owner = torch.arange(len(indices), device=indices.device)[:, None] * self._size
        table = gradient.new_zeros(len(indices) * self._size, gradient.shape[-1])
        return table.index_add_(0, (owner + indices).flatten(), gradient.flatten(0, 1)).unflatten(0, (-1, self._size))

    def magnitudes(self, role: str, closely: bool) -> Tensor:
        """Sum of the norms at all positions, shape (records,)."""
        return torch.linalg.vector_norm(self._lookups(slice(None))[1], dim=-1).sum(1)

    def weighted(self, role: str, factors: Tensor, records: slice) -> Tensor:
        """Sum over some records of factor * gradient, shape (entries, d)."""
        indices, gradient = self._lookups(records)
        scaled = gradient * factors.to(gradient.dtype)[:, None, None]
        return gradient.new_zeros(self._size, gradient.shape[-1]).index_add_(0, indices.flatten(), scaled.flatten(0, 1))
