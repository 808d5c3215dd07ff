"""Randomized response whose candidate sets follow a prior, each of the size that makes a true answer most likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from accountants import Event, Ledger, RandomizedResponse, check
from privkd.mechanisms.candidates import CandidateSets
from privkd.mechanisms.charging import charge_all
from privkd.mechanisms.noise import NoiseSource
from privkd.mechanisms.private_value import Private
from privkd.mechanisms.randomized_response import SelectiveResponse, keep_probability, respond, unboxed_answers
from privkd.plain import make_plain


@dataclass(frozen=True, slots=True)
class ResponseWithPrior:
    """RRWithPrior: per query, randomized response inside the top-k set that makes a true answer most likely.

    The set size follows the prior, which may follow earlier noisy answers. Composition over sizes that are chosen
    adaptively is covered by charging every answer as BINARY response, which dominates every eps0-DP mechanism.

    Args:
        eps0: pure level of one answer, nats, > 0.

    Source: Ghazi et al., arXiv 2102.06062, Algorithm RRWithPrior.
    """

    eps0: float

    def __post_init__(self) -> None:
        make_plain(self)
        check.real(eps0=self.eps0, above=0.0)

    def event(self) -> Event:
        """Cost of one answer, whatever the size of its set."""
        return RandomizedResponse(k=2, eps0=self.eps0)

    def sizes(self, prior: Float[Tensor, "n K"]) -> Int[Tensor, " n"]:
        """Best set size per query: argmax over k of keep_probability(k) * mass of the k likeliest, int64, (n,).

        Example:
            >>> ResponseWithPrior(3.0).sizes(torch.tensor([[0.55] + [0.05] * 9]))
            tensor([10])
        """
        mass = prior.double().sort(dim=1, descending=True).values.cumsum(dim=1)
        keep = torch.tensor([keep_probability(self.eps0, k + 1) for k in range(prior.shape[1])], dtype=torch.float64)
        return (mass * keep).argmax(dim=1) + 1

    def release(
        self,
        answers: Private | Tensor,
        prior: Tensor | Private,
        *,
        ledger: Ledger,
        noise: NoiseSource,
        where: str = "response-with-prior",
    ) -> tuple[Int[Tensor, " n"], Float64[Tensor, "n K"]]:
        """Charge n answers, then draw them.

        Args:
            answers: true class index per query, int64, shape (n,).
            prior: public probabilities (the student's), shape (n, K), rows summing to 1.
            ledger: is charged before the first draw, and so are the ledgers that the answers carry.
            noise: where randomness comes from.
            where: place of the release, kept in the ledger.

        Returns:
            The answers, int64 (n,), and their log likelihood under each true class, float64 (n, K).

        Raises:
            ValueError: shapes differ or an answer is no class.
            SupportLeakError: the prior is private.
            BudgetExceeded: the ledger refuses; nothing was drawn.
        """
        everything = CandidateSets.most_likely(prior, prior.shape[1])  # refuses a private prior
        truth = unboxed_answers(answers, everything.total, len(everything))
        sizes = self.sizes(cast(Tensor, prior))
        charge_all(ledger, answers, self.event(), count=len(truth), where=where)
        released = torch.empty_like(truth)
        likelihood = torch.empty(len(truth), everything.total, dtype=torch.float64)
        inner = SelectiveResponse(self.eps0)
        for k in sizes.unique().tolist():
            rows = (sizes == k).nonzero().squeeze(1)
            support = CandidateSets(everything.classes[rows, :k], everything.total)
            released[rows] = respond(truth[rows], support.classes, self.eps0, noise)
            likelihood[rows] = inner.log_likelihood(released[rows], support)
        return released, likelihood
