"""A teacher written to weights, with the JSON file that says what they belong to beside them."""

from __future__ import annotations

import os
import secrets
import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from accountants import check
from privkd.data.input_spec import InputSpec
from privkd.storage import sha256_of, write_text
from privkd.teachers.bare_teacher import BareTeacher
from privkd.teachers.ensemble import TeacherEnsemble
from privkd.teachers.files.description import Description, describe
from privkd.teachers.files.programs import ExportedTeacher
from privkd.teachers.files.weights import DECLARABLE, WEIGHTS


def save_teacher(
    module: nn.Module, path: str | os.PathLike[str], *, inputs: InputSpec | None = None, classes: int | None = None
) -> Path:
    """Write the weights of a module to `NAME.safetensors`, and what they belong to, `NAME.json`, beside it.

    Args:
        module: any module with weights. Networks of privkd and `nn.Sequential`s of common layers are described so that
            `load_teacher(path)` builds them again; other classes are written by name only, which a warning says.
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
    if target.suffix != WEIGHTS:
        raise ValueError(f"path={str(target)!r} must end in .safetensors, the one format that privkd writes")
    if classes is not None:
        check.integer(classes=classes, at_least=2)
    found = classes if inputs is None else BareTeacher(module, inputs).classes
    if classes is not None and found != classes:
        raise ValueError(f"classes={classes}, but the module returns {found} logits")
    for file in (target, target.with_suffix(".json")):
        if file.exists():
            raise FileExistsError(f"{file} exists; choose another name, or remove it first")
    kind, settings = describe(module)
    description = Description(kind=kind, settings=settings, inputs=inputs, classes=found, sha256="0" * 64)
    _write_both(module, target, description)
    if kind not in DECLARABLE:
        warnings.warn(
            f"{target} holds the weights of {kind}, which no file can describe as data. To use them, give a function that "
            f"builds a fresh one: load_teacher({target.name!r}, model='module:function'), or privkd transcribe --teacher "
            f"{target.name} --model module:function. An nn.Sequential of common layers needs none",
            stacklevel=2,
        )
    return target


def _write_both(module: nn.Module, target: Path, description: Description) -> None:
    """Write both files whole; the weights get their name last, as they are looked for first."""
    from safetensors.torch import save_model

    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        save_model(module, str(draft))
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        write_text(target.with_suffix(".json"), replace(description, sha256=sha256_of(draft)).text())
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def _refuse_unsavable(module: object) -> None:
    if isinstance(module, TeacherEnsemble):
        raise TypeError("a TeacherEnsemble is a folder on disk: use ensemble.save(directory)")
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"module must be a torch.nn.Module, got {type(module).__name__}; a certified model is given to transcribe as an "
            "object, or by a 'module:function' that builds it"
        )
    if isinstance(module, (torch.jit.ScriptModule, ExportedTeacher)):
        raise TypeError(
            f"a {type(module).__name__} is a program, not weights of a class; keep the file that it came "
            "from, or use torch.jit.save"
        )
