"""Aggregation: the true labels of items, and what annotators are worth, from their answers alone.

Answers of people or of teachers are private where the records are: nothing here protects them. Where every answer was randomized
before it left its annotator (`privkd.mechanisms.KaryResponse`), all that follows is post-processing, and `post_channel` says what
the randomization did.

Sources: Dawid and Skene, Applied Statistics 28(1), 1979; one coin: Zheng et al., PVLDB 10(5), 2017, section 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from accountants import check
from privkd.data.kinds.crowd import Crowd
from privkd.learners.answers import AnswerMatrix
from privkd.learners.channels import as_channel

_LEAST = 1e-10  # of an estimated probability, so that one surprise does not rule a class out for ever
_TRUSTED_AT_FIRST = 0.7  # diagonal of a channel before anything is learned about it


@dataclass(frozen=True, eq=False)
class Consensus:
    """What answers say about the true labels.

    Attributes:
        posterior: probability of each class for each item, float64, shape (n, K); rows sum to 1.
        prior: probability of each class, shape (K,).
        channels: estimated channel of each annotator, shape (R, K, K); None if none is estimated. With a `post_channel` these are
            the annotators' own, before it. A row without evidence is uniform.
        log_likelihood: mean over the items of the last log p(answers of an item), nats; None if there is no model of answers.
        iterations: of the estimation; 0 for closed forms.
        converged: whether the estimation ended because the likelihood stood still.
    """

    posterior: NDArray[np.float64]
    prior: NDArray[np.float64]
    channels: NDArray[np.float64] | None = None
    log_likelihood: float | None = None
    iterations: int = 0
    converged: bool = True

    @property
    def labels(self) -> NDArray[np.int64]:
        """The likeliest class of each item, int64, shape (n,); of equal ones the first."""
        return self.posterior.argmax(axis=1)


def majority(crowd: Crowd) -> Consensus:
    """The consensus of votes: the posterior is the share of the answers; ties go to the lower class.

    Example:
        >>> import torch
        >>> majority(Crowd.from_dense(torch.tensor([[0, 1, 1], [0, -1, -1]]), "toy")).labels.tolist()
        [1, 0]
    """
    posterior = _shares(AnswerMatrix.of(crowd))
    return Consensus(posterior, posterior.mean(axis=0))


def naive_bayes_posterior(
    crowd: Crowd,
    channels: ArrayLike,
    *,
    prior: ArrayLike | None = None,
    beliefs: ArrayLike | None = None,
) -> Consensus:
    """The consensus under known channels: the posterior is the prior, or beliefs, times the likelihood of the answers.

    Args:
        crowd: answers of annotators who err independently of each other, given the class; its inputs and truth are not used.
        channels: of all annotators, shape (K, K), or of each, shape (R, K, K).
        prior: probability of each class, > 0, shape (K,); uniform by default.
        beliefs: p(k | x) of a classifier for each item, shape (n, K), in place of the prior.

    Raises:
        ValueError: a shape or a probability is out of range, both prior and beliefs are given, or an item has answers that its
            channels rule out for every class; the message names the item.
    """
    answers, given = AnswerMatrix.of(crowd), as_channel(channels, role="channels")
    shape = (answers.workers, answers.classes, answers.classes)
    if given.shape not in (shape, shape[1:]):
        raise ValueError(f"channels.shape={given.shape} must be {shape[1:]}, or {shape} with one for each annotator")
    with np.errstate(divide="ignore"):  # an impossible answer has the logarithm -inf
        table = np.broadcast_to(np.log(given), shape)
        scores = np.log(_class_weights(answers, prior, beliefs)) + answers.summed(table)
    impossible = np.isneginf(scores.max(axis=1))
    if impossible.any():
        raise ValueError(
            f"item {int(impossible.argmax())} is impossible for every class under the channels and the prior; give none with zeros"
        )
    posterior, likelihood = _normalised(scores)
    return Consensus(posterior, posterior.mean(axis=0), np.array(np.broadcast_to(given, shape)), likelihood)


def dawid_skene(
    crowd: Crowd,
    *,
    post_channel: ArrayLike | None = None,
    smoothing: float = 0.0,
    iterations: int = 100,
    tolerance: float = 1e-6,
) -> Consensus:
    """The consensus of Dawid and Skene: a channel per annotator and the posterior of every item, by expectation-maximisation.

    It starts at the votes. Each round, the posterior counts what every annotator says of every class, the counts give prior and
    channels, and these the posterior.

    Args:
        crowd: answers of annotators who err independently of each other, given the class; its inputs and truth are not used.
        post_channel: a known channel, shape (K, K), that every answer went through after its annotator, such as `response_channel`
            of randomized answers. What is then estimated is the annotators' own channel before it.
        smoothing: answers that each cell of a channel starts with, >= 0; 0 for maximum likelihood, 0.01 and more where annotators
            gave few answers.
        iterations: at most, >= 1.
        tolerance: gain of the mean log-likelihood of an item, nats, below which it ends, >= 0.

    Returns:
        Consensus: with channels. An annotator without answers has uniform ones.
    """
    check.real(smoothing=smoothing, at_least=0.0)
    answers = AnswerMatrix.of(crowd)
    known = None if post_channel is None else _post_channel(post_channel, answers.classes)

    def estimate(counts: NDArray[np.float64], channels: NDArray[np.float64]) -> NDArray[np.float64]:
        if known is not None:  # the label before the known channel is hidden, too: its expected counts
            counts = channels * ((counts / (channels @ known)) @ known.T)
        return _rows(counts + smoothing)

    return _expectation_maximisation(answers, estimate, known=known, iterations=iterations, tolerance=tolerance)


def one_coin(crowd: Crowd, *, smoothing: float = 0.0, iterations: int = 100, tolerance: float = 1e-6) -> Consensus:
    """The consensus of annotators who are each right with one probability and wrong in all ways alike; arguments as `dawid_skene`.

    One number per annotator instead of K (K - 1): for crowds whose annotators gave few answers. The prior is uniform: a learned
    one runs away to a single class where annotators share a bias (bluebirds of Welinder et al., NIPS 2010: 0.58 right, not 0.72).
    """
    check.real(smoothing=smoothing, at_least=0.0)
    answers = AnswerMatrix.of(crowd)
    classes, eye = answers.classes, np.eye(answers.classes)

    def estimate(counts: NDArray[np.float64], channels: NDArray[np.float64]) -> NDArray[np.float64]:
        right = np.einsum("rkk->r", counts)
        wrong = counts.sum(axis=(1, 2)) - right
        right, wrong = right[:, None, None] + smoothing, wrong[:, None, None] + (classes - 1) * smoothing
        return _rows(right * eye + wrong / (classes - 1) * (1.0 - eye))

    uniform = np.full(classes, 1.0 / classes)
    return _expectation_maximisation(answers, estimate, prior=uniform, iterations=iterations, tolerance=tolerance)


def _expectation_maximisation(
    answers: AnswerMatrix,
    estimate: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]],
    *,
    known: NDArray[np.float64] | None = None,
    prior: NDArray[np.float64] | None = None,
    iterations: int,
    tolerance: float,
) -> Consensus:
    """The estimation of channels by `estimate` and, unless it is given, of the prior."""
    check.real(tolerance=tolerance, at_least=0.0)
    check.integer(iterations=iterations, at_least=1)
    classes = answers.classes
    blank = _TRUSTED_AT_FIRST * np.eye(classes) + (1.0 - _TRUSTED_AT_FIRST) / classes
    channels = np.tile(blank, (answers.workers, 1, 1))
    posterior, weights, likelihood = _shares(answers), np.empty(0), -np.inf
    done, converged = 0, False
    while done < iterations and not converged:
        weights = np.maximum(posterior.mean(axis=0), _LEAST) if prior is None else prior
        channels = estimate(answers.counted(posterior), channels)
        seen = channels if known is None else channels @ known
        before = likelihood
        posterior, likelihood = _normalised(np.log(weights) + answers.summed(np.log(seen)))
        done, converged = done + 1, likelihood - before < tolerance
    return Consensus(posterior, weights, channels, likelihood, done, converged)


def _shares(answers: AnswerMatrix) -> NDArray[np.float64]:
    """The share of each label among the answers about each item, shape (n, K)."""
    votes = answers.votes()
    return votes / votes.sum(axis=1, keepdims=True)


def _rows(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts as probabilities, none of them zero; uniform in a row without any."""
    totals = counts.sum(axis=-1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, 1.0 / counts.shape[-1]), where=totals > 0.0)
    shares = np.maximum(shares, _LEAST)
    return shares / shares.sum(axis=-1, keepdims=True)


