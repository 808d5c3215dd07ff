"""Accuracy at a stated guarantee: every transcription method, its ablations and trivial baselines, on digits.

Usage:  python benchmarks/transcribe_digits.py --epsilon 1 3 10 --seeds 5 --out results/digits
Takes:  about 17 minutes of one CPU core for all 215 cases; several processes may share one --out by taking
        different --methods. Needs: nothing beyond the install.
Writes: records.jsonl, one line per (method, epsilon, seed), and table.md with mean and 95 % interval over seeds.
        A case that has a record already is skipped, so an interrupted run goes on where it was.

Protocol: scikit-learn digits, per seed a random split into 1100 private, 400 public (labels withheld) and 297 test
records, delta = 1e-4. Ensembles: 100 one-nearest-neighbour teachers on disjoint shards. Single teacher: an MLP
64-128-64-10, Adam 1e-3, 60 epochs on the private records. The seed fixes the split and public randomness; shards and
protecting noise are drawn afresh, so two runs differ. Test records are used for the printed figure and for nothing
else; no setting was chosen per case. No published figure is known for this data set.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# This folder goes behind the installed packages: accountants.py here would hide the package of that name.
sys.path.append(sys.path.pop(0))

import torch
from fixed_queries import QUERIES, SPEC, coin_pixels, frozen_generator, spread_generator, uniform_pixels
from recording import Case, append_record, measured, read_records, summary
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn
from torch.nn import functional

import privkd
from privkd.certificates.certificate import Scope
from privkd.data import Split, digits
from privkd.mechanisms import KaryResponse, SystemNoise
from privkd.networks.small import standardise
from privkd.teachers import BareTeacher
from privkd.trainer import Batch, Context, Task, Trainer, seeded
from privkd.transcription.methods.data_free import DataFreeSettings
from privkd.transcription.student_training import default_student, distil

DELTA = 1e-4
TEACHERS = 100


@dataclass(frozen=True)
class Method:
    """A row of the table: what is run, what the guarantee is about, and what a reader must know."""

    run: Callable[[Case], tuple[nn.Module | int, privkd.Certificate | None]]
    scope: str
    note: str


def ensemble_student(**options: Any) -> Callable[[Case], tuple[nn.Module, privkd.Certificate]]:
    """Transcribe a fresh ensemble, with or without public inputs."""
    free = options.pop("data_free", False)

    def run(case: Case) -> tuple[nn.Module, privkd.Certificate]:
        private = split_of(case.seed).private
        teachers = privkd.TeacherEnsemble.fit(
            lambda: KNeighborsClassifier(n_neighbors=1), private.inputs, private.labels, teachers=TEACHERS, classes=10
        )
        queries = {"inputs": SPEC} if free else {"queries": split_of(case.seed).public.inputs}
        records = {"records": (private.inputs, private.labels)} if options.get("method") == "cells" else {}
        return transcribed(teachers, case, **queries, **records, **options)

    return run


def single_student(*, public: bool = False, **options: Any) -> Callable[[Case], tuple[nn.Module, privkd.Certificate]]:
    """Transcribe the single teacher, on public inputs or without any data."""

    def run(case: Case) -> tuple[nn.Module, privkd.Certificate]:
        queries = {"queries": split_of(case.seed).public.inputs} if public else {"inputs": SPEC}
        return transcribed(single_teacher(case.seed), case, **queries, **options)

    return run


def baseline_student(make_queries: Callable[[int], Tensor]) -> Callable[[Case], tuple[nn.Module, privkd.Certificate]]:
    """The data-free loop with its generator replaced by a fixed list of made-up queries.

    Teacher, number of queries, mechanism, student network, likelihood and steps are those of the method.
    """

    def run(case: Case) -> tuple[nn.Module, privkd.Certificate]:
        if case.epsilon is None:
            raise ValueError("a baseline answers through a mechanism, which needs an epsilon")
        settings = DataFreeSettings.spread(QUERIES)
        queries, mechanism = make_queries(case.seed), KaryResponse(case.epsilon, 10)
        ledger = privkd.Ledger(adjacency="replace-one", delta=DELTA, unit="synthetic-label")
        answers = BareTeacher(single_teacher(case.seed), SPEC).answers(queries)
        released = mechanism.release(answers, ledger=ledger, noise=SystemNoise())
        likelihood = mechanism.log_likelihood(released).float()
        student = default_student(SPEC, 10, seed=case.seed, hidden=64)
        task = NoisyAnswers(student)
        for turn, part in enumerate(torch.arange(QUERIES).chunk(settings.rounds)):
            trainer = Trainer(
                steps=settings.student_steps, batch_size=settings.batch_size, seed=case.seed * 1000 + turn
            )
            seen = int(part[-1]) + 1  # a pool that grows round by round, as in the method
            trainer.run(task, (queries[:seen], likelihood[:seen]))
        return student, privkd.Certificate.from_ledger(ledger, scope=Scope.SYNTHETIC_LABEL, delta=DELTA)

    return run


class NoisyAnswers(Task):
    """The exact likelihood of released answers, as the method learns from them."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__(modules={"student": student}, optimizers=[torch.optim.Adam(student.parameters(), lr=2e-3)])

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        """-log sum_j p_j(x) L_j, mean over a batch."""
        queries, log_likelihood = batch.tensors
        log_probability = torch.log_softmax(self.modules["student"](queries), dim=1)
        return {"answers": -torch.logsumexp(log_probability + log_likelihood, dim=1).mean()}


