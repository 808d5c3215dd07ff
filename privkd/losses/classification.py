"""Cross-entropies: of logits, of cosines with class prototypes, and of mixed-up inputs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from accountants import check
from privkd.losses.rows import Reduction, full_precision, reduced, require_rows, require_same_shape, unit


@full_precision
def cross_entropy(
    logits: Tensor,
    labels: Tensor,
    *,
    weights: Tensor | None = None,
    ignore: int = -1,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The cross-entropy of logits with labels, averaged over the labelled rows.

    Args:
        logits: shape (n, K), n >= 0.
        labels: classes, int64, shape (n,), where `ignore` stands for no label; or shares of the classes, shape (n, K), each
            row summing to 1, of which every row counts.
        weights: of the rows, >= 0, shape (n,); the mean divides by the weights of the labelled rows.
        ignore: the label of rows that are skipped.
        reduction: "mean", "sum" or "none" (shape (n,), 0 where skipped).

    Returns:
        A scalar >= 0 in nats, or one number per row. 0 with zero gradients when no row counts.

    Raises:
        TypeError: labels are neither int64 nor floating numbers.
        ValueError: shapes do not fit, or another word for the reduction.
        IndexError: a label on the CPU is outside of [0, K) and not `ignore`.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
        >>> round(float(cross_entropy(logits, torch.tensor([0, 1]))), 4)
        0.41
        >>> round(float(cross_entropy(logits, torch.tensor([-1, 1]))), 4)
        0.6931
    """
    require_rows(logits=logits)
    soft = labels.is_floating_point()
    _require_labels(logits, labels)
    # Soft labels have no value that could stand for a missing one; -100 is no option there.
    ignored = -100 if soft else ignore
    counted = torch.ones_like(logits[:, 0], dtype=torch.bool) if soft else labels != ignore
    if weights is None and reduction in ("mean", "sum"):
        # The fused sum: the same numbers as the mean of torch where every row is labelled, and no NaN where none is.
        total = functional.cross_entropy(logits, labels, reduction="sum", ignore_index=ignored)
        return total / counted.sum().clamp(min=1) if reduction == "mean" else total
    values = functional.cross_entropy(logits, labels, reduction="none", ignore_index=ignored)
    if weights is not None:
        require_same_shape("give one weight per row", weights=weights, rows=values)
        counted = weights.to(values.dtype) * counted
    return reduced(values, counted, reduction)


@full_precision
def cosine_cross_entropy(
    embeddings: Tensor,
    prototypes: Tensor,
    labels: Tensor,
    *,
    scale: float = 16.0,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The cross-entropy of scaled cosines between embeddings and one prototype per class: a normalised softmax.

    Args:
        embeddings: shape (n, d), of any length.
        prototypes: shape (K, d), of any length; rows of the weights of a head without bias.
        labels: int64, shape (n,); rows of label -1 are skipped.
        scale: factor on the cosines, > 0: about 16 for tens of classes, 30 to 64 for thousands.
        weights: as in `cross_entropy`.
        reduction: as in `cross_entropy`.

    Raises:
        ValueError: widths differ, or the scale is not positive.

    Source: NormFace, Wang et al., arXiv 1704.06369.

    Example:
        >>> axes = torch.eye(2)
        >>> round(float(cosine_cross_entropy(7 * axes, axes, torch.tensor([0, 1]), scale=2.0)), 4)
        0.1269
    """
    check.real(scale=scale, above=0.0)
    require_rows(embeddings=embeddings, prototypes=prototypes)
    if embeddings.shape[1] != prototypes.shape[1]:
        raise ValueError(
            f"embeddings have {embeddings.shape[1]} numbers and prototypes {prototypes.shape[1]}; give one width"
        )
    cosines = unit(embeddings) @ unit(prototypes).T
    return cross_entropy(scale * cosines, labels, weights=weights, reduction=reduction)


@full_precision
def mixup_loss(
    logits: Tensor, labels: Tensor, partners: Tensor, share: float | Tensor, *, weights: Tensor | None = None
) -> Float[Tensor, ""]:
    """The cross-entropy of inputs that are mixed from two rows: share times that of one label, the rest of the other one.

    Args:
        logits: of the mixed inputs, shape (n, K).
        labels: of the rows with weight `share`, as in `cross_entropy`.
        partners: labels of the rows that were mixed in.
        share: lambda, in [0, 1]: a number, or one per row, shape (n,).
        weights: of the rows; a mean over them, in which a row counts by the shares of its labelled parts.

    Raises:
        ValueError: the share is outside of [0, 1], or shapes do not fit.

    Source: mixup, Zhang et al., arXiv 1710.09412.

    Example:
        >>> logits = torch.tensor([[2.0, 0.0]])
        >>> round(float(mixup_loss(logits, torch.tensor([0]), torch.tensor([1]), 0.75)), 4)
        0.6269
    """
    require_rows(logits=logits)
    if isinstance(share, Tensor):
        require_same_shape("give one share per row", share=share, rows=logits[:, 0])
    else:
        check.real(share=share, at_least=0.0, at_most=1.0)
    shares = torch.as_tensor(share, dtype=logits.dtype, device=logits.device).expand(len(logits))
    weights = torch.ones_like(shares) if weights is None else weights.to(shares.dtype)
    both = torch.cat([shares * weights, (1 - shares) * weights])
    return cross_entropy(torch.cat([logits, logits]), torch.cat([labels, partners]), weights=both)


def _require_labels(logits: Tensor, labels: Tensor) -> None:
    if labels.is_floating_point():
        require_same_shape("soft labels need one share per class", logits=logits, labels=labels)
    elif labels.dtype != torch.int64:
        raise TypeError(
            f"labels are of {labels.dtype}; give classes as int64, or shares of the classes as floating numbers"
        )
    elif labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)} for logits {tuple(logits.shape)}; give one label per row"
        )
