"""Teachers from files: weights with a description, folders of ensembles, trusted programs, or the caller's own function.

| source | what is read |
|---|---|
| `NAME.safetensors` | weights; `NAME.json` beside it (schema `privkd.teacher/1`) says what they belong to |
| folder | an ensemble that `TeacherEnsemble.save` wrote |
| `module:function` | what the function returns |
| `NAME.pt`, `NAME.ts`, `NAME.pt2` | TorchScript or `torch.export`: a program, run only with `trust_program=True` |

A file never names code that is then imported: a description can name an architecture of `privkd.networks` or layers of
`privkd.networks.layers`; the caller builds every other class. Pickles are refused.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from torch import nn

from privkd.data.input_spec import InputSpec
from privkd.errors import CheckpointError, TeacherError
from privkd.storage import sha256_of
from privkd.teachers.bare_teacher import BareTeacher
from privkd.teachers.certified_model import CertifiedModel
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.files.description import read_description, require_file, require_same
from privkd.teachers.files.ensemble_index import is_ensemble
from privkd.teachers.files.programs import PROGRAMS, WAYS_OUT, read_program
from privkd.teachers.files.python_reference import call_function, call_reference, is_reference
from privkd.teachers.files.weights import DECLARABLE, WEIGHTS, declared_network, fill
from privkd.teachers.member import MakeModel

_PICKLES = (".pth", ".pkl", ".pickle", ".ckpt", ".bin", ".joblib")


def load_teacher(
    source: str | os.PathLike[str],
    *,
    module: nn.Module | None = None,
    model: str | MakeModel | None = None,
    trust_program: bool = False,
) -> nn.Module | TeacherEnsemble | CertifiedModel:
    """The teacher that a file or folder holds or a function builds.

    Args:
        source: one of the forms in the table above.
        module: for weights of a class that privkd does not build itself: a fresh module of that class, which then receives
            the weights.
        model: instead of `module`, what builds it: a function without arguments, or `module:function`. For the
            folder of an ensemble it builds one member.
        trust_program: whether the author of a TorchScript or `torch.export` file is trusted like the author of a Python
            file, because loading it runs what it says.

    Returns:
        A module in eval mode, on the CPU (an exported program: on the device that it was exported for;
        module=: where it was), an ensemble, or what the function returned, unchanged.

    Raises:
        CheckpointError: the file is missing, damaged, changed, a pickle, a program that is not trusted, or of another
            class than described.
        ValueError: the source has none of these forms, its module or function does not exist, or an argument does
            not apply to it.
        TypeError: module= or what model= builds is no module, or the function needs arguments or returns no teacher.
    """
    if module is not None and model is not None:
        raise ValueError("module= and model= both give the network; give one of them")
    if module is not None and not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, got {type(module).__name__}")
    path = _file(source)
    kind = "" if path is None else path.suffix
    if path is not None and path.is_dir():
        if module is not None:
            raise ValueError(f"{path} is an ensemble: module= is one network; model= builds a fresh one per member")
        return TeacherEnsemble.load(path, make_model=_builder(model))
    if (module is not None or model is not None) and kind != WEIGHTS:
        name = "module" if module is not None else "model"
        raise ValueError(
            f"{name}= goes with .safetensors weights{' and folders of ensembles' if name == 'model' else ''} only; "
            f"source={os.fspath(source)!r} brings its own code"
        )
    if path is None:
        return call_reference(os.fspath(source))
    if kind == WEIGHTS:
        make = _builder(model)
        return _load_weights(path, module if make is None else _module_from(make))
    return read_program(path, trusted=trust_program).eval()


def input_spec_of(source: str | os.PathLike[str]) -> InputSpec | None:
    """What the teacher in a file eats, as far as `save_teacher` was told; loads no weights and runs nothing.

    Returns:
        Shape and range; None if they are unknown: what is no file of weights says so once it is loaded, or not at all.

    Raises:
        CheckpointError, ValueError: as `load_teacher`.
    """
    path = _file(source)
    if path is None or path.suffix != WEIGHTS:
        return None
    return read_description(path.with_suffix(".json")).inputs


def _file(source: str | os.PathLike[str]) -> Path | None:
    """The path of a file or folder that may be opened, or None for `module:function`."""
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
            f"{path} is a pickle by its ending {path.suffix}: opening one can run any code. It was not opened. {WAYS_OUT}"
        )
    if path.is_dir():
        if is_ensemble(path):
            return path
        raise CheckpointError(
            f"{path} is a folder without an ensemble; a file, or a folder that TeacherEnsemble.save wrote, is needed (a saved "
            "transcription is read by privkd.load)"
        )
    if path.suffix not in (WEIGHTS, *PROGRAMS):
        raise ValueError(
            f"source={str(path)!r} is no teacher by its form; allowed are NAME.safetensors (with NAME.json), a folder that "
            "TeacherEnsemble.save wrote, module:function, and the programs .pt, .ts and .pt2"
        )
    require_file(path)
    return path


def _builder(model: str | MakeModel | None) -> MakeModel | None:
    if model is None or (callable(model) and not isinstance(model, nn.Module)):
        return model
    if isinstance(model, str):
        if not is_reference(model):
            raise ValueError(f"model={model!r} is not of the form module:function, e.g. my_networks:digits")
        return partial(call_function, model)
    raise TypeError(
        f"model={type(model).__name__} must be a function that builds a network, or 'module:function'; for a network as it is "
        "use module="
    )


def _module_from(make: MakeModel) -> nn.Module:
    built = make()
    if not isinstance(built, nn.Module):
        raise TypeError(f"model= built a {type(built).__name__}; a torch.nn.Module is needed")
    return built


def _load_weights(path: Path, given: nn.Module | None) -> nn.Module:
    description = read_description(path.with_suffix(".json"))
    if given is None and description.kind not in DECLARABLE:
        raise CheckpointError(
            f"{path} holds a {description.kind!r}, which privkd does not build itself and does not import because a file says "
            "so; no weights were read. Give what builds it: load_teacher(path, model='module:function'), or privkd "
            f"transcribe --model module:function. Known: {', '.join(DECLARABLE)}"
        )
    if given is not None:
        require_same(given, description.kind, description.settings, path)
    if sha256_of(path) != description.sha256:
        raise CheckpointError(
            f"{path} is not the file that {path.stem}.json describes (sha256 differs): changed or exchanged"
        )
    if given is None:
        module = declared_network(description.kind, description.settings, path, inputs=description.inputs)
    else:
        module = given
        fill(module, path)
    if description.inputs is not None:
        _check_answers(module, description.inputs, description.classes, path)
    return module


def _check_answers(module: nn.Module, inputs: InputSpec, declared: int | None, path: Path) -> None:
    try:
        classes = BareTeacher(module, inputs).classes
    except TeacherError as error:
        raise CheckpointError(f"{path} cannot answer the inputs that {path.stem}.json declares: {error}") from error
    if classes != declared:
        raise CheckpointError(f"{path} has {classes} classes, {path.stem}.json says {declared}")
