"""Convolutions in one to three dimensions, with any stride, padding, padding mode, dilation and groups."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.layers.affine import AffineSite
from privkd.private_training.clipping.layers.site import Call


class ConvolutionSite(AffineSite):
    """A convolution of inputs of shape (rows, channels, *positions), in any memory layout."""

    def __init__(self, call: Call) -> None:
        assert isinstance(call.module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        if call.source.dim() != len(call.module.kernel_size) + 2:
            shape = tuple(call.source.shape)
            raise NotCovered(f"the input of {call.name} has shape {shape}, without a dimension for the rows")
        super().__init__(call)
        self._module = call.module
        self._pads = _padding_of(call.module)

    def receive(self, gradient: Tensor, records: int) -> None:
        super().receive(gradient, records)
        self.gradient = self.gradient.contiguous()
        if self._module.padding_mode != "zeros":
            # What the layer puts around its input is put around it here too; zeros are left to the products.
            self.source = functional.pad(self.source, _flat(self._pads), mode=self._module.padding_mode)
            self._pads = [(0, 0)] * len(self._pads)

    def _size(self) -> tuple[int, int, int, int]:
        groups, kernel = self._module.groups, math.prod(self._module.kernel_size)
        length = self.views * math.prod(self.gradient.shape[2:])
        return groups, self._module.out_channels // groups, length, kernel * self._module.in_channels // groups

    def _is_outer_product(self) -> bool:
        groups, _, length, p = self._size()
        whole = self.source.numel() == self.records * p and not any(map(any, self._pads))
        return groups == length == 1 and whole  # the one position sees all that there is

    def _pieces(self, records: slice) -> tuple[Tensor, Tensor]:
        groups, d, length, p = self._size()
        start, stop, _ = records.indices(self.records)
        rows = slice(start * self.views, stop * self.views)
        outputs = self.gradient[rows].reshape(-1, self.views, groups, d, length // self.views)
        outputs = outputs.permute(0, 2, 3, 1, 4).reshape(-1, groups, d, length)
        if "inputs" in self._kept:
            return outputs, self._kept["inputs"][records]
        inputs = self._patches(self.source[rows]).unflatten(0, (-1, self.views))
        return outputs, inputs.transpose(1, 2).reshape(-1, groups, length, p) if self.views > 1 else inputs[:, 0]

    def _keep_inputs(self) -> None:
        self._kept["inputs"] = self._pieces(slice(0, self.records))[1]

    def _repeats(self) -> float:
        return math.sqrt(math.prod(self._module.kernel_size))

    def _patches(self, source: Tensor) -> Tensor:
        """What each position sees, shape (rows, groups, T, p), p ordered as (*kernel, channels of the group)."""
        module, n = self._module, len(self._module.kernel_size)
        channels = source.shape[1] // module.groups
        # The copies run along whichever is longer in memory: the last dimension of the image, or kernel and channels.
        channels_last = 2 * module.kernel_size[-1] * channels >= self.gradient.shape[-1]
        view = self._padded(source, channels_last)
        steps = zip(module.kernel_size, module.stride, module.dilation, strict=True)
        for axis, (kernel, stride, gap) in enumerate(steps, start=2):
            view = view.unfold(axis, (kernel - 1) * gap + 1, stride)[..., ::gap]
        view = view.unflatten(1, (module.groups, channels))  # rows, groups, channels, *positions, *kernel
        positions, kernels = tuple(range(3, 3 + n)), tuple(range(3 + n, 3 + 2 * n))
        length = math.prod(view.shape[3 : 3 + n])
        if channels_last:
            return view.permute(0, 1, *positions, *kernels, 2).reshape(*view.shape[:2], length, -1)
        return view.permute(0, 1, *kernels, 2, *positions).reshape(*view.shape[:2], -1, length).mT

    def _padded(self, source: Tensor, channels_last: bool) -> Tensor:
        """The input with zeros around it, shape (rows, channels, *positions), in one of two memory layouts."""
        n = len(self._pads)
        sizes = [size + sum(pad) for size, pad in zip(source.shape[2:], self._pads, strict=True)]
        order = (0, *range(2, n + 2), 1) if channels_last else tuple(range(n + 2))
        padded = source.new_zeros([(len(source), source.shape[1], *sizes)[i] for i in order])
        view = padded.permute(0, n + 1, *range(1, n + 1)) if channels_last else padded
        inside = [slice(pad[0], pad[0] + size) for pad, size in zip(self._pads, source.shape[2:], strict=True)]
        view[(slice(None), slice(None), *inside)] = source
        return view

    def _shaped(self, weights: Tensor) -> Tensor:
        module = self._module
        shape = (len(weights), module.out_channels, *module.kernel_size, module.in_channels // module.groups)
        return weights.reshape(shape).movedim(-1, 2)

    def _bias_samples(self) -> Tensor:
        return self.gradient.reshape(self.records, self.views, self.gradient.shape[1], -1).sum((1, 3))

    def _weighted_gradient(self, factors: Tensor, records: slice) -> Tensor:
        if "inputs" in self._kept:
            outputs, inputs = self._pieces(records)
            scaled = (outputs * factors[:, None, None, None]).permute(1, 2, 0, 3).flatten(2)
            return self._shaped((scaled @ inputs.transpose(0, 1).flatten(1, 2)).unsqueeze(0))[0]
        rows = slice(records.start * self.views, records.stop * self.views)
        module, n = self._module, len(self._module.kernel_size)
        by_row = factors.repeat_interleave(self.views) if self.views > 1 else factors
        scaled = self.gradient[rows] * by_row.reshape(-1, *(1,) * (n + 1))
        source, padding = self.source[rows], [pad[0] for pad in self._pads]
        if any(before != after for before, after in self._pads):
            source, padding = functional.pad(source, _flat(self._pads)), [0] * n
        shape = (module.out_channels, module.in_channels // module.groups, *module.kernel_size)
        weight = scaled.new_empty(1).expand(shape)  # only its shape is read
        mask = [False, True, False]
        return torch.ops.aten.convolution_backward(
            scaled, source, weight, None, module.stride, padding, module.dilation, False, [0], module.groups, mask
        )[1]


def _padding_of(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> list[tuple[int, int]]:
    """Values put before and behind each dimension of the input."""
    if module.padding == "valid":
        return [(0, 0)] * len(module.kernel_size)
    if module.padding == "same":
        totals = [gap * (kernel - 1) for gap, kernel in zip(module.dilation, module.kernel_size, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    return [(int(pad), int(pad)) for pad in module.padding]


def _flat(pads: list[tuple[int, int]]) -> list[int]:
    """Paddings as `functional.pad` takes them: the last dimension first."""
    return [n for pair in reversed(pads) for n in pair]
