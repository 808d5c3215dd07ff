"""`transcribe`: chooses the method that the teacher, the scope and the data allow, and refuses what cannot be proven."""

from __future__ import annotations

import math
import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from accountants import Ledger
from privkd.certificates.other_releases import require_ledger
from privkd.certificates.scopes import Scope
from privkd.data import Records
from privkd.data.labels import ClassesGiven
from privkd.errors import GuaranteeError, InputRangeWarning, PrivacyScopeWarning
from privkd.mechanisms import NoiseSource
from privkd.progress import working
from privkd.teachers import BareTeacher, CertifiedModel, InputSpec, TeacherEnsemble
from privkd.teachers.guessing import guess_inputs
from privkd.teachers.row_digests import RowDigests
from privkd.transcription.given_data import checked_queries, checked_records, told_classes
from privkd.transcription.methods import certified, dpsd
from privkd.transcription.methods import votes as record_level
from privkd.transcription.overlap import leaks_of_queries
from privkd.transcription.paid_answers import PaidAnswers, seed_of
from privkd.transcription.request import (
    Request,
    checked_delta,
    checked_epsilon,
    checked_noise,
    checked_seed,
    leaks_behind,
    require_trainable,
)
from privkd.transcription.result import Transcription

METHODS = {
    "votes": record_level.by_votes,
    "gnmax": record_level.by_labels,
    "cells": record_level.by_cells,
    "dpsd": dpsd.by_answers,
    "certified": certified.by_certified_answers,
}
"""How a transcription can be made; `method="auto"` takes the most accurate one that the arguments allow."""


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
    source, mode = checked_noise(noise), _one_of("mode", mode, ("sound", "paper"))
    _one_of("method", method, ("auto", *METHODS))
    public, count = checked_queries(queries, inputs)
    told = told_classes(teacher, classes, records)
    target, spec, number, n = _describe(teacher, public, inputs, records, None if told is None else told.count)
    labels = None if told is None else told.labels
    private = checked_records(records, shape=spec.shape, classes=labels or number, queries=public)
    if private is not None:
        if isinstance(target, TeacherEnsemble) and len(private[0]) != n:
            raise ValueError(
                f"records= holds {len(private[0])} records, the ensemble was fitted on {n}; give the same records"
            )
        n = len(private[0])
    name = _method(target, method, public=public is not None, private=private is not None)
    wanted = _scope(target, name, scope, epsilon, ledger)
    folder = None if folder is None else Path(folder)
    seed = seed_of(folder) if seed is None else seed
    request = Request(
        teacher=target,
        epsilon=epsilon,
        delta=checked_delta(delta, n),
        scope=wanted,
        queries=public,
        query_count=count,
        records=private,
        student=student,
        mode=_mode(name, mode, scope, public=public is not None),
        seed=checked_seed(seed),
        spec=spec,
        classes=number,
        n=n,
        noise=source,
        declared_classes=target is not None or (told is not None and told.declared),
        labels=labels,
        common=None if ledger is None else require_ledger(ledger, adjacency="replace-one", unit=wanted.value, n=n),
        count_failures=_counted(name, count_failures),
    )
    _warn(request, scope, guessed=inputs is None and public is None and not isinstance(target, TeacherEnsemble))
    with working(f"transcribing by {name}"):
        request.rehearse()
        request = replace(request, leaks=_leaks_of_queries(request))
        if isinstance(target, TeacherEnsemble) and ledger is not None:
            target.count_in(ledger)
        shared = () if name == "certified" else request.shared
        request = replace(request, paid=PaidAnswers(folder, request.facts(name), shared))
        return METHODS[name](request)


def _leaks_of_queries(request: Request) -> tuple[str, ...]:
    """What the queries give away by themselves; the owner is warned or stopped. See `overlap`."""
    private = []
    if isinstance(request.teacher, TeacherEnsemble) and request.teacher.rows is not None:
        private.append(request.teacher.rows)
    if request.records is not None:
        private.append(RowDigests(request.records[0].unsafe_value()))
    return () if request.queries is None else leaks_of_queries(request.queries, private)


def _counted(name: str, count_failures: bool) -> bool:
    if count_failures and name not in ("votes", "gnmax"):
        raise ValueError(f"count_failures=True counts the teachers of an ensemble; method {name!r} asks none")
    return bool(count_failures)


def _describe(
    teacher: object, public: Tensor | None, inputs: InputSpec | None, records: object, classes: int | None
) -> tuple[TeacherEnsemble | CertifiedModel | BareTeacher | None, InputSpec, int, int | None]:
    """The teacher behind its interface, what it eats, its classes, and the number of private records if known."""
    if teacher is None:
        if public is None or records is None:
            raise ValueError(
                "no teacher was given; only private records= with labels and public queries= together need none (on the command "
                "line --records and --queries)"
            )
        return None, inputs or InputSpec.of(public), classes or 2, None
    described = _describe_teacher(teacher, public, inputs, classes)
    if classes not in (None, described[2]):
        raise ValueError(f"classes={classes} was given, the teacher has {described[2]}; leave classes=None")
    return described


