"""Contrastive losses: each row against keys, of which some belong to it; and a queue of keys of past batches."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from accountants import check
from privkd.losses.rows import Reduction, full_precision, reduced, require_floating, require_rows, unit


@full_precision
def info_nce(
    queries: Tensor,
    keys: Tensor,
    *,
    queue: Tensor | None = None,
    in_batch: bool = True,
    tau: float = 0.1,
    exclude: Tensor | None = None,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The cross-entropy of finding each query's key by cosine among other keys.

    The symmetric loss of image and text is the mean of `info_nce(a, b)` and `info_nce(b, a)`; that of momentum contrast is
    `info_nce(q, k, queue=past, in_batch=False)`. Nothing is detached here.

    Args:
        queries: shape (n, d).
        keys: the positive of each query, shape (n, d).
        queue: further negatives, of all queries, shape (m, d), or of each one, shape (n, m, d).
        in_batch: the keys of other queries are negatives, too.
        tau: temperature of the cosines, > 0.
        exclude: bool, shape (n, n): keys of the batch that are no negative of a query, for example of the same sentence.
            The diagonal does not matter.
        weights: of the queries, >= 0, shape (n,).
        reduction: "mean", "sum" or "none" (shape (n,)).

    Returns:
        A scalar >= 0 in nats; log(number of keys) at chance.

    Raises:
        ValueError: shapes do not fit, there can be no negative, or tau is not positive.

    Source: van den Oord et al., arXiv 1807.03748; with a queue, He et al., arXiv 1911.05722, equation 1.

    Example:
        >>> axes = torch.eye(3)
        >>> round(float(info_nce(axes, axes, tau=1.0)), 4), round(float(info_nce(axes, axes.roll(1, 0), tau=1.0)), 4)
        (0.5514, 1.5514)
    """
    check.real(tau=tau, above=0.0)
    require_rows(queries=queries, keys=keys)
    if keys.shape != queries.shape:
        raise ValueError(
            f"queries {tuple(queries.shape)}, keys {tuple(keys.shape)}: give one key per query, of one width"
        )
    if not in_batch and queue is None:
        raise ValueError("in_batch=False without a queue leaves no negatives; give a queue of other keys")
    queries, keys = unit(queries), unit(keys)
    negatives = []
    if in_batch:
        # Its own key is counted apart.
        away = torch.eye(len(queries), dtype=torch.bool, device=queries.device)
        if exclude is not None:
            away = away | _pair_mask(exclude, away.shape, "exclude")
        negatives.append((queries @ keys.T).masked_fill(away, -torch.inf))
    if queue is not None:
        negatives.append(_queue_cosines(queries, queue))
    cosines = torch.cat([(queries * keys).sum(dim=1, keepdim=True), *negatives], dim=1)
    return reduced(-torch.log_softmax(cosines / tau, dim=1)[:, 0], weights, reduction)


