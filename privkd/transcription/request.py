"""What `transcribe` was asked for, checked once: every method works from the same validated request."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from accountants import Event, Ledger
from accountants.ledger.disclosures import Disclosure, Kind, disclose_once, disclose_seeded
from privkd.certificates.leaks import carry_leaks, leaks_of
from privkd.certificates.other_releases import about_others
from privkd.certificates.scopes import Scope
from privkd.data.input_spec import InputSpec
from privkd.data.labels import Label
from privkd.errors import GuaranteeError, NonFiniteLoss, OutOfMemory, TaskError, TeacherError
from privkd.mechanisms import NoiseSource
from privkd.mechanisms.private_value import Private
from privkd.networks.fingerprint import digest
from privkd.teachers.rehearsal import made_up, rehearse_module
from privkd.teachers.sharing import common_part
from privkd.teachers.teacher import Teacher
from privkd.trainer.checkpoints.same_run import digest_of
from privkd.transcription.paid_answers import PaidAnswers
from privkd.transcription.student_training import default_student, distil
from privkd.version import __version__

_PUBLIC_QUERIES = "queries are public and chosen without looking at private records"
_DRIVEN_QUERIES = "queries depend on public randomness and earlier released answers only"
_REHEARSED = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """A validated call of `transcribe`.

    Attributes:
        teacher: whoever teaches; `NoTeacher` for records alone.
        epsilon: hard cap, nats, > 0; inf only where it was explicitly allowed.
        delta: failure mass, [0, 1).
        scope: what the guarantee shall be about.
        queries: public inputs, float32 on the CPU, or None when queries are generated.
        query_count: how many queries to generate, or None for the method's default.
        records: boxed private inputs and labels, or None.
        student: the caller's fresh student, or None for the default.
        mode: "sound" or "paper".
        seed: of public randomness only (initial weights, order of rows, latent vectors).
        spec: shape and range of one input.
        classes: number of classes K.
        n: number of private records, if known.
        noise: where protecting noise comes from.
        declared_classes: whether somebody declared the number of classes; False when it was read off private labels.
        labels: what the classes are called, by index, if anything; public.
        common: the caller's ledger of everything that is released from the same data, or None.
        leaks: what a release with these queries has to disclose.
        count_failures: whether a part of the budget buys a noisy count of failed teachers.
        paid: the answers that were paid for, which an interrupted call left on disk.
    """

    teacher: Teacher
    epsilon: float
    delta: float
    scope: Scope
    queries: Tensor | None
    query_count: int | None
    records: tuple[Private, Private] | None
    student: nn.Module | None
    mode: str
    seed: int
    spec: InputSpec
    classes: int
    n: int | None
    noise: NoiseSource
    declared_classes: bool = True
    labels: tuple[Label, ...] | None = None
    common: Ledger | None = None
    leaks: tuple[str, ...] = ()
    count_failures: bool = False
    paid: PaidAnswers = field(default_factory=lambda: PaidAnswers(None, {}))

    def new_ledger(self) -> Ledger:
        """A replace-one ledger of this release: its hard cap is the asked epsilon, and it discloses the teacher's leaks.

        A scope of single answers has no cap, as epsilon is then about each. It holds the charges of answers that an interrupted
        call paid for, and no others.
        """
        cap = self.epsilon if math.isfinite(self.epsilon) and not self.scope.is_per_answer else None
        ledger = self.paid.ledger
        if ledger is None:
            ledger = Ledger(adjacency="replace-one", epsilon=cap, delta=self.delta, unit=self.scope.value, n=self.n)
            if not self.noise.secure:
                disclose_seeded(ledger)
        for source in (self.teacher.data_ledger, self.common):
            if source is not None:
                carry_leaks(source, ledger)
        for leak in self.leaks:
            disclose_once(ledger, Disclosure(Kind.LEAK, leak))
        return ledger

    @property
    def shared(self) -> tuple[Ledger, ...]:
        """The ledger that counts everything released from the same data, if there is one."""
        return self.teacher.counting or (() if self.common is None else (self.common,))

    def require_room(self, plan: Event) -> None:
        """Refuse a plan that the common ledger has no room for, before its first part is charged; see `Ledger.require_room`.

        Raises:
            BudgetExceeded: there is no room.
        """
        if self.paid.ledger is None:  # else a part of the plan is counted already
            for shared in self.shared:
                shared.require_room(plan)

    def others(self, own: Ledger, *, what: str = "these records") -> str:
        """The condition on other releases from the same data, once this one was charged to its own ledger."""
        return about_others(self.shared, len(own.charges), self.delta, what=what)

    @property
    def about_queries(self) -> str:
        """The condition on the queries, for the certificate."""
        return _DRIVEN_QUERIES if self.queries is None else _PUBLIC_QUERIES

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Conditions that follow from what the caller brought along, for the certificate."""
        if self.student is None:
            return ()
        return ("the given student's design and initial weights do not depend on private data",)

    def new_student(self, *, hidden: int = 128) -> nn.Module:
        """A copy of the caller's student, or a fresh default one.

        Raises:
            GuaranteeError: the caller's student shares memory with the teacher.
            ValueError: it does not map inputs to K logits.
        """
        if self.student is not None and not isinstance(self.student, nn.Module):
            given = self.student.__name__ if isinstance(self.student, type) else type(self.student).__name__
            raise TypeError(
                f"student= is {given}; an instance of torch.nn.Module that maps inputs to {self.classes} logits is needed"
            )
        if self.student is None:
            return default_student(self.spec, self.classes, seed=self.seed, hidden=hidden, labels=self.labels)
        _refuse_teacher_parts(self.student, self.teacher)
        student = copy.deepcopy(self.student).cpu()  # two calls with one module must not share what they learn
        try:
            width = rehearse_module(student, self.spec)
        except TeacherError as error:
            raise ValueError(f"student= does not fit the inputs: {error}") from error
        if width != self.classes:
            raise ValueError(f"student= returns {width} logits, the teacher has {self.classes} classes")
        return student

    def facts(self, method: str) -> dict[str, Any]:
        """Public facts that tell this transcription from others, as JSON."""
        return {
            "version": __version__,
            "method": method,
            "mode": self.mode,
            "scope": self.scope.value,
            "epsilon": str(self.epsilon),
            "delta": self.delta,
            "seed": self.seed,
            "inputs": self.spec.to_dict(),
            "classes": self.classes,
            "labels": None if self.labels is None else list(self.labels),
            "n": self.n,
            "teachers": self.teacher.teachers,
            "queries": self.query_count if self.queries is None else digest_of((self.queries,)),
            "student": None if self.student is None else digest(self.student).hex(),
            "count_failures": self.count_failures,
            "secure": self.noise.secure,
        }

    def rehearse(self) -> None:
        """Train a copy of the student on made-up rows, so that what cannot be trained is found before anything is charged.

        Raises:
            ValueError: it cannot.
        """
        rows = made_up(self.spec.shape, _REHEARSED, low=self.spec.low, high=self.spec.high)
        targets = torch.full((_REHEARSED, self.classes), 1 / self.classes)
        try:
            distil(self.new_student(), rows, targets, seed=self.seed, steps=2, description="rehearsing the student")
        except (RuntimeError, TypeError, TaskError, NonFiniteLoss, OutOfMemory) as error:
            raise ValueError(
                f"the student cannot be trained on inputs like the queries; nothing was charged: {error}"
            ) from error


def leaks_behind(teacher: Teacher, common: Ledger | None) -> tuple[str, ...]:
    """What the ledgers of the data disclose as leaks: no release that has to do with them is guaranteed anything."""
    ledgers = (teacher.data_ledger, common)
    return tuple(dict.fromkeys(leak for ledger in ledgers if ledger is not None for leak in leaks_of(ledger)))


def _refuse_teacher_parts(student: nn.Module, teacher: Teacher) -> None:
    """Refuse a student that is, contains or shares memory with a teacher.

    Equal values are no reason: an exception that depends on the teacher's weights would tell them.
    """
    if any(common_part([student, model]) is not None for model in teacher.models):
        raise GuaranteeError(
            "student= shares its weights with the teacher: the teacher itself would be released. Pass a fresh one, whose weights "
            "do not come from the teacher"
        )
