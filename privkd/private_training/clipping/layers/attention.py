"""`nn.MultiheadAttention` taken apart into linear layers, so that each projection is a site.

The library's own forward pass reads the projections' parameters without calling a module, so no hook can see them.
This forward pass computes the same, with the rows first, and reports every projection.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from privkd.private_training.clipping.job import NotCovered
from privkd.private_training.clipping.layers.site import Target

Report = Callable[[str, Tensor, Tensor, dict[str, Target]], None]
"""Called with the projection's name, its input, its output and its targets."""

_PROJECTIONS = ("q", "k", "v")


def attention_problem(module: nn.MultiheadAttention) -> str | None:
    """Why this attention layer is not covered, or None."""
    if module.bias_k is not None or module.bias_v is not None:
        return "MultiheadAttention with add_bias_kv"
    if module.add_zero_attn:
        return "MultiheadAttention with add_zero_attn"
    if type(module.out_proj) not in (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear):
        return f"MultiheadAttention with an output projection of type {type(module.out_proj).__name__}"
    if set(module.out_proj._parameters) != {"weight", "bias"} or module.out_proj._forward_hooks:
        return "MultiheadAttention with a changed output projection"
    return None


def attention_targets(module: nn.MultiheadAttention, names: dict[int, str]) -> dict[str, dict[str, Target]]:
    """Trained parameters by projection (q, k, v, out) and role; `names` has the trained ones by `id`."""
    found: dict[str, dict[str, Target]] = {}
    for index, letter in enumerate(_PROJECTIONS):
        rows = (index * module.embed_dim, (index + 1) * module.embed_dim)
        own = {}
        weight = getattr(module, f"{letter}_proj_weight")
        if module.in_proj_weight is not None and id(module.in_proj_weight) in names:
            own["weight"] = Target(names[id(module.in_proj_weight)], *rows)
        elif weight is not None and id(weight) in names:
            own["weight"] = Target(names[id(weight)])
        if module.in_proj_bias is not None and id(module.in_proj_bias) in names:
            own["bias"] = Target(names[id(module.in_proj_bias)], *rows)
        found[letter] = own
    found["out"] = {
        role: Target(names[id(p)])
        for role, p in module.out_proj._parameters.items()
        if p is not None and id(p) in names
    }
    return found


def own_forward(module: nn.MultiheadAttention, targets: dict[str, dict[str, Target]], report: Report) -> Callable:
    """A replacement for `module.forward` with the same arguments and results."""
    return partial(_attend, module, targets, report)


def _attend(
    module: nn.MultiheadAttention,
    targets: dict[str, dict[str, Target]],
    report: Report,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    if query.dim() != 3:
        raise NotCovered("MultiheadAttention was called without a dimension for the rows")
    if is_causal and attn_mask is None:
        raise RuntimeError("is_causal is a hint only; give attn_mask too")
    sources = (query, key, value) if module.batch_first else tuple(x.transpose(0, 1) for x in (query, key, value))

    def project(letter: str, source: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        output = functional.linear(source, weight, bias)
        if targets[letter] and output.requires_grad:
            report(letter, source, output, targets[letter])
        return output

    heads = [
        project(letter, source, weight, bias).unflatten(2, (module.num_heads, -1)).transpose(1, 2)
        for letter, source, (weight, bias) in zip(_PROJECTIONS, sources, _in_projections(module), strict=True)
    ]
    dropout = module.dropout if module.training else 0.0
    if is_causal and key_padding_mask is None and not need_weights:
        mixed = functional.scaled_dot_product_attention(*heads, dropout_p=dropout, is_causal=True)
        weights = None
    else:
        mask = _mask(attn_mask, key_padding_mask, heads[0])
        mixed, weights = _mix(*heads, mask=mask, dropout=dropout, need_weights=need_weights)
    joined = mixed.transpose(1, 2).flatten(2)
    output = project("out", joined, module.out_proj.weight, module.out_proj.bias)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    return output if module.batch_first else output.transpose(0, 1), weights


def _in_projections(module: nn.MultiheadAttention) -> list[tuple[Tensor, Tensor | None]]:
    if module.in_proj_weight is not None:
        weights = module.in_proj_weight.chunk(3)
    else:
        weights = (module.q_proj_weight, module.k_proj_weight, module.v_proj_weight)
    biases = (None,) * 3 if module.in_proj_bias is None else module.in_proj_bias.chunk(3)
    return list(zip(weights, biases, strict=True))


def _mask(attn_mask: Tensor | None, key_padding_mask: Tensor | None, query: Tensor) -> Tensor | None:
    """Both masks as one to be added, broadcastable to (rows, heads, queries, keys); None without masks."""
    rows, heads = query.shape[:2]
    total = None
    if attn_mask is not None:
        mask = _additive(attn_mask, query)
        total = mask.unflatten(0, (rows, heads)) if mask.dim() == 3 else mask[None, None]
    if key_padding_mask is not None:
        mask = _additive(key_padding_mask, query)[:, None, None, :]
        total = mask if total is None else total + mask
    return total


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return torch.zeros_like(mask, dtype=like.dtype).masked_fill_(mask, -torch.inf)
    return mask.to(like.dtype)


def _mix(
    query: Tensor, key: Tensor, value: Tensor, *, mask: Tensor | None, dropout: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    if not need_weights:
        return functional.scaled_dot_product_attention(query, key, value, mask, dropout), None
    scores = (query / math.sqrt(query.shape[-1])) @ key.mT
    weights = (scores if mask is None else scores + mask).softmax(-1)
    weights = functional.dropout(weights, dropout) if dropout else weights
    return weights @ value, weights
