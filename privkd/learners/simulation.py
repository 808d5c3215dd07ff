"""Noisy labels and crowds for experiments, with the channels that they were drawn from.

Everything here is repeatable from its seed and protects nobody: whoever knows the seed knows the noise. Labels of real people are
randomized by `privkd.mechanisms`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri, softmax

from accountants import check
from privkd.learners.channels import as_channel, multilabel_channel

_SPREAD = 0.1  # standard deviation of the rates of single items
_HIGHEST_RATE = 0.6
_SHARE_OF_FAVOURITE = 0.7  # of an annotator's errors


@dataclass(frozen=True, eq=False)
class SimulatedCrowd:
    """Answers of annotators who do not exist.

    Attributes:
        answers: int64, shape (n, R); -1 where an annotator was not asked. Every item has an answer.
        channels: what the answers were drawn from, float64: (R, K, K) of annotators; from `instance_dependent_crowd`
            (n, G, K, K), of every item and every kind of annotator.
        group: kind of each annotator, int64, shape (R,).
    """

    answers: NDArray[np.int64]
    channels: NDArray[np.float64]
    group: NDArray[np.int64]


def noisy_labels(labels: ArrayLike, channel: ArrayLike, *, seed: int) -> NDArray[np.int64]:
    """Labels that went through a channel, int64, shape (n,).

    Args:
        labels: true classes in [0, K), shape (n,).
        channel: shape (K, K), or (n, K, K) for one per label.
        seed: of the draws, >= 0.

    Raises:
        ValueError: a label is no class of the channel, or the numbers of labels and channels differ.
    """
    given = as_channel(channel)
    truth = _true_classes(labels, given.shape[-1])
    if given.ndim > 3 or (given.ndim == 3 and len(given) != len(truth)):
        raise ValueError(
            f"channel.shape={given.shape} for {len(truth)} labels; give (K, K), or one (K, K) for each label"
        )
    rows = given[truth] if given.ndim == 2 else given[np.arange(len(truth)), truth]
    return _drawn(rows, _generator(seed))


def noisy_label_sets(labels: ArrayLike, rho_minus: float, rho_plus: float, *, seed: int) -> NDArray[np.int64]:
    """Label sets in which every label was switched independently, int64 0/1, shape (n, q).

    Args:
        labels: the true sets, 0 or 1, shape (n, q).
        rho_minus: probability that 0 becomes 1.
        rho_plus: probability that 1 becomes 0.
        seed: of the draws, >= 0.

    Raises:
        ValueError: another shape, or another value than 0 and 1.
    """
    truth = np.asarray(labels)
    if truth.ndim != 2 or not np.isin(truth, (0, 1)).all():
        raise ValueError(f"labels ({truth.dtype}, shape {truth.shape}) must be 0 or 1, of shape (n, q)")
    channel = multilabel_channel(truth.shape[1], rho_minus, rho_plus)
    on = channel[np.arange(truth.shape[1]), truth.astype(np.int64), 1]
    return (_uniform(_generator(seed), truth.shape) < on).astype(np.int64)


def instance_dependent_crowd(
    inputs: ArrayLike,
    labels: ArrayLike,
    classes: int,
    *,
    rate: float,
    annotators: int,
    kinds: int,
    redundancy: float,
    seed: int,
) -> SimulatedCrowd:
    """A crowd whose errors depend on the item: the noise of TAIDTM (arXiv 2306.03116, from its official code).

    Each kind of annotator has weights W_k ~ N(0, 1) of shape (d, K) per class k, and a rate per item, normal around `rate` with
    deviation 0.1, cut to [0, 0.6]. An item x of class k goes wrong with its rate, to class l in proportion to exp((x W_k)_l).

    Args:
        inputs: float, shape (n, ...).
        labels: true classes in [0, K), shape (n,).
        classes: number of classes K, >= 2.
        rate: mean rate of errors, in [0, 0.6].
        annotators: R, >= `kinds`; kinds alternate.
        kinds: G, >= 1.
        redundancy: answers per item to expect, in [1, R]. Each item has one annotator drawn uniformly, and each other one with
            probability (redundancy - 1)/R.
        seed: of all draws, >= 0.

    Returns:
        SimulatedCrowd: with channels of shape (n, G, K, K), which are exact for every class the item could have.
    """
    check.integer(classes=classes, at_least=2)
    check.integer(kinds=kinds, at_least=1)
    check.integer(annotators=annotators, at_least=kinds)
    check.real(rate=rate, at_least=0.0, at_most=_HIGHEST_RATE)
    check.real(redundancy=redundancy, at_least=1.0, at_most=annotators)
    truth = _true_classes(labels, classes)
    points = np.asarray(inputs, dtype=np.float64).reshape(len(truth), -1)
    generator = _generator(seed)
    channels = np.stack([_instance_channels(points, classes, rate, generator) for _ in range(kinds)], axis=1)
    asked = _uniform(generator, (len(truth), annotators)) < (redundancy - 1.0) / annotators
    asked[np.arange(len(truth)), (_uniform(generator, (len(truth),)) * annotators).astype(np.int64)] = True
    group = np.arange(annotators) % kinds
    item, worker = np.nonzero(asked)
    answers = np.full(asked.shape, -1)
    answers[item, worker] = _drawn(channels[item, group[worker], truth[item]], generator)
    return SimulatedCrowd(answers, channels, group)


def beta_crowd(
    labels: ArrayLike,
    classes: int,
    *,
    annotators: int = 60,
    answers_per_item: float = 2.0,
    shape: tuple[float, float] = (0.5, 2.0),
    accuracies: Sequence[float] = (0.85, 0.60, 0.35),
    copied: float = 0.0,
    seed: int,
) -> SimulatedCrowd:
    """A crowd in which a few annotators give most of the answers.

    How much each works is drawn from a Beta distribution; Beta(0.5, 2) has the spread of the workers of LabelMe (3 to 182 answers).
    Annotator r belongs to group r mod G, is right with its group's accuracy, gives 70 % of its errors to the group's favourite
    wrong class and shares the rest among the other wrong ones. The idea is that of CCC (arXiv 2312.07331), which publishes no
    generator; this form is ours.

    Args:
        labels: true classes in [0, K), shape (n,).
        classes: number of classes K, >= 2.
        annotators: R, at least one per group.
        answers_per_item: to expect, > 0; an item that nobody would answer gets one annotator.
        shape: both parameters of the Beta distribution, > 0; large equal ones make equally busy annotators.
        accuracies: of each group, in [0, 1].
        copied: probability that an annotator gives the answer of the first one of the group instead of an own one, in [0, 1].
            The channels stay what they are, since groups share one; but the answers of a group are then no longer independent.
        seed: of all draws, >= 0.
    """
    check.integer(classes=classes, at_least=2)
    check.integer(annotators=annotators, at_least=len(accuracies))
    check.real(answers_per_item=answers_per_item, above=0.0)
    check.real(first_shape=shape[0], second_shape=shape[1], above=0.0)
    check.real(copied=copied, at_least=0.0, at_most=1.0)
    truth, generator = _true_classes(labels, classes), _generator(seed)
    groups = np.stack([_favourite_channel(classes, right, place + 1) for place, right in enumerate(accuracies)])
    group = np.arange(annotators) % len(groups)
    asked = _unequal_work(len(truth), annotators, answers_per_item, shape, generator)
    first = np.stack([_drawn(channel[truth], generator) for channel in groups], axis=1)  # of whom the others copy
    item, worker = np.nonzero(asked)
    own = _drawn(groups[group[worker], truth[item]], generator)
    copies = (_uniform(generator, own.shape) < copied) | (worker < len(groups))  # the first of group g is annotator g
    answers = np.full(asked.shape, -1)
    answers[item, worker] = np.where(copies, first[item, group[worker]], own)
    return SimulatedCrowd(answers, groups[group], group)


def _instance_channels(
    points: NDArray[np.float64], classes: int, rate: float, generator: torch.Generator
) -> NDArray[np.float64]:
    """Channels of every item for one kind of annotator, shape (n, K, K)."""
    low, high = ndtr(-rate / _SPREAD), ndtr((_HIGHEST_RATE - rate) / _SPREAD)
    wrong = rate + _SPREAD * ndtri(low + (high - low) * _uniform(generator, (len(points), 1)))
    channels = np.empty((len(points), classes, classes))
    for true in range(classes):
        weights = torch.randn(points.shape[1], classes, generator=generator, dtype=torch.float64).numpy()
        scores = points @ weights
        scores[:, true] = -np.inf
        channels[:, true] = wrong * softmax(scores, axis=1)
        channels[:, true, true] = 1.0 - wrong[:, 0]
    return channels


def _favourite_channel(classes: int, accuracy: float, step: int) -> NDArray[np.float64]:
    """Errors go to the class that is `step` further, or to the other wrong ones, shape (K, K)."""
    check.real(accuracy=accuracy, at_least=0.0, at_most=1.0)
    favourite = np.roll(np.eye(classes), 1 + (step - 1) % (classes - 1), axis=1)
    others = 1.0 - np.eye(classes) - favourite
    share = _SHARE_OF_FAVOURITE if classes > 2 else 1.0
    errors = share * favourite + (1.0 - share) * others / max(classes - 2, 1)
    return accuracy * np.eye(classes) + (1.0 - accuracy) * errors


def _unequal_work(
    items: int, annotators: int, per_item: float, shape: tuple[float, float], generator: torch.Generator
) -> NDArray[np.bool_]:
    """Who answers what, shape (n, R); somebody answers each item."""
    work = np.maximum(betaincinv(*shape, _uniform(generator, (annotators,))), np.finfo(float).tiny)
    work /= work.sum()
    asked = _uniform(generator, (items, annotators)) < np.minimum(1.0, per_item * work)
    left = np.flatnonzero(~asked.any(axis=1))
    asked[left, _drawn(np.tile(work, (len(left), 1)), generator)] = True
    return asked


def _true_classes(labels: ArrayLike, classes: int) -> NDArray[np.int64]:
    truth = np.asarray(labels)
    if truth.ndim != 1 or truth.dtype.kind not in "iu":
        raise ValueError(f"labels ({truth.dtype}, shape {truth.shape}) must be whole numbers of shape (n,)")
    wrong = (truth < 0) | (truth >= classes)
    if wrong.any():
        raise ValueError(f"labels[{int(wrong.argmax())}] lies outside 0..{classes - 1}")
    return truth.astype(np.int64)


def _generator(seed: int) -> torch.Generator:
    check.integer(seed=seed, at_least=0)
    return torch.Generator().manual_seed(seed)


def _uniform(generator: torch.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return torch.rand(shape, generator=generator, dtype=torch.float64).numpy()


def _drawn(probabilities: NDArray[np.float64], generator: torch.Generator) -> NDArray[np.int64]:
    """One class per row of the last axis; a class of probability 0 is never drawn."""
    steps = np.cumsum(probabilities, axis=-1)
    steps /= steps[..., -1:]  # exactly 1 at the end, whatever rounding did
    chance = _uniform(generator, (*probabilities.shape[:-1], 1))
    return (steps <= chance).sum(axis=-1).astype(np.int64)
