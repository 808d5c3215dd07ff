"""Figures of students for a bad view: do they recognise strangers, among themselves and in the teacher's gallery?

Shared by the systems whose student sees a low view: two low views are compared with each other ("low-low"), or a low view with a
high one that the teacher has enrolled ("cross-view"), which is how such a student is deployed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from privkd.metrics import closed_set_identification, draw_pairs, pair_cosines, verify_pairs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from privkd.data import PairedViews

_ROWS = 512  # per forward pass
_PAIRS = 3000
_FEWEST_PAIRS = 20  # one of each kind in each of ten folds


@torch.no_grad()
def embeddings(network: nn.Module, images: Tensor) -> Tensor:
    """Embeddings of images by a network in eval mode, on the CPU; every mode is put back.

    Args:
        network: gives embeddings, floating, shape (b, d).
        images: shape (n, channels, height, width), n >= 1.

    Returns:
        Shape (n, d).

    Raises:
        ValueError: the network gives something else, for example maps.
    """
    modes = {module: module.training for module in network.modules()}
    device = next((parameter.device for parameter in network.parameters()), images.device)
    network.eval()
    try:
        found = torch.cat([network(part.to(device)).cpu() for part in images.split(_ROWS)])
    finally:
        for module, training in modes.items():
            module.training = training
    if found.ndim != 2 or len(found) != len(images) or not found.is_floating_point():
        raise ValueError(
            f"{type(network).__name__} gave {found.dtype} of shape {tuple(found.shape)} for {len(images)} images; a network "
            "that gives one embedding per image is needed, floating, shape (n, d)"
        )
    return found


def cross_view_figures(modules: Mapping[str, Any], views: PairedViews) -> Mapping[str, float]:
    """Verification and identification of labelled strangers, whom no network was trained on.

    Args:
        modules: with `student` for low views and, if it is there, `teacher` for high ones.
        views: their labelled rows count; of at least two identities with several rows.

    Returns:
        `low-low`: accuracy of 10-fold verification, at most 3000 pairs; `low-low rank-1`: share of rows that are closest to the
        first row of their own identity. With a teacher, the same of low views against its embeddings of high ones:
        `cross-view`, `cross-view rank-1`.

    Raises:
        ValueError: too few pairs of one or of two identities.
    """
    found, labels = _compared(modules, views)
    first = np.unique(labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(labels)), first)
    figures = {}
    for name, (enrolled, met) in found.items():
        scores, same = _scores(enrolled, met, labels)
        figures[name] = verify_pairs(scores, same, rates=()).accuracy
        rank = closed_set_identification(enrolled[first], labels[first], met[others], labels[others], ranks=(1,))
        figures[f"{name} rank-1"] = rank[1]
    return figures


def cross_view_picture(modules: Mapping[str, Any], views: PairedViews) -> Figure:
    """Histograms of the similarities of pairs of one person and of two, one panel per comparison; arguments as above."""
    from matplotlib.figure import Figure

    found, labels = _compared(modules, views)
    figure = Figure(figsize=(4.5 * len(found), 3.2), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (name, (enrolled, met)) in zip(panels, found.items(), strict=True):
        scores, same = _scores(enrolled, met, labels)
        bins = np.linspace(scores.min(), scores.max(), 41)
        axes.hist(scores[~same], bins=bins, alpha=0.6, label="two people")
        axes.hist(scores[same], bins=bins, alpha=0.6, label="one person")
        accuracy = verify_pairs(scores, same, rates=()).accuracy
        axes.set(title=f"{name}: accuracy {accuracy:.3f}", xlabel="cosine of the embeddings", ylabel="pairs")
        axes.legend(frameon=False, loc="upper left")
    return figure


def _compared(
    modules: Mapping[str, Any], views: PairedViews
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """By comparison, embeddings of enrolled and of met views of the labelled rows; and the labels of these."""
    rows = views.labels >= 0
    labels = views.labels[rows].numpy()
    if not len(labels):
        raise ValueError(f"paired views {views.name!r} have no labelled rows; figures need who is who")
    low = embeddings(modules["student"], views.low[rows]).numpy()
    found = {"low-low": (low, low)}
    if "teacher" in modules:
        found["cross-view"] = (embeddings(modules["teacher"], views.high[rows]).numpy(), low)
    return found, labels


def _scores(enrolled: np.ndarray, met: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of pairs, and which of them show one person; the same pairs for every comparison."""
    _, counts = np.unique(labels, return_counts=True)
    same = int((counts * (counts - 1) // 2).sum())
    different = len(labels) * (len(labels) - 1) // 2 - same
    most = min(_PAIRS, 2 * same, 2 * different)
    if most < _FEWEST_PAIRS:
        raise ValueError(
            f"there are {same} pairs of one identity and {different} of two; verification in ten folds needs at least "
            f"{_FEWEST_PAIRS // 2} of each: give more rows of more identities"
        )
    pairs = draw_pairs(labels, pairs=most, seed=0)
    return pair_cosines(enrolled, met, pairs), pairs.same