def _normalised(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Posterior of log joint probabilities of shape (n, K), and the mean of the logarithms of their sums."""
    top = scores.max(axis=1, keepdims=True)
    joint = np.exp(scores - top)
    total = joint.sum(axis=1, keepdims=True)
    return joint / total, float((top + np.log(total)).mean())


def _class_weights(answers: AnswerMatrix, prior: ArrayLike | None, beliefs: ArrayLike | None) -> NDArray[np.float64]:
    """What the likelihood is multiplied with, shape (n, K) or (K,)."""
    if prior is not None and beliefs is not None:
        raise ValueError("prior and beliefs are both given; the beliefs of a classifier take the place of the prior")
    name, value, shape = "prior", prior, (answers.classes,)
    if beliefs is not None:
        name, value, shape = "beliefs", beliefs, (answers.items, answers.classes)
    weights = np.full(shape, 1.0 / answers.classes) if value is None else np.asarray(value, dtype=np.float64)
    if weights.shape != shape or not np.isfinite(weights).all() or (weights < 0.0).any():
        raise ValueError(f"{name} (shape {weights.shape}) must be probabilities of shape {shape}")
    return weights


def _post_channel(value: ArrayLike, classes: int) -> NDArray[np.float64]:
    known = as_channel(value, role="post_channel")
    if known.shape != (classes, classes):
        raise ValueError(f"post_channel.shape={known.shape} must be ({classes}, {classes}): one for all answers")
    return known
