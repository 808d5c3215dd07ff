"""`transcribe`: chooses the method that the teacher, the scope and the data allow, and refuses what cannot be proven."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from accountants import Ledger
from privkd.certificates.other_releases import require_ledger
from privkd.certificates.scopes import Scope
from privkd.data import Records
from privkd.data.input_spec import InputSpec
from privkd.data.labels import ClassesGiven
from privkd.errors import InputRangeWarning, PrivacyScopeWarning
from privkd.mechanisms import NoiseSource
from privkd.progress import working
from privkd.teachers import CertifiedModel, TeacherEnsemble
from privkd.teachers.row_digests import RowDigests
from privkd.transcription.arguments import (
    checked_delta,
    checked_epsilon,
    checked_noise,
    checked_queries,
    checked_records,
    checked_seed,
    one_of,
    require_trainable,
)
from privkd.transcription.choice import chosen_count, chosen_method, chosen_mode, chosen_scope, named_method
from privkd.transcription.given_teacher import given_teacher
from privkd.transcription.overlap import leaks_of_queries
from privkd.transcription.paid_answers import PaidAnswers, seed_of
from privkd.transcription.request import Request, leaks_behind
from privkd.transcription.result import Transcription


def transcribe(
    teacher: TeacherEnsemble | CertifiedModel | nn.Module | None,
    epsilon: float,
    delta: float | None = None,
    *,
    scope: str | None = None,
    queries: Any = None,
    records: tuple[Any, Any] | Records | None = None,
    classes: ClassesGiven | None = None,
    student: nn.Module | None = None,
    method: str = "auto",
    mode: str = "sound",
    seed: int | None = None,
    inputs: InputSpec | None = None,
    noise: NoiseSource | None = None,
    ledger: Ledger | None = None,
    count_failures: bool = False,
    folder: str | os.PathLike[str] | None = None,
    allow_nonprivate: bool = False,
) -> Transcription:
    """Turn a teacher that saw private data into a student with a certificate.

    Works on copies of queries, records and student. What does not fit is found before anything is charged: a copy of the
    student is trained on made-up rows first.

    Args:
        teacher: a `TeacherEnsemble` or `CertifiedModel` (scope `training-record`), or a bare `nn.Module` that gives logits
            (default scope `synthetic-label`, with a `PrivacyScopeWarning`: that is NOT a guarantee for training records).
            None where `records` and public `queries` are given, which need no teacher.
        epsilon: hard cap on the privacy cost in the chosen scope, nats, > 0.
        delta: failure mass, below 1/n; default: the largest power of ten at most 1/(10 n), or 1e-5 where n is unknown.
        scope: what the guarantee is about: `training-record`, `teacher` or `synthetic-label`; default: as above.
        queries: PUBLIC unlabelled inputs, shape (n, d) or (n, channels, height, width), of any kind that `privkd.data.load`
            takes as arrays (uint8 is divided by 255, every other dtype keeps its values), or `Records`; or how many to
            generate; default: generated.
        records: the private `(inputs, labels)`, under the same rule, when they are at hand: with public queries, their labels
            are counted in public cells, which beats asking teachers.
        classes: the classes, public: how many there are, or what they are called, in the order of their indices, which students
            then answer with. Default: what the teacher says. For records without a teacher see `TeacherEnsemble.fit`: largest
            label + 1, which the certificate then says.
        student: a fresh `nn.Module` that maps inputs to logits; default: a small network that fits the inputs.
        method: "auto", "votes", "gnmax" (label-only), "cells", "dpsd" or "certified".
        mode: "sound", or "paper" for the published method with a weaker argument (method "dpsd" only).
        seed: of PUBLIC randomness (initial weights, order of rows, latent vectors); the protecting noise always comes from
            the operating system.
        inputs: shape and range of one input, where queries are generated and the teacher does not tell.
        noise: another source of protecting noise; a seeded one is for tests and voids the certificate.
        ledger: counts everything that is released from the same private data (`Ledger.open(path, ...)` keeps it in one file);
            charged beside the release's own. Its unit is the scope, its adjacency replace-one. With a budget, nothing that is
            given this ledger is released beyond it, and every certificate says so. An ensemble keeps the first one.
        count_failures: whether a tenth of the budget (as squared noise) buys a noisy count of teachers that failed, which the
            ledger then tells; for the methods that ask an ensemble.
        folder: keeps the answers that were paid for. The same call after an interruption goes on with them, and after its end
            gives the same student, without a new charge.
        allow_nonprivate: whether epsilon may be infinite.

    Returns:
        The transcription: `.student`, `.generator`, `.certificate`, `.ledger`, `.history`, `.save(directory)`.

    Raises:
        GuaranteeError: the scope cannot be reached with this teacher; the message lists the ways out. A teacher whose
            ledger discloses a leak reaches none: without `scope` there is a warning, and the certificate says so.
        BudgetExceeded: epsilon cannot buy one query.
        TeacherError: the teacher's output is not (batch, classes) finite logits.
        ValueError, TypeError: bad arguments; the message names the argument.
    """
    require_trainable()
    epsilon = checked_epsilon(epsilon, allow_nonprivate=allow_nonprivate)
    source, mode = checked_noise(noise), one_of("mode", mode, ("sound", "paper"))
    named = named_method(method)
    public, count = checked_queries(queries, inputs)
    asked, spec, known = given_teacher(teacher, queries=public, records=records, inputs=inputs, classes=classes)
    private = checked_records(records, shape=spec.shape, classes=known.labels or known.count, queries=public)
    n = asked.records
    if private is not None:
        n = len(private[0])
        asked.require_same_records(n)
    given = {"queries": public is not None, "records": private is not None}
    row = chosen_method(named, asked, **given)
    wanted = chosen_scope(row, scope, asked, ledger, epsilon=epsilon, classes=known.count)
    folder = None if folder is None else Path(folder)
    seed = seed_of(folder) if seed is None else seed
    request = Request(
        teacher=asked,
        epsilon=epsilon,
        delta=checked_delta(delta, n),
        scope=wanted,
        queries=public,
        query_count=count,
        records=private,
        student=student,
        mode=chosen_mode(mode, row, scope, queries=public is not None),
        seed=checked_seed(seed),
        spec=spec,
        classes=known.count,
        n=n,
        noise=source,
        declared_classes=known.declared,
        labels=known.labels,
        common=None if ledger is None else require_ledger(ledger, adjacency="replace-one", unit=wanted.value, n=n),
        count_failures=chosen_count(count_failures, row),
    )
    _warn_owner(request, scope, guessed=inputs is None and public is None and not asked.knows_inputs)
    with working(f"transcribing by {row.name}"):
        request.rehearse()
        request = replace(request, leaks=_leaks_of_queries(request))
        if ledger is not None:
            asked.count_in(ledger)
        shared = request.shared if row.is_charged else ()
        paid = PaidAnswers(folder, request.facts(row.name), shared, is_charged=row.is_charged)
        return row.run(replace(request, paid=paid))


def _leaks_of_queries(request: Request) -> tuple[str, ...]:
    """What the queries give away by themselves; the owner is warned or stopped. See `overlap`."""
    private = [] if request.teacher.rows is None else [request.teacher.rows]
    if request.records is not None:
        private.append(RowDigests(request.records[0].unsafe_value()))
    return () if request.queries is None else leaks_of_queries(request.queries, private)


def _warn_owner(request: Request, asked: str | None, *, guessed: bool) -> None:
    """Tell the owner, before anything is charged, what is right but probably not wanted."""
    if guessed:
        warnings.warn(
            f"queries are generated in the range [{request.spec.low:g}, {request.spec.high:g}] for inputs of shape "
            f"{request.spec.shape}, which is a guess. A wrong range gives a useless student: pass "
            "inputs=InputSpec(shape, low, high), or public queries",
            InputRangeWarning,
            stacklevel=3,
        )
    if request.records is None:
        request.teacher.warn_of_other_range(request.queries, low=request.spec.low, high=request.spec.high)
    leaks = leaks_behind(request.teacher, request.common)
    if leaks:
        warnings.warn(
            f"the teacher's ledger discloses a leak ({'; '.join(leaks)}), which no noise takes back: the student will have NO "
            "guarantee, and its certificate the scope 'none'",
            PrivacyScopeWarning,
            stacklevel=3,
        )
    if request.scope is Scope.SYNTHETIC_LABEL and asked is None:
        warnings.warn(
            f"a bare module was transcribed: epsilon={request.epsilon:g} protects single synthetic answers, NOT training records. "
            "For a training-record guarantee use TeacherEnsemble.fit(...), pass records= with public queries, or use a "
            "CertifiedModel; scope='teacher' composes truly. scope='synthetic-label' silences this warning",
            PrivacyScopeWarning,
            stacklevel=3,
        )
    if request.n is not None and request.delta > 1 / (10 * request.n):
        warnings.warn(
            f"delta={request.delta:g} is above 1/(10 n) = {1 / (10 * request.n):.2g}: correct, but large for n={request.n} records",
            PrivacyScopeWarning,
            stacklevel=3,
        )
