"""The main job on bundled real data: handwritten digits, several guarantees side by side, one report.

Every student is made by the public function `transcribe`; this file only chooses data, settings and words.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from accountants import check
from privkd import __version__
from privkd.data import Records, Split, digits
from privkd.errors import PrivacyScopeWarning
from privkd.networks.small import standardise
from privkd.progress import track
from privkd.report import Result, Study, release_of, samples_of, write_report
from privkd.report.rows import proven_rows
from privkd.report.wording import upward
from privkd.report.writing import JSON_NAME
from privkd.teachers import InputSpec, TeacherEnsemble
from privkd.trainer import seeded
from privkd.transcription import Transcription, transcribe
from privkd.transcription.student_training import default_student, distil

DELTA = 1e-4
TEACHERS = 100
_RECORD_EPSILONS = (1.0, 3.0, 10.0)
_ANSWER_EPSILON = 3.0
_TEACHER_EPSILONS = (1.0, 3.0)
_STEPS = 600  # of the two non-private models
_SPEC = InputSpec((1, 8, 8), low=0.0, high=1.0)


@dataclass(frozen=True, eq=False)
class _Job:
    """One call of `transcribe`, and the words of its row in the table."""

    name: str
    method: str
    teacher: Any
    epsilon: float
    note: str
    options: dict[str, Any]


def run_demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    epsilons: Sequence[float] = _RECORD_EPSILONS,
    query_count: int | None = None,
) -> Study:
    """Transcribe teachers of handwritten digits under several guarantees; save the students and a report.

    Nothing is written before all students are made, so an interrupted run leaves nothing behind. Protecting
    noise comes from the operating system: two runs differ.

    Args:
        out: folder for the students and the report: new, empty, or with an earlier report to replace.
        seed: of the split and of public randomness, >= 0.
        epsilons: guarantees for training records, nats.
        query_count: queries to the single teacher when there is no data; default: the library's.

    Returns:
        What the report says.

    Raises:
        FileExistsError: the folder holds something else.
        ValueError: seed or an epsilon is out of range.
    """
    check.integer(seed=seed, at_least=0)
    folder = _free(Path(out))
    split = digits(seed=seed, image=True)
    with track("models without privacy", 2) as advance:
        reference = default_student(_SPEC, 10, seed=seed)
        standardise(reference, split.public.inputs)
        _train_without_privacy(reference, split.private, seed=seed)
        advance()
        single = _train_without_privacy(_single_teacher(seed), split.private, seed=seed)
        advance()
    ensemble = _ensemble(split.private)
    jobs = [*_record_jobs(ensemble, split, epsilons), *_single_jobs(single, query_count)]
    made = []
    with track("transcribing", len(jobs)) as advance:
        for job in jobs:
            made.append(_transcribed(job, seed=seed))
            advance()
    study = _study(split, reference, jobs, made, notes=_notes(split, ensemble))
    _save(folder, jobs, made, study)
    return study


def _free(out: Path) -> Path:
    if out.exists() and not (out / JSON_NAME).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} exists and holds no report of privkd; choose another folder")
    return out


def _single_teacher(seed: int) -> nn.Module:
    with seeded(seed + 1):
        layers = nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        return nn.Sequential(nn.Flatten(), *layers)


def _train_without_privacy(model: nn.Module, records: Records, *, seed: int) -> nn.Module:
    targets = functional.one_hot(cast(Tensor, records.labels), 10).float()
    distil(model, records.inputs, targets, seed=seed, steps=_STEPS)
    return model


def _ensemble(private: Records) -> TeacherEnsemble:
    from sklearn.neighbors import KNeighborsClassifier

    nearest = partial(KNeighborsClassifier, n_neighbors=1)
    return TeacherEnsemble.fit(nearest, private.inputs, private.labels, teachers=TEACHERS, classes=10)


def _record_jobs(ensemble: TeacherEnsemble, split: Split, epsilons: Sequence[float]) -> list[_Job]:
    """Students with a guarantee for training records, by what they need: the records themselves, or teachers only."""
    queries, private = split.public.inputs, (split.private.inputs, split.private.labels)
    ways = (
        (
            "cells",
            "records in public cells",
            {"records": private},
            "Private labels, counted with noise in groups of public inputs. Needs the private records at hand; asks no teacher.",
        ),
        (
            "votes",
            f"votes of {TEACHERS} teachers",
            {},
            "All votes, with noise. Needs teachers on disjoint parts of the records, and no record any more.",
        ),
        (
            "labels",
            "winners of the votes",
            {"method": "gnmax"},
            "The same teachers, but only noisy winners are released.",
        ),
    )
    return [
        _Job(f"{short}-eps{epsilon:g}", method, ensemble, epsilon, note, {"queries": queries, **options})
        for short, method, options, note in ways
        for epsilon in epsilons
    ]


def _single_jobs(single: nn.Module, query_count: int | None) -> list[_Job]:
    """The same single teacher without any data: once per answer, as in the papers, and composed truly."""
    options = {"inputs": _SPEC, "queries": query_count}
    answers = _Job(
        f"one-teacher-answers-eps{_ANSWER_EPSILON:g}",
        "one teacher, per answer",
        single,
        _ANSWER_EPSILON,
        "The papers' setting, without any data. Epsilon is about ONE answer: not comparable with the rest.",
        options,
    )
    note = "The same teacher with all answers composed: what the setting above truly buys."
    composed = {**options, "scope": "teacher"}
    return [answers] + [
        _Job(f"one-teacher-eps{epsilon:g}", "one teacher, composed", single, epsilon, note, composed)
        for epsilon in _TEACHER_EPSILONS
    ]


def _transcribed(job: _Job, *, seed: int) -> Transcription:
    """Run a job; a warning about its scope is what the demo shows, and the report says it in its own words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PrivacyScopeWarning)
        return transcribe(job.teacher, job.epsilon, DELTA, seed=seed, **job.options)


