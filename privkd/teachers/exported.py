"""`torch.export` archives: screened first, because `torch.export.load` runs code that it finds in a file.

Read from the sources of torch 2.13 and tried: `torch.export.load` unpickles the sample inputs (with
`weights_only=True`, and without it when that fails), weights and constants marked `use_pickle`, and opaque
constants; it evaluates sizes with `sympy.sympify` and looks operators up by their path from `torch`;
`.module()` executes the program's guards as Python. Here every pickle is left out or refused, and the program
must be built of plain words: names, `torch.ops.aten` operators, and sizes that are sums and products of
symbols. Such a text cannot call anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from accountants import check
from privkd.errors import CheckpointError
from privkd.teachers.archives import first_line, packed

PROGRAM = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_CONFIGS = {
    "data/weights/model_weights_config.json": re.compile(r"weight_\d+"),
    "data/constants/model_constants_config.json": re.compile(r"tensor_\d+"),
}
_PLAIN = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/\w+"
    r"|data/weights/weight_\d+|data/constants/tensor_\d+"
)

# No brackets, quotes or blanks: nothing can be called.
_WORD = re.compile(r"(?!.*(?:^|\.)__\w+__(?:\.|$))[A-Za-z0-9_.+-]*")
_OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!from_file\.|save\.)\w+\.\w+"
    r"|_operator\.(getitem|add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge)"
)
_SYMBOL = re.compile(r"Symbol\('([su]\d+)'(?:, \w+=True)*\)")
_ARITHMETIC = re.compile(r"(?:\d|Integer|Add|Mul|[ (),+-]|\*(?!\*))*")  # no powers: 9**9**9 would never end
_HANDLED = {"as_string", "in_spec", "out_spec"}  # quoted by torch, or compared above
_INDIRECT = {"as_operator", "as_graph", "as_custom_obj"}
_ONE_TENSOR_IN = {
    "type": "builtins.tuple",
    "context": "null",
    "children_spec": [
        {
            "type": "builtins.tuple",
            "context": "null",
            "children_spec": [{"type": None, "context": None, "children_spec": []}],
        },
        {"type": "builtins.dict", "context": "[]", "children_spec": []},
    ],
}
_ONE_TENSOR_OUT = {"type": None, "context": None, "children_spec": []}

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError)


class ExportedTeacher(nn.Module):
    """An exported program as an ordinary module.

    A program cannot switch between train and eval mode (torch raises), so `train` and `eval` change nothing
    here: it was checked that it was exported in eval mode. A program exported for some batch sizes only is
    fed batches of these; the last one is filled up with copies of its last row, whose answers are dropped.

    Args:
        program: `ExportedProgram.module()`.
        shape: sizes of one input; None where the program leaves them open.
        smallest: smallest batch that the program takes.
        largest: largest batch that the program takes; None for no limit.
    """

    def __init__(
        self, program: nn.Module, *, shape: tuple[int | None, ...], smallest: int, largest: int | None
    ) -> None:
        super().__init__()
        self.program = program
        self.shape, self.smallest, self.largest = shape, smallest, largest

    def train(self, mode: bool = True) -> ExportedTeacher:
        """Remember the mode; the program has only one."""
        self.training = mode
        return self

    def forward(self, x: Tensor) -> Tensor:
        """What the program computes, shape (b, ...), for any batch size b >= 1.

        Raises:
            ValueError: the program does not take inputs of this shape.
        """
        fits = x.dim() == 1 + len(self.shape) and all(
            side in (None, size) for side, size in zip(self.shape, x.shape[1:], strict=True)
        )
        if not fits:
            raise ValueError(f"the exported program takes inputs {self._takes()}, got {tuple(x.shape)}")
        try:
            return torch.cat([self._batch(part) for part in x.split(self.largest or max(1, len(x)))])
        except AssertionError as error:  # how exported programs refuse an open side out of its range
            raise ValueError(
                f"the exported program takes {self._takes()}, refuses {tuple(x.shape)}: {first_line(error)}"
            ) from error

    def _takes(self) -> str:
        return f"(n, {', '.join('any' if side is None else str(side) for side in self.shape)})"

    def _batch(self, x: Tensor) -> Tensor:
        missing = self.smallest - len(x)
        full = torch.cat([x, x[-1:].repeat(missing, *[1] * (x.dim() - 1))]) if missing > 0 else x
        return self.program(full)[: len(x)]


def load_exported(members: dict[str, bytes], *, path: Path) -> ExportedTeacher:
    """The program of an archive, on the device that it was exported for.

    Args:
        members: files of the archive, by name.
        path: the archive, for messages.

    Raises:
        CheckpointError: the archive is damaged, holds pickles or code, or does not map one tensor to one
            tensor in eval mode.
    """
    program = _screened(members, path=path)
    shape, smallest, largest = _sizes(program, path=path)
    kept = {name: content for name, content in members.items() if _PLAIN.fullmatch(name) or name in _CONFIGS}
    kept[PROGRAM] = json.dumps(program).encode()
    kept[_SAMPLES] = b""  # the pickle of the sample inputs; torch reads an empty one as "none"
    try:
        module = torch.export.load(packed(kept)).module()
    except Exception as error:  # torch raises a dozen kinds here, some of them plain Exceptions
        raise CheckpointError(
            f"{path} is a damaged torch.export archive, or of another torch than {torch.__version__}: "
            f"{first_line(error)}"
        ) from error
    return ExportedTeacher(module, shape=shape, smallest=smallest, largest=largest)


def shape_of_exported(members: dict[str, bytes], *, path: Path) -> tuple[int, ...] | None:
    """Shape of one input of the program, or None where it leaves a side open. Loads nothing.

    Raises:
        CheckpointError: as `load_exported`.
    """
    shape, _, _ = _sizes(_screened(members, path=path), path=path)
    sides = tuple(side for side in shape if side is not None)
    return sides if len(sides) == len(shape) else None


def _screened(members: dict[str, bytes], *, path: Path) -> dict[str, Any]:
    """The program as JSON, without its remarks; refused if it or the list of weights could run code."""
    try:
        for name, allowed in _CONFIGS.items():
            config = json.loads(members[name])["config"]
            _check_payloads(config, allowed)
            _refuse_empty(config, members, folder=name.rpartition("/")[0])
        program = json.loads(members[PROGRAM])
        graph_module = program["graph_module"]
        graph_module["metadata"] = {}
        graph_module["treespec_namedtuple_fields"] = {}
        for node in graph_module["graph"]["nodes"]:
            node["metadata"] = {}  # stack traces and class names of the exporter, free text
            _check_node(node)
        for call in graph_module["module_call_graph"]:
            _check_call(call["signature"])
        _check_signature(graph_module["signature"])
        _check_words(program)
    except _RefusedError as error:
        raise CheckpointError(
            f"{path} is a torch.export archive that privkd does not load: {error}. Export a plain model in "
            "eval mode, torch.export.export(model.eval(), (inputs,)), or give the teacher as module:function"
        ) from None
    except _MALFORMED as error:
        raise CheckpointError(
            f"{path} is a damaged torch.export archive, or of an unknown version: {error!r}"
        ) from error
    return program


class _RefusedError(Exception):
    """Something in the archive is not plain."""


def _check_payloads(config: dict[str, Any], allowed: re.Pattern[str]) -> None:
    for name, payload in config.items():
        if payload["use_pickle"] is not False or not allowed.fullmatch(payload["path_name"]):
            raise _RefusedError(f"{name!r} is stored as a pickle, which can run code when it is opened")
    _check_words(config)


def _refuse_empty(config: dict[str, Any], members: dict[str, bytes], *, folder: str) -> None:
    """Torch reads an empty file as zeros, without a word; files that are only too short it refuses."""
    for name, payload in config.items():
        sizes = [size["as_int"] for size in payload["tensor_meta"]["sizes"]]
        if not members[f"{folder}/{payload['path_name']}"] and 0 not in sizes:
            raise ValueError(f"the file of {name!r} is empty")


def _check_node(node: dict[str, Any]) -> None:
    if not _OPERATOR.fullmatch(node["target"]):
        raise _RefusedError(f"it calls {node['target']!r}; only operators of torch.ops.aten are allowed")
    for given in node["inputs"]:
        if given["name"] in ("train", "training") and given["arg"].get("as_bool") is True:
            raise _RefusedError(
                f"{node['target']} runs in train mode, so answers would depend on the batch or on chance"
            )


def _check_call(signature: dict[str, Any] | None) -> None:
    if signature is None:
        return
    for side, expected in (("in_spec", _ONE_TENSOR_IN), ("out_spec", _ONE_TENSOR_OUT)):
        if json.loads(signature.pop(side))[1] != expected:
            raise _RefusedError("it is not a function of one tensor that returns one tensor")
        signature[side] = json.dumps([1, expected], separators=(",", ":"))


def _check_signature(signature: dict[str, Any]) -> None:
    inputs, outputs = signature["input_specs"], signature["output_specs"]
    kinds = [kind for given in inputs for kind in given]
    if not set(kinds) <= {"parameter", "buffer", "tensor_constant", "user_input"}:
        raise _RefusedError(f"it has inputs of the kinds {sorted(set(kinds))}; weights and one tensor are allowed")
    arguments = [given["user_input"]["arg"] for given in inputs if "user_input" in given]
    if len(arguments) != 1 or set(arguments[0]) != {"as_tensor"}:
        raise _RefusedError(f"it takes {len(arguments)} inputs; one tensor is allowed")
    if (
        len(outputs) != 1
        or set(outputs[0]) != {"user_output"}
        or set(outputs[0]["user_output"]["arg"]) != {"as_tensor"}
    ):
        raise _RefusedError(f"it has {len(outputs)} outputs or changes its own weights; one tensor is allowed")


def _check_words(value: Any) -> None:
    for key, text in _strings(value):
        if key in _INDIRECT or text in _INDIRECT:
            raise _RefusedError(f"it uses {key if key in _INDIRECT else text!r}, an operator or object as an argument")
        if key == "expr_str":
            plain = _ARITHMETIC.fullmatch(_SYMBOL.sub("0", text)) is not None
        else:
            plain = key in _HANDLED or _WORD.fullmatch(text) is not None
        if not plain:
            raise _RefusedError(f"it contains {text[:60]!r}, more than a name or a size (guards on shapes look so)")


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a JSON value with the key that it stands under; keys count as texts too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield "", name
            yield from _strings(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, key)
    elif isinstance(value, str):
        yield key, value


def _sizes(program: dict[str, Any], *, path: Path) -> tuple[tuple[int | None, ...], int, int | None]:
    """Shape of one input, smallest and largest batch."""
    try:
        graph_module = program["graph_module"]
        specs = graph_module["signature"]["input_specs"]
        name = next(given["user_input"]["arg"]["as_tensor"]["name"] for given in specs if "user_input" in given)
        batch, *sides = graph_module["graph"]["tensor_values"][name]["sizes"]
        shape = tuple(side.get("as_int") for side in sides)
        for side in shape:
            if side is not None:
                check.integer(side=side, at_least=1)
        if "as_int" in batch:
            return shape, max(1, batch["as_int"]), max(1, batch["as_int"])
        symbol = _SYMBOL.fullmatch(batch["as_expr"]["expr_str"])
        limits = program["range_constraints"].get(symbol[1], {}) if symbol else {}
        return shape, max(1, limits.get("min_val") or 1), limits.get("max_val")
    except _MALFORMED as error:
        raise CheckpointError(
            f"{path} is a damaged torch.export archive: its input has no sizes ({error!r})"
        ) from error
