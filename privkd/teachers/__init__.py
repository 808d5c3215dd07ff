"""Teachers: disjoint-shard ensembles, certified models, and bare modules behind one strict interface."""

from typing import TYPE_CHECKING

from accountants import lazy_door

if TYPE_CHECKING:
    from privkd.data.input_spec import InputSpec as InputSpec
    from privkd.teachers.bare_teacher import BareTeacher as BareTeacher
    from privkd.teachers.certified_model import CertifiedModel as CertifiedModel
    from privkd.teachers.ensemble import TeacherEnsemble as TeacherEnsemble
    from privkd.teachers.files.saving import save_teacher as save_teacher
    from privkd.teachers.files.teacher import load_teacher as load_teacher
    from privkd.teachers.shards import Manifest as Manifest
    from privkd.teachers.shards import assign_shards as assign_shards

__getattr__, __dir__, __all__ = lazy_door(
    __name__,
    {
        "privkd.data.input_spec": "InputSpec",
        "privkd.teachers.bare_teacher": "BareTeacher",
        "privkd.teachers.certified_model": "CertifiedModel",
        "privkd.teachers.ensemble": "TeacherEnsemble",
        "privkd.teachers.files.saving": "save_teacher",
        "privkd.teachers.files.teacher": "load_teacher",
        "privkd.teachers.shards": "Manifest assign_shards",
    },
)
