"""Randomized response on class answers: k-ary, and inside a candidate set.

The probability of changing an answer is rounded up to a multiple of 2^-64, but not beyond uniform, so rounding adds privacy.
Sources: Warner 1965; Kairouz, Oh, Viswanath 2016 (k-ary); Ghazi et al., arXiv 2102.06062 (top-k);
selective randomized response, arXiv 2409.12384 (its details are reconstructed here as response inside a set).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from torch import Tensor

from accountants import Event, Ledger, PriorResponse, RandomizedResponse, check
from privkd.mechanisms.candidates import CandidateSets
from privkd.mechanisms.charging import charge_all
from privkd.mechanisms.noise import NoiseSource
from privkd.mechanisms.private_value import Private, unboxed
from privkd.plain import make_plain


def keep_probability(eps0: float, k: int) -> float:
    """Probability e^eps0 / (e^eps0 + k - 1) of giving the true answer among k.

    Example:
        >>> round(keep_probability(1.0, 10), 4)
        0.232
    """
    return 1.0 / (1.0 + (k - 1) * math.exp(-eps0))


def change_threshold(eps0: float, k: int) -> int:
    """Probability of changing an answer, (k - 1)/(e^eps0 + k - 1), in units of 2^-64, rounded to the private side.

    Up, at least 1 (no answer is ever kept for sure) and at most (k - 1)/k (where the answer is uniform).
    """
    others = (k - 1) * math.exp(-eps0)  # no cancellation for large eps0, where 1 - keep would be 0
    wanted = math.ceil(others / (1.0 + others) * (1 + 2.0**-50) * 2**64)
    return max(1, min(wanted, ((k - 1) << 64) // k))


@dataclass(frozen=True, slots=True)
class SelectiveResponse:
    """Randomized response inside candidate sets that do not depend on the private answer.

    An answer outside its set is replaced by a uniform element of the set.

    Args:
        eps0: log-odds of keeping an answer that lies in its set, nats, > 0: the pure level of ONE answer.
    """

    eps0: float

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(eps0=self.eps0, above=0.0)

    def event(self, k: int) -> Event:
        """Cost of one answer with a candidate set of the fixed size k (k = 1 releases nothing)."""
        return PriorResponse(k=k, eps0=self.eps0)

    def release(
        self,
        answers: Private | Tensor,
        support: CandidateSets,
        *,
        ledger: Ledger,
        noise: NoiseSource,
        where: str = "selective-response",
    ) -> Int[Tensor, " n"]:
        """Charge n answers, then draw them.

        Args:
            answers: true class index per query, int64, shape (n,).
            support: one candidate set per query.
            ledger: is charged before the first draw, and so are the ledgers that the answers carry.
            noise: where randomness comes from.
            where: place of the release, kept in the ledger.

        Returns:
            One element of each candidate set, int64, shape (n,).

        Raises:
            ValueError: shapes differ or an answer is no class.
            BudgetExceeded: the ledger refuses; nothing was drawn.
        """
        truth = unboxed_answers(answers, support.total, len(support))
        charge_all(ledger, answers, self.event(support.k), count=len(truth), where=where)
        return respond(truth, support.classes, self.eps0, noise)

    def log_likelihood(self, released: Tensor, support: CandidateSets) -> Float64[Tensor, "n K"]:
        """Log probability of each released answer given each true class, float64, shape (n, K)."""
        k, n = support.k, len(released)
        inside = torch.zeros(n, support.total, dtype=torch.bool).scatter_(1, support.classes, True)
        log_keep = -math.log1p((k - 1) * math.exp(-self.eps0))
        table = torch.full((n, support.total), -math.log(k), dtype=torch.float64)
        table[inside] = log_keep - self.eps0
        return table.scatter_(1, released[:, None], log_keep)


@dataclass(frozen=True, slots=True)
class KaryResponse:
    """Randomized response over all K classes.

    Args:
        eps0: log-odds of keeping the answer, nats, > 0: the pure level of ONE answer.
        classes: number of classes K, >= 2.
    """

    eps0: float
    classes: int

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(eps0=self.eps0, above=0.0)
        check.integer(classes=self.classes, at_least=2)

    def event(self) -> Event:
        """Cost of one answer."""
        return RandomizedResponse(k=self.classes, eps0=self.eps0)

    def release(
        self, answers: Private | Tensor, *, ledger: Ledger, noise: NoiseSource, where: str = "kary-response"
    ) -> Int[Tensor, " n"]:
        """Charge n answers, then draw them; arguments, result and errors as `SelectiveResponse.release`."""
        truth = unboxed_answers(answers, self.classes, len(answers))
        charge_all(ledger, answers, self.event(), count=len(truth), where=where)
        return respond(truth, torch.arange(self.classes).repeat(len(truth), 1), self.eps0, noise)

    def log_likelihood(self, released: Tensor) -> Float64[Tensor, "n K"]:
        """Log probability of each released answer given each true class, float64, shape (n, K)."""
        support = CandidateSets.everything(len(released), self.classes)
        return SelectiveResponse(self.eps0).log_likelihood(released, support)


def unboxed_answers(answers: Private | Tensor, classes: int, expected: int) -> Tensor:
    """The true answers, int64, shape (expected,).

    Raises:
        ValueError: they are not, or one is no class.
    """
    truth = unboxed(answers)
    if truth.dim() != 1 or truth.dtype != torch.int64:
        raise ValueError(f"answers must be int64 of shape (n,), got {truth.dtype} {tuple(truth.shape)}")
    if len(truth) != expected:
        raise ValueError(f"{len(truth)} answers for {expected} candidate sets; give one set per answer")
    if len(truth) and (int(truth.min()) < 0 or int(truth.max()) >= classes):
        raise ValueError(f"an answer lies outside the {classes} classes; check the teacher's output")
    return truth


def respond(truth: Tensor, support: Tensor, eps0: float, noise: NoiseSource) -> Tensor:
    """One element of each row of `support`; the random draws do not depend on the private answers."""
    n, k = support.shape
    if k == 1:
        return support[:, 0].clone()
    # All three are drawn for every answer: how much randomness is used would tell whether an answer lies in its set.
    change = noise.bernoulli(n, threshold=change_threshold(eps0, k))
    other = noise.integers(n, below=k - 1)
    anything = noise.integers(n, below=k)
    hit = support == truth[:, None]
    position = hit.int().argmax(dim=1)
    other = other + (other >= position)  # uniform over the k - 1 positions that are not the true one
    inside = torch.where(change, other, position)
    chosen = torch.where(hit.any(dim=1), inside, anything)
    return support.gather(1, chosen[:, None]).squeeze(1)
