"""`module:function`: what is called, and what each mistake is told."""

import sys

import pytest
import torch
from torch import nn

from privkd.teachers import CertifiedModel, TeacherEnsemble, load_teacher
from privkd.teachers.files.teacher import input_spec_of

CODE = """
import torch
from torch import nn
from privkd.teachers import TeacherEnsemble

fixed = nn.Linear(4, 3)
number = 3

def module(width=3):
    return nn.Linear(4, width)

def ensemble():
    models = [nn.Linear(4, 3), nn.Linear(4, 3)]
    return TeacherEnsemble.from_members(models, shards=[["a"], ["b"]], classes=3, input_shape=(4,))

def needy(path, *, depth, width=3, **rest):
    return fixed

def lazy():
    import beside_it
    return beside_it.make()

def wrong():
    return "a teacher"

def broken():
    raise KeyError("mine")

class Net(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "own_teachers.py").write_text(CODE)
    (tmp_path / "beside_it.py").write_text("from torch import nn\ndef make():\n    return nn.Linear(4, 3)\n")
    (tmp_path / "needs_absent.py").write_text("import absent_dependency\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("own_teachers", "beside_it", "needs_absent"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("function", "kind"),
    [("module", nn.Module), ("lazy", nn.Module), ("Net", nn.Module), ("ensemble", TeacherEnsemble)],
)
def test_function_in_the_current_directory_is_called(function, kind, here):
    before = list(sys.path)
    teacher = load_teacher(f"own_teachers:{function}")
    assert isinstance(teacher, kind)
    assert sys.path == before
    assert input_spec_of(f"own_teachers:{function}") is None


def test_certified_model_is_passed_on(monkeypatch):
    import types

    holder = types.ModuleType("own_holder")
    model = CertifiedModel.__new__(CertifiedModel)
    holder.make = lambda: model
    monkeypatch.setitem(sys.modules, "own_holder", holder)
    assert load_teacher("own_holder:make") is model


def test_asking_for_inputs_imports_nothing(here):
    assert input_spec_of("own_teachers:module") is None
    assert "own_teachers" not in sys.modules


@pytest.mark.parametrize(
    ("source", "error", "says"),
    [
        ("absent_module_xyz:make", ValueError, "no module 'absent_module_xyz'"),
        ("own_teachers.inner:make", ValueError, r"no module 'own_teachers\.inner'"),
        ("own_teachers:absent", ValueError, "has no 'absent'; its functions: broken, ensemble"),
        ("own_teachers:number", TypeError, "number is a int, not a function"),
        ("own_teachers:fixed", TypeError, "fixed is a Linear, not a function"),
        ("own_teachers:needy", TypeError, "needs the arguments path, depth"),
        ("own_teachers:wrong", TypeError, "returned str"),
        ("own_teachers:broken", KeyError, "mine"),
        ("needs_absent:make", ModuleNotFoundError, "absent_dependency"),
    ],
)
def test_each_mistake_is_named(source, error, says, here):
    before = list(sys.path)
    with pytest.raises(error, match=says):
        load_teacher(source)
    assert sys.path == before


def test_module_argument_does_not_go_with_a_function(here):
    with pytest.raises(ValueError, match="module= goes with"):
        load_teacher("own_teachers:module", module=nn.Linear(4, 3))
    assert torch.is_tensor(load_teacher("own_teachers:module").weight)
