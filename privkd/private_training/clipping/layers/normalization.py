"""Scale and shift of LayerNorm, GroupNorm and InstanceNorm."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.layers.site import Call, KeptSite


class NormalizationSite(KeptSite):
    """Scale and shift: the gradient at the output times the normalised input, and the gradient itself."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        normalised = len(call.module.normalized_shape) if isinstance(call.module, nn.LayerNorm) else 1
        if call.source.dim() <= normalised:
            raise NotCovered(f"the input of {call.name} has no dimension for the rows of the batch")
        self._module = call.module

    def _compute(self, role: str) -> Tensor:
        values = self.gradient
        if role == "weight":
            values = values * _normalised(self._module, self.source)
        if isinstance(self._module, nn.LayerNorm):
            return values.reshape(self.records, -1, *self._module.normalized_shape).sum(1)
        return values.reshape(self.records, self.views, values.shape[1], -1).sum((1, 3))


def _normalised(module: nn.Module, source: Tensor) -> Tensor:
    """What a normalisation layer multiplies with its weight."""
    if isinstance(module, nn.LayerNorm):
        return functional.layer_norm(source, module.normalized_shape, None, None, module.eps)
    if isinstance(module, nn.GroupNorm):
        return functional.group_norm(source, module.num_groups, None, None, module.eps)
    assert isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d)
    return functional.instance_norm(source, eps=module.eps)
