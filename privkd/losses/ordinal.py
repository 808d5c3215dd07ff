"""Losses between distributions over ordered classes, such as histograms of ratings from 1 to 10.

All take probabilities of Z ordered bins, shape (n, Z), and average over rows under weights. A target of counts must be
divided by its sum first.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from accountants import check
from privkd.losses.rows import Reduction, full_precision, reduced, require_rows, require_same_shape

_LEAST = (
    1e-8  # a cumulative share of the prediction is not taken below: the gradient of its logarithm would be infinite
)
_SUM_ERROR = 1e-4  # in float32, sums of 1000 shares are off by less


@full_precision
def emd(
    predicted: Tensor,
    target: Tensor,
    *,
    order: float = 2.0,
    weights: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Float[Tensor, "..."]:
    """The earth mover's distance of ordered bins: (mean over bins of |P - Q|^order)^(1 / order) of cumulative sums P, Q.

    Args:
        predicted: probabilities, shape (n, Z).
        target: probabilities, shape (n, Z); detached.
        order: r >= 1; 1 is the mass moved times the way, over Z.
        weights: of the rows, >= 0, shape (n,).
        reduction: "mean", "sum" or "none" (shape (n,)).

    Returns:
        A scalar in [0, 1], or one number per row. Gradients at equality are 0.

    Raises:
        ValueError: shapes differ, or a target is negative or does not sum to 1.

    Source: Hou et al., arXiv 1611.05916; with order 2, NIMA, Talebi and Milanfar, arXiv 1709.05424.

    Example:
        >>> first, last = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0, 1.0]])
        >>> float(emd(first, last, order=1.0)), round(float(emd(first, last)), 4)
        (0.75, 0.866)
    """
    check.real(order=order, at_least=1.0)
    p, q = _cumulative(target, predicted)
    powers = (p - q).abs().pow(order).mean(dim=1)
    moved = powers > 0  # the root has an infinite slope at 0
    values = torch.where(moved, torch.where(moved, powers, 1.0).pow(1 / order), 0.0)
    return reduced(values.to(predicted.dtype), weights, reduction)


@full_precision
def cumulative_js(
    predicted: Tensor, target: Tensor, *, weights: Tensor | None = None, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    """The Jensen-Shannon divergence of cumulative sums P, Q: half the sum over bins of P ln(P / M) + Q ln(Q / M).

    M = (P + Q) / 2. Unlike the divergence of the bins themselves it knows their order. With `weights=kurtosis_weights(target)`
    it is the reliability-sensitive form.

    Args:
        predicted: probabilities, shape (n, Z).
        target: probabilities, shape (n, Z); detached.
        weights: of the rows, >= 0, shape (n,).
        reduction: "mean", "sum" or "none" (shape (n,)).

    Returns:
        A scalar >= 0 in nats, or one number per row.

    Raises:
        ValueError: shapes differ, or a target is negative or does not sum to 1.

    Source: Jin et al., arXiv 1708.07089; the formula is reconstructed from its title and abstract.

    Example:
        >>> bins = torch.eye(3)
        >>> [round(float(cumulative_js(bins[:1], bins[k : k + 1])), 4) for k in range(3)]
        [0.0, 0.3466, 0.6931]
    """
    p, q = _cumulative(target, predicted)
    values = _js(p, q.clamp(min=_LEAST))
    return reduced(values.to(predicted.dtype), weights, reduction)


@full_precision
def jensen_shannon(
    predicted: Tensor, target: Tensor, *, weights: Tensor | None = None, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    """The Jensen-Shannon divergence of the bins, which does not know their order: what `cumulative_js` is compared with.

    Args:
        predicted: probabilities, shape (n, Z).
        target: probabilities, shape (n, Z); detached.
        weights: of the rows, >= 0, shape (n,).
        reduction: "mean", "sum" or "none" (shape (n,)).

    Returns:
        A scalar in [0, ln 2], or one number per row.

    Raises:
        ValueError: shapes differ, or a target is negative or does not sum to 1.

    Example:
        >>> bins = torch.eye(3)
        >>> [round(float(jensen_shannon(bins[:1], bins[k : k + 1])), 4) for k in range(3)]
        [0.0, 0.6931, 0.6931]
    """
    _require_distributions(target, predicted)
    values = _js(target.detach().double(), predicted.double().clamp(min=_LEAST))
    return reduced(values.to(predicted.dtype), weights, reduction)


@torch.no_grad()
def kurtosis_weights(target: Tensor) -> Float[Tensor, " n"]:
    """Weights of rating histograms by how close their kurtosis is to that of a normal distribution: exp(-|kappa - 3| / 2).

    Histograms of few raters have a kurtosis far from 3. Those with a single bin have none, and get the smallest weight of
    the batch.

    Args:
        target: probabilities, shape (n, Z), n >= 1.

    Returns:
        Weights > 0 with mean 1, shape (n,).

    Raises:
        ValueError: a target is negative or does not sum to 1.

    Source: weighting by kurtosis, Jin et al., arXiv 1708.07089; the map from kurtosis to weight is reconstructed.

    Example:
        >>> kurtosis_weights(torch.tensor([[0.25, 0.5, 0.25], [0.5, 0.0, 0.5]]))
        tensor([1.2449, 0.7551])
    """
    _require_distributions(target, target)
    shares = target.double()
    if not len(shares):
        raise ValueError("target has 0 rows; give at least one histogram")
    bins = torch.arange(shares.shape[1], dtype=torch.float64, device=shares.device)
    centred = bins - (shares * bins).sum(dim=1, keepdim=True)
    second, fourth = ((shares * centred**power).sum(dim=1) for power in (2, 4))
    spread = second > 1e-9
    kappa = torch.where(spread, fourth / torch.where(spread, second, 1.0).square(), torch.inf)
    weights = torch.exp(-(kappa - 3).abs() / 2)
    lowest = torch.where(spread, weights, torch.inf).min()
    weights = torch.where(spread, weights, torch.where(lowest.isfinite(), lowest, 1.0))
    return (weights / weights.mean()).to(target.dtype)


def _cumulative(target: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Cumulative sums of target and prediction, in float64: differences of near ones are what counts."""
    _require_distributions(target, predicted)
    return target.detach().double().cumsum(dim=1), predicted.double().cumsum(dim=1)


def _js(p: Tensor, q: Tensor) -> Tensor:
    """Half the sum along the last dimension of p ln(p / m) + q ln(q / m), m = (p + q) / 2, for q > 0; 0 ln 0 = 0."""
    m = (p + q) / 2
    of_p = torch.where(p > 0, p * (torch.where(p > 0, p, 1.0).log() - m.log()), 0.0)
    return (of_p + q * (q.log() - m.log())).sum(dim=1) / 2


def _require_distributions(target: Tensor, predicted: Tensor) -> None:
    require_rows(predicted=predicted, target=target)
    require_same_shape("give one target distribution per row, over the same bins", predicted=predicted, target=target)
    sums = target.detach().double().sum(dim=1)
    if not bool((target >= 0).all() & ((sums - 1).abs() <= _SUM_ERROR).all()):
        raise ValueError(
            "target holds rows that are negative or do not sum to 1; give probabilities, for counts counts / counts.sum(1, "
            "keepdim=True)"
        )
