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

from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.precision import row_norms


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


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a layer.

    Attributes:
        name: path of the layer, for messages.
        module: the layer.
        source: what went in; its dimension 0 must be the rows.
        output: what came out, before anything else happened to it.
        targets: by role (`"weight"`, `"bias"`), the parameters that are trained.
        rows: number of rows of the batch.
    """

    name: str
    module: nn.Module
    source: Tensor
    output: Tensor
    targets: Mapping[str, Target]
    rows: int


class Site(ABC):
    """A call with its gradients.

    Args:
        call: what happened in the forward pass.

    Raises:
        NotCovered: dimension 0 of source or output is not the rows.
    """

    def __init__(self, call: Call) -> None:
        for what, tensor in (("input", call.source), ("output", call.output)):
            if tensor.dim() < 1 or tensor.shape[0] != call.rows:
                raise NotCovered(
                    f"dimension 0 of the {what} of {call.name} is not the rows of the batch"  # their number is private
                )
        self.name = call.name
        self.targets = call.targets
        self.source = call.source.detach()
        self.edge = _edge(call.output)
        self.inward = [get_gradient_edge(call.source)] if call.source.requires_grad else []
        self._version = call.source._version
        self._shape = call.output.shape
        self._kept: dict[str, Tensor] = {}
        self.records = call.rows
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
        """Set to zero all that belongs to records that must not contribute; `clean` does so for a (records, ...) tensor."""

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

        Where there are two bounds, `closely` takes the time for the close one.
        """


class KeptSite(Site):
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


def _edge(output: Tensor) -> GradientEdge:
    """Where the gradient of the output arrives, also when the output is overwritten in place later on.

    An in-place operation on a view replaces the view's place in the graph, but keeps that of its base. (`nn.Linear`
    returns a view on inputs of three dimensions.)
    """
    base = output._base
    if base is None or base.grad_fn is None or base.numel() != output.numel():
        return get_gradient_edge(output)
    return get_gradient_edge(base if output.is_contiguous() and base.is_contiguous() else output)