def _study(
    split: Split, reference: nn.Module, jobs: Sequence[_Job], made: Sequence[Transcription], *, notes: tuple[str, ...]
) -> Study:
    results = [
        Result(
            name="",
            method="reference",
            accuracy=_accuracy(reference, split.test),
            note="NOT PRIVATE: the same network trained on the private labels. Not saved, not for release.",
        )
    ]
    for job, done in zip(jobs, made, strict=True):
        accuracy = _accuracy(done.student, split.test)
        results.append(Result(name=job.name, method=job.method, accuracy=accuracy, note=job.note))
    releases = tuple(release_of(job.name, done) for job, done in zip(jobs, made, strict=True))
    return Study(
        title="Handwritten digits, transcribed",
        summary=(
            f"Teachers were trained on {len(split.private)} private records of the scikit-learn digits (8x8 "
            f"pixels, ten classes). Students learned from {len(split.public)} public inputs without labels, "
            f"or from generated inputs, and were tested on {len(split.test)} records that nothing was "
            "trained on. A student may be released under its own guarantee, and under no other."
        ),
        results=proven_rows(results, releases),
        releases=releases,
        notes=notes,
        not_protected=(
            "The reference and the single teacher: both were trained without privacy and are not saved.",
            "The set of these releases: they are shown side by side to be compared. Publish one of them, not all.",
        ),
        samples=next((found for done in made if (found := samples_of(done)) is not None), None),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        library_version=__version__,
    )


def _notes(split: Split, ensemble: TeacherEnsemble) -> tuple[str, ...]:
    together = ensemble.ledger.epsilon(DELTA).upper
    count = len(ensemble.ledger.events)
    half = 1.96 * (0.15 * 0.85 / len(split.test)) ** 0.5
    return (
        "The one teacher without data is asked as in published data-free methods. Its epsilon per answer is NOT a guarantee "
        "for training records; the students with all answers composed show what a true one costs.",
        f"δ = {DELTA:g} is large for {len(split.private)} records: a tenth of 1/n or less is the usual choice.",
        f"One run, {len(split.test)} test records: read every accuracy as about ±{100 * half:.0f} points, "
        "and more for the noise of a small epsilon.",
        f"Each certificate counts its own release only. All {count} releases made from these private records "
        f"through the ensemble would together cost ε ≤ {upward(together)} at δ = {DELTA:g}: its ledger adds "
        "them up.",
        "Test accuracies were computed from records that nothing was trained on. For test data that you must "
        "protect, publishing them is itself a release; here the digits are public.",
    )


@torch.no_grad()
def _accuracy(model: nn.Module, test: Records) -> float:
    return float((model(test.inputs).argmax(dim=1) == test.labels).double().mean())


def _save(out: Path, jobs: Sequence[_Job], made: Sequence[Transcription], study: Study) -> None:
    """All students and the report; a new folder is taken back if that is interrupted."""
    existed = out.exists()
    try:
        for job, done in zip(jobs, made, strict=True):
            done.save(out / job.name, overwrite=True)
        write_report(out, study)
    except BaseException:
        if not existed:
            shutil.rmtree(out, ignore_errors=True)
        raise
