"""Verification: are two pictures of one person? By cosines of embeddings, with thresholds that never saw the test fold.

Embeddings of one view are compared with each other, or those of an enrolled gallery (the teacher's, on clean pictures) with
those of degraded probes (the student's): `pair_cosines(high, low, pairs)` is the second case.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray
from privkd.metrics.classification import best_threshold
from privkd.metrics.distributions import srcc
from privkd.metrics.inputs import Flags, Labels, both_classes, floats, integers, require_same_length, require_same_shape
from privkd.metrics.pairs import Pairs
from privkd.metrics.roc import roc_auc, tar_at_far


@dataclass(frozen=True)
class PairVerification:
    """What a list of pairs says about an embedding.

    Attributes:
        accuracy: mean over the folds, each at the threshold chosen on the others.
        standard_error: of that mean, from the spread over the folds.
        thresholds: of each fold, in the order of the folds.
        auc: area under the ROC curve of all pairs.
        tar: true accept rate by false accept rate; NaN where there are too few different pairs.
    """

    accuracy: float
    standard_error: float
    thresholds: tuple[float, ...]
    auc: float
    tar: dict[float, float]


@dataclass(frozen=True)
class MatchRates:
    """Errors at a threshold that was chosen elsewhere.

    Attributes:
        threshold: at or above it two pictures count as one person.
        false_match: share of different pairs that were accepted.
        false_non_match: share of same pairs that were rejected.
    """

    threshold: float
    false_match: float
    false_non_match: float


def pair_cosines(first: ArrayLike, second: ArrayLike, pairs: Pairs) -> FloatArray:
    """The cosine of every pair: row `pairs.first` of the first embeddings with row `pairs.second` of the second ones.

    Args:
        first: embeddings, finite, no row of zeros, shape (n, d).
        second: of the same rows in the same or another view, or by another network, shape (n, d).
        pairs: which rows to compare.

    Returns:
        In [-1, 1], shape (p,).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, shapes that differ, a row of zeros, or a pair that names no row.
    """
    one, two = unit_rows(first, name="first"), unit_rows(second, name="second")
    require_same_shape(first=one, second=two)
    last = int(max(pairs.first.max(), pairs.second.max()))
    if last >= len(one):
        raise ValueError(f"pairs name row {last}, but there are only {len(one)} embeddings, counted from 0")
    return np.einsum("pd,pd->p", one[pairs.first], two[pairs.second])


def verify_pairs(
    scores: ArrayLike,
    same: ArrayLike,
    *,
    folds: int | ArrayLike = 10,
    seed: int = 0,
    rates: Sequence[float] = (1e-1, 1e-2, 1e-3),
) -> PairVerification:
    """The verification accuracy by cross-validation, with the area and true accept rates over all pairs.

    The threshold of a fold is the one with the highest accuracy on all other folds.

    Args:
        scores: of the pairs, higher means more alike, finite, shape (p,).
        same: 1 where both members are one identity, both values present, shape (p,).
        folds: fold of each pair, shape (p,), where the protocol fixes them; else how many, >= 2.
        seed: of the assignment to folds when they are not fixed: same and different pairs are spread evenly.
        rates: false accept rates for `tar_at_far`.

    Raises:
        TypeError: not numbers, or folds that are no integers.
        ValueError: empty, NaN, lengths that differ, one kind of pairs only (also among the other folds of a fold), or fewer
            than two folds.

    Example:
        >>> verify_pairs([0.9, 0.8, 0.1, 0.2] * 3, [1, 1, 0, 0] * 3, folds=3, rates=()).accuracy
        1.0
    """
    values, kind = floats(scores, name="scores"), both_classes(same, name="same")
    require_same_length(scores=values, same=kind)
    fold = _folds(kind, folds, seed)
    if values.min() == values.max():
        warnings.warn("all scores are equal: the embedding says nothing about the pairs", stacklevel=2)
    thresholds, accuracies = [], []
    for number in np.unique(fold):
        held_out = fold == number
        if kind[~held_out].all() or not kind[~held_out].any():
            raise ValueError("without one of the folds all pairs are of one kind; spread both kinds over the folds")
        thresholds.append(best_threshold(values[~held_out], kind[~held_out]))
        accuracies.append(float(((values[held_out] >= thresholds[-1]) == kind[held_out]).mean()))
    return PairVerification(
        accuracy=float(np.mean(accuracies)),
        standard_error=float(np.std(accuracies, ddof=1) / math.sqrt(len(accuracies))),
        thresholds=tuple(thresholds),
        auc=roc_auc(values, kind),
        tar={rate: tar_at_far(values, kind, far=rate) for rate in rates},
    )


def match_rates(scores: ArrayLike, same: ArrayLike, *, clean_scores: ArrayLike, clean_same: ArrayLike) -> MatchRates:
    """False match and false non-match rate of masked (degraded) pairs at the best threshold of clean pairs.

    Args:
        scores: of the masked pairs, shape (p,).
        same: 1 where both members are one identity, both values present, shape (p,).
        clean_scores: of pairs of clean pictures, shape (q,).
        clean_same: as `same`, shape (q,).

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, lengths that differ, or one kind of pairs only.

    Example:
        >>> match_rates([0.3, 0.9, 0.2, 0.6], [1, 1, 0, 0], clean_scores=[0.9, 0.8, 0.1, 0.2], clean_same=[1, 1, 0, 0])
        MatchRates(threshold=0.5, false_match=0.5, false_non_match=0.5)
    """
    threshold = best_threshold(clean_scores, clean_same)
    values, kind = floats(scores, name="scores"), both_classes(same, name="same")
    require_same_length(scores=values, same=kind)
    accepted = values >= threshold
    return MatchRates(threshold, float(accepted[~kind].mean()), float((~accepted[kind]).mean()))


def relation_correlation(teacher: ArrayLike, student: ArrayLike) -> float:
    """Spearman's rank correlation between the pairwise cosines of two embeddings of the same rows.

    Args:
        teacher: embeddings, no row of zeros, shape (n, d), n >= 3.
        student: of the same rows, shape (n, e).

    Returns:
        In [-1, 1]; 1 if the student orders all pairs as the teacher does.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, fewer than three rows, lengths that differ, a row of zeros, or cosines that are all equal.
    """
    one, two = unit_rows(teacher, name="teacher"), unit_rows(student, name="student")
    require_same_length(teacher=one, student=two)
    check.integer(rows=len(one), at_least=3)
    above = np.triu_indices(len(one), k=1)
    cosines = (one @ one.T)[above], (two @ two.T)[above]
    if min(np.ptp(cosines[0]), np.ptp(cosines[1])) <= 1e-12:
        raise ValueError(
            "all pairwise cosines of the teacher or of the student are equal: there is no order to correlate"
        )
    return srcc(*cosines)


def unit_rows(embeddings: ArrayLike, *, name: str) -> FloatArray:
    """The embeddings with rows of Euclidean length 1.

    Raises:
        TypeError: not numbers.
        ValueError: empty, NaN, another shape than (n, d), or a row of zeros, which has no direction.
    """
    values = floats(embeddings, name=name, ndim=2)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise ValueError(
            f"{name} has {int((lengths == 0).sum())} rows of zeros, first row {int(np.argmax(lengths == 0))}; they have no "
            "direction, so no cosine. The network may be dead"
        )
    return values / lengths


def _folds(kind: Flags, folds: int | ArrayLike, seed: int) -> Labels:
    """The fold of every pair: as given, or drawn so that each fold has its share of both kinds."""
    if not isinstance(folds, int):
        given = integers(folds, name="folds")
        require_same_length(same=kind, folds=given)
        if len(np.unique(given)) < 2:
            raise ValueError("folds names one fold only; two or more are needed to choose a threshold on the others")
        return given
    check.integer(folds=folds, at_least=2, at_most=len(kind))
    check.integer(seed=seed, at_least=0)
    order = np.random.default_rng(seed).permutation(len(kind))
    order = order[np.argsort(kind[order], kind="stable")]  # different pairs first, each kind in random order
    fold = np.empty(len(kind), dtype=np.int64)
    fold[order] = np.arange(len(kind)) % folds
    return fold
