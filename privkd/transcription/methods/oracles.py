"""Who answers generated queries, and under which mechanism.

An oracle takes queries and gives, per query, the log likelihood of its released answer under each class. That is all
that the student ever learns from: whatever noise was added is known, and used exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from accountants import Gaussian, Ledger
from privkd.mechanisms import CandidateSets, KaryResponse, NoiseSource, SelectiveResponse, VoteHistogram
from privkd.teachers.bare_teacher import BareTeacher
from privkd.teachers.ensemble import TeacherEnsemble

_CONTRAST = 0.5
"""Assumed lead of the right class in vote shares, for the likelihood of a vote histogram: ours, public, not measured."""


@runtime_checkable
class Oracle(Protocol):
    """Answers queries through a mechanism that charges first."""

    def ask(self, queries: Tensor, prior: Tensor) -> Tensor:
        """Log likelihood of the released answers, float32, shape (n, K).

        Args:
            queries: inputs made from public randomness and earlier released answers, shape (n, ...).
            prior: the student's class probabilities on them, shape (n, K).
        """
        ...


@dataclass(frozen=True, eq=False)
class KaryOracle:
    """A bare teacher behind randomized response over all classes: the set size is fixed, so composition is exact.

    The student's prediction acts as the prior in the likelihood that it learns from, not in the choice of candidates:
    candidate sets made from a student that knows little yet shut the right class out and cost half of the accuracy.
    """

    teacher: BareTeacher
    mechanism: KaryResponse
    ledger: Ledger
    noise: NoiseSource
    shared: tuple[Ledger, ...] = ()

    def ask(self, queries: Tensor, prior: Tensor) -> Tensor:
        answers = self.teacher.answers(queries).counted_in(self.shared)
        released = self.mechanism.release(answers, ledger=self.ledger, noise=self.noise, where="dpsd/answers")
        return self.mechanism.log_likelihood(released).float()


@dataclass(frozen=True, eq=False)
class TopOracle:
    """A bare teacher behind response inside the student's top-k, learned from as if answers were plain labels.

    This is the published method as far as it can be reconstructed: fixed k, no correction for the known noise.
    """

    teacher: BareTeacher
    mechanism: SelectiveResponse
    k: int
    ledger: Ledger
    noise: NoiseSource
    shared: tuple[Ledger, ...] = ()

    def ask(self, queries: Tensor, prior: Tensor) -> Tensor:
        support = CandidateSets.most_likely(prior, self.k)
        answers = self.teacher.answers(queries).counted_in(self.shared)
        released = self.mechanism.release(answers, support, ledger=self.ledger, noise=self.noise, where="dpsd/answers")
        return torch.full(prior.shape, -30.0).scatter_(1, released[:, None], 0.0)


@dataclass(frozen=True, eq=False)
class VoteOracle:
    """An ensemble behind a noisy vote histogram per query."""

    ensemble: TeacherEnsemble
    mechanism: VoteHistogram
    ledger: Ledger
    noise: NoiseSource
    shared: tuple[Ledger, ...] = ()

    def ask(self, queries: Tensor, prior: Tensor) -> Tensor:
        """The log likelihood of a histogram: Gaussian, for a class that leads by half of the votes."""
        teachers = len(self.ensemble)
        votes = self.ensemble.votes(queries).counted_in(self.shared)
        noisy = self.mechanism.release(
            votes, teachers=teachers, ledger=self.ledger, noise=self.noise, where="generated queries"
        )
        variance = self.mechanism.sigma**2 + teachers  # votes scatter by themselves: at most one unit per teacher
        return torch.log_softmax(_CONTRAST * teachers * noisy / variance, dim=1).float()


@dataclass(frozen=True, eq=False)
class NoiselessOracle:
    """A bare teacher without any noise, for baselines: every answer is charged as infinite, in all ledgers."""

    teacher: BareTeacher
    ledger: Ledger
    shared: tuple[Ledger, ...] = ()

    def ask(self, queries: Tensor, prior: Tensor) -> Tensor:
        for ledger in (*self.shared, self.ledger):
            ledger.charge(Gaussian(sigma=0.0), where="dpsd/answers without noise")
        return CertifiedOracle(self.teacher).ask(queries, prior)


@dataclass(frozen=True, eq=False)
class CertifiedOracle:
    """A certified model: its training already paid, answers are exact and free."""

    teacher: BareTeacher

    def ask(self, queries: Tensor, prior: Tensor) -> Tensor:
        return torch.log_softmax(self.teacher.logits(queries).unsafe_value(), dim=1)
