"""Losses for labels that came through a noisy channel: forward, backward and reweighted likelihoods, and the posterior.

A channel T has rows of true classes and columns of observed ones: T[k, l] = P(observed l | true k). It is of all rows,
shape (K, K), of each row, (B, K, K), or of each row and annotator, (B, R, K, K). Annotators with one matrix each, (R, K, K),
are given as `T.expand(B, R, K, K)`. Labels have shape (B,), or (B, R) with one column per annotator, and -1 where missing.
"""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
from torch import Tensor

from accountants import check
from privkd.losses.rows import Reduction, full_precision, reduced, require_floating, require_rows, require_same_shape

_LEAST = 1e-8  # added to a likelihood before its logarithm
_MOST_WEIGHT = 10.0  # of a reweighted row
_SUM_ERROR = 1e-3


@full_precision
def forward_nll(
    logits: Tensor, labels: Tensor, channel: Tensor, *, weights: Tensor | None = None, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    """The negative log-likelihood of observed labels, with the classifier's answer sent through the channel.

    -log(sum over k of p_k T[k, label] + 1e-8), averaged over the labels that are there. Its minimum is the clean classifier
    when the channel is right. Gradients reach the channel, too. Its gradients shrink with the noise: scale weight decay down
    with them, or use none.

    Args:
        logits: of the true class, shape (B, K).
        labels: observed classes, int64, shape (B,) or (B, R), -1 where missing.
        channel: see the head of this module; rows sum to 1.
        weights: of the labels, >= 0, of their shape.
        reduction: "mean", "sum" or "none" (the shape of `labels`, 0 where missing).

    Returns:
        A scalar in nats, or one number per label. 0 with zero gradients when no label is there.

    Raises:
        TypeError: labels are not int64.
        ValueError: shapes do not fit, a label is K or more, or rows of the channel do not sum to 1.

    Source: forward correction, Patrini et al., arXiv 1609.03683, theorem 2.

    Example:
        >>> channel = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
        >>> round(float(forward_nll(torch.zeros(1, 2), torch.tensor([0]), channel)), 4)  # -log 0.55
        0.5978
    """
    observed, seen = _observed(logits, labels, channel)
    values = -torch.log(observed + _LEAST)
    return _over_labels(values, seen, labels, weights, reduction)


@full_precision
def likelihood_nll(logits: Tensor, log_likelihood: Tensor, *, weights: Tensor | None = None) -> Float[Tensor, ""]:
    """The negative log-likelihood of answers of any kind: -log sum over k of p_k L_k, in log space, averaged over rows.

    Args:
        logits: of the true class, shape (n, K).
        log_likelihood: log P(the answer that was seen | true class k), shape (n, K), up to one constant per row; -inf for
            classes that are ruled out.
        weights: of the rows, >= 0, shape (n,).

    Raises:
        ValueError: shapes differ.

    Example:
        >>> round(float(likelihood_nll(torch.zeros(1, 2), torch.tensor([[0.9, 0.2]]).log())), 4)  # as in forward_nll
        0.5978
    """
    require_rows(logits=logits, log_likelihood=log_likelihood)
    require_same_shape("give one likelihood per class", logits=logits, log_likelihood=log_likelihood)
    values = -torch.logsumexp(torch.log_softmax(logits, dim=1) + log_likelihood, dim=1)
    return values.mean() if weights is None else reduced(values, weights, "mean")


@full_precision
def backward_nll(
    logits: Tensor, labels: Tensor, channel: Tensor, *, weights: Tensor | None = None, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    """The cross-entropy unbiased by the inverse channel: sum over k of (T^-1)[label, k] (-log p_k); warns when used.

    Its mean over the channel is the clean cross-entropy, but it is unbounded below and of high variance: `forward_nll` gave
    better classifiers wherever both were measured.

    Args:
        logits: of the true class, shape (B, K).
        labels: observed classes, int64, shape (B,) or (B, R), -1 where missing.
        channel: see the head of this module; every matrix has an inverse. Detached.
        weights: of the labels, >= 0, of their shape.
        reduction: "mean", "sum" or "none" (the shape of `labels`, 0 where missing).

    Raises:
        TypeError: labels are not int64.
        ValueError: as `forward_nll`, or a matrix of the channel is singular to the precision of its numbers.

    Source: backward correction, Patrini et al., arXiv 1609.03683, theorem 1.
    """
    warnings.warn("backward_nll is unbounded below and of high variance; prefer forward_nll", UserWarning, stacklevel=3)
    matrices = _require_channel(logits, labels, channel).detach()
    values = torch.linalg.svdvals(matrices.double())
    if bool((values[..., -1] <= logits.shape[1] * torch.finfo(channel.dtype).eps * values[..., 0]).any()):
        raise ValueError(
            "channel holds a singular matrix: two true classes, or mixtures of them, look the same through it; use "
            "forward_nll, which needs no inverse"
        )
    inverse = torch.linalg.inv(matrices.double()).to(logits.dtype)
    costs = torch.einsum("brlk,bk->brl", inverse, -torch.log_softmax(logits, dim=1))
    values, seen = _picked(costs, labels)
    return _over_labels(values, seen, labels, weights, reduction)


@full_precision
def reweight_nll(
    logits: Tensor, labels: Tensor, channel: Tensor, *, weights: Tensor | None = None, reduction: Reduction = "mean"
) -> Float[Tensor, "..."]:
    """The cross-entropy with observed labels, each weighted by how likely it is clean: w CE, w = p_label / (p T)_label.

    The factor w gets no gradient and is at most 10. The mean divides by the number of labels, not by the sum of w.

    Args:
        logits: of the true class, shape (B, K).
        labels: observed classes, int64, shape (B,) or (B, R), -1 where missing.
        channel: see the head of this module; rows sum to 1. Detached.
        weights: of the labels, >= 0, of their shape.
        reduction: "mean", "sum" or "none" (the shape of `labels`, 0 where missing).

    Raises:
        TypeError, ValueError: as `forward_nll`.

    Source: importance reweighting, Liu and Tao, arXiv 1411.7718.

    Example:
        >>> channel = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
        >>> round(float(reweight_nll(torch.zeros(1, 2), torch.tensor([0]), channel)), 4)  # 0.5 / 0.55 log 2
        0.6301
    """
    observed, seen = _observed(logits, labels, channel.detach())
    log_p = torch.log_softmax(logits, dim=1)
    clean, _ = _picked(log_p[:, None].expand(-1, _columns(labels), -1), labels)
    factors = (clean.detach().exp() / observed.detach().clamp(min=_LEAST)).clamp(0.0, _MOST_WEIGHT)
    return _over_labels(-factors * clean, seen, labels, weights, reduction)


@torch.no_grad()
def posterior(
    probabilities: Tensor,
    labels: Tensor,
    channel: Tensor,
    *,
    prior: Tensor | None = None,
    power: float = 1.0,
    prior_power: float = 1.0,
) -> Float[Tensor, "b k"]:
    """The distribution of the true class given the classifier and all observed labels, by Bayes, without gradients.

    Proportional to p_k^power times the product over labels of T[k, label], over prior_k^prior_power: the classifier knows the
    prior already, so counting it from both sides would count it twice.

    Args:
        probabilities: of the classifier, shape (B, K).
        labels: observed classes, int64, shape (B,) or (B, R), -1 where missing.
        channel: see the head of this module.
        prior: shares of the classes, > 0, shape (K,); None for equal ones.
        power: of the classifier, >= 0.
        prior_power: of the prior, >= 0.

    Returns:
        Float of the dtype of `probabilities`, shape (B, K), rows sum to 1; computed in float64 and log space.

    Raises:
        TypeError: labels are not int64.
        ValueError: as `forward_nll`; or all classes of a row are ruled out, whose position is named.

    Example:
        >>> channel = torch.tensor([[0.9, 0.1], [0.2, 0.8]]).expand(1, 2, 2, 2)
        >>> posterior(torch.tensor([[0.5, 0.5]]), torch.tensor([[0, 0]]), channel)  # 0.81 : 0.04
        tensor([[0.9529, 0.0471]])
    """
    check.real(power=power, prior_power=prior_power, at_least=0.0)
    matrices = _require_channel(probabilities, labels, channel)
    count, classes = probabilities.shape
    prior = probabilities.new_full((classes,), 1.0 / classes) if prior is None else prior
    if prior.shape != (classes,) or not bool((prior > 0).all()):
        raise ValueError(f"prior must hold {classes} shares > 0, one per class")
    # [b, r, observed, true]: the column of what was observed.
    log_t = matrices.double().log().transpose(-1, -2).expand(count, _columns(labels), classes, classes)
    rows = labels.reshape(count, -1)
    picked = log_t.gather(2, rows.clamp(min=0)[..., None, None].expand(-1, -1, 1, classes)).squeeze(2)
    logs = torch.where(rows[..., None] >= 0, picked, 0.0).sum(dim=1) - prior_power * prior.double().log()
    if power:  # 0 times log 0 is not 0 here
        logs = logs + power * probabilities.double().log()
    impossible = (logs == -torch.inf).all(dim=1).nonzero().flatten().tolist()
    if impossible:
        raise ValueError(
            f"rows {impossible[:5]} have labels that no class can have under this channel and classifier; give every entry of "
            "the channel a little mass"
        )
    return torch.softmax(logs, dim=1).to(probabilities.dtype)


def _observed(logits: Tensor, labels: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
    """The probability of each label, and whether it is there, shapes (B, R)."""
    matrices = _require_channel(logits, labels, channel)
    return _picked(torch.einsum("bk,brkl->brl", torch.softmax(logits, dim=1), matrices), labels)


def _picked(values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of the labels in values, shape (B, R or 1, K), and whether they are there; shapes (B, R)."""
    rows = labels.reshape(len(labels), -1)
    seen = rows >= 0
    return values.expand(-1, rows.shape[1], -1).gather(2, rows.clamp(min=0)[..., None]).squeeze(2), seen


def _over_labels(values: Tensor, seen: Tensor, labels: Tensor, weights: Tensor | None, reduction: Reduction) -> Tensor:
    counted = seen.to(values.dtype).reshape(labels.shape)
    if weights is not None:
        require_same_shape("give one weight per label", weights=weights, labels=labels)
        counted = counted * weights.to(values.dtype)
    return reduced(torch.where(seen, values, 0.0).reshape(labels.shape), counted, reduction)


def _columns(labels: Tensor) -> int:
    return 1 if labels.dim() == 1 else labels.shape[1]


def _require_channel(logits: Tensor, labels: Tensor, channel: Tensor) -> Tensor:
    """The channel as (B or 1, R or 1, K, K), after everything about the arguments was checked."""
    require_rows(logits=logits)
    require_floating(channel=channel)
    count, classes = logits.shape
    if labels.dtype != torch.int64:
        raise TypeError(f"labels are of {labels.dtype}; give classes as int64, -1 where missing")
    if labels.dim() not in (1, 2) or len(labels) != count:
        raise ValueError(
            f"labels has shape {tuple(labels.shape)} for {count} rows; ({count},) or ({count}, annotators)"
        )
    if bool(((labels < -1) | (labels >= classes)).any()):
        raise ValueError(f"labels holds classes outside of [0, {classes}) other than -1; K={classes} by the logits")
    allowed = {(classes, classes), (count, classes, classes), (count, _columns(labels), classes, classes)}
    if tuple(channel.shape) not in allowed:
        raise ValueError(
            f"channel has shape {tuple(channel.shape)}; for logits {tuple(logits.shape)} and labels {tuple(labels.shape)} it "
            f"must be one of {sorted(allowed, key=len)}"
        )
    if not bool((channel >= 0).all() & ((channel.detach().sum(dim=-1) - 1).abs() <= _SUM_ERROR).all()):
        raise ValueError(
            "rows of channel are negative or do not sum to 1; rows are true classes, columns observed ones"
        )
    if channel.dim() == 2:
        return channel[None, None]
    return channel[:, None] if channel.dim() == 3 else channel
