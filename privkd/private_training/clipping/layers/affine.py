"""Layers that multiply with a weight matrix at many positions: what linear layers and convolutions have in common.

With A the inputs of all T positions (T, p) and G the gradients at their outputs (d, T), a record's weight gradient is
G A, so its squared norm is either computed from that product, or from the inner products of positions,
sum_st <A_s, A_t> <G_s, G_t>, which is cheaper where d p is large against T (d + p). The second form subtracts large
numbers where positions cancel, so it runs in float64: too small a norm would clip too little.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.layers.site import Call, Site
from privkd.private_training.clipping.precision import BLOCK, row_norms

_CHUNK = 1 << 19  # numbers in one temporary: more falls out of the processor's cache
_TINY, _HUGE = 1e-12, 1e12  # between them all squares that matter lie well inside of float32
_KEEP = 4  # gradients or patches are kept while they are at most so many times larger than the layer's input and output
_PRICE_OF_FLOAT64, _PRICE_ON_ACCELERATORS = 2, 16  # of a product against one in float32


class AffineSite(Site):
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
        if role == "bias":
            self._kept["bias"] = self._bias_samples()
            return row_norms(self._kept["bias"]).square()
        groups, d, length, p = self._size()
        if self._is_outer_product():
            return (self._norms("gradient") * self._norms("source")).square()
        by_positions = self._positions_are_cheaper(length, p, d)
        count = max(1, _CHUNK // (groups * ((3 * length * p) if by_positions else (length * p + d * p))))
        # What the weighted sum needs again is kept where that costs little memory: gradients rather than patches.
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
        price = _PRICE_OF_FLOAT64 if device == "cpu" else _PRICE_ON_ACCELERATORS
        return price * length * (p + d) < p * d

    def samples(self, role: str, records: slice) -> Tensor:
        if role == "bias":
            return self._bias_samples()[records]
        outputs, inputs = self._pieces(records)
        return self._shaped(outputs @ inputs)

    def magnitudes(self, role: str, closely: bool) -> Tensor:
        """A bound on the sum of norms of the terms of all positions, by Cauchy and Schwarz where not `closely`."""
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


class LinearSite(AffineSite):
    """A linear layer with any number of dimensions between the rows and the features."""

    def __init__(self, call: Call) -> None:
        if call.source.dim() < 2:
            shape = tuple(call.source.shape)
            raise NotCovered(f"the input of {call.name} has shape {shape}, without a dimension for the rows")
        super().__init__(call)

    def receive(self, gradient: Tensor, records: int) -> None:
        super().receive(gradient, records)
        # Positions and views become one dimension.
        self._outputs = self.gradient.reshape(records, -1, self.gradient.shape[-1])
        self._inputs = self.source.reshape(records, -1, self.source.shape[-1])

    def discard(self, clean: Callable[[Tensor], Tensor]) -> None:
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
