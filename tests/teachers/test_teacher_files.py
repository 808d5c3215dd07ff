"""Saved teachers: round trips, and everything that must not be read or imported."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from privkd.errors import CheckpointError, TeacherError
from privkd.networks import ImageNetwork, VectorNetwork, architecture_of
from privkd.teachers import InputSpec, TeacherEnsemble, load_teacher, save_teacher
from privkd.teachers.files.teacher import input_spec_of

pytestmark = pytest.mark.filterwarnings("ignore:.*no file can describe as data")

QUERIES = torch.linspace(-1, 1, 12).reshape(3, 4)
SPEC = InputSpec((4,), low=-1.0, high=2.0)


class Foreign(nn.Module):
    """A class that privkd does not build itself."""

    def __init__(self, width: int = 5) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 3))

    def forward(self, x):
        return self.body(x)


class Other(Foreign):
    """Same weights, another class."""


def saved(folder: Path, module: nn.Module | None = None, **options) -> Path:
    torch.manual_seed(0)
    return save_teacher(VectorNetwork(4, 3) if module is None else module, folder / "t.safetensors", **options)


def edit(path: Path, **changes) -> None:
    description = path.with_suffix(".json")
    description.write_text(json.dumps({**json.loads(description.read_text()), **changes}))


@pytest.mark.parametrize("network", [VectorNetwork(4, 3, hidden=6, layers=2), ImageNetwork(1, 12, 14, 5, filters=8)])
def test_registered_network_comes_back_with_its_answers(network, tmp_path):
    shape = (4,) if isinstance(network, VectorNetwork) else (1, 12, 14)
    network.shift.fill_(0.3)
    path = save_teacher(network, tmp_path / "sub" / "t.safetensors", inputs=InputSpec(shape))
    state = torch.get_rng_state()
    loaded = load_teacher(path)
    assert torch.equal(torch.get_rng_state(), state)  # loading draws from nobody's random state
    x = torch.rand(3, *shape)
    assert torch.equal(loaded(x), network.eval()(x))
    assert type(loaded) is type(network)
    assert loaded.config == network.config
    assert not loaded.training
    assert input_spec_of(str(path)) == InputSpec(shape)
    assert sorted(file.name for file in path.parent.iterdir()) == ["t.json", "t.safetensors"]


def test_a_fresh_network_does_not_have_these_answers(tmp_path):
    network = VectorNetwork(4, 3)
    assert not torch.equal(VectorNetwork(4, 3)(QUERIES), network(QUERIES))


def test_foreign_class_comes_back_in_the_module_that_the_caller_passes(tmp_path):
    network = Foreign()
    network(QUERIES)  # moves the statistics of the normalisation
    path = saved(tmp_path, network, inputs=SPEC, classes=3)
    fresh = Foreign()
    assert load_teacher(path, module=fresh) is fresh
    assert torch.equal(fresh(QUERIES), network.eval()(QUERIES))


def test_tied_weights_come_back(tmp_path):
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    network[1].weight = network[0].weight
    path = saved(tmp_path, network)
    fresh = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    fresh[1].weight = fresh[0].weight
    assert torch.equal(load_teacher(path, module=fresh)(QUERIES), network(QUERIES))


def test_inputs_and_classes_are_kept_or_unknown(tmp_path):
    path = saved(tmp_path, inputs=SPEC)
    assert input_spec_of(path) == SPEC
    assert json.loads(path.with_suffix(".json").read_text())["classes"] == 3
    assert input_spec_of(saved(tmp_path / "plain")) is None


def test_other_classes_have_no_registered_name():
    assert architecture_of(VectorNetwork(4, 3))["architecture"] == "vector-network"
    assert architecture_of(Foreign())["architecture"] == "foreign"


@pytest.mark.parametrize("position", [0, 8, 100, -1])
def test_one_changed_byte_of_the_weights_is_noticed(position, tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256 differs"):
        load_teacher(path)


@pytest.mark.parametrize("module", [None, Foreign()])
def test_another_class_is_refused_before_weights_are_read(module, tmp_path):
    path = saved(tmp_path)
    edit(path, **{"class": "some.place:Net", "settings": {}})
    path.write_bytes(b"garbage")  # would be noticed if it were read
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path, module=module)


def test_garbage_weights_of_the_right_class_are_noticed(tmp_path):
    path = saved(tmp_path)
    path.write_bytes(b"garbage")
    with pytest.raises(CheckpointError, match="sha256"):
        load_teacher(path)
    from privkd.storage import sha256_of

    edit(path, sha256=sha256_of(path))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_teacher(path)


@pytest.mark.parametrize(
    ("stored", "given"),
    [
        (Foreign(), Other()),
        (VectorNetwork(4, 3), VectorNetwork(4, 3, hidden=9)),
        (Foreign(), VectorNetwork(4, 3)),
    ],
)
def test_module_of_another_class_or_other_settings_is_refused(stored, given, tmp_path):
    path = saved(tmp_path, stored)
    with pytest.raises(CheckpointError, match="no weights were read"):
        load_teacher(path, module=given)


def test_weights_of_another_width_do_not_fit(tmp_path):
    with pytest.raises(CheckpointError, match="does not fit Foreign"):
        load_teacher(saved(tmp_path, Foreign(5)), module=Foreign(6))


def test_class_named_in_a_file_is_never_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "trap_module.py").write_text(
        "import pathlib; pathlib.Path(__file__).with_name('SPRUNG').touch()\nNet = 1\n"
    )
    path = saved(tmp_path)
    edit(path, **{"class": "trap_module:Net", "settings": {}})
    for module in (None, Foreign()):
        with pytest.raises(CheckpointError):
            load_teacher(path, module=module)
    assert "trap_module" not in sys.modules
    assert not (tmp_path / "SPRUNG").exists()
    __import__("trap_module")  # the trap works
    assert (tmp_path / "SPRUNG").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("\ufffe", "not valid JSON"),
        ("[1]", "must hold a JSON dict"),
        ('{"schema": "privkd.teacher/1", "schema": "privkd.teacher/1"}', "occurs twice"),
        ('{"schema": "privkd.teacher/2"}', "this version reads 'privkd.teacher/1'"),
        ('{"schema": "privkd.teacher/1", "classes": NaN}', "NaN"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_broken_description_is_refused(text, says, tmp_path):
    path = saved(tmp_path)
    path.with_suffix(".json").write_text(text)
    with pytest.raises(CheckpointError, match=says):
        load_teacher(path)
    with pytest.raises(CheckpointError, match=says):
        input_spec_of(path)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra": 1}, r"unknown fields \['extra'\]"),
        ({"class": 3}, "3"),
        ({"settings": []}, "settings"),
        ({"settings": {"features": 4, "classes": 3, "depth": 2}}, "no weights were read"),
        ({"settings": {"features": -4, "classes": 3}}, "features=-4"),
        ({"settings": {"features": 4, "classes": 3, "hidden": 10**18}}, "no weights were read"),
        ({"settings": {"features": 4, "classes": 3, "hidden": 7}}, "does not fit"),
        ({"inputs": {"shape": [4], "colour": 1}}, "colour"),
        ({"inputs": {"shape": [4], "low": 2.0, "high": 1.0}}, "high=1.0"),
        ({"inputs": {"shape": [4], "low": 0.0, "high": 1e308}}, r"high=1e\+308"),
        ({"inputs": {"shape": [5]}}, "cannot answer"),
        ({"inputs": {"shape": [4]}, "classes": 7}, "has 3 classes"),
        ({"classes": 1}, "classes=1"),
        ({"sha256": "00"}, "sha256='00'"),
    ],
)
def test_impossible_description_is_refused(changes, says, tmp_path):
    path = saved(tmp_path)
    edit(path, **changes)
    with pytest.raises(CheckpointError, match=says):
        load_teacher(path)


@pytest.mark.parametrize("field", ["schema", "class", "settings", "inputs", "classes", "sha256"])
def test_every_field_of_the_description_is_needed(field, tmp_path):
    path = saved(tmp_path)
    description = json.loads(path.with_suffix(".json").read_text())
    del description[field]
    path.with_suffix(".json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=field):
        load_teacher(path)


def test_weights_without_description_and_description_without_weights_are_refused(tmp_path):
    path = saved(tmp_path)
    path.with_suffix(".json").rename(tmp_path / "kept")
    with pytest.raises(CheckpointError, match=r"t\.json is missing"):
        load_teacher(path)
    (tmp_path / "kept").rename(path.with_suffix(".json"))
    assert load_teacher(path) is not None
    path.unlink()
    with pytest.raises(CheckpointError, match="does not exist"):
        load_teacher(path)


def test_truncated_weights_are_refused(tmp_path):
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(CheckpointError, match="sha256"):
        load_teacher(path)


@pytest.mark.parametrize(
    ("module", "name", "options", "error", "says"),
    [
        (3, "t.safetensors", {}, TypeError, "int"),
        (VectorNetwork(4, 3), "t.pt", {}, ValueError, "must end in .safetensors"),
        (VectorNetwork(4, 3), "t.safetensors", {"classes": 1}, ValueError, "classes=1"),
        (
            VectorNetwork(4, 3),
            "t.safetensors",
            {"classes": 4, "inputs": SPEC},
            ValueError,
            "returns 3 logits",
        ),
        (VectorNetwork(5, 3), "t.safetensors", {"inputs": SPEC}, TeacherError, "failed on made-up inputs"),
        (torch.jit.script(nn.Linear(4, 3)), "t.safetensors", {}, TypeError, "is a program"),
    ],
)
def test_what_cannot_be_saved_leaves_nothing_behind(module, name, options, error, says, tmp_path):
    with pytest.raises(error, match=says):
        save_teacher(module, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_ensemble_is_not_saved_as_weights(tmp_path):
    members = TeacherEnsemble.from_members(
        [nn.Linear(4, 3), nn.Linear(4, 3)], shards=[["a"], ["b"]], classes=3, input_shape=(4,)
    )
    with pytest.raises(TypeError, match="TeacherEnsemble"):
        save_teacher(members, tmp_path / "t.safetensors")


@pytest.mark.parametrize("existing", ["t.safetensors", "t.json"])
def test_existing_files_are_not_overwritten(existing, tmp_path):
    (tmp_path / existing).write_text("precious")
    with pytest.raises(FileExistsError, match="exists"):
        saved(tmp_path)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [(existing, "precious")]


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib"])
def test_names_of_pickles_are_refused_before_opening(suffix, tmp_path):
    for read in (load_teacher, input_spec_of):
        with pytest.raises(CheckpointError, match="was not opened"):
            read(tmp_path / f"absent{suffix}")  # not even looked for


@pytest.mark.parametrize("name", ["t.h5", "t", "t.json", "my-module:function", "module:", ":function", "a:b.c"])
def test_unknown_forms_are_refused_with_a_list_of_known_ones(name, tmp_path):
    with pytest.raises(ValueError, match=r"NAME\.safetensors.*module:function"):
        load_teacher(name)


def test_folder_absent_file_and_wrong_types_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        load_teacher(tmp_path)
    for suffix in (".safetensors", ".pt", ".pt2", ".ts"):
        with pytest.raises(CheckpointError, match="does not exist"):
            load_teacher(tmp_path / f"absent{suffix}")
    with pytest.raises(TypeError, match="Foreign"):
        load_teacher(Foreign())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="module"):
        load_teacher("t.safetensors", module=3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="module= goes with"):
        load_teacher("json:loads", module=Foreign())
