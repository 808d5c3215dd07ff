"""The JSON file beside the weights of a saved teacher: what they belong to, and what they are."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from accountants import check
from privkd.data.input_spec import InputSpec
from privkd.errors import CheckpointError
from privkd.networks import architecture_of
from privkd.storage import opened, read_json

SCHEMA = "privkd.teacher/1"
_MAX_BYTES = 1024 * 1024
_LARGEST_INPUT = 2**24  # numbers in one input, 4096 x 4096 pixels: more is asked of the memory than any file should
_FIELDS = ("schema", "class", "settings", "inputs", "classes", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What `NAME.json` says about `NAME.safetensors`.

    Attributes:
        kind: a name of `privkd.networks.ARCHITECTURES`, `sequential`, or `module:Class` for a network of the caller's.
        settings: arguments of a registered architecture; `layers` of a `sequential`; empty for other classes.
        inputs: shape and range of one input, if known.
        classes: number of classes K, if known.
        sha256: of the weights file, lower-case hex.
    """

    kind: str
    settings: dict[str, Any]
    inputs: InputSpec | None
    classes: int | None
    sha256: str

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or not self.kind:
            raise TypeError(f"class={self.kind!r} must be a name")
        if not isinstance(self.settings, dict):
            raise TypeError(f"settings={self.settings!r} must be an object")
        if self.classes is not None:
            check.integer(classes=self.classes, at_least=2)
        if self.inputs is not None and math.prod(self.inputs.shape) > _LARGEST_INPUT:
            raise ValueError(f"inputs of shape {self.inputs.shape} have more than {_LARGEST_INPUT} numbers each")
        if not (
            isinstance(self.sha256, str) and len(self.sha256) == 64 and set(self.sha256) <= set("0123456789abcdef")
        ):
            raise ValueError(f"sha256={self.sha256!r} must be 64 lower-case hexadecimal digits")

    def text(self) -> str:
        """The file's content."""
        inputs = None if self.inputs is None else self.inputs.to_dict()
        values = (SCHEMA, self.kind, self.settings, inputs, self.classes, self.sha256)
        return json.dumps(dict(zip(_FIELDS, values, strict=True)), indent=2, allow_nan=False) + "\n"


def describe(module: nn.Module) -> tuple[str, dict[str, Any]]:
    """Name and settings of a module as a description states them.

    Example:
        >>> describe(nn.Identity())
        ('torch.nn.modules.linear:Identity', {})
        >>> describe(nn.Sequential(nn.Tanh()))
        ('sequential', {'layers': [{'name': '0', 'layer': 'Tanh', 'settings': {}}]})
    """
    found = architecture_of(module)
    return (found["architecture"], found["settings"]) if "settings" in found else (class_name(module), {})


def class_name(module: nn.Module) -> str:
    """`module:Class`, which is compared and shown, and never imported."""
    return f"{type(module).__module__}:{type(module).__qualname__}"


def require_same(given: nn.Module, kind: str, settings: dict[str, Any], path: Path) -> None:
    """Refuse a module of another class, or with other settings, than a file states, before weights are read.

    Raises:
        CheckpointError: they differ. A class of `__main__` is the class of that name in any module: which one it is depends
            on how the program was started.
    """
    offered = describe(given)
    if offered == (kind, settings) or (not settings and _same_class(class_name(given), kind)):
        return
    raise CheckpointError(
        f"{path} holds a {kind!r} with settings {settings}, the given module is a {offered[0]!r} with settings {offered[1]}; no "
        "weights were read"
    )


def _same_class(a: str, b: str) -> bool:
    (module_a, _, name_a), (module_b, _, name_b) = a.partition(":"), b.partition(":")
    return name_a == name_b and (module_a == module_b or "__main__" in (module_a, module_b))


def read_description(path: Path) -> Description:
    """The description in a JSON file.

    Raises:
        CheckpointError: missing, not JSON, of another schema, a field twice, unknown, missing or impossible.
    """
    try:
        document = read_json(path, dict, at_most=_MAX_BYTES)
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing: weights alone do not say what they belong to. Write both with "
            "privkd.teachers.save_teacher(module, 'teacher.safetensors'), or give the teacher as 'module:function'"
        ) from None
    if document.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} has schema {document.get('schema')!r}; this version reads {SCHEMA!r}")
    unknown, missing = sorted(set(document) - set(_FIELDS)), sorted(set(_FIELDS) - set(document))
    if unknown or missing:
        raise CheckpointError(
            f"{path} has unknown fields {unknown} and lacks {missing}; allowed and needed are {list(_FIELDS)}"
        )
    try:
        return Description(
            kind=document["class"],
            settings=document["settings"],
            inputs=None if document["inputs"] is None else _inputs(**document["inputs"]),
            classes=document["classes"],
            sha256=document["sha256"],
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def require_file(path: Path) -> None:
    """Refuse what is no regular file before others open it: a pipe would be waited for, a device never ends.

    Raises:
        CheckpointError: nothing is there, or a folder, pipe or device.
    """
    try:
        with opened(path):
            pass
    except FileNotFoundError:
        raise CheckpointError(f"{path} does not exist (looked in {Path.cwd()})") from None


def first_line(error: BaseException) -> str:
    """What torch says in its first line; the rest is a trace of its own sources."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _inputs(*, shape: list[int], low: float = 0.0, high: float = 1.0) -> InputSpec:
    return InputSpec(tuple(shape), low=low, high=high)
