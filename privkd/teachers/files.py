"""Teachers from files: safetensors and a description, programs, or the caller's own function; no pickles.

| source | what is read |
|---|---|
| `NAME.safetensors` | weights; `NAME.json` beside it (schema `privkd.teacher/1`) says what they belong to |
| `NAME.pt`, `NAME.ts` | TorchScript archive |
| `NAME.pt2` | `torch.export` archive |
| `module:function` | what the function returns |

A file never names code that is then imported: a description can name an architecture of `privkd.networks`,
and every other class must be passed by the caller.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import torch
from torch import nn

from accountants import check
from privkd.errors import CheckpointError, TeacherError
from privkd.networks import ARCHITECTURES
from privkd.teachers.archives import WAYS_OUT, first_line
from privkd.teachers.bare import BareTeacher
from privkd.teachers.certified import CertifiedModel
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.exported import ExportedTeacher
from privkd.teachers.factories import call_reference, is_reference
from privkd.teachers.inputs import InputSpec
from privkd.teachers.programs import program_inputs, read_program
from privkd.teachers.sidecar import Sidecar, describe, read_sidecar, sha256_of
from privkd.trainer import seeded

_WEIGHTS, _PROGRAMS = ".safetensors", (".pt", ".pt2", ".ts")
_PICKLES = (".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")


def load_teacher(
    source: str | os.PathLike[str], *, module: nn.Module | None = None
) -> nn.Module | TeacherEnsemble | CertifiedModel:
    """The teacher that a file holds or a function builds.

    Args:
        source: one of the forms in the table above.
        module: for `.safetensors` of a class that privkd does not build itself: a fresh module of that class,
            which then receives the weights.

    Returns:
        A module in eval mode, on the CPU (an exported program: on the device that it was exported for;
        module=: where it was), or what the function returned, unchanged.

    Raises:
        CheckpointError: the file is missing, damaged, changed, a pickle, or of another class than described.
        ValueError: the source has none of these forms, its module or function does not exist, or module= does
            not apply.
        TypeError: module= is no module, or the function needs arguments or returns no teacher.
    """
    if module is not None and not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    path = _file(source)
    if module is not None and (path is None or path.suffix != _WEIGHTS):
        raise ValueError(
            f"module= goes with .safetensors weights only; source={os.fspath(source)!r} brings its own code"
        )
    if path is None:
        return call_reference(os.fspath(source))
    return _load_weights(path, module) if path.suffix == _WEIGHTS else read_program(path).eval()


def input_spec_of(source: str | os.PathLike[str]) -> InputSpec | None:
    """What the teacher in a file eats, as far as the file says; loads no weights and runs nothing.

    Args:
        source: as in `load_teacher`.

    Returns:
        What `save_teacher` was told; for `.pt2` the program's own shape with the range [0, 1] assumed; None
        if unknown.

    Raises:
        CheckpointError: the file is missing, damaged or a pickle.
        ValueError: the source has none of the known forms.
    """
    path = _file(source)
    if path is None:
        return None
    return read_sidecar(path.with_suffix(".json")).inputs if path.suffix == _WEIGHTS else program_inputs(path)


def save_teacher(
    module: nn.Module,
    path: str | os.PathLike[str],
    *,
    inputs: InputSpec | None = None,
    classes: int | None = None,
) -> Path:
    """Write the weights of a module to `NAME.safetensors`, and what they belong to, `NAME.json`, beside it.

    Args:
        module: any module with weights. Classes that privkd does not build itself are written by name only;
            loading needs `load_teacher(path, module=MyNet())`.
        path: a name that ends in `.safetensors`.
        inputs: what it eats; checked against the module, and found again by `input_spec_of`.
        classes: number of classes K, >= 2; found from the module where inputs is given.

    Returns:
        The path of the weights.

    Raises:
        TypeError: not a module, or a TorchScript or exported program.
        ValueError: another ending, or the module does not have that many classes.
        TeacherError: the module does not map such inputs to logits.
        FileExistsError: one of the two files is there already.
    """
    _refuse_unsavable(module)
    target = Path(path)
    if target.suffix != _WEIGHTS:
        raise ValueError(f"path={str(target)!r} must end in .safetensors, the one format that privkd writes")
    if classes is not None:
        check.integer(classes=classes, at_least=2)
    found = classes if inputs is None else BareTeacher(module, inputs).classes
    if classes is not None and found != classes:
        raise ValueError(f"classes={classes}, but the module returns {found} logits")
    for file in (target, target.with_suffix(".json")):
        if file.exists():
            raise FileExistsError(f"{file} exists; choose another name, or remove it first")
    _write_both(module, target, inputs=inputs, classes=found)
    return target


def _write_both(module: nn.Module, target: Path, *, inputs: InputSpec | None, classes: int | None) -> None:
    """Write both files under temporary names, then rename; the weights last, as they are looked for first."""
    from safetensors.torch import save_model

    target.parent.mkdir(parents=True, exist_ok=True)
    mark = f".{target.stem}.{secrets.token_hex(4)}"
    weights, description = target.parent / f"{mark}{_WEIGHTS}", target.parent / f"{mark}.json"
    try:
        save_model(module, str(weights))
        kind, settings = describe(module)
        sidecar = Sidecar(kind=kind, settings=settings, inputs=inputs, classes=classes, sha256=sha256_of(weights))
        description.write_text(sidecar.text(), encoding="utf-8")
        for file in (weights, description):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        description.rename(target.with_suffix(".json"))
        weights.rename(target)
    finally:
        weights.unlink(missing_ok=True)
        description.unlink(missing_ok=True)


def _refuse_unsavable(module: object) -> None:
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"module must be a torch.nn.Module, got {type(module).__name__}; an ensemble or a certified "
            "model is given to transcribe as an object, or by a 'module:function' that builds it"
        )
    if isinstance(module, (torch.jit.ScriptModule, ExportedTeacher)):
        raise TypeError(
            f"a {type(module).__name__} is a program, not weights of a class; keep the file that it came "
            "from, or use torch.jit.save"
        )


def _file(source: str | os.PathLike[str]) -> Path | None:
    """The path of a file that may be opened, or None for `module:function`."""
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source must be a path or 'module:function', got {type(source).__name__}; pass objects to "
            "transcribe itself"
        )
    if is_reference(os.fspath(source)):
        return None
    path = Path(source)
    if path.suffix in _PICKLES:
        raise CheckpointError(
            f"{path} is a pickle by its ending {path.suffix}: opening one can run any code. It was not "
            f"opened. {WAYS_OUT}. A TorchScript archive under this name is read once it is called .pt"
        )
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; a file is needed (a saved transcription is read by privkd.load)")
    if path.suffix not in (_WEIGHTS, *_PROGRAMS):
        raise ValueError(
            f"source={str(path)!r} is no teacher by its form; allowed are NAME.safetensors (with NAME.json), "
            "TorchScript .pt or .ts, torch.export .pt2, and module:function"
        )
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist (looked in {Path.cwd()})")
    return path


def _load_weights(path: Path, given: nn.Module | None) -> nn.Module:
    sidecar = read_sidecar(path.with_suffix(".json"))
    module = _build(sidecar, path) if given is None else _checked(given, sidecar, path)
    if sha256_of(path) != sidecar.sha256:
        raise CheckpointError(
            f"{path} is not the file that {path.stem}.json describes (sha256 differs): changed or exchanged"
        )
    _fill(module, path)
    if sidecar.inputs is not None:
        _check_answers(module, sidecar.inputs, sidecar.classes, path)
    return module


def _build(sidecar: Sidecar, path: Path) -> nn.Module:
    if sidecar.kind not in ARCHITECTURES:
        raise CheckpointError(
            f"{path} holds a {sidecar.kind!r}, which privkd does not build itself and does not import "
            "because a file says so; no weights were read. Pass a fresh one, load_teacher(path, "
            f"module=MyNet()), or give the teacher as 'module:function'. Known: {', '.join(ARCHITECTURES)}"
        )
    try:
        with seeded(0):  # the weights are replaced; the caller's random state stays as it was
            return ARCHITECTURES[sidecar.kind](**sidecar.settings)
    except (TypeError, ValueError, RuntimeError, MemoryError, OverflowError) as error:
        raise CheckpointError(
            f"settings beside {path} do not fit {sidecar.kind!r}: {first_line(error)}; no weights were read"
        ) from error


def _checked(given: nn.Module, sidecar: Sidecar, path: Path) -> nn.Module:
    kind, settings = describe(given)
    if (kind, settings) != (sidecar.kind, sidecar.settings):
        raise CheckpointError(
            f"{path} holds a {sidecar.kind!r} with settings {sidecar.settings}, module= is a {kind!r} with "
            f"settings {settings}; no weights were read"
        )
    return given


def _fill(module: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(module, str(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} does not fit {type(module).__name__}: {error}") from error
    module.eval()


def _check_answers(module: nn.Module, inputs: InputSpec, declared: int | None, path: Path) -> None:
    try:
        classes = BareTeacher(module, inputs).classes
    except TeacherError as error:
        raise CheckpointError(f"{path} cannot answer the inputs that {path.stem}.json declares: {error}") from error
    if classes != declared:
        raise CheckpointError(f"{path} has {classes} classes, {path.stem}.json says {declared}")
