"""Sites of layers that multiply with a weight matrix at many positions: linear layers and convolutions.

With A the inputs of all T positions (T, p) and G the gradients at their outputs (d, T), a record's weight gradient is
G A, so its squared norm is either computed from that product, or from the inner products of positions,
sum_st <A_s, A_t> <G_s, G_t>, which is cheaper where d p is large against T (d + p). The second form subtracts large
numbers where positions cancel, so it runs in float64: too small a norm would clip too little.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from privkd.private_training.clipping.clipped_sum import BLOCK, row_norms
from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.sites import Site, Target

__all__ = ["ConvolutionSite", "LinearSite"]

_CHUNK = 1 << 19  # numbers in one temporary: more falls out of the processor's cache
_TINY, _HUGE = 1e-12, 1e12  # between them all squares that matter lie well inside of float32
_KEEP = 4  # gradients or patches are kept while they are at most so many times larger than the layer's input and output


class _AffineSite(Site):
    """Weight gradient G A, bias gradient sum over positions of G."""

    @abstractmethod
    def _pieces(self, records: slice) -> tuple[Tensor, Tensor]:
        """G of shape (n, groups, d, T) and A of shape (n, groups, T, p)."""

    @abstractmethod
    def _keep_inputs(self) -> None:
        """Keep A of all records, if it was not there from the beginning."""

    @abstractmethod
    def _size(self) -> tuple[int, int, int, int]:
        """groups, d, T and p."""

    @abstractmethod
    def _is_outer_product(self) -> bool:
        """Whether a record's gradient is that at its output times its whole input."""

    @abstractmethod
    def _shaped(self, weights: Tensor) -> Tensor:
        """Weight gradients (n, groups, d, p) in the shape of the target, (n, *target)."""

    @abstractmethod
    def _bias_samples(self) -> Tensor:
        """Bias gradients, shape (records, d)."""

    @abstractmethod
    def _weighted_gradient(self, factors: Tensor, records: slice) -> Tensor:
        """Weighted sum of weight gradients straight from inputs and output gradients, shape of the target."""

    def squared_norms(self, role: str) -> Tensor:
        """Squared L2 norm of each record's gradient, shape (records,)."""
        if role == "bias":
            self._kept["bias"] = self._bias_samples()
            return row_norms(self._kept["bias"]).square()
        groups, d, length, p = self._size()
        if self._is_outer_product():
            return (self._norms("gradient") * self._norms("source")).square()
        by_positions = self._positions_are_cheaper(length, p, d)
        count = max(1, _CHUNK // (groups * ((3 * length * p) if by_positions else (length * p + d * p))))
        affordable = _KEEP * (self.source.numel() + self.gradient.numel())
        keep = not by_positions and groups * d * p * self.records <= affordable
        if not keep and groups * length * p * self.records <= affordable:
            self._keep_inputs()
        samples = self.gradient.new_empty((self.records if keep else min(count, self.records), groups, d, p))
        norms = []
        for start in range(0, self.records, count):
            chosen = slice(start, min(start + count, self.records))
            outputs, inputs = self._pieces(chosen)
            if by_positions:
                norms.append(_norms_by_positions(outputs, inputs))
                continue
            made = samples[chosen] if keep else samples[: chosen.stop - start]
            norms.append(row_norms(torch.matmul(outputs, inputs, out=made)).square())
        if keep:
            self._kept["weight"] = samples
        return torch.cat(norms)

    def _positions_are_cheaper(self, length: int, p: int, d: int) -> bool:
        device = self.gradient.device.type
        if device == "mps":  # has no float64
            return False
        price = 2 if device == "cpu" else 16  # of a float64 product against a float32 one
        return price * length * (p + d) < p * d

    def samples(self, role: str, records: slice) -> Tensor:
        """Gradients of some records, shape (chosen records, *target)."""
        if role == "bias":
            return self._bias_samples()[records]
        outputs, inputs = self._pieces(records)
        return self._shaped(outputs @ inputs)

    def magnitudes(self, role: str, closely: bool) -> Tensor:
        """A bound on the sum of norms of the terms of all positions, by Cauchy and Schwarz, shape (records,)."""
        if closely:
            parts = []
            for start in range(0, self.records, BLOCK):
                outputs, inputs = self._pieces(slice(start, min(start + BLOCK, self.records)))
                terms = outputs.double().norm(dim=2)
                parts.append((terms if role == "bias" else terms * inputs.double().norm(dim=3)).sum((1, 2)))
            return torch.cat(parts)
        if role == "bias":
            return self._norms("gradient") * self._size()[2] ** 0.5
        return self._norms("gradient") * self._norms("source") * self._repeats()

    def _norms(self, what: str) -> Tensor:
        """Norm of what belongs to each record in the `"source"` or the `"gradient"`, float64, shape (records,)."""
        name = f"norms of the {what}"
        if name not in self._kept:
            values = getattr(self, what).reshape(self.records, -1)
            found = row_norms(values).double()
            if not bool(((found > _TINY) & (found < _HUGE)).all()):  # where squares of float32 may vanish or overflow
                found = row_norms(values.double())
            self._kept[name] = found
        return self._kept[name]

    def _repeats(self) -> float:
        """Root of how often a value of the input takes part, at most."""
        return 1.0

    def weighted(self, role: str, factors: Tensor, records: slice) -> Tensor:
        """Sum over some records of factor * gradient, shape of the target."""
        factors = factors.to(self.gradient.dtype)
        if role == "bias":
            return factors @ (self._kept["bias"] if "bias" in self._kept else self._bias_samples())[records]
        if "weight" in self._kept:
            kept = self._kept["weight"][records]
            return self._shaped((factors @ kept.flatten(1)).reshape(1, *kept.shape[1:]))[0]
        return self._weighted_gradient(factors, records)


def _norms_by_positions(outputs: Tensor, inputs: Tensor) -> Tensor:
    outputs, inputs = outputs.double(), inputs.double()
    products = (inputs @ inputs.mT).mul_(outputs.mT @ outputs)
    return products.flatten(1).sum(1).clamp_(min=0.0)


class LinearSite(_AffineSite):
    """A linear layer with any number of dimensions between the rows and the features.

    Args:
        name: path of the layer.
        source: its input, shape (rows, ..., p).
        output: its output, shape (rows, ..., d).
        targets: trained parameters by role.
        rows: rows of the batch.
    """

    def __init__(self, name: str, source: Tensor, output: Tensor, targets: Mapping[str, Target], rows: int) -> None:
        if source.dim() < 2:
            raise NotCovered(f"the input of {name} has shape {tuple(source.shape)}, without a dimension for the rows")
        super().__init__(name, source, output, targets, rows)

    def receive(self, gradient: Tensor, records: int) -> None:
        """Take the gradient at the output; positions and views become one dimension."""
        super().receive(gradient, records)
        self._outputs = self.gradient.reshape(records, -1, self.gradient.shape[-1])
        self._inputs = self.source.reshape(records, -1, self.source.shape[-1])

    def discard(self, clean: Callable[[Tensor], Tensor]) -> None:
        """Set to zero all that belongs to records that must not contribute."""
        super().discard(clean)
        self._outputs, self._inputs = clean(self._outputs), clean(self._inputs)

    def _keep_inputs(self) -> None:
        pass

    def _size(self) -> tuple[int, int, int, int]:
        return 1, self._outputs.shape[2], self._outputs.shape[1], self._inputs.shape[2]

    def _is_outer_product(self) -> bool:
        return self._outputs.shape[1] == 1

    def _pieces(self, records: slice) -> tuple[Tensor, Tensor]:
        return self._outputs[records].mT.unsqueeze(1), self._inputs[records].unsqueeze(1)

    def _shaped(self, weights: Tensor) -> Tensor:
        return weights.squeeze(1)

    def _bias_samples(self) -> Tensor:
        return self._outputs.sum(1) if self._outputs.shape[1] > 1 else self._outputs[:, 0]

    def _weighted_gradient(self, factors: Tensor, records: slice) -> Tensor:
        scaled = self._outputs[records] * factors[:, None, None]
        return scaled.flatten(0, 1).T @ self._inputs[records].flatten(0, 1)


class ConvolutionSite(_AffineSite):
    """A convolution in one to three dimensions, with any stride, padding, padding mode, dilation and groups.

    Args:
        name: path of the layer.
        module: the layer.
        source: its input, shape (rows, channels, *positions), in any memory layout.
        output: its output.
        targets: trained parameters by role.
        rows: rows of the batch.
    """

    def __init__(
        self,
        name: str,
        module: nn.Conv1d | nn.Conv2d | nn.Conv3d,
        source: Tensor,
        output: Tensor,
        targets: Mapping[str, Target],
        rows: int,
    ) -> None:
        if source.dim() != len(module.kernel_size) + 2:
            raise NotCovered(f"the input of {name} has shape {tuple(source.shape)}, without a dimension for the rows")
        super().__init__(name, source, output, targets, rows)
        self._module = module
        self._pads = _padding_of(module)

    def receive(self, gradient: Tensor, records: int) -> None:
        """Take the gradient at the output; what the layer puts around its input is put around it here too."""
        super().receive(gradient, records)
        self.gradient = self.gradient.contiguous()
        if self._module.padding_mode != "zeros":
            mode = self._module.padding_mode
            self.source = functional.pad(self.source, [n for pair in reversed(self._pads) for n in pair], mode=mode)
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
        """What each position sees, shape (rows, groups, T, p), p ordered as (*kernel, channels of the group).

        The copies run along whichever is longer in memory: the last dimension of the image, or kernel and channels.
        """
        module, n = self._module, len(self._module.kernel_size)
        channels, wide = source.shape[1] // module.groups, self.gradient.shape[-1]
        channels_last = 2 * module.kernel_size[-1] * channels >= wide  # products are faster then
        sizes = [size + sum(pad) for size, pad in zip(source.shape[2:], self._pads, strict=True)]
        order = (0, *range(2, n + 2), 1) if channels_last else tuple(range(n + 2))
        padded = source.new_zeros([(len(source), source.shape[1], *sizes)[i] for i in order])
        view = padded.permute(0, n + 1, *range(1, n + 1)) if channels_last else padded
        inside = [slice(pad[0], pad[0] + size) for pad, size in zip(self._pads, source.shape[2:], strict=True)]
        view[(slice(None), slice(None), *inside)] = source
        for axis, (kernel, stride, gap) in enumerate(
            zip(module.kernel_size, module.stride, module.dilation, strict=True), start=2
        ):
            view = view.unfold(axis, (kernel - 1) * gap + 1, stride)[..., ::gap]
        view = view.unflatten(1, (module.groups, channels))  # rows, groups, channels, *positions, *kernel
        positions, kernels = tuple(range(3, 3 + n)), tuple(range(3 + n, 3 + 2 * n))
        if channels_last:
            return view.permute(0, 1, *positions, *kernels, 2).reshape(
                *view.shape[:2], math.prod(view.shape[3 : 3 + n]), -1
            )
        columns = view.permute(0, 1, *kernels, 2, *positions)
        return columns.reshape(*view.shape[:2], -1, math.prod(view.shape[3 : 3 + n])).mT

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
            source, padding = functional.pad(source, [n for pair in reversed(self._pads) for n in pair]), [0] * n
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
