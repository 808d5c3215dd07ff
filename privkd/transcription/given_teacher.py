"""The teacher that `transcribe` was given, behind the interface that every method asks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from privkd.data.input_spec import InputSpec
from privkd.data.labels import Classes, ClassesGiven, Label, declared_classes
from privkd.networks.prediction import Predicting
from privkd.teachers.bare_teacher import BareTeacher
from privkd.teachers.certified_model import CertifiedModel, CertifiedTeacher
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.guessing import guess_inputs
from privkd.teachers.teacher import NoTeacher, Teacher
from privkd.transcription.arguments import classes_of_records


def given_teacher(
    teacher: object, *, queries: Tensor | None, records: Any, inputs: InputSpec | None, classes: ClassesGiven | None
) -> tuple[Teacher, InputSpec, Classes]:
    """The teacher behind its interface, what it eats, and its classes.

    Raises:
        TypeError: no teacher.
        ValueError: inputs, queries and teacher do not agree on a shape or on the classes, or nothing tells them.
        TeacherError: the module does not map such inputs to logits.
    """
    if teacher is None:
        if queries is None or records is None:
            raise ValueError(
                "no teacher was given; only private records= with labels and public queries= together need none (on the command "
                "line --records and --queries)"
            )
        known = classes_of_records(records, classes)
        return NoTeacher(), inputs or InputSpec.of(queries), known
    if isinstance(teacher, TeacherEnsemble):
        return _ensemble(teacher, queries, inputs, _known_classes(teacher.labels, classes))
    certified = teacher if isinstance(teacher, CertifiedModel) else None
    module = teacher if certified is None else certified.model
    known = _known_classes(module.labels if isinstance(module, Predicting) else None, classes)
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"teacher must be a TeacherEnsemble, a CertifiedModel or a torch.nn.Module, got {type(teacher).__name__}; a "
            "scikit-learn model can teach inside TeacherEnsemble.fit(make_model, inputs, labels)"
        )
    spec = inputs or (guess_inputs(module) if queries is None else InputSpec.of(queries))
    if queries is not None:
        _require_same(spec.shape, tuple(queries.shape[1:]))
    count = None if known is None else known.count
    bare = (
        BareTeacher(module, spec, classes=count)
        if certified is None
        else CertifiedTeacher(certified, spec, classes=count)
    )
    return bare, spec, known or Classes(bare.classes, None, declared=True)


def _ensemble(
    teacher: TeacherEnsemble, queries: Tensor | None, inputs: InputSpec | None, known: Classes | None
) -> tuple[Teacher, InputSpec, Classes]:
    if queries is not None:
        _require_same(tuple(queries.shape[1:]), teacher.input_shape)
    spec = inputs or (InputSpec(teacher.input_shape) if queries is None else InputSpec.of(queries))
    _require_same(spec.shape, teacher.input_shape)
    if known is not None and known.count != teacher.classes:
        raise ValueError(f"classes={known.count} was given, the teacher has {teacher.classes}; leave classes=None")
    return teacher, spec, known or Classes(teacher.classes, None, declared=True)


def _known_classes(named: tuple[Label, ...] | None, classes: ClassesGiven | None) -> Classes | None:
    """The classes as far as teacher and caller say them; None where only the teacher's answers tell how many there are."""
    if classes is None:
        return None if named is None else Classes(len(named), named, declared=True)
    given = declared_classes(classes)
    if given.labels is not None and named is not None and given.labels != named:
        raise ValueError(
            "classes= names the classes otherwise than the teacher, or in another order; leave classes=None"
        )
    return Classes(given.count, given.labels or named, declared=True)


def _require_same(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if given != shape:
        raise ValueError(f"inputs have shape {given}, the teacher or the queries have {shape}; they must agree")
