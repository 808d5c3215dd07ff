"""Saliency: how well a map of attention predicts where people looked.

Maps are (height, width), any scale; fixations are rows of x, y in pixels of the map, cut to the pixel that they lie in. Maps
that are the same everywhere say nothing: correlation and NSS 0, areas 0.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.inputs import Flags, Labels, floats, require_same_shape
from privkd.metrics.roc import roc_auc

_EPSILON = 2.2e-16  # of the KL divergence of the MIT saliency benchmark


@dataclass(frozen=True)
class SaliencyScores:
    """All measures of one map; of several take means.

    Attributes:
        auc_judd: area under the ROC curve, fixated pixels against all others.
        shuffled_auc: fixated pixels against pixels that were fixated in other pictures; None if those were not given.
        nss: mean standardised value at the fixations.
        correlation: Pearson correlation with the fixation density (CC).
        similarity: intersection of the two distributions (SIM).
        divergence: Kullback-Leibler divergence of the map from the density, nats (KLD).
    """

    auc_judd: float
    shuffled_auc: float | None
    nss: float
    correlation: float
    similarity: float
    divergence: float


def score_saliency(
    saliency: ArrayLike, density: ArrayLike, fixations: ArrayLike, *, other_fixations: ArrayLike | None = None
) -> SaliencyScores:
    """All saliency measures of one map.

    Args:
        saliency: predicted map, >= 0, not all 0, shape (h, w).
        density: fixation density, >= 0, not all 0, shape (h, w).
        fixations: x, y in pixels of the map, shape (n, 2).
        other_fixations: of other pictures, shape (m, 2), for the shuffled area; None leaves it out.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that differ, negative maps, maps of zeros, or fixations outside.
    """
    others = None if other_fixations is None else shuffled_auc(saliency, fixations, other_fixations)
    return SaliencyScores(
        auc_judd=auc_judd(saliency, fixations),
        shuffled_auc=others,
        nss=nss(saliency, fixations),
        correlation=correlation(saliency, density),
        similarity=similarity(saliency, density),
        divergence=divergence(saliency, density),
    )


def auc_judd(saliency: ArrayLike, fixations: ArrayLike) -> float:
    """The area under the ROC curve of fixated pixels against all others, with thresholds at the fixated values only.

    Between two thresholds the curve is a straight line. Pixels fixated twice count once. No jitter is added.

    Args:
        saliency: shape (h, w).
        fixations: x, y in pixels, shape (n, 2).

    Returns:
        In [0, 1].

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, fixations outside, or no pixel that was not fixated.

    Source: Judd et al., ICCV 2009; the AUC-Judd of the MIT saliency benchmark, without its random jitter.
    """
    values, looked = _looked_at(saliency, fixations)
    if looked.all():
        raise ValueError("fixations cover every pixel of saliency, so that there is nothing to compare them with")
    thresholds = np.unique(values[looked])[::-1]
    hits = _share_at_least(values[looked], thresholds)
    alarms = _share_at_least(values[~looked], thresholds)
    x, y = np.concatenate([[0.0], alarms, [1.0]]), np.concatenate([[0.0], hits, [1.0]])
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def shuffled_auc(saliency: ArrayLike, fixations: ArrayLike, other_fixations: ArrayLike) -> float:
    """The area under the ROC curve of fixated pixels against pixels that were fixated in other pictures.

    A map of the centre alone scores about 0.5. All other fixations are compared, none are drawn at random.

    Args:
        saliency: shape (h, w).
        fixations: x, y in pixels, shape (n, 2).
        other_fixations: of other pictures, in pixels of this map, shape (m, 2); pixels that were fixated here are left out.

    Returns:
        In [0, 1].

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, fixations outside, or no other pixel that is not fixated here.

    Source: Zhang et al., "SUN", Journal of Vision 2008.
    """
    values, looked = _looked_at(saliency, fixations)
    _, elsewhere = _looked_at(saliency, other_fixations, name="other_fixations")
    elsewhere &= ~looked
    if not elsewhere.any():
        raise ValueError("other_fixations hold no pixel that was not fixated here; give those of more pictures")
    scores = np.concatenate([values[looked], values[elsewhere]])
    return roc_auc(scores, np.arange(len(scores)) < looked.sum())


def nss(saliency: ArrayLike, fixations: ArrayLike) -> float:
    """The normalised scanpath saliency: mean over all fixations of the map with mean 0 and deviation 1 (of the pixels).

    Args:
        saliency: shape (h, w).
        fixations: x, y in pixels, shape (n, 2); a pixel fixated twice counts twice.

    Returns:
        0 is chance; 0 for a map that is the same everywhere.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, or fixations outside.

    Source: Peters et al., Vision Research 2005.
    """
    values = floats(saliency, name="saliency", ndim=2)
    x, y = _pixels(values, fixations, "fixations").T
    spread = values.std()
    return 0.0 if _is_flat(values) else float((values[y, x] - values.mean()).mean() / spread)


def correlation(saliency: ArrayLike, density: ArrayLike) -> float:
    """Pearson's correlation of the two maps over pixels (CC), in [-1, 1]; 0 if one is the same everywhere.

    Args:
        saliency: shape (h, w).
        density: shape (h, w).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, or shapes that differ.
    """
    one, two = floats(saliency, name="saliency", ndim=2), floats(density, name="density", ndim=2)
    require_same_shape(saliency=one, density=two)
    if _is_flat(one) or _is_flat(two):
        return 0.0
    one, two = one - one.mean(), two - two.mean()
    return float(np.clip((one * two).sum() / (np.linalg.norm(one) * np.linalg.norm(two)), -1.0, 1.0))


def similarity(saliency: ArrayLike, density: ArrayLike) -> float:
    """The sum over pixels of the smaller of the two maps, each of sum 1 (SIM), in [0, 1].

    Args:
        saliency: >= 0, not all 0, shape (h, w).
        density: >= 0, not all 0, shape (h, w).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that differ, negative values, or a map of zeros.
    """
    return float(np.minimum(*_distributions(saliency, density)).sum())


def divergence(saliency: ArrayLike, density: ArrayLike) -> float:
    """The sum over pixels of g log(eps + g / (eps + s)), nats (KLD): g the density, s the map, eps = 2.2e-16.

    Args:
        saliency: >= 0, not all 0, shape (h, w); it is divided by its sum.
        density: >= 0, not all 0, shape (h, w); likewise.

    Returns:
        >= 0 up to rounding; up to about 36 where the map is 0 and the density is not.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that differ, negative values, or a map of zeros.
    """
    s, g = _distributions(saliency, density)
    return float((g * np.log(_EPSILON + g / (_EPSILON + s))).sum())


def _looked_at(saliency: ArrayLike, fixations: ArrayLike, *, name: str = "fixations") -> tuple[FloatArray, Flags]:
    values = floats(saliency, name="saliency", ndim=2)
    looked = np.zeros(values.shape, dtype=bool)
    x, y = _pixels(values, fixations, name).T
    looked[y, x] = True
    return values, looked


def _pixels(values: FloatArray, fixations: ArrayLike, name: str) -> Labels:
    found = floats(fixations, name=name, ndim=2)
    if found.shape[1] != 2:
        raise ValueError(f"{name} has shape {found.shape}; rows of x, y are needed")
    height, width = values.shape
    outside = ((found < 0) | (found >= [width, height])).any(axis=1)
    if outside.any():
        raise ValueError(
            f"{name} has {int(outside.sum())} rows outside the map (x in [0, {width}), y in [0, {height})), first row "
            f"{int(np.argmax(outside))}; scale them to the map, or drop them"
        )
    return found.astype(np.int64)


def _is_flat(values: FloatArray) -> bool:
    """Whether a map is the same everywhere, up to the rounding of its mean."""
    return bool(np.ptp(values) <= 1e-12 * np.abs(values).max())


def _share_at_least(values: FloatArray, thresholds: FloatArray) -> FloatArray:
    return 1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values)


def _distributions(saliency: ArrayLike, density: ArrayLike) -> tuple[FloatArray, FloatArray]:
    maps = {"saliency": floats(saliency, name="saliency", ndim=2), "density": floats(density, name="density", ndim=2)}
    require_same_shape(**maps)
    for name, values in maps.items():
        if (values < 0).any() or not values.any():
            raise ValueError(f"{name} must be >= 0 and not 0 everywhere, to be a distribution over pixels")
    return maps["saliency"] / maps["saliency"].sum(), maps["density"] / maps["density"].sum()
