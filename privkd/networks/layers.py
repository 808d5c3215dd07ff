"""`nn.Sequential`s of common layers as plain data: names and settings from a fixed list, nothing to import or to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from privkd.plain import plain

_CONVOLUTION = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias")
_BATCH_NORM = ("num_features", "eps", "momentum", "affine", "track_running_stats")
_MAX_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")

LAYERS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d, ("output_size",)),
    "AvgPool2d": (nn.AvgPool2d, ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")),
    "BatchNorm1d": (nn.BatchNorm1d, _BATCH_NORM),
    "BatchNorm2d": (nn.BatchNorm2d, _BATCH_NORM),
    "Conv1d": (nn.Conv1d, _CONVOLUTION),
    "Conv2d": (nn.Conv2d, _CONVOLUTION),
    "Dropout": (nn.Dropout, ("p", "inplace")),
    "Dropout2d": (nn.Dropout2d, ("p", "inplace")),
    "ELU": (nn.ELU, ("alpha", "inplace")),
    "Flatten": (nn.Flatten, ("start_dim", "end_dim")),
    "GELU": (nn.GELU, ("approximate",)),
    "GroupNorm": (nn.GroupNorm, ("num_groups", "num_channels", "eps", "affine")),
    "Identity": (nn.Identity, ()),
    "LayerNorm": (nn.LayerNorm, ("normalized_shape", "eps", "elementwise_affine", "bias")),
    "LeakyReLU": (nn.LeakyReLU, ("negative_slope", "inplace")),
    "Linear": (nn.Linear, ("in_features", "out_features", "bias")),
    "MaxPool2d": (nn.MaxPool2d, _MAX_POOL),
    "ReLU": (nn.ReLU, ("inplace",)),
    "SiLU": (nn.SiLU, ("inplace",)),
    "Sigmoid": (nn.Sigmoid, ()),
    "Softplus": (nn.Softplus, ("beta", "threshold")),
    "Tanh": (nn.Tanh, ()),
    "Unflatten": (nn.Unflatten, ("dim", "unflattened_size")),
}
_DEEPEST = 16  # Sequentials within Sequentials
_LARGEST_WINDOW = 4096  # of a pooling, a padding, a stride: sizes that no weights bound
_BOUND_OTHERWISE = (  # by the weights, or by the inputs that they must fit
    *("in_features", "out_features", "in_channels", "out_channels", "groups"),
    *("num_features", "num_channels", "num_groups", "normalized_shape", "unflattened_size"),
)


def layers_of(network: nn.Module) -> list[dict[str, Any]] | None:
    """The layers of an `nn.Sequential`, as `sequential` takes them.

    Returns:
        One object per layer, with its name, its kind and its settings; None where the network is not the same again when it
        is built from them: another class, a layer that is not in `LAYERS`, hooks, tied weights or changed attributes.

    Example:
        >>> layers_of(nn.Sequential(nn.Linear(4, 3), nn.Tanh()))[1]
        {'name': '1', 'layer': 'Tanh', 'settings': {}}
        >>> layers_of(nn.Linear(4, 3)) is None
        True
    """
    if type(network) is not nn.Sequential:
        return None
    try:
        found = _children(network)
        with torch.device("meta"):  # shapes only
            again = sequential(found)
    except (_NotDeclarableError, ValueError, TypeError):
        return None
    return found if _is_same(network, again) else None


def sequential(layers: list[dict[str, Any]]) -> nn.Sequential:
    """A fresh network of these layers.

    Raises:
        ValueError: an unknown layer or setting, a name twice, or a size that no sensible network has.
        TypeError: something is of the wrong type.
    """
    if not isinstance(layers, list):
        raise TypeError(f"layers must be a list of layers, got {type(layers).__name__}")
    built = nn.Sequential()
    for position, layer in enumerate(layers):
        if not isinstance(layer, dict) or not isinstance(layer.get("name"), str):
            raise TypeError(f"layer {position} must be an object with a name, a layer and its settings")
        if layer["name"] in dict(built.named_children()):
            raise ValueError(f"layer {position} has the name {layer['name']!r}, which another one has already")
        try:
            built.add_module(layer["name"], _built(layer))
        except KeyError as error:  # torch: no dots, not empty, not the name of an attribute
            raise ValueError(f"layer {position} cannot have the name {layer['name']!r}: {error}") from error
    return built


def _built(layer: Mapping[str, Any]) -> nn.Module:
    kind = layer.get("layer")
    if kind == "Sequential" and set(layer) == {"name", "layer", "layers"}:
        return sequential(layer["layers"])
    if not isinstance(kind, str) or kind not in LAYERS:
        raise ValueError(f"layer={kind!r} is unknown; known are Sequential, {', '.join(LAYERS)}")
    module, names = LAYERS[kind]
    settings = layer.get("settings")
    if set(layer) != {"name", "layer", "settings"} or not isinstance(settings, dict) or set(settings) != set(names):
        raise ValueError(f"a layer {kind} needs exactly a name and the settings {list(names)}")
    for name, value in settings.items():
        _require_sensible(name, value)
    return module(**{name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()})


def _require_sensible(name: str, value: Any) -> None:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int) and name not in _BOUND_OTHERWISE and abs(part) > _LARGEST_WINDOW:
            raise ValueError(f"{name}={value!r} is above {_LARGEST_WINDOW}")


class _NotDeclarableError(Exception):
    """A layer that is not on the list, or a setting that is no plain value."""


def _children(network: nn.Sequential, depth: int = 1) -> list[dict[str, Any]]:
    if depth > _DEEPEST:
        raise _NotDeclarableError(f"nested {depth} times")
    return [{"name": name, **_declared(layer, depth)} for name, layer in network._modules.items() if layer is not None]


def _declared(layer: nn.Module, depth: int) -> dict[str, Any]:
    if type(layer) is nn.Sequential:
        return {"layer": "Sequential", "layers": _children(layer, depth + 1)}
    for kind, (module, names) in LAYERS.items():
        if type(layer) is module:
            return {"layer": kind, "settings": {name: _setting(layer, name) for name in names}}
    raise _NotDeclarableError(type(layer).__name__)


def _setting(layer: nn.Module, name: str) -> Any:
    value = getattr(layer, name)
    return value is not None if name == "bias" else _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    value = plain(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise _NotDeclarableError(type(value).__name__)


def _is_same(network: nn.Module, again: nn.Module) -> bool:
    """Whether nothing but the weights differs: attributes, hooks, shapes, and weights that share their memory."""
    if [_attributes(layer) for layer in _modules(network)] != [_attributes(layer) for layer in _modules(again)]:
        return False
    state, fresh = network.state_dict(), again.state_dict()
    if _shapes(state) != _shapes(fresh):
        return False
    owned = [value.untyped_storage().data_ptr() for value in state.values() if value.numel()]
    return len(set(owned)) == len(owned)


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, tuple[torch.Size, torch.dtype]]:
    return {name: (value.shape, value.dtype) for name, value in state.items()}


def _modules(network: nn.Module) -> list[nn.Module]:
    return [module for _, module in network.named_modules(remove_duplicate=False)]


def _attributes(layer: nn.Module) -> dict[str, Any]:
    public = {name: value for name, value in vars(layer).items() if not name.startswith("_") and name != "training"}
    hooks = any(value for name, value in vars(layer).items() if name.endswith("_hooks") and name.startswith("_"))
    return public | {"hooks": hooks}
