"""Transcription without any data: a generator driven by the student alone makes the queries (DPSD, label-sensitive).

Rounds of: the generator learns from the STUDENT what it can tell apart, fresh inputs are answered once through a
mechanism, the student learns from all stored noisy answers with their exact likelihood. The teacher is seen through
its noisy answers only, so queries are functions of public randomness and earlier releases.

Source: DPSD, arXiv 2601.19090 (alternation, student prior, student-driven generator); equations, networks and weights
are reconstructed; the coverage loss and the likelihood loss are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from accountants import Ledger, check
from generators import SmallGenerator, coverage_loss
from privkd.losses import likelihood_nll
from privkd.progress import track
from privkd.trainer import Batch, Context, Task, Trainer, seeded
from privkd.transcription.methods.oracles import Oracle
from privkd.transcription.request import Request

_TRIES = 8


@dataclass(frozen=True, kw_only=True)
class DataFreeSettings:
    """Settings of the loop; the defaults take about 8 s on one CPU core for 64 inputs and ten classes.

    Attributes:
        queries: total number of queries, fixed in advance.
        rounds: rounds of generator, queries, student.
        student_steps: optimiser steps of the student per round.
        generator_steps: optimiser steps of the generator per round; 0 freezes it at its random initial weights.
        batch_size: of both.
        uniform: ask about uniform noise instead of generated inputs (a baseline).
    """

    queries: int = 4000
    rounds: int = 20
    student_steps: int = 100
    generator_steps: int = 30
    batch_size: int = 256
    uniform: bool = False

    def __post_init__(self) -> None:
        check.integer(queries=self.queries, at_least=1)
        check.integer(rounds=self.rounds, at_least=1)
        check.integer(student_steps=self.student_steps, at_least=1)
        check.integer(generator_steps=self.generator_steps, at_least=0)
        check.integer(batch_size=self.batch_size, at_least=2)

    @classmethod
    def spread(cls, queries: int) -> DataFreeSettings:
        """The default loop for a number of queries: at least 20 queries in a round, at most 20 rounds."""
        return cls(queries=queries, rounds=min(20, max(1, queries // 20)))


def learn_data_free(
    request: Request, oracle: Oracle, settings: DataFreeSettings, ledger: Ledger
) -> tuple[nn.Module, SmallGenerator, list[dict[str, float]]]:
    """Run all rounds: the oracle answers the queries and charges the ledger for them.

    Returns:
        Student and generator in eval mode, and the student's loss on released answers per round.
    """
    student = request.new_student(hidden=64)
    source = _Generated(request, settings, student)
    answers = _NoisyAnswers(student)
    pool: list[tuple[Tensor, Tensor]] = []
    history: list[dict[str, float]] = []
    counts = [len(part) for part in torch.arange(settings.queries).chunk(settings.rounds)]
    with track("transcribing without data", len(counts)) as advance:
        for position, count in enumerate(counts):
            seed = request.seed * 1000 + position
            queries = source.take(count, seed=seed)
            with torch.no_grad():
                prior = student.eval()(queries.clone()).softmax(dim=1)
            ask = partial(oracle.ask, queries, prior)
            pool.append((queries, request.paid.released(queries, ledger, ask)))
            everything = torch.cat([x for x, _ in pool]), torch.cat([y for _, y in pool])
            trainer = Trainer(steps=settings.student_steps, batch_size=settings.batch_size, seed=seed, records=1)
            [row] = trainer.run(answers, everything, description="student")
            history.append({**row, "step": float(position + 1)})
            advance()
    return student, source.generator, history


class _Generated:
    """Inputs from a generator that learns from the student before each round."""

    def __init__(self, request: Request, settings: DataFreeSettings, student: nn.Module) -> None:
        self._request, self._settings = request, settings
        self._latents = torch.Generator().manual_seed(request.seed)
        spec = request.spec
        with seeded(request.seed):
            self.generator = SmallGenerator(spec.shape, low=spec.low, high=spec.high).eval()
        self._taken: set[bytes] = set()
        self._coverage = _Coverage(self.generator, student, batch_size=settings.batch_size)

    def take(self, count: int, *, seed: int) -> Tensor:
        """Up to `count` fresh inputs, none of which was taken before: the range may hold fewer distinct ones.

        Raises:
            ValueError: not one new input was found.
        """
        if self._settings.generator_steps and not self._settings.uniform:
            Trainer(steps=self._settings.generator_steps, seed=seed).run(self._coverage, description="generator")
        found: list[Tensor] = []
        for attempt in range(_TRIES):
            missing = count - len(found)
            if not missing:
                break
            # A generator that gives the same inputs again and again is helped out by uniform ones.
            draw = self._uniform if self._settings.uniform or attempt >= _TRIES // 2 else self._sample
            for row in draw(missing):
                key = (row + 0.0).numpy().tobytes()  # -0.0 is 0.0
                if key not in self._taken:
                    self._taken.add(key)
                    found.append(row)
        if not found:
            spec = self._request.spec
            raise ValueError(
                f"the range [{spec.low:g}, {spec.high:g}] holds no more distinct inputs of shape {spec.shape}: {len(self._taken)} "
                "were asked, none is asked twice. Ask fewer queries, or give a wider range"
            )
        return torch.stack(found)

    def _sample(self, count: int) -> Tensor:
        return self.generator.sample(count, generator=self._latents)

    def _uniform(self, count: int) -> Tensor:
        spec = self._request.spec
        return spec.low + (spec.high - spec.low) * torch.rand(count, *spec.shape, generator=self._latents)


class _Coverage(Task):
    """The generator against the frozen student; nothing of the teacher is in reach."""

    def __init__(self, generator: SmallGenerator, student: nn.Module, *, batch_size: int) -> None:
        optimizer = torch.optim.Adam(generator.parameters(), lr=3e-3, betas=(0.5, 0.999))
        super().__init__(modules={"generator": generator}, optimizers=[optimizer], frozen={"student": student})
        self._generator, self._student, self._batch_size = generator, student, batch_size

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        device = next(self._generator.parameters()).device
        z = torch.randn(self._batch_size, self._generator.latent, generator=context.generator).to(device)
        coarse = self._generator.coarse(z)
        return coverage_loss(self._student(self._generator.enlarged(coarse)), coarse)


class _NoisyAnswers(Task):
    """The student on released answers: -log sum_j p_j(x) L_j, the exact likelihood under the known noise.

    For k-ary response this is the forward correction -log(q + (p - q) p_answer(x)).
    """

    def __init__(self, student: nn.Module) -> None:
        super().__init__(modules={"student": student}, optimizers=[torch.optim.Adam(student.parameters(), lr=2e-3)])

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        queries, log_likelihood = batch.tensors
        return {"answers": likelihood_nll(self.modules["student"](queries), log_likelihood)}
