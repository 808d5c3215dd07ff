"""Teachers that are programs: TorchScript and `torch.export` files.

A program is code: whoever runs it trusts its author as far as the author of a Python file. Nothing here screens one,
because operators that only compute can be made to read and write memory outside their tensors. So a program is
loaded only where the caller says that its author is trusted.
"""

from __future__ import annotations

import sys
import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from privkd.errors import CheckpointError
from privkd.teachers.files.description import first_line, require_file

PROGRAMS = (".pt", ".pt2", ".ts")
WAYS_OUT = (
    "Ways out that run no foreign code: weights of a declared architecture (privkd.teachers.save_teacher(module, "
    "'teacher.safetensors')), or 'module:function', a function of yours that builds the teacher"
)


class ExportedTeacher(nn.Module):
    """An exported program as an ordinary module.

    A program cannot switch between train and eval mode (torch raises), so `train` and `eval` change nothing here: it was
    checked that it was exported in eval mode. A program exported for some batch sizes only is fed batches of these; the
    last one is filled up with copies of its last row, whose answers are dropped.

    Args:
        program: what `torch.export.load` returns.

    Attributes:
        input_shape: sizes of one input, or None where the program leaves one open.

    Raises:
        ValueError: it does not map one tensor to one tensor, or was exported in train mode.
    """

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        super().__init__()
        _require_classifier(program)
        sides, self._smallest, self._largest = _sizes(program)
        self._sides = sides
        known = tuple(side for side in sides if side is not None)
        self.input_shape = known if len(known) == len(sides) else None
        self.program = program.module()

    def train(self, mode: bool = True) -> ExportedTeacher:
        """Remember the mode; the program has only one."""
        self.training = mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        """What the program computes, shape (b, ...), for any batch size b >= 1.

        Raises:
            ValueError: the program does not take inputs of this shape.
        """
        fits = x.dim() == 1 + len(self._sides) and all(
            side in (None, size) for side, size in zip(self._sides, x.shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(f"the exported program takes inputs {self._takes()}, got {tuple(x.shape)}")
        try:
            return torch.cat([self._batch(part) for part in x.split(self._largest or max(1, len(x)))])
        except AssertionError as error:  # how exported programs refuse an open side out of its range
            raise ValueError(
                f"the exported program takes {self._takes()}, refuses {tuple(x.shape)}: {first_line(error)}"
            ) from error

    def _takes(self) -> str:
        return f"(n, {', '.join('any' if side is None else str(side) for side in self._sides)})"

    def _batch(self, x: Tensor) -> Tensor:
        missing = self._smallest - len(x)
        full = torch.cat([x, x[-1:].repeat(missing, *[1] * (x.dim() - 1))]) if missing > 0 else x
        return self.program(full)[: len(x)]


def read_program(path: Path, *, trusted: bool) -> nn.Module:
    """The module in a TorchScript archive, on the CPU, or in a `torch.export` archive, where it was exported for.

    The content of an archive decides what it is. Unless its author is trusted, only the names of its entries are read.

    Raises:
        CheckpointError: not trusted, a pickle, damaged, or no function of one tensor that returns one tensor.
    """
    is_script = _is_script(path)
    if not trusted:
        raise CheckpointError(
            f"{path} is a program ({'TorchScript' if is_script else 'torch.export'}), which is code: loading it lets its "
            "author do whatever you can do on this machine. It was not loaded. If you trust its author, say so: "
            f"load_teacher(path, trust_program=True), or privkd transcribe --trust-program. {WAYS_OUT}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old teachers still come as TorchScript
            return torch.jit.load(path, map_location="cpu") if is_script else ExportedTeacher(torch.export.load(path))
    except Exception as error:  # torch raises a dozen kinds here, some of them plain Exceptions
        raise CheckpointError(
            f"{path} is damaged, no classifier of one tensor, or of another torch than {torch.__version__}: "
            f"{first_line(error)}"
        ) from error


def _is_script(path: Path) -> bool:
    """True for TorchScript, False for `torch.export`, by the names of the entries; a pickle is refused."""
    require_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(
            f"{path} is no zip archive, so neither TorchScript nor torch.export wrote it, or it was cut ({error}). Older "
            f"torch.save files and plain pickles look so; they are refused, because opening one can run any code. {WAYS_OUT}"
        ) from error
    if "constants.pkl" in names and any(name.startswith("code/") for name in names):
        return True
    if "data.pkl" in names:
        raise CheckpointError(
            f"{path} was written by torch.save: a pickle, which can run any code when it is opened. It was not opened. {WAYS_OUT}"
        )
    if "models/model.json" not in names:
        raise CheckpointError(f"{path} is neither a TorchScript nor a torch.export archive (torch >= 2.9). {WAYS_OUT}")
    return False


def _require_classifier(program: torch.export.ExportedProgram) -> None:
    signature = program.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        raise ValueError(
            f"it takes {len(signature.user_inputs)} inputs and returns {len(signature.user_outputs)} outputs; a function of "
            "one tensor that returns one tensor is needed"
        )
    for node in program.graph.nodes:
        schema = getattr(node.target, "_schema", None)
        given = {} if schema is None else dict(zip((a.name for a in schema.arguments), node.args, strict=False))
        if any((given | node.kwargs).get(name) is True for name in ("train", "training")):
            raise ValueError(
                f"{node.target} runs in train mode, so answers would depend on the batch or on chance; export model.eval()"
            )


def _sizes(program: torch.export.ExportedProgram) -> tuple[tuple[int | None, ...], int, int | None]:
    """Sides of one input (None: left open), smallest and largest batch (None: no limit)."""
    [name] = program.graph_signature.user_inputs
    node = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == name)
    batch, *sides = node.meta["val"].shape
    shape = tuple(side if isinstance(side, int) else None for side in sides)
    if isinstance(batch, int):
        return shape, max(1, batch), max(1, batch)
    limits = program.range_constraints[batch.node.expr]
    return shape, max(1, int(limits.lower)), None if limits.upper > sys.maxsize else int(limits.upper)
