"""Selection: which rows carry a clean label? Every method gives a mask and a score, larger for rows that look cleaner.

Labels are the given, noisy ones; none of this sees a true label but `trusted`. Tensors stay on their device.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from accountants import check
from privkd.learners.neighbours import nearest

_LEAST_SHARE, _MOST_SHARE = 0.01, 0.99  # of neighbours, before a logarithm


class Selection(NamedTuple):
    """Rows that look clean.

    Attributes:
        mask: whether a row is selected, shape (n,).
        score: larger for rows that look cleaner, shape (n,); the scale is the method's.
    """

    mask: Bool[Tensor, " n"]
    score: Float[Tensor, " n"]


def knn_agreement(
    embeddings: Float[Tensor, "n d"],
    labels: Tensor,
    classes: int,
    *,
    neighbours: int = 250,
    quantile: float = 0.5,
    quota: int | None = None,
) -> Selection:
    """The rows whose labels agree with those of their neighbours, as many of each class: the selection of Sel-CL.

    Labels are first corrected by the vote of the neighbours; the loss of a row is then minus the logarithm of the share of its
    neighbours whose *corrected* label is its own label. Of each class the rows of least loss are taken, as many as the quantile
    over the classes of how many rows agree with the vote. Source: arXiv 2203.04181, section 3.2, and its official code.

    Args:
        embeddings: of the rows; cosine similarity tells neighbours.
        labels: given classes, in [0, K), int64, shape (n,).
        classes: number of classes K, >= 2.
        neighbours: per row, < n, the row itself left out.
        quantile: over the classes, in [0, 1].
        quota: rows per class, >= 0, in place of the quantile; with a known channel their expected number is known. A class with
            fewer rows is taken whole.

    Returns:
        Selection: the score is minus the loss, nats.

    Example:
        >>> angles = torch.tensor([0.0, 0.1, 0.2, 0.3, 1.2, 1.3, 1.4, 1.5])
        >>> labels = torch.tensor([0, 0, 1, 0, 1, 1, 1, 1])  # the third one is wrong
        >>> points = torch.stack([angles.cos(), angles.sin()], dim=1)
        >>> knn_agreement(points, labels, 2, neighbours=3, quantile=1.0).mask.tolist()
        [True, True, False, True, True, True, True, True]
    """
    check.real(quantile=quantile, at_least=0.0, at_most=1.0)
    _require_labels(labels, classes, rows=len(embeddings))
    _, rows = nearest(embeddings, neighbours)
    corrected = _vote(labels[rows], classes).argmax(dim=1)
    share = _vote(corrected[rows], classes) / neighbours
    loss = -share.gather(1, labels[:, None]).squeeze(1).clamp(_LEAST_SHARE, _MOST_SHARE).log()
    if quota is None:
        agreeing = torch.bincount(labels[share.argmax(dim=1) == labels], minlength=classes)
        quota = int(torch.quantile(agreeing.double(), quantile))
    return small_loss(loss, labels, classes, quota=quota)


def small_loss(losses: Float[Tensor, " n"], labels: Tensor, classes: int, *, quota: int) -> Selection:
    """The rows of least loss of each class.

    Args:
        losses: of the rows, finite.
        labels: given classes, in [0, K), int64, shape (n,).
        classes: number of classes K, >= 2.
        quota: rows per class, >= 0; a class with fewer rows is taken whole. Of equal losses the earlier row comes first.

    Returns:
        Selection: the score is minus the loss.

    Example:
        >>> small_loss(torch.tensor([0.1, 0.9, 0.5, 0.2]), torch.tensor([0, 0, 1, 1]), 2, quota=1).mask.tolist()
        [True, False, False, True]
    """
    check.integer(quota=quota, at_least=0)
    _require_labels(labels, classes, rows=len(losses))
    _require_finite(losses, "losses")
    mask = torch.zeros(len(losses), dtype=torch.bool, device=losses.device)
    for label in range(classes):
        rows = (labels == label).nonzero().squeeze(1)
        mask[rows[losses[rows].argsort(stable=True)[:quota]]] = True
    return Selection(mask, -losses)


def gmm_small_loss(losses: Float[Tensor, " n"], *, threshold: float = 0.5, seed: int = 0) -> Selection:
    """The rows whose loss belongs to the lower of two normal distributions: the selection of DivideMix.

    Args:
        losses: of the rows, finite, n >= 2.
        threshold: on the probability of the lower one, in [0, 1).
        seed: of the fit's start, >= 0.

    Returns:
        Selection: the score is this probability, 1 where all losses are equal.

    Source: Li et al., ICLR 2020 (arXiv 2002.07394), section 3.1; their losses are first scaled to [0, 1], as here.
    """
    from sklearn.mixture import GaussianMixture

    check.real(threshold=threshold, at_least=0.0, below=1.0)
    check.integer(seed=seed, at_least=0)
    if len(losses) < 2:
        raise ValueError(f"losses.shape={tuple(losses.shape)}: two distributions need at least two rows")
    _require_finite(losses, "losses")
    spread = losses.max() - losses.min()
    if not spread > 0:
        return Selection(torch.ones_like(losses, dtype=torch.bool), torch.ones_like(losses))
    scaled = ((losses - losses.min()) / spread).detach().cpu().double().numpy()[:, None]
    mixture = GaussianMixture(2, reg_covar=5e-4, random_state=seed).fit(scaled)
    lower = mixture.predict_proba(scaled)[:, np.argmin(cast(Any, mixture.means_)[:, 0])]
    score = torch.from_numpy(lower).to(losses)
    return Selection(score > threshold, score)


def confident(probabilities: Float[Tensor, "n K"], *, threshold: float = 0.1) -> Selection:
    """The rows of which a classifier is sure: largest probability > (1 + threshold)/2, the distilled rows of TAIDTM.

    Above 1/2, so that noise below 1/2 cannot turn the class. The label to use is the likeliest class, not the given one.

    Args:
        probabilities: of a classifier; rows sum to 1.
        threshold: in [0, 1).

    Returns:
        Selection: the score is the largest probability.

    Source: arXiv 2306.03116, and Cheng et al., arXiv 2001.03772 (bounded-noise distillation).
    """
    check.real(threshold=threshold, at_least=0.0, below=1.0)
    _require_finite(probabilities, "probabilities")
    score = probabilities.max(dim=1).values
    return Selection(score > 0.5 * (1.0 + threshold), score)


def trusted(rows: Int[Tensor, " t"], count: int, *, labels: Tensor | None = None, classes: int = 0) -> Selection:
    """The rows that somebody vouches for.

    Args:
        rows: of the trusted ones, in [0, count), without repeats.
        count: number of all rows n.
        labels: if given, every class must have a trusted row.
        classes: number of classes K, with `labels`.

    Returns:
        Selection: the score is 1 for these and 0 for all others.

    Raises:
        ValueError: a row lies outside or repeats, or a class has no trusted row.
    """
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= count):
        raise ValueError(f"rows leave 0..{count - 1}; trusted rows are positions in the data")
    mask = torch.zeros(count, dtype=torch.bool, device=rows.device)
    mask[rows] = True
    if int(mask.sum()) != len(rows):
        raise ValueError(f"rows name {len(rows)} rows, but only {int(mask.sum())} different ones")
    if labels is not None:
        _require_labels(labels, classes, rows=count)
        missing = torch.bincount(labels[mask], minlength=classes) == 0
        if missing.any():
            raise ValueError(f"class {int(missing.int().argmax())} has no trusted row; every class needs at least one")
    return Selection(mask, mask.float())


def _vote(labels: Int[Tensor, "n k"], classes: int) -> Tensor:
    """How many of each row's labels say each class, float, shape (n, K)."""
    votes = torch.zeros(len(labels), classes, device=labels.device)
    return votes.scatter_add_(1, labels, torch.ones_like(labels, dtype=votes.dtype))


def _require_labels(labels: Tensor, classes: int, *, rows: int) -> None:
    check.integer(classes=classes, at_least=2)
    if len(labels) != rows:
        raise ValueError(f"{len(labels)} labels for {rows} rows; give one for each")
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        raise ValueError(f"labels[{int(wrong.int().argmax())}] lies outside 0..{classes - 1}")


def _require_finite(values: Tensor, name: str) -> None:
    wrong = ~torch.isfinite(values).flatten(1).all(dim=1) if values.dim() > 1 else ~torch.isfinite(values)
    if wrong.any():
        raise ValueError(f"{name}[{int(wrong.int().argmax())}] is not finite")
