"""Teachers as programs: TorchScript and torch.export are code, loaded only where their author is said to be trusted."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from privkd.errors import CheckpointError
from privkd.mechanisms.private_value import Private
from privkd.teachers import BareTeacher, InputSpec, load_teacher
from privkd.teachers.files.teacher import input_spec_of
from privkd.teachers.guessing import guess_inputs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def network() -> nn.Module:
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    body(torch.rand(8, 1, 4, 4))  # moves the statistics of the normalisation
    return body.eval()


IMAGES = torch.linspace(0, 1, 7 * 16).reshape(7, 1, 4, 4)


def exported(path: Path, batch: int | torch.export.Dim = 2, module: nn.Module | None = None) -> Path:
    dynamic = None if isinstance(batch, int) else ({0: batch},)
    example = (torch.rand(batch if isinstance(batch, int) else 4, 1, 4, 4),)
    torch.export.save(
        torch.export.export(network() if module is None else module, example, dynamic_shapes=dynamic), path
    )
    return path


def scripted(path: Path) -> Path:
    torch.jit.script(network()).save(path)
    return path


class Bomb:
    """Makes a folder if it is ever unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


class WritesFiles(nn.Module):
    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, x):
        torch.save(x, self.target)
        return x


@pytest.mark.parametrize("suffix", [".pt", ".ts"])
@pytest.mark.parametrize("how", ["script", "trace"])
def test_trusted_torchscript_comes_back_with_its_answers(how, suffix, tmp_path):
    path = tmp_path / f"t{suffix}"
    (torch.jit.script(network()) if how == "script" else torch.jit.trace(network(), IMAGES)).save(path)
    loaded = load_teacher(path, trust_program=True)
    assert torch.equal(loaded(IMAGES), network()(IMAGES))
    assert not loaded.training
    assert input_spec_of(path) is None


@pytest.mark.parametrize("make", [scripted, exported])
@pytest.mark.parametrize("name", ["t.pt", "t.pt2", "t.ts"])
def test_program_is_refused_with_the_ways_out_unless_its_author_is_trusted(make, name, tmp_path, monkeypatch):
    path = make(tmp_path / name)  # its content counts, not its name
    assert load_teacher(path, trust_program=True)(IMAGES).shape == (7, 3)
    for module in (torch.jit, torch.export):
        monkeypatch.setattr(module, "load", lambda *args, **kwargs: pytest.fail("the program was loaded"))
    says = r"code: loading it lets its author.*trust_program=True.*--trust-program.*save_teacher.*module:function"
    with pytest.raises(CheckpointError, match=says):
        load_teacher(path)


def test_trust_is_real_a_program_does_what_it_says(tmp_path):
    path, target = tmp_path / "t.ts", tmp_path / "WRITTEN"
    torch.jit.script(WritesFiles(str(target))).save(path)
    with pytest.raises(CheckpointError, match="is a program"):
        load_teacher(path)
    assert not target.exists()
    load_teacher(path, trust_program=True)(torch.zeros(2))
    assert target.exists()


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.parametrize("name", ["t.pt", "t.pt2", "t.ts"])
@pytest.mark.parametrize("how", ["plain", "torch", "torch-legacy"])
def test_pickles_stay_refused_unopened_trusted_or_not(how, name, trusted, tmp_path):
    path, sprung = tmp_path / name, tmp_path / "SPRUNG"
    if how == "plain":
        path.write_bytes(pickle.dumps(Bomb(sprung)))
    else:
        torch.save(Bomb(sprung), path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(CheckpointError, match=r"can run any code.*save_teacher"):
        load_teacher(path, trust_program=trusted)
    assert not sprung.exists()
    pickle.loads(path.read_bytes()) if how == "plain" else torch.load(path, weights_only=False)  # noqa: S301
    assert sprung.exists()  # the bomb works


@pytest.mark.parametrize(
    "batch", [1, 3, 16, torch.export.Dim("batch", min=3, max=5), torch.export.Dim("batch")], ids=str
)
def test_exported_program_answers_batches_of_any_size(batch, tmp_path):
    loaded = load_teacher(exported(tmp_path / "t.pt2", batch), trust_program=True)
    for rows in (1, 2, 3, 7):
        expected = network()(IMAGES[:rows])
        # Batches are cut differently, so sums may be taken in another order: a few units in the last place.
        assert torch.allclose(loaded(IMAGES[:rows]), expected, rtol=0, atol=64 * torch.finfo(torch.float32).eps)
    assert guess_inputs(loaded) == InputSpec((1, 4, 4))


def test_torch_itself_refuses_another_batch_size(tmp_path):
    program = torch.export.load(exported(tmp_path / "t.pt2", 2)).module()
    with pytest.raises((AssertionError, RuntimeError)):
        program(IMAGES)
    with pytest.raises(NotImplementedError):
        program.eval()


def test_exported_program_is_a_bare_teacher(tmp_path):
    loaded = load_teacher(exported(tmp_path / "t.pt2", 2), trust_program=True)
    answers = BareTeacher(loaded, InputSpec((1, 4, 4)), batch_size=5).answers(IMAGES)
    assert isinstance(answers, Private)
    assert torch.equal(answers.unsafe_value(), network()(IMAGES).argmax(dim=1))


def test_exported_program_names_the_shape_that_it_takes(tmp_path):
    loaded = load_teacher(exported(tmp_path / "t.pt2"), trust_program=True)
    with pytest.raises(ValueError, match=r"takes inputs \(n, 1, 4, 4\), got \(2, 1, 5, 5\)"):
        loaded(torch.zeros(2, 1, 5, 5))


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class TwoOutputs(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(("module", "inputs"), [(TwoInputs(), 2), (TwoOutputs(), 1)])
def test_program_that_is_no_function_of_one_tensor_is_refused(module, inputs, tmp_path):
    path = tmp_path / "t.pt2"
    torch.export.save(torch.export.export(module, (torch.zeros(2, 1, 4, 4),) * inputs), path)
    with pytest.raises(CheckpointError, match="one tensor"):
        load_teacher(path, trust_program=True)


@pytest.mark.parametrize("layer", [nn.Dropout(), nn.BatchNorm2d(1)])
def test_program_exported_in_train_mode_is_refused(layer, tmp_path):
    plain = nn.Sequential(layer, nn.Flatten())
    with pytest.raises(CheckpointError, match="train mode"):
        load_teacher(exported(tmp_path / "t.pt2", module=plain.train()), trust_program=True)
    assert load_teacher(exported(tmp_path / "t.pt2", module=plain.eval()), trust_program=True) is not None


@pytest.mark.parametrize("make", [exported, scripted])
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_truncated_archives_are_refused(make, kept, tmp_path):
    path = make(tmp_path / "t.pt2")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(CheckpointError, match=r"t\.pt2"):
        load_teacher(path, trust_program=True)


def test_damaged_program_is_one_of_our_errors(tmp_path):
    path = scripted(tmp_path / "t.ts")
    content = bytearray(path.read_bytes())
    directory = content.find(b"PK\x01\x02")
    content[64:directory] = bytes(directory - 64)  # every entry: a few bytes may lie between two of them
    path.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match="is damaged"):
        load_teacher(path, trust_program=True)


def test_other_archives_are_refused(tmp_path):
    import zipfile

    path = tmp_path / "t.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/readme.txt", "hello")
    with pytest.raises(CheckpointError, match=r"neither a TorchScript nor a torch\.export"):
        load_teacher(path, trust_program=True)
