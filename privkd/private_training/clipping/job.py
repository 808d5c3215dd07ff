"""What is clipped: a model, its loss per record, and how many views a record has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from privkd.private_training.clipping.rules import Rule

Rows = tuple[Tensor, ...]


class NotCovered(Exception):
    """A strategy cannot compute this model's gradients exactly; the message says why."""


@dataclass(frozen=True)
class Job:
    """A model whose gradients are summed, and its loss.

    Attributes:
        model: the module whose trained parameters are meant.
        loss_per_sample: called as `loss_per_sample(model, *rows)`, gives one loss per row.
        rule: the clipping rule.
        views: rows per record, K >= 1. For K > 1 the tensors of a batch have shape (records, K, ...).
        generators: that the loss draws from, beside the global ones.
        keepers: objects beside the model that the loss may keep something in, such as a task.
    """

    model: nn.Module
    loss_per_sample: Callable[..., Tensor]
    rule: Rule
    views: int = 1
    generators: tuple[torch.Generator, ...] = ()
    keepers: tuple[object, ...] = ()

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that require a gradient, each once, under the first of its names."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def require_trainable(self) -> None:
        """Refuse parameters that cannot be clipped, and rules that do not fit them.

        Raises:
            ValueError: there are none, or they have no shape yet, are not real, or do not make the rule's groups.
        """
        trained = self.trained()
        if not trained:
            raise ValueError("no parameter of the model requires a gradient; set requires_grad on those to be trained")
        lazy = [name for name, p in trained.items() if isinstance(p, nn.parameter.UninitializedParameter)]
        if lazy:
            raise ValueError(
                f"{', '.join(lazy)} have no shape yet; call the model once on made-up rows of the right shape"
            )
        unreal = [f"{name} ({p.dtype})" for name, p in trained.items() if not p.is_floating_point()]
        if unreal:
            raise ValueError(
                f"only real parameters can be clipped, got {', '.join(unreal)}; keep real and imaginary parts apart"
            )
        self.rule.groups(list(trained))

    def count(self, rows: Rows) -> int:
        """Number of records of a batch.

        Raises:
            ValueError: its tensors do not fit each other, or not the number of views.
        """
        views = self.views
        for part in rows:
            if not isinstance(part, Tensor) or part.dim() < (1 if views == 1 else 2):
                shape = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
                raise ValueError(
                    f"a batch is made of tensors of shape (records, {'views, ' * (views > 1)}...), got {shape}"
                )
        sizes = {len(part) for part in rows}
        if len(sizes) != 1:
            raise ValueError(
                f"the tensors of a batch have {sorted(sizes)} records; they must have the same number (>= 0)"
            )
        if views > 1 and any(part.shape[1] != views for part in rows):
            shapes = ", ".join(str(tuple(part.shape)) for part in rows)
            raise ValueError(f"views={views} needs tensors of shape (records, {views}, ...), got {shapes}")
        return sizes.pop()

    def losses(self, rows: Rows) -> Tensor:
        """Loss of every row, shape (records * views,), ordered by record.

        Raises:
            TypeError: not a floating tensor.
            ValueError: not one loss per row.
        """
        flat = rows if self.views == 1 else tuple(part.flatten(0, 1) for part in rows)
        losses = self.loss_per_sample(self.model, *flat)
        if not isinstance(losses, Tensor) or not losses.is_floating_point():
            raise TypeError(
                f"loss_per_sample must return a floating tensor, got {getattr(losses, 'dtype', type(losses))}"
            )
        if tuple(losses.shape) != (len(flat[0]),):
            raise ValueError(
                f"loss_per_sample returned shape {tuple(losses.shape)} for {len(flat[0])} rows; it must return one loss "
                "per row: use reduction='none' and average over all other dimensions"
            )
        return losses

    def by_record(self, losses: Tensor) -> Tensor:
        """Mean over the views, detached, shape (records,), at least float32."""
        dtype = torch.promote_types(losses.dtype, torch.float32)
        return losses.detach().to(dtype).unflatten(0, (-1, self.views)).mean(1)
