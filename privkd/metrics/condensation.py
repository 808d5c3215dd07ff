"""Condensed data sets: how much of a gain is the data's own, and how much comes from soft labels or augmentation?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from accountants import check


@dataclass(frozen=True)
class LabelRobustness:
    """What a condensed set is worth when soft labels are taken out of the comparison.

    Attributes:
        hard_label_recovery: accuracy lost against the whole real set, both with hard labels (HLR; lower is better).
        improvement_over_random: accuracy won over as many random real images, same training (IOR; higher is better).
        score: label-robust score in [0, 1].
    """

    hard_label_recovery: float
    improvement_over_random: float
    score: float


@dataclass(frozen=True)
class AugmentationRobustness:
    """What a condensed set is worth with and without augmentation.

    Attributes:
        gain_with: accuracy won over random real images, both with augmentation.
        gain_without: the same without.
        score: augmentation-robust score in [0, 1].
    """

    gain_with: float
    gain_without: float
    score: float


def label_robust_score(
    *, real_hard: float, condensed_hard: float, condensed_any: float, random_any: float, weight: float = 0.5
) -> LabelRobustness:
    """The label-robust score of DD-Ranking: (e^a - 1/e) / (e - 1/e), a = weight IOR - (1 - weight) HLR.

    Args:
        real_hard: test accuracy, in [0, 1], of a network trained on the whole real set with hard labels.
        condensed_hard: trained on the condensed set with hard labels.
        condensed_any: trained on the condensed set in the method's own way (soft labels, augmentation).
        random_any: trained in that same way on as many random real images.
        weight: of the improvement over random, in [0, 1].

    Raises:
        TypeError: not numbers.
        ValueError: a number outside [0, 1] (percent?).

    Source: Li et al., "DD-Ranking", arXiv 2505.13300.

    Example:
        >>> found = label_robust_score(real_hard=0.99, condensed_hard=0.91, condensed_any=0.94, random_any=0.90)
        >>> round(found.score, 4)
        0.2605
    """
    check.real(weight=weight, at_least=0.0, at_most=1.0)
    _require_shares(
        real_hard=real_hard, condensed_hard=condensed_hard, condensed_any=condensed_any, random_any=random_any
    )
    lost, won = real_hard - condensed_hard, condensed_any - random_any
    return LabelRobustness(lost, won, _squashed(weight * won - (1 - weight) * lost))


def augmentation_robust_score(
    *,
    condensed_with: float,
    random_with: float,
    condensed_without: float,
    random_without: float,
    weight: float = 0.5,
) -> AugmentationRobustness:
    """The augmentation-robust score of DD-Ranking: (e^b - 1/e) / (e - 1/e), b the weighted mean of the two gains.

    Args:
        condensed_with: test accuracy, in [0, 1], trained on the condensed set with augmentation.
        random_with: trained on as many random real images with augmentation.
        condensed_without: on the condensed set without augmentation.
        random_without: on random real images without.
        weight: of the gain with augmentation, in [0, 1].

    Raises:
        TypeError: not numbers.
        ValueError: a number outside [0, 1] (percent?).

    Source: the code of DD-Ranking (arXiv 2505.13300).

    Example:
        >>> found = augmentation_robust_score(
        ...     condensed_with=0.94, random_with=0.90, condensed_without=0.91, random_without=0.81
        ... )
        >>> round(found.score, 4)
        0.2998
    """
    check.real(weight=weight, at_least=0.0, at_most=1.0)
    _require_shares(
        condensed_with=condensed_with,
        random_with=random_with,
        condensed_without=condensed_without,
        random_without=random_without,
    )
    gains = condensed_with - random_with, condensed_without - random_without
    return AugmentationRobustness(*gains, _squashed(weight * gains[0] + (1 - weight) * gains[1]))


def _require_shares(**named: float) -> None:
    check.real(at_least=0.0, at_most=1.0, **named)


def _squashed(value: float) -> float:
    """From [-1, 1] onto [0, 1], steeper at the top."""
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))
