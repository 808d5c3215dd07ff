"""The JSON file beside the weights of a saved teacher: what they belong to, and what they are."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from accountants import check
from privkd.errors import CheckpointError
from privkd.networks import ARCHITECTURES, architecture_of
from privkd.teachers.inputs import InputSpec

SCHEMA = "privkd.teacher/1"
_MAX_BYTES = 1024 * 1024
_FIELDS = ("schema", "class", "settings", "inputs", "classes", "sha256")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """What `NAME.json` says about `NAME.safetensors`.

    Attributes:
        kind: a name of `privkd.networks.ARCHITECTURES`, or `module:Class` for a network of the caller's.
        settings: arguments of a registered architecture; empty for other classes.
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
    """Name and settings of a module as a sidecar states them.

    Example:
        >>> describe(nn.Identity())
        ('torch.nn.modules.linear:Identity', {})
    """
    found = architecture_of(module)
    if found["architecture"] in ARCHITECTURES:
        return found["architecture"], found["settings"]
    return f"{type(module).__module__}:{type(module).__qualname__}", {}


def read_sidecar(path: Path) -> Sidecar:
    """The description in a JSON file.

    Raises:
        CheckpointError: missing, not JSON, of another schema, a field twice, unknown, missing or impossible.
    """
    document = _read_object(path)
    if document.get("schema") != SCHEMA:
        raise CheckpointError(f"{path} has schema {document.get('schema')!r}; this version reads {SCHEMA!r}")
    unknown, missing = sorted(set(document) - set(_FIELDS)), sorted(set(_FIELDS) - set(document))
    if unknown or missing:
        raise CheckpointError(
            f"{path} has unknown fields {unknown} and lacks {missing}; allowed and needed are {list(_FIELDS)}"
        )
    try:
        return Sidecar(
            kind=document["class"],
            settings=document["settings"],
            inputs=None if document["inputs"] is None else _inputs(**document["inputs"]),
            classes=document["classes"],
            sha256=document["sha256"],
        )
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def sha256_of(path: Path) -> str:
    """Checksum of a file, lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inputs(*, shape: list[int], low: float = 0.0, high: float = 1.0) -> InputSpec:
    return InputSpec(tuple(shape), low=low, high=high)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CheckpointError(f"{path} is larger than {_MAX_BYTES} bytes, which save_teacher never writes")
        document = json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse_constant,
        )
    except FileNotFoundError:
        raise CheckpointError(
            f"{path} is missing: weights alone do not say what they belong to. Write both with "
            "privkd.teachers.save_teacher(module, 'teacher.safetensors'), or give the teacher as "
            "'module:function'"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not a valid description of a teacher: {error}") from error
    if not isinstance(document, dict):
        raise CheckpointError(f"{path} holds a JSON {type(document).__name__}; an object is needed")
    return document


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"the fields {repeated} occur twice")
    return dict(pairs)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")
