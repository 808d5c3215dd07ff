"""What a recipe keeps, in files: modules, tensors by name, and things that save themselves."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from privkd.errors import CheckpointError, RecipeError
from privkd.storage import opened, write_bytes
from privkd.teachers.files.saving import save_teacher
from privkd.teachers.files.teacher import load_teacher


def require_products(owner: str, kinds: Mapping[str, type], products: Mapping[str, Any]) -> dict[str, Any]:
    """The products that shall be kept, in the order of their kinds.

    Args:
        owner: name of the recipe.
        kinds: by name.
        products: what was made, by name; more than is kept will do.

    Raises:
        RecipeError: one is missing or of another kind.
    """
    missing = [name for name in kinds if name not in products]
    if missing:
        raise RecipeError(f"recipe {owner!r} deploys {missing}, but it made {sorted(products)}")
    for name, kind in kinds.items():
        found = products[name]
        if not isinstance(found, Mapping if kind is dict else kind):
            raise RecipeError(
                f"recipe {owner!r} deploys {name!r} as {kind.__name__}, but made a {type(found).__name__} of that name"
            )
        if kind is dict and not all(isinstance(value, Tensor) for value in found.values()):
            raise RecipeError(f"recipe {owner!r} deploys {name!r} as tensors by name, but something in it is no tensor")
    return {name: products[name] for name in kinds}


def save_products(folder: Path, products: Mapping[str, Any], kinds: Mapping[str, type]) -> dict[str, str]:
    """Write every product into a folder; what this run wrote there before is replaced.

    Args:
        folder: exists, and belongs to the run.
        products: as `require_products` gives them.
        kinds: by name.

    Returns:
        The names of the files, or folders, by product.
    """
    files = {}
    for name, kind in kinds.items():
        target = folder / file_of(name, kind)
        _remove(target)
        if issubclass(kind, nn.Module):
            _remove(target.with_suffix(".json"))
            save_teacher(products[name], target)
        elif kind is dict:
            from safetensors.torch import save

            tensors = {key: value.detach().cpu().contiguous() for key, value in products[name].items()}
            write_bytes(target, save(tensors))
        else:
            products[name].save(target)
        files[name] = target.name
    return files


def load_products(folder: Path, kinds: Mapping[str, type], modules: Mapping[str, nn.Module]) -> dict[str, Any]:
    """Read what `save_products` wrote.

    Args:
        folder: of a finished run.
        kinds: by name.
        modules: fresh ones for those whose class no file can describe, by name.

    Raises:
        CheckpointError: a file is missing or damaged, or a module of this name needs a fresh one.
    """
    return {name: _load(folder / file_of(name, kind), kind, modules.get(name)) for name, kind in kinds.items()}


def file_of(name: str, kind: type) -> str:
    """The name of the file, or folder, of a product."""
    return f"{name}.safetensors" if kind is dict or issubclass(kind, nn.Module) else name


def _load(path: Path, kind: type, module: nn.Module | None) -> Any:
    if issubclass(kind, nn.Module):
        return load_teacher(path, module=module)
    if kind is not dict:
        return kind.load(path)
    from safetensors import SafetensorError
    from safetensors.torch import load

    with opened(path) as file:
        content = file.read()
    try:
        return load(content)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
