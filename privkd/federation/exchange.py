"""Arrays between a module and the wire: which may travel, how they get into a module, and states as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from privkd.federation.contracts import Arrays, Scalar, State

_KINDS: dict[str, torch.dtype] = {"bool": torch.bool, "int": torch.int64, "float": torch.float64, "str": torch.uint8}


def floating_keys(module: nn.Module, patterns: Iterable[str] = ("*",)) -> tuple[str, ...]:
    """The names of a module's floating-point parameters and buffers that match a shell pattern, in the module's order.

    Integers never travel: the step counter of a batch normalisation tells how many steps a client took, and so how many rows it
    has, and a mean of counters means nothing.

    Raises:
        ValueError: a pattern matches nothing that may travel.

    Example:
        >>> floating_keys(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)), ("1.*",))
        ('1.weight', '1.bias', '1.running_mean', '1.running_var')
    """
    entries = module.state_dict()
    known = [name for name, value in entries.items() if isinstance(value, Tensor) and value.is_floating_point()]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ValueError(
                f"{pattern!r} matches no floating-point entry of {type(module).__name__}: {', '.join(known[:8])}"
            )
    return tuple(name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns))


def arrays_of(module: nn.Module, keys: Iterable[str]) -> Arrays:
    """Copies of entries of a module's state, on the CPU.

    Raises:
        KeyError: the module has no such entry.
        ValueError: an entry is no floating-point tensor.
    """
    entries = module.state_dict()
    found = {name: entries[name] for name in keys}
    whole = [name for name, value in found.items() if not isinstance(value, Tensor) or not value.is_floating_point()]
    if whole:
        raise ValueError(
            f"{whole[:5]} are no floating-point tensors, and nothing else travels; leave them out of the keys"
        )
    return copied(found)


@torch.no_grad()
def load_arrays(module: nn.Module, arrays: Mapping[str, Tensor]) -> None:
    """Write arrays into a module; entries that they do not name stay as they are.

    Raises:
        ValueError: the module has no such entry, or one of another shape; nothing was written.
    """
    entries = module.state_dict()
    wrong = [name for name, value in arrays.items() if name not in entries or entries[name].shape != value.shape]
    if wrong:
        raise ValueError(f"{type(module).__name__} has no entries of the names and shapes of {wrong[:5]}")
    for name, value in arrays.items():
        entries[name].copy_(value)


def copied(arrays: Mapping[str, Tensor]) -> Arrays:
    """Copies on the CPU that share no memory with the tensors that were given."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in arrays.items()}


def copied_state(state: Mapping[str, Tensor | Scalar]) -> State:
    """A state that shares no memory with the one that was given.

    Raises:
        TypeError: it holds something else than tensors and scalars; the name and the type are told.
    """
    for name, value in state.items():
        if not isinstance(name, str) or not (isinstance(value, Tensor) or type(value) in (bool, int, float, str)):
            raise TypeError(
                f"the state of a client holds {name!r}, a {type(value).__name__}; tensors, bool, int, float and str alone survive "
                "a round: keep a module as its state_dict"
            )
    return {
        name: value.detach().to("cpu", copy=True).contiguous() if isinstance(value, Tensor) else value
        for name, value in state.items()
    }


def state_to_bytes(state: Mapping[str, Tensor | Scalar]) -> bytes:
    """A state in the format of safetensors; scalars are tensors of their own, marked by their kind.

    Raises:
        TypeError: as of `copied_state`.
        ValueError: an int has more than 64 bits.
    """
    from safetensors.torch import save

    encoded = {}
    for name, value in copied_state(state).items():
        if isinstance(value, Tensor):
            encoded[f"tensor:{name}"] = value
        elif isinstance(value, str):
            encoded[f"str:{name}"] = torch.tensor(list(value.encode()), dtype=torch.uint8)
        elif isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ValueError(
                f"the state of a client holds {name!r}, an int of {value.bit_length()} bits; 63 are possible"
            )
        else:
            kind = type(value).__name__
            encoded[f"{kind}:{name}"] = torch.tensor(value, dtype=_KINDS[kind])
    return save(encoded)


def state_from_bytes(content: bytes) -> State:
    """What `state_to_bytes` has written.

    Example:
        >>> state_from_bytes(state_to_bytes({"rounds": 3, "name": "north"}))
        {'name': 'north', 'rounds': 3}
    """
    from safetensors.torch import load

    state: State = {}
    for marked, value in sorted(load(content).items(), key=lambda pair: pair[0].partition(":")[2]):
        kind, _, name = marked.partition(":")
        if kind == "tensor":
            state[name] = value
        else:
            state[name] = bytes(value.tolist()).decode() if kind == "str" else value.item()
    return state