def transcribed(teacher: Any, case: Case, **options: Any) -> tuple[nn.Module, privkd.Certificate]:
    """One call of the public function."""
    if case.epsilon is None:
        options |= {"allow_nonprivate": True}
    with warnings.catch_warnings():
        # delta is above 1/(10 n) by protocol, and scopes are columns of the table.
        warnings.simplefilter("ignore", privkd.PrivacyScopeWarning)
        made = privkd.transcribe(teacher, case.epsilon or float("inf"), DELTA, seed=case.seed, **options)
    return made.student, made.certificate


def reference(case: Case) -> tuple[nn.Module, None]:
    """The default student, trained on the private labels themselves."""
    split = split_of(case.seed)
    student = default_student(SPEC, 10, seed=case.seed)
    standardise(student, split.public.inputs)
    labels = functional.one_hot(labels_of(split.private), 10).float()
    distil(student, split.private.inputs, labels, seed=case.seed)
    return student, None


def teacher_itself(case: Case) -> tuple[nn.Module, None]:
    """The single teacher, as if it were released."""
    return single_teacher(case.seed), None


def majority(case: Case) -> tuple[int, None]:
    """The most frequent private class for every input."""
    return int(labels_of(split_of(case.seed).private).bincount().argmax()), None


class Classification(Task):
    """Cross-entropy of the single teacher on private labels."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(modules={"teacher": model}, optimizers=[torch.optim.Adam(model.parameters(), lr=1e-3)])

    def step(self, batch: Batch, context: Context) -> dict[str, Tensor]:
        """The mean over a batch."""
        inputs, labels = batch.tensors
        return {"cross-entropy": functional.cross_entropy(self.modules["teacher"](inputs), labels)}


METHODS = {
    "majority": Method(majority, "none", "most frequent class; no model"),
    "reference": Method(reference, "none", "the students' network on the private labels; NOT private"),
    "teacher": Method(teacher_itself, "none", "the single teacher itself; NOT private"),
    "votes-noiseless": Method(ensemble_student(method="votes"), "none", "votes without noise; NOT private"),
    "votes": Method(ensemble_student(method="votes"), "training-record", "the default with an ensemble"),
    "gnmax": Method(ensemble_student(method="gnmax"), "training-record", "ablation: labels only"),
    "cells": Method(ensemble_student(method="cells"), "training-record", "records at hand; no teacher is asked"),
    "votes-data-free": Method(ensemble_student(data_free=True), "training-record", "ensemble, no public inputs"),
    "dpsd-teacher": Method(single_student(scope="teacher"), "teacher", "one teacher, all answers composed"),
    "dpsd-teacher-public": Method(single_student(public=True, scope="teacher"), "teacher", "400 public inputs"),
    "dpsd": Method(single_student(), "synthetic-label", "one teacher, epsilon per ANSWER"),
    "dpsd-public": Method(single_student(public=True), "synthetic-label", "400 public inputs, per ANSWER"),
    "dpsd-paper": Method(single_student(mode="paper"), "synthetic-label", "as published, reconstructed"),
    "uniform": Method(baseline_student(uniform_pixels), "synthetic-label", "queries: uniform pixels"),
    "coin": Method(baseline_student(coin_pixels), "synthetic-label", "queries: pixels 0 or 1, independent"),
    "frozen": Method(baseline_student(frozen_generator), "synthetic-label", "queries: untrained generator"),
    "spread": Method(baseline_student(spread_generator), "synthetic-label", "queries: generator with spread only"),
}
WITHOUT_EPSILON = frozenset(name for name, method in METHODS.items() if method.scope == "none")


@cache
def split_of(seed: int) -> Split:
    """The three parts of a seed."""
    return digits(seed=seed)


def labels_of(records: Any) -> Tensor:
    """Labels of a part that has them."""
    if records.labels is None:
        raise ValueError(f"{records!r} has no labels; only the private and test parts have")
    return records.labels


@cache
def single_teacher(seed: int) -> nn.Module:
    """The MLP that saw all private records, trained without privacy."""
    private = split_of(seed).private
    with seeded(seed + 1):
        widths = ((64, 128), (128, 64))
        layers = [layer for a, b in widths for layer in (nn.Linear(a, b), nn.ReLU())]
        model = nn.Sequential(*layers, nn.Linear(64, 10))
    steps = 60 * (len(private) // 64)
    Trainer(steps=steps, seed=seed).run(Classification(model), (private.inputs, labels_of(private)))
    return model


def outcome(case: Case) -> dict[str, Any]:
    """Test accuracy, settings and certificate of a case."""
    made, certificate = METHODS[case.method].run(case)
    test = split_of(case.seed).test
    with torch.no_grad():
        answers = made if isinstance(made, int) else made(test.inputs).argmax(dim=1)
    return {
        "accuracy": float((answers == labels_of(test)).double().mean()),
        "config": {"delta": DELTA, "teachers": TEACHERS, "private": 1100, "public": 400, "test": len(test)},
        "certificate": None if certificate is None else certificate.to_dict(),
    }


def table(records: Sequence[dict[str, Any]], epsilons: Iterable[float]) -> str:
    """Markdown: a row per method, a column per epsilon, mean accuracy and half width of its 95 % interval."""
    columns = list(epsilons)
    lines = [
        "| method | epsilon is about | " + " | ".join(f"ε = {epsilon:g}" for epsilon in columns) + " | what it is |",
        "|---|---|" + "---|" * (len(columns) + 1),
    ]
    for name, method in METHODS.items():
        keys = [None] * len(columns) if name in WITHOUT_EPSILON else columns
        found = [[r["accuracy"] for r in records if (r["method"], r["epsilon"]) == (name, key)] for key in keys]
        if any(found):
            cells = " | ".join(map(summary, found))
            lines.append(f"| {name} | {method.scope} | {cells} | {method.note} |")
    seeds = len({record["seed"] for record in records})
    lines += ["", f"Mean over up to {seeds} seeds ± half the 95 % t-interval; 297 test records each, δ = {DELTA:g}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cases that have no record yet, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0, 3.0, 10.0], help="nats, > 0")
    parser.add_argument("--seeds", type=int, default=5, help="number of splits")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=Path("results/digits"), help="folder of records and table")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    file = asked.out / "records.jsonl"
    records = read_records(file)
    cases = [
        Case(method, epsilon, seed)
        for seed in range(asked.seeds)
        for method in asked.methods
        for epsilon in ([None] if method in WITHOUT_EPSILON else asked.epsilon)
    ]
    for case in cases:
        if any(case.is_in(record) for record in records):
            continue
        record = measured(case, lambda case=case: outcome(case))
        append_record(file, record)
        records.append(record)
        print(f"{case.method} epsilon={case.epsilon} seed={case.seed}: {record['accuracy']:.3f}", flush=True)
    text = table(records, asked.epsilon)
    (asked.out / "table.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