def _describe_teacher(
    teacher: object, public: Tensor | None, inputs: InputSpec | None, classes: int | None
) -> tuple[TeacherEnsemble | CertifiedModel | BareTeacher, InputSpec, int, int | None]:
    if isinstance(teacher, TeacherEnsemble):
        if public is not None:
            _same_shape(tuple(public.shape[1:]), teacher.input_shape)
        spec = inputs or (InputSpec.of(public) if public is not None else InputSpec(teacher.input_shape))
        _same_shape(spec.shape, teacher.input_shape)
        return teacher, spec, teacher.classes, teacher.manifest.records
    module = teacher.model if isinstance(teacher, CertifiedModel) else teacher
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"teacher must be a TeacherEnsemble, a CertifiedModel or a torch.nn.Module, got {type(teacher).__name__}; a "
            "scikit-learn model can teach inside TeacherEnsemble.fit(make_model, inputs, labels)"
        )
    spec = inputs or (InputSpec.of(public) if public is not None else guess_inputs(module))
    if public is not None:
        _same_shape(spec.shape, tuple(public.shape[1:]))
    bare = BareTeacher(module, spec, classes=classes)
    if isinstance(teacher, CertifiedModel):
        return teacher, spec, bare.classes, teacher.certificate.n_records_declared
    return bare, spec, bare.classes, None


def _same_shape(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if given != tuple(shape):
        raise ValueError(f"inputs have shape {given}, the teacher or the queries have {tuple(shape)}; they must agree")


def _method(teacher: object, method: str, *, public: bool, private: bool) -> str:
    needs = {
        "votes": isinstance(teacher, TeacherEnsemble),
        "gnmax": isinstance(teacher, TeacherEnsemble) and public,
        "cells": public and private,
        "dpsd": isinstance(teacher, BareTeacher),
        "certified": isinstance(teacher, CertifiedModel),
    }
    if private and method not in ("auto", "cells"):
        raise ValueError(f"records= are used by method='cells' only, not by {method!r}; leave one of them away")
    if private and not public:
        raise ValueError(
            "records= needs public queries= as well: the records' labels are counted in cells of public inputs"
        )
    if method == "auto":
        order = ("cells", "certified", "votes", "dpsd")
        return next(name for name in order if needs[name])
    if not needs[method]:
        wanted = {
            "votes": "a TeacherEnsemble",
            "gnmax": "a TeacherEnsemble and public queries",
            "cells": "records=(inputs, labels) and public queries",
            "dpsd": "a bare nn.Module",
            "certified": "a CertifiedModel",
        }[method]
        raise ValueError(f"method={method!r} needs {wanted}; possible here: {[name for name in needs if needs[name]]}")
    return method


def _mode(name: str, mode: str, scope: str | None, *, public: bool) -> str:
    if mode == "paper" and (name != "dpsd" or public or scope not in (None, Scope.SYNTHETIC_LABEL)):
        raise ValueError(
            "mode='paper' reproduces a published method: method='dpsd' on generated queries in scope 'synthetic-label'; got "
            f"method {name!r}, {'public' if public else 'generated'} queries, scope {scope!r}"
        )
    return mode


def _scope(teacher: object, name: str, scope: str | None, epsilon: float, common: Ledger | None) -> Scope:
    possible = {
        "dpsd": (Scope.SYNTHETIC_LABEL, Scope.TEACHER),
        "certified": (teacher.certificate.scope,) if isinstance(teacher, CertifiedModel) else (Scope.NONE,),
    }.get(name, (Scope.TRAINING_RECORD,))
    if scope is None:
        return possible[0]
    try:
        wanted = Scope(scope)
    except ValueError:
        raise ValueError(f"scope={scope!r} is unknown; scopes are {', '.join(Scope)}") from None
    leaks = leaks_behind(teacher, common)
    if leaks:
        raise GuaranteeError(
            f"scope={wanted.value!r} cannot be certified: the teacher's ledger discloses a leak ({'; '.join(leaks)}), and no "
            "noise takes it back. Train a new teacher on other records, or leave scope=None for a student without a guarantee"
        )
    if isinstance(teacher, CertifiedModel) and name == "certified":
        return teacher.certificate.weakened(wanted).scope
    if wanted in possible:
        return wanted
    if name != "dpsd":
        raise GuaranteeError(
            f"method {name!r} gives scope {possible[0].value!r}, not {wanted.value!r}; leave scope=None"
        )
    raise GuaranteeError(_bare_refusal(teacher, wanted, epsilon))


def _bare_refusal(teacher: object, wanted: Scope, epsilon: float) -> str:
    from accountants import teacher_ceiling

    classes = teacher.classes if isinstance(teacher, BareTeacher) else 2
    ceiling = teacher_ceiling(epsilon, 1e-5, classes) if math.isfinite(epsilon) else 1.0
    return (
        f"epsilon={epsilon:g} was asked for scope={wanted.value!r}, but a bare module gives no such guarantee: nothing is known "
        "about how one training record changed the teacher.\nWays out:\n"
        "  - TeacherEnsemble.fit(make_model, inputs, labels, teachers=100)   keeps the scope; or pass records=(inputs, labels) "
        "with public queries\n"
        f"  - transcribe(..., scope='teacher')          true, composed over all queries; expected agreement <= {ceiling:.3f}\n"
        "  - transcribe(..., scope='synthetic-label')  the papers' mode; the certificate says what it is not\n"
        "  - CertifiedModel(model, certificate)        if the model was itself trained with differential privacy"
    )


def _warn(request: Request, asked: str | None, *, guessed: bool) -> None:
    if guessed:
        warnings.warn(
            f"queries are generated in the range [{request.spec.low:g}, {request.spec.high:g}] for inputs of shape "
            f"{request.spec.shape}, which is a guess. A wrong range gives a useless student: pass "
            "inputs=InputSpec(shape, low, high), or public queries",
            InputRangeWarning,
            stacklevel=3,
        )
    if isinstance(request.teacher, TeacherEnsemble) and request.records is None:
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


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; allowed are {', '.join(map(repr, allowed))}")
    return value
