"""Teachers: disjoint-shard ensembles, certified models, and bare modules behind one strict interface."""

from typing import TYPE_CHECKING

_LAZY = {
    "BareTeacher": "privkd.teachers.bare",
    "CertifiedModel": "privkd.teachers.certified",
    "InputSpec": "privkd.teachers.inputs",
    "Manifest": "privkd.teachers.sharding",
    "TeacherEnsemble": "privkd.teachers.ensemble",
    "assign_shards": "privkd.teachers.sharding",
    "load_teacher": "privkd.teachers.files",
    "save_teacher": "privkd.teachers.files",
}
__all__ = [
    "BareTeacher",
    "CertifiedModel",
    "InputSpec",
    "Manifest",
    "TeacherEnsemble",
    "assign_shards",
    "load_teacher",
    "save_teacher",
]

if TYPE_CHECKING:
    from privkd.teachers.bare import BareTeacher as BareTeacher
    from privkd.teachers.certified import CertifiedModel as CertifiedModel
    from privkd.teachers.ensemble import TeacherEnsemble as TeacherEnsemble
    from privkd.teachers.files import load_teacher as load_teacher
    from privkd.teachers.files import save_teacher as save_teacher
    from privkd.teachers.inputs import InputSpec as InputSpec
    from privkd.teachers.sharding import Manifest as Manifest
    from privkd.teachers.sharding import assign_shards as assign_shards


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; public names: {', '.join(__all__)}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