@full_precision
def supcon(
    embeddings: Tensor,
    mask: Tensor,
    *,
    keys: Tensor | None = None,
    allowed: Tensor | None = None,
    tau: float = 0.1,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The supervised contrastive loss: the mean over each anchor's partners of the cross-entropy of finding that partner.

    Args:
        embeddings: the anchors, shape (n, d); with two views of a batch, both stacked.
        mask: bool, shape (n, m): which keys are partners of an anchor.
        keys: shape (m, d), for example of a queue; None: the embeddings themselves, where nothing is its own key.
        allowed: bool, shape (n, m): the keys with which an anchor is compared; None for all. Partners must be among them.
        tau: temperature of the cosines, > 0.
        weights: of the anchors, >= 0, shape (n,).
        reduction: "mean" over anchors that have a partner, "sum", or "none" (shape (n,), 0 without a partner).

    Returns:
        A scalar >= 0 in nats, or one number per anchor. 0 with zero gradients when no anchor has a partner.

    Raises:
        ValueError: shapes do not fit, a mask is not of booleans, a partner is not allowed, or tau is not positive.

    Source: Khosla et al., arXiv 2004.11362, equation 2 (L_out).

    Example:
        >>> rows, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
        >>> round(float(supcon(rows, labels[:, None] == labels, tau=1.0)), 4)
        0.5514
    """
    check.real(tau=tau, above=0.0)
    require_rows(embeddings=embeddings)
    others = embeddings if keys is None else keys
    require_rows(keys=others)
    if others.shape[1] != embeddings.shape[1]:
        raise ValueError(f"embeddings have {embeddings.shape[1]} numbers and keys {others.shape[1]}; give one width")
    shape = torch.Size((len(embeddings), len(others)))
    partners = _pair_mask(mask, shape, "mask")
    compared = torch.ones_like(partners) if allowed is None else _pair_mask(allowed, shape, "allowed")
    if allowed is not None and bool((partners & ~compared).any()):
        raise ValueError("mask names partners that allowed leaves out; allow every partner")
    if keys is None:
        itself = torch.eye(len(embeddings), dtype=torch.bool, device=embeddings.device)
        partners, compared = partners & ~itself, compared & ~itself
    cosines = unit(embeddings) @ unit(others).T / tau
    # A finite fill: an anchor that is compared with nothing has a loss of 0, not NaN.
    logs = torch.log_softmax(cosines.masked_fill(~compared, torch.finfo(cosines.dtype).min / 2), dim=1)
    count = partners.sum(dim=1)
    values = -torch.where(partners, logs, 0.0).sum(dim=1) / count.clamp(min=1)
    counted = (count > 0).to(values.dtype)
    if weights is not None:
        if weights.shape != counted.shape:
            raise ValueError(f"weights has shape {tuple(weights.shape)}; give one per anchor, ({len(counted)},)")
        counted = counted * weights.to(values.dtype)
    return reduced(values, counted, reduction)


class FeatureQueue(nn.Module):
    """The last rows that were pushed, with their ids: negatives from past batches at a fixed cost of memory.

    Buffers hold all of it, so checkpoints do, too. With several processes, push what was gathered from all of them.

    Args:
        size: rows that are kept, >= 1.
        width: numbers per row, >= 1.

    Example:
        >>> queue = FeatureQueue(2, 1)
        >>> for number in (1.0, 2.0, 3.0):
        ...     queue.push(torch.tensor([[number]]), torch.tensor([int(number)]))
        >>> queue.features.flatten().tolist(), queue.ids.tolist()
        ([3.0, 2.0], [3, 2])
    """

    rows: Tensor
    row_ids: Tensor
    pushed: Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        check.integer(size=size, width=width, at_least=1)
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("row_ids", torch.full((size,), -1))
        self.register_buffer("pushed", torch.tensor(0))

    def __len__(self) -> int:
        return min(int(self.pushed), len(self.rows))

    @property
    def features(self) -> Float[Tensor, "m d"]:
        """The rows that are kept, shape (m, width), m <= size, in no particular order; a copy without gradients."""
        return self.rows[: len(self)].clone()

    @property
    def ids(self) -> Int64[Tensor, " m"]:
        """The ids of these rows, shape (m,); -1 where none was given."""
        return self.row_ids[: len(self)].clone()

    @torch.no_grad()
    def push(self, features: Tensor, ids: Tensor | None = None) -> None:
        """Keep these rows, in place of the oldest ones.

        Args:
            features: shape (n, width), n >= 0; detached. Of more rows than the queue holds, the last ones are kept.
            ids: int64, shape (n,): what rows are found by again, such as their positions in the data.

        Raises:
            ValueError: shapes do not fit.
        """
        require_floating(features=features)
        size, width = self.rows.shape
        if features.dim() != 2 or features.shape[1] != width:
            raise ValueError(f"features has shape {tuple(features.shape)}; this queue holds rows of width {width}")
        if ids is not None and (ids.shape != features.shape[:1] or ids.dtype != torch.int64):
            raise ValueError(f"ids is of {ids.dtype} and shape {tuple(ids.shape)}; give one int64 number per row")
        count = len(features)
        places = (self.pushed + torch.arange(count, device=self.rows.device))[-size:] % size
        self.rows[places] = features.detach()[-size:].to(self.rows)
        self.row_ids[places] = -1 if ids is None else ids[-size:].to(self.row_ids)
        self.pushed += count


def _queue_cosines(queries: Tensor, queue: Tensor) -> Tensor:
    """Cosines of unit queries with their further negatives, shape (n, m)."""
    require_floating(queue=queue)
    if queue.dim() == 2 and queue.shape[1] == queries.shape[1]:
        return queries @ unit(queue).T
    if queue.dim() == 3 and (len(queue), queue.shape[2]) == tuple(queries.shape):
        return torch.einsum("nd,nmd->nm", queries, unit(queue))
    raise ValueError(
        f"queue has shape {tuple(queue.shape)} for queries {tuple(queries.shape)}; give negatives of all queries, (m, d), or "
        "of each one, (n, m, d)"
    )


def _pair_mask(mask: Tensor, shape: torch.Size, name: str) -> Tensor:
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"{name} is of {mask.dtype} and shape {tuple(mask.shape)}; booleans of shape {tuple(shape)} are needed"
        )
    return mask
