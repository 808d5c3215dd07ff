"""Figures of students for a bad view: do they recognise strangers, among themselves and in the teacher's gallery?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from privkd.metrics import draw_pairs, pair_cosines, verify_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from privkd.data import PairedViews

_ROWS = 512  # per forward pass
_PAIRS = 3000


@torch.no_grad()
def embeddings(network: nn.Module, images: Tensor) -> Tensor:
    """Embeddings of images in eval mode, shape (n, d); the mode of the network is put back."""
    was_training = network.training
    network.eval()
    try:
        return torch.cat([network(part) for part in images.split(_ROWS)])
    finally:
        network.train(was_training)


def cross_view_figures(modules: Mapping[str, Any], views: PairedViews) -> Mapping[str, float]:
    """Verification of pairs of labelled strangers, whom no network was trained on.

    Args:
        modules: with `student` for low views and, if it is there, `teacher` for high ones.
        views: of at least two identities, with at least two rows each.

    Returns:
        `low-low`: accuracy for two low views. `cross-view`, only with a teacher: for a high view by the teacher, as it is
        enrolled, and a low view by the student, as it is met.
    """
    return {name: verify_pairs(scores, same).accuracy for name, (scores, same) in _scores(modules, views).items()}


def cross_view_picture(modules: Mapping[str, Any], views: PairedViews) -> Figure:
    """Histograms of the similarities of pairs of one person and of two, one panel per comparison."""
    from matplotlib.figure import Figure

    found = _scores(modules, views)
    figure = Figure(figsize=(4.5 * len(found), 3.2), layout="constrained")
    for axes, (name, (scores, same)) in zip(np.ravel([figure.subplots(1, len(found))]), found.items(), strict=True):
        bins = np.linspace(-1, 1, 61)
        axes.hist(scores[~same], bins=bins, alpha=0.6, label="two people")
        axes.hist(scores[same], bins=bins, alpha=0.6, label="one person")
        axes.set(title=f"{name}: accuracy {verify_pairs(scores, same).accuracy:.3f}", xlabel="cosine", ylabel="pairs")
        axes.legend(frameon=False)
    return figure


def _scores(modules: Mapping[str, Any], views: PairedViews) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Cosines of pairs by comparison, and which pairs show one person."""
    low = embeddings(modules["student"], views.low).numpy()
    labels = views.labels.numpy()
    _, counts = np.unique(labels, return_counts=True)
    most = min(_PAIRS, 2 * int((counts * (counts - 1) // 2).sum()), 2 * _different(counts))
    pairs = draw_pairs(labels, pairs=most - most % 2, seed=0)
    found = {"low-low": (pair_cosines(low, low, pairs), pairs.same)}
    if "teacher" in modules:
        high = embeddings(modules["teacher"], views.high).numpy()
        found["cross-view"] = (pair_cosines(high, low, pairs), pairs.same)
    return found


def _different(counts: np.ndarray) -> int:
    return int((counts.sum() ** 2 - (counts**2).sum()) // 2)
