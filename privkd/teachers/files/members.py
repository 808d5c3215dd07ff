"""One member of an ensemble in a file: safetensors for torch modules, `skops` for scikit-learn, never a pickle."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from torch import nn

from accountants import check
from privkd.data.input_spec import InputSpec
from privkd.errors import CheckpointError
from privkd.teachers.files.description import describe, first_line, require_same
from privkd.teachers.files.weights import DECLARABLE, WEIGHTS, declared_network, fill
from privkd.teachers.member import MakeModel, Member

_SKOPS = ".skops"


def write_member(member: Member, folder: Path, name: str) -> tuple[dict[str, Any], list[str]]:
    """Write the model of a member to a file of this name, without ending, in the folder of the ensemble.

    Returns:
        The rest as JSON, and the types in its file that skops does not trust.

    Raises:
        TypeError: `skops` cannot write the model.
    """
    beside = {"failed": member.failed, "codes": None if member.codes is None else list(member.codes)}
    if isinstance(member.model, int):
        return {"answer": member.model, **beside}, []
    if isinstance(member.model, nn.Module):
        from safetensors.torch import save_model

        save_model(member.model, str(folder / f"{name}{WEIGHTS}"))
        kind, settings = describe(member.model)
        return {"file": f"{name}{WEIGHTS}", "class": kind, "settings": settings, **beside}, []
    import skops.io

    path = folder / f"{name}{_SKOPS}"
    try:
        skops.io.dump(member.model, path)
        unknown = skops.io.get_untrusted_types(file=path)
        skops.io.load(path, trusted=unknown)  # what is written can be read
    except Exception as error:  # whatever the model's own state raises
        raise TypeError(
            f"skops cannot write a {type(member.model).__name__}: {first_line(error)}. Keep such an ensemble as code, "
            "'module:function', or fit it with scikit-learn classifiers or torch modules"
        ) from error
    return {"file": path.name, **beside}, list(unknown)


def read_member(
    stored: Any,
    folder: Path,
    *,
    listed: Collection[str],
    classes: int,
    input_shape: tuple[int, ...],
    make_model: MakeModel | None,
    trusted: Collection[str],
) -> Member:
    """The member that `write_member` described as `stored`, from files of the folder whose checksums are `listed`.

    Raises:
        CheckpointError: damaged, or it needs `make_model` or `trusted`.
    """
    try:
        beside = _beside(stored["failed"], stored["codes"], classes)
        if "answer" in stored:
            check.integer(answer=stored["answer"], at_least=0, at_most=classes - 1)
            return Member(stored["answer"], classes, **beside)
        name = stored["file"]
        if name not in listed:
            raise ValueError(f"the file {name!r} has no checksum")
        path = folder / name
        if path.suffix == _SKOPS:
            return Member(_classifier(path, trusted), classes, **beside)
        kind, settings = stored["class"], dict(stored["settings"])
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{folder} describes a member that privkd never writes: {error}") from error
    return Member(_network(kind, settings, path, input_shape, make_model), classes, **beside)


def _network(
    kind: str, settings: dict[str, Any], path: Path, shape: tuple[int, ...], make_model: MakeModel | None
) -> nn.Module:
    if kind in DECLARABLE:
        return declared_network(kind, settings, path, inputs=InputSpec(shape))
    if make_model is None:
        raise CheckpointError(
            f"{path} holds a {kind!r}, which privkd does not build itself and does not import because a file says so. Pass the "
            "function that the ensemble was fitted with: TeacherEnsemble.load(directory, make_model=...), or privkd transcribe "
            "--model module:function"
        )
    module = make_model()
    if not isinstance(module, nn.Module):
        raise CheckpointError(f"{path} holds a {kind!r}, make_model built a {type(module).__name__}")
    require_same(module, kind, settings, path)
    fill(module, path)
    return module


def _classifier(path: Path, trusted: Collection[str]) -> Any:
    """What skops builds from the file, if it is made of trusted types only."""
    import skops.io

    try:
        _require_stored(path)
        unknown = skops.io.get_untrusted_types(file=path)
        refused = sorted(set(unknown) - set(trusted))
        model = None if refused else skops.io.load(path, trusted=list(unknown))
    except Exception as error:  # damaged archives and schemas raise whatever their parts raise
        raise CheckpointError(f"{path} is no readable skops file: {first_line(error)}") from error
    if not refused:
        if not hasattr(model, "predict"):
            raise CheckpointError(f"{path} holds a {type(model).__name__}, which cannot predict")
        return model
    raise CheckpointError(
        f"{path} is built of types that skops does not trust: {', '.join(refused)}. Nothing of it was built. If you wrote the "
        f"folder yourself, pass TeacherEnsemble.load(directory, trusted={refused!r}); for the command line, in a function that "
        "you give as --teacher module:function"
    )


def _require_stored(path: Path) -> None:
    """Refuse archives that unfold: skops is asked to compress nothing."""
    with zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
    if size > path.stat().st_size:
        raise ValueError(f"it unfolds to {size} bytes, more than it has, which privkd never writes")


def _beside(failed: object, codes: object, classes: int) -> dict[str, Any]:
    if not isinstance(failed, bool):
        raise TypeError(f"failed={failed!r} must be true or false")
    if codes is None:
        return {"failed": failed, "codes": None}
    if not isinstance(codes, list):
        raise TypeError(f"codes={codes!r} must be a list of classes")
    for code in codes:
        check.integer(code=code, at_least=0, at_most=classes - 1)
    return {"failed": failed, "codes": tuple(codes)}
