"""How far a network explains itself: correlated units, units that mean a concept, and maps that name what matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import both_classes, floats, require_same_length, require_same_shape
from privkd.metrics.roc import roc_auc

_ROWS = 256  # perturbed inputs per call of the model


@dataclass(frozen=True)
class ConceptPurity:
    """How well one unit tells rows with a concept from rows without.

    Attributes:
        purity: area under the ROC curve of the unit, in [0, 1].
        best_unit: the unit with the largest area of all.
        best_purity: its area.
    """

    purity: float
    best_unit: int
    best_purity: float


@dataclass(frozen=True, eq=False)
class PerturbationCurve:
    """The model's score while pixels are removed or inserted in the order of a map.

    Attributes:
        fractions: share of pixels changed, from 0 to 1, shape (s + 1,).
        scores: of the model at each, shape (s + 1,).
    """

    fractions: FloatArray
    scores: FloatArray

    @property
    def auc(self) -> float:
        """The area under the scores over the fractions, by trapezoids: low is good for deletion, high for insertion."""
        return float((np.diff(self.fractions) * (self.scores[1:] + self.scores[:-1]) / 2).sum())


def mean_correlation(features: ArrayLike) -> float:
    """The mean absolute correlation of two different units over rows: 0 for units that vary independently.

    Args:
        features: finite, shape (n, d), n >= 3, d >= 2.

    Returns:
        In [0, 1]. Of d independent units it is near 0.8 / sqrt(n), not 0.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, too few rows or units, or a unit that is the same in all rows (it has no correlation).

    Example:
        >>> round(mean_correlation([[0.0, 1.0], [1.0, 0.0], [2.0, -1.0]]), 9)
        1.0
    """
    values = floats(features, name="features", ndim=2)
    check.integer(rows=values.shape[0], at_least=3)
    check.integer(units=values.shape[1], at_least=2)
    still = np.ptp(values, axis=0) <= 1e-12 * np.abs(values).max(axis=0)
    if still.any():
        raise ValueError(
            f"features has {int(still.sum())} of {values.shape[1]} units that never change, first unit {int(np.argmax(still))}; "
            "leave dead units out, and say how many they were"
        )
    scaled = values - values.mean(axis=0)
    scaled /= np.linalg.norm(scaled, axis=0)
    above = np.triu_indices(values.shape[1], k=1)
    return float(np.minimum(np.abs((scaled.T @ scaled)[above]), 1.0).mean())


def concept_purity(features: ArrayLike, concept: ArrayLike, *, unit: int) -> ConceptPurity:
    """The purity of a concept's own unit (axis), next to the best single unit for that concept.

    Args:
        features: activations, finite, shape (n, d).
        concept: 1 where the row has the concept, both values present, shape (n,).
        unit: the unit that is meant to carry it, in [0, d).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, one kind of rows only, or a unit out of range.

    Example:
        >>> concept_purity([[0.1, 5.0], [0.9, 5.0], [0.8, 4.0]], [0, 1, 1], unit=0)
        ConceptPurity(purity=1.0, best_unit=0, best_purity=1.0)
    """
    values, has = floats(features, name="features", ndim=2), both_classes(concept, name="concept")
    require_same_length(features=values, concept=has)
    check.integer(unit=unit, at_least=0, at_most=values.shape[1] - 1)
    areas = [roc_auc(column, has) for column in values.T]
    best = int(np.argmax(areas))
    return ConceptPurity(areas[unit], best, areas[best])


def perturbation_curve(
    model: Callable[[FloatArray], ArrayLike],
    image: ArrayLike,
    importance: ArrayLike,
    *,
    mode: Literal["deletion", "insertion"],
    baseline: float | ArrayLike = 0.0,
    steps: int | None = None,
) -> PerturbationCurve:
    """The model's score as the most important pixels go first (deletion), or come first (insertion).

    Args:
        model: from images, float64, shape (b, ...), to the score (probability of the explained class) of each, shape (b,).
        image: finite, any shape whose last axes are those of the map, such as (channels, h, w).
        importance: map, finite, shape (h, w) or that of the image; equal values keep their order.
        mode: "deletion" starts from the image, "insertion" from the baseline.
        baseline: what stands for a removed pixel: a number, or an array of the image's shape.
        steps: changes of (almost) equal size; None for one pixel at a time.

    Returns:
        Scores at 0, 1/steps, ..., 1.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that do not fit, an unknown mode, more steps than pixels, or a model that does not
            give one finite score per image.

    Source: Petsiuk et al., "RISE", BMVC 2018.

    Example:
        >>> weights = np.array([0.5, 0.3, 0.2])
        >>> curve = perturbation_curve(lambda x: x @ weights, [1.0, 1.0, 1.0], weights, mode="deletion")
        >>> curve.scores.round(2).tolist(), round(curve.auc, 4)
        ([1.0, 0.5, 0.2, 0.0], 0.4)
    """
    if mode not in ("deletion", "insertion"):
        raise ValueError(f"mode={mode!r} must be 'deletion' or 'insertion'")
    start, end = floats(image, name="image", ndim=None), floats(baseline, name="baseline", ndim=None)
    if end.ndim:
        require_same_shape(image=start, baseline=end)
    values = floats(importance, name="importance", ndim=None)
    if start.shape[start.ndim - values.ndim :] != values.shape or not values.ndim:
        raise ValueError(
            f"importance of shape {values.shape} is no map over the last axes of an image of shape {start.shape}"
        )
    pixels = values.size
    count = pixels if steps is None else check.as_int(steps=steps, at_least=1, at_most=pixels)
    rank = np.empty(pixels, dtype=np.int64)
    rank[np.argsort(-values.ravel(), kind="stable")] = np.arange(pixels)
    first, last = (start, end) if mode == "deletion" else (np.broadcast_to(end, start.shape), start)
    changed = np.round(np.arange(count + 1) * pixels / count).astype(np.int64)
    scores = [
        _scores_of(model, np.stack([np.where(rank.reshape(values.shape) < one, last, first) for one in part]))
        for part in np.split(changed, range(_ROWS, count + 1, _ROWS))
    ]
    return PerturbationCurve(changed / pixels, np.concatenate(scores))


def _scores_of(model: Callable[[FloatArray], ArrayLike], images: FloatArray) -> FloatArray:
    scores = floats(model(images), name="scores of the model")
    if len(scores) != len(images):
        raise ValueError(f"the model gave {len(scores)} scores for {len(images)} images; one each is needed")
    return scores
