"""Whether the row of a loss reaches rows of its own in every layer, in this very batch.

Layers see rows, and book-keeping takes row i of a layer for record i. Models that sort, select or regroup rows by what
is in them break that, while every loss still depends on its own record alone, and a few records that happen to lie in
order do not show it. So the graph of every batch is searched for operations that can move rows by their values, and
where there is one, further backward passes with weighted losses tell exactly whose gradient each row holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from privkd.private_training.clipping.job import NotCovered

_BASE = 16  # powers of two from 2^-8 to 2^7: multiplication by them is exact
_TOLERANCE = 1e-3  # of a row's gradient; that of another row, weighted differently, is off by a half at least
_ROOM, _NOTHING = 2.0**24, 1e-30  # nearer to the ends of the dtype, or smaller, rows are not compared

_KEEP_ROWS = """
    Abs Add Addcdiv Addcmul Alias AsStridedCopy BinaryCrossEntropy BinaryCrossEntropyWithLogits Celu Clamp ClampMax ClampMin Clone
    Convolution Copy Cos Div Elu Erf Exp Expand Expm1 Gelu Glu Hardsigmoid Hardswish Hardtanh HuberLoss L1Loss LeakyRelu Lerp Log
    Log1P LogSigmoid MaskedFill Maximum Minimum Mish MseLoss Mul NativeDropout NativeGroupNorm NativeLayerNorm Neg NllLoss
    NllLoss2D Permute Pow Prelu Reciprocal Relu Reshape ReshapeAlias Rsqrt Rsub Sigmoid Silu Sin SmoothL1Loss
    SoftMarginLoss Softplus Sqrt Squeeze Sub T Tanh Threshold ToCopy Transpose UnsafeView Unsqueeze View Where Xlogy
    AdaptiveAvgPool2D AdaptiveAvgPool3D AdaptiveMaxPool2D AdaptiveMaxPool3D AvgPool2D AvgPool3D MaxPool2DWithIndices
    MaxPool3DWithIndices MkldnnAdaptiveAvgPool2D MkldnnConvolution CudnnConvolution ConstantPadNd ReflectionPad1D ReflectionPad2D
    ReflectionPad3D ReplicationPad1D ReplicationPad2D ReplicationPad3D PixelShuffle PixelUnshuffle UpsampleBilinear2D
    UpsampleNearest1D UpsampleNearest2D UpsampleNearest3D ScaledDotProductFlashAttentionForCpu ScaledDotProductFlashAttention
    ScaledDotProductEfficientAttention
"""
"""Operations that treat all rows alike, or move them in a way that three records show."""

_KEEP_DIMENSIONS = """
    Cat Cumsum Gather LogSoftmax SafeSoftmax Select Slice Softmax Split SplitWithSizes Stack Unbind Sort Topk
"""
"""The same, if they do not run along the rows; the result has the dimensions of the operand, or one less or more."""

_REDUCTIONS = """
    Amax Amin LinalgVectorNorm Logsumexp Max Mean Min Norm Std Sum Var
"""
"""Operations over dimensions of which none may be that of the rows."""

_ROWWISE, _ALONG, _OVER = (frozenset(names.split()) for names in (_KEEP_ROWS, _KEEP_DIMENSIONS, _REDUCTIONS))


def nodes_behind(losses: Tensor, shortcuts: Mapping[Node, Sequence[Node]] | None = None) -> list[Node]:
    """The graph behind the losses, each operation once; from a node with shortcuts it goes on there alone."""
    shortcuts = shortcuts or {}
    waiting: list[Node | None] = [losses.grad_fn]
    done: dict[Node, None] = {}
    while waiting:
        node = waiting.pop()
        if node is not None and node not in done:
            done[node] = None
            waiting += shortcuts[node] if node in shortcuts else [following for following, _ in node.next_functions]
    return list(done)


def may_move_rows(node: Node, rows: int) -> bool:
    """Whether an operation behind the losses could give a row of the batch to another row, depending on values."""
    name = type(node).__name__.rstrip("0123456789").removesuffix("Backward")
    if name in _ROWWISE:
        return False
    if name == "Mm":  # rows stay rows if they are the left factor
        return node.next_functions[1][0] is not None
    if name == "Addmm":
        return node.next_functions[2][0] is not None
    if name == "Bmm":
        return len(_shape(node)) != 3 or _shape(node)[0] % rows != 0
    if name in _ALONG or name in _OVER:
        return _is_along_rows(node, name)
    return name != "AccumulateGrad"


def _shape(node: Node) -> tuple[int, ...]:
    return tuple(node._input_metadata[0].shape)


def _is_along_rows(node: Node, name: str) -> bool:
    dims = getattr(node, "_saved_dim", None)
    if dims is None:
        return True  # a reduction over everything
    # Autograd saves negative dimensions as unsigned numbers; reductions, select and unbind count those of their operand.
    signed = [dim - (1 << 64) if dim >= 1 << 63 else dim for dim in (dims if isinstance(dims, tuple) else (dims,))]
    size = len(_shape(node))
    if name in _OVER:
        size += 0 if getattr(node, "_saved_keepdim", False) else len(signed)
    elif name in ("Select", "Unbind"):
        size += 1
    return not signed or any(dim % size == 0 if size else True for dim in signed)


def require_own_rows(
    losses: Tensor, weights: Tensor, edges: Sequence[GradientEdge], gradients: Iterable[Tensor | None], views: int
) -> None:
    """Check that a row of each layer holds the gradient of its own record alone.

    The losses of record r are weighted by powers of two that the digits of r choose, one pass for each digit: a
    gradient that belongs to another record is wrong in at least one of them.

    The graph of the losses must still be there. A pass with `weights` of the losses gave the `gradients` at `edges`, the
    outputs of the layers; dimension 0 is the rows, and None stands where the losses do not reach.

    Raises:
        NotCovered: it does not.
    """
    records = torch.arange(len(losses), device=losses.device) // views
    kept = list(gradients)
    last, scale = int(records[-1]) if len(records) else 0, 1
    while True:  # two records differ in a digit at least, so that one of the passes weights them differently
        power = torch.pow(2.0, (records // scale % _BASE - _BASE // 2).to(losses.dtype))
        tried = torch.autograd.grad(losses, list(edges), weights * power, retain_graph=True, allow_unused=True)
        for gradient, again in zip(kept, tried, strict=True):
            if gradient is None or again is None:
                continue
            expected, found = (part.reshape(len(losses), -1).double() for part in (gradient, again))
            expected = expected * power[:, None].double()
            # Very small and very large numbers are left out: there powers of two are not exact any more.
            size, limits = expected.norm(dim=1), torch.finfo(gradient.dtype)
            least = min(limits.tiny * _ROOM, _NOTHING)
            usable = (size >= least) & (size <= limits.max / _ROOM)
            if bool(((found - expected).norm(dim=1) > _TOLERANCE * size)[usable].any()):
                raise NotCovered(
                    "rows are sorted, selected or regrouped, so that rows of a layer are not those of the records"
                )
        scale *= _BASE
        if scale > last:
            return
