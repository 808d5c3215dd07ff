"""Teachers that come as programs: TorchScript archives and `torch.export` archives.

A program brings its own code, so it needs no class of the caller's. What torch 2.13 does when it opens one:

- `torch.jit.load` has an unpickler of its own in C++. It knows tensors and the classes whose source lies in
  the archive; any other name (`os.system`, ...) is an error. The program itself may still write files
  (`torch.save`, `torch.from_file`) when it runs, so programs that name such an operator are refused.
- `torch.export.load` is not safe on an unknown file; `privkd.teachers.exported` says why and what is done.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import torch
from torch import nn

from privkd.errors import CheckpointError
from privkd.teachers.archives import WAYS_OUT, first_line, packed, read_members
from privkd.teachers.exported import PROGRAM, load_exported, shape_of_exported
from privkd.teachers.inputs import InputSpec

# Operators of TorchScript that reach files, processes or Python; classes written in C++ may do anything.
_REACHES_OUT = re.compile(
    rb"\b(save|from_file|load_tensor|rpc_sync|rpc_async|rpc_remote|PythonOp|IgnoredPythonOp)\b"
    rb"|\btorch[\s\\]*\.[\s\\]*classes\b"
)
_UNREADABLE = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, EOFError, OSError)


def read_program(path: Path) -> nn.Module:
    """The module in a TorchScript or `torch.export` archive, on the CPU.

    Args:
        path: the archive; its content decides what it is, not its name.

    Raises:
        CheckpointError: a pickle, damaged, or a program that may do more than compute logits.
    """
    members = read_members(path)
    load = load_exported if _is_exported(members, path) else _load_script
    return load(members, path=path)


def program_inputs(path: Path) -> InputSpec | None:
    """What a `torch.export` program eats, range [0, 1] assumed; None for TorchScript, which does not say.

    Raises:
        CheckpointError: the archive is damaged, or its program is refused.
    """
    members = read_members(path)
    shape = shape_of_exported(members, path=path) if _is_exported(members, path) else None
    return InputSpec(shape) if shape is not None and len(shape) in (1, 3) else None


def _is_exported(members: dict[str, bytes], path: Path) -> bool:
    """True for torch.export, False for TorchScript; anything else is refused."""
    if PROGRAM in members:
        return True
    if "constants.pkl" in members and any(name.startswith("code/") for name in members):
        return False
    if "data.pkl" in members:
        raise CheckpointError(
            f"{path} was written by torch.save: a pickle, which can run code when it is opened. It was not "
            f"opened. {WAYS_OUT}"
        )
    raise CheckpointError(f"{path} is neither a TorchScript nor a torch.export archive (torch >= 2.8). {WAYS_OUT}")


def _load_script(members: dict[str, bytes], *, path: Path) -> nn.Module:
    kept = {name: content for name, content in members.items() if _is_needed(name)}
    for name, content in kept.items():
        found = _REACHES_OUT.search(content) if name.endswith((".py", ".pkl")) else None
        if found:
            raise CheckpointError(
                f"{path} is a TorchScript program that names {found[0].decode()!r} (in {name}), which can "
                f"reach files or other processes; a teacher only computes. It was not loaded. {WAYS_OUT}"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old teachers still come as TorchScript
            return torch.jit.load(packed(kept), map_location="cpu")
    except _UNREADABLE as error:
        raise CheckpointError(f"{path} is a damaged TorchScript archive: {first_line(error)}") from error


def _is_needed(name: str) -> bool:
    return not (name.endswith(".debug_pkl") or name.startswith(("traced_inputs", "extra/")))
