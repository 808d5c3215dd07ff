"""Embeddings: rows of a table, looked up by index."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from privkd.private_training.clipping.layers.site import Call, Site
from privkd.private_training.clipping.precision import row_norms


class EmbeddingSite(Site):
    """Lookups of shape (rows, ...), each of which adds its gradient to one row of the table."""

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        assert isinstance(call.module, nn.Embedding)
        self._size, self._padding = call.module.num_embeddings, call.module.padding_idx

    def _lookups(self, records: slice) -> tuple[Tensor, Tensor]:
        """Indices (n, T) and gradients (n, T, d), those of the padding index being zero."""
        every = self.source.reshape(self.records, -1)
        indices, gradient = every[records], self.gradient.reshape(*every.shape, -1)[records]
        if self._padding is not None:
            gradient = torch.where((indices == self._padding)[..., None], 0.0, gradient)
        return indices, gradient

    def _entries(self, indices: Tensor) -> Tensor:
        """One number for each pair of a record and a row of the table, shape (n, T)."""
        return torch.arange(len(indices), device=indices.device)[:, None] * self._size + indices

    def squared_norms(self, role: str) -> Tensor:
        # A record may look the same row up twice: such gradients are added before the norm, but tables are never made.
        indices, gradient = self._lookups(slice(None))
        entries, place = torch.unique(self._entries(indices), return_inverse=True)
        sums = gradient.new_zeros(len(entries), gradient.shape[-1])
        norms = row_norms(sums.index_add_(0, place.flatten(), gradient.flatten(0, 1))).square()
        return norms.new_zeros(self.records).index_add_(0, entries // self._size, norms)

    def samples(self, role: str, records: slice) -> Tensor:
        indices, gradient = self._lookups(records)
        tables = gradient.new_zeros(len(indices) * self._size, gradient.shape[-1])
        tables.index_add_(0, self._entries(indices).flatten(), gradient.flatten(0, 1))
        return tables.unflatten(0, (-1, self._size))

    def magnitudes(self, role: str, closely: bool) -> Tensor:
        return torch.linalg.vector_norm(self._lookups(slice(None))[1], dim=-1).sum(1)

    def weighted(self, role: str, factors: Tensor, records: slice) -> Tensor:
        indices, gradient = self._lookups(records)
        scaled = gradient * factors.to(gradient.dtype)[:, None, None]
        return gradient.new_zeros(self._size, gradient.shape[-1]).index_add_(0, indices.flatten(), scaled.flatten(0, 1))
