"""What a checkpoint can hold: nested state as JSON beside tensors, and back; no pickles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

_NAMED = 5  # problems that a message names


def require_storable(state: Any) -> None:
    """Refuse state that a checkpoint cannot hold, before a run depends on it. Nothing is copied.

    Args:
        state: of which everything must be dense real tensors, numpy arrays and numbers, numbers, strings or None, in dicts,
            lists and tuples.

    Raises:
        TypeError: something else is in it; the message names where, as `state['task']['queue']`.

    Example:
        >>> require_storable({"queue": [1.0, (2, None)]})
        >>> require_storable({"queue": [{1, 2}]})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        TypeError: a checkpoint cannot hold state['queue'][0], a set; give dense real tensors, numpy arrays, numbers, ...
    """
    problems = list(_problems(state, "state"))
    if problems:
        more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        raise TypeError(
            f"a checkpoint cannot hold {'; '.join(problems[:_NAMED])}{more}; give dense real tensors, numpy arrays, numbers, "
            "strings and None, in dicts, lists and tuples"
        )


def packed(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON of nested state that `require_storable` lets pass.

    Args:
        value: the state; dictionaries may have any storable keys but tensors. Subclasses come back as their plain base.
        tensors: filled with copies, by the names that stand in the JSON. numpy arrays become tensors, and come back as such;
            numpy numbers become plain ones.
    """
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().clone().contiguous()
            return {"tensor": name}
        case np.ndarray():
            native = np.array(value, dtype=value.dtype.newbyteorder("="), order="C")
            return packed(torch.from_numpy(native), tensors)
        case np.generic():
            return packed(value.item(), tensors)
        case Mapping():
            return {"dict": [[packed(key, tensors), packed(inner, tensors)] for key, inner in value.items()]}
        case tuple():
            return {"tuple": [packed(inner, tensors) for inner in value]}
        case list():
            return [packed(inner, tensors) for inner in value]
        case float():
            return {"float": value.hex()}
    return value


def unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The state that was packed.

    Raises:
        ValueError: the JSON is not of this form.
        KeyError: a tensor is missing.
    """
    if isinstance(value, list):
        return [unpacked(inner, tensors) for inner in value]
    if not isinstance(value, dict):
        return value
    [(kind, content)] = value.items()
    match kind:
        case "tensor":
            return tensors[content]
        case "dict":
            return {unpacked(key, tensors): unpacked(inner, tensors) for key, inner in content}
        case "tuple":
            return tuple(unpacked(inner, tensors) for inner in content)
        case "float":
            return float.fromhex(content)
    raise ValueError(f"unknown kind {kind!r}")


def _problems(value: Any, place: str) -> Iterator[str]:
    match value:
        case Mapping():
            for key, inner in value.items():
                if not _is_key(key):
                    yield f"a key of {place}, a {type(key).__name__}"
                yield from _problems(inner, f"{place}[{key!r}]" if _is_key(key) else f"{place}[...]")
        case list() | tuple():
            for number, inner in enumerate(value):
                yield from _problems(inner, f"{place}[{number}]")
        case _:
            kind = _fault(value)
            if kind is not None:
                yield f"{place}, a {kind}"


def _is_key(key: Any) -> bool:
    if isinstance(key, tuple):
        return all(map(_is_key, key))
    return not isinstance(key, Tensor) and _fault(key) is None


def _fault(value: Any) -> str | None:
    """What kind of thing it is that cannot be held; None for one that can."""
    match value:
        case Tensor():
            return _fault_of_tensor(value)
        case np.ma.MaskedArray():
            return "masked numpy array (give its data and its mask)"
        case np.ndarray() | np.generic() if not isinstance(value, np.str_):
            is_plain = value.dtype.kind in "biuf" and value.dtype.itemsize <= 8
            name = "numpy array" if isinstance(value, np.ndarray) else "numpy number"
            return None if is_plain else f"{name} of dtype {value.dtype}"
        case None | bool() | int() | float() | str():
            return None
    return type(value).__name__


def _fault_of_tensor(tensor: Tensor) -> str | None:
    if tensor.is_nested:
        return "nested tensor (give its parts)"
    if tensor.layout is not torch.strided:
        return f"tensor of layout {str(tensor.layout).removeprefix('torch.')} (give .to_dense())"
    if tensor.is_meta:
        return "tensor on the device meta, which has no values"
    if tensor.is_complex():
        return f"{str(tensor.dtype).removeprefix('torch.')} tensor (give torch.view_as_real of it)"
    if tensor.is_quantized or not _has_format(tensor.dtype):
        return f"{str(tensor.dtype).removeprefix('torch.')} tensor, which safetensors does not know"
    return None


@cache
def _has_format(dtype: torch.dtype) -> bool:
    """Whether safetensors itself can write it; every version knows more."""
    try:
        save({"": torch.empty(0, dtype=dtype)})
    except (KeyError, ValueError, TypeError, RuntimeError, SafetensorError):
        return False
    return True
