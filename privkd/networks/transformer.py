"""A pre-norm transformer encoder: attention, perceptron, and whole branches dropped in training."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check


class TransformerEncoder(nn.Module):
    """Layers of x + attention(norm(x)) and x + perceptron(norm(x)) with GELU, and a normalisation at the end.

    Args:
        dim: size d of a token, a multiple of `heads`.
        layers: how many.
        heads: of the attention.
        ratio: hidden width of the perceptron, in multiples of d.
        drop_path: probability in [0, 1) that a row of the batch skips a branch in training; it grows linearly over the
            layers to this in the last one. What is not skipped is divided by the probability to stay.

    Raises:
        ValueError: a size below 1, a `dim` that is no multiple of `heads`; in `forward`, tokens or a mask of another shape.
    """

    def __init__(
        self, dim: int = 64, layers: int = 3, heads: int = 4, *, ratio: int = 4, drop_path: float = 0.0
    ) -> None:
        check.integer(dim=dim, layers=layers, heads=heads, ratio=ratio, at_least=1)
        check.real(drop_path=drop_path, at_least=0.0, below=1.0)
        if dim % heads:
            raise ValueError(f"dim={dim} must be a multiple of heads={heads}, which share it")
        super().__init__()
        self.dim = dim
        chances = [drop_path * (layer + 1) / layers for layer in range(layers)]
        self.layers = nn.ModuleList(_Layer(dim, heads, ratio, chance) for chance in chances)
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Tokens, float32, shape (b, n, d), from tokens of the same shape.

        Args:
            tokens: with their positions added.
            mask: bool, shape (b, n), True for the tokens that others may look at; every row needs one. None for all.
        """
        if tokens.dim() != 3 or tokens.shape[2] != self.dim:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}; TransformerEncoder takes (b, n, {self.dim})")
        if mask is not None and (mask.shape != tokens.shape[:2] or mask.dtype != torch.bool):
            raise ValueError(f"mask has shape {tuple(mask.shape)} and {mask.dtype}; bools of shape (b, n) are needed")
        for layer in self.layers:
            tokens = layer(tokens, mask)
        return self.norm(tokens)


class _Layer(nn.Module):
    def __init__(self, dim: int, heads: int, ratio: int, drop_path: float) -> None:
        super().__init__()
        self.heads, self.drop_path = heads, drop_path
        self.attention_norm = nn.LayerNorm(dim)
        self.attention_in = nn.Linear(dim, 3 * dim)
        self.attention_out = nn.Linear(dim, dim)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, ratio * dim), nn.GELU(), nn.Linear(ratio * dim, dim)
        )

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        tokens = tokens + self._kept(self._attention(self.attention_norm(tokens), mask))
        return tokens + self._kept(self.perceptron(tokens))

    def _attention(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        b, n, d = tokens.shape
        parts = self.attention_in(tokens).reshape(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        seen = None if mask is None else mask[:, None, None, :]
        mixed = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=seen)
        return self.attention_out(mixed.transpose(1, 2).reshape(b, n, d))

    def _kept(self, branch: Tensor) -> Tensor:
        if not self.training or self.drop_path == 0.0:
            return branch
        stays = torch.rand(branch.shape[0], 1, 1, device=branch.device) >= self.drop_path
        return branch * stays / (1 - self.drop_path)
