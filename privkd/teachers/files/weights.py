"""Weights of declared networks: no network is built that is larger than the file that shall fill it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from privkd.data.input_spec import InputSpec
from privkd.errors import CheckpointError
from privkd.networks import ARCHITECTURES, SEQUENTIAL
from privkd.networks.layers import sequential
from privkd.teachers.files.description import first_line, require_file
from privkd.trainer import seeded

WEIGHTS = ".safetensors"
DECLARABLE = (*ARCHITECTURES, SEQUENTIAL)
_LARGEST_LAYER = 2**27  # numbers that one layer may return for two inputs: 512 MiB
_UNUSABLE = (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError, MemoryError)

Network = TypeVar("Network", bound=nn.Module)


def declared_network(
    kind: str, settings: dict[str, Any], weights: Path, *, inputs: InputSpec | None = None
) -> nn.Module:
    """The network of a kind in `DECLARABLE`, filled with the weights of a safetensors file, in eval mode.

    Where inputs are known, no layer may return more than 512 MiB for two of them.

    Raises:
        CheckpointError: the settings do not make a network, or one that does not fit the file. What is larger than the
            file is found before anything is allocated.
    """
    make = sequential if kind == SEQUENTIAL else ARCHITECTURES[kind]

    def fresh() -> nn.Module:
        return make(**settings)

    with seeded(0):  # the weights are replaced; the caller's random state stays as it was
        module = built_within(fresh, settings, weights, inputs=inputs)
    fill(module, weights)
    return module


def built_within(
    make: Callable[[], Network], settings: dict[str, Any], weights: Path, *, inputs: InputSpec | None = None
) -> Network:
    """A fresh network from settings that a file states, once it is known to be no larger than the file of its weights.

    Raises:
        CheckpointError: it cannot be built or is larger; no weights were read.
    """
    numbers, tensors = _sizes(weights)
    try:
        _require_small(settings, numbers=numbers, tensors=tensors)
        with torch.device("meta"):  # shapes only: nothing is allocated
            outline = make()
        needed = sum(value.numel() for value in outline.state_dict().values())
        if needed > numbers:
            raise ValueError(f"they need {needed} numbers, the file holds {numbers}")
        if inputs is not None:
            _require_affordable(outline, inputs)
        return make()
    except _UNUSABLE as error:
        raise CheckpointError(
            f"the settings beside {weights} do not fit it: {first_line(error)}; no weights were read"
        ) from error


def fill(module: nn.Module, path: Path) -> None:
    """Read the weights into the module, which must have exactly these; it is in eval mode afterwards.

    Raises:
        CheckpointError: the file is damaged, or has other names or shapes.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(module, str(path), strict=True)
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path} does not fit {type(module).__name__}: {error}") from error
    module.eval()


def _require_small(settings: dict[str, Any], *, numbers: int, tensors: int) -> None:
    """Refuse whole numbers and lists that cannot be sizes of a network with this many weights and tensors."""
    for name, value in settings.items():
        if name == "labels":  # what classes are called, which may be large numbers
            continue
        most = tensors if name == "layers" else numbers
        if isinstance(value, list) and name != "layers" and len(value) > tensors:
            raise ValueError(f"{name} has {len(value)} entries, for {tensors} tensors in that file")
        for size in value if isinstance(value, list) else [value]:
            if isinstance(size, int) and size > most:
                raise ValueError(f"{name}={size} is above {most}, which no network in that file has")


def _require_affordable(outline: nn.Module, inputs: InputSpec) -> None:
    """Refuse a network without values whose layers would return more than `_LARGEST_LAYER` numbers for two inputs."""

    def bounded(layer: nn.Module, given: object, output: Tensor) -> None:
        if output.numel() > _LARGEST_LAYER:
            raise ValueError(f"a layer {type(layer).__name__} would return {output.numel()} numbers for two inputs")

    for layer in outline.modules():
        layer.register_forward_hook(bounded)
    try:
        outline.eval()(torch.empty(2, *inputs.shape, device="meta"))
    except _UNUSABLE as error:
        raise ValueError(f"it cannot answer the inputs of shape {inputs.shape}: {first_line(error)}") from error


def _sizes(path: Path) -> tuple[int, int]:
    """How many numbers and how many tensors a safetensors file holds, from its header alone."""
    from safetensors import SafetensorError, safe_open

    require_file(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            shapes = [file.get_slice(name).get_shape() for name in file.keys()]  # noqa: SIM118  no mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    return sum(math.prod(shape) for shape in shapes), len(shapes)
