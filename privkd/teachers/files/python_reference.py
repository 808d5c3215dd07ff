"""Teachers that the caller's own code builds: `module:function`, for everything that is not a plain file."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from privkd.teachers.certified_model import CertifiedModel
from privkd.teachers.ensemble import TeacherEnsemble

_REFERENCE = re.compile(r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):(?P<function>[A-Za-z_]\w*)")


def is_reference(source: str) -> bool:
    """Whether a text has the form `module:function`.

    Example:
        >>> is_reference("teachers.digits:make"), is_reference("C:teacher.pt"), is_reference("teacher.pt")
        (True, False, False)
    """
    return _REFERENCE.fullmatch(source) is not None


def call_reference(source: str) -> nn.Module | TeacherEnsemble | CertifiedModel:
    """The teacher that a function without arguments returns, given as `module:function`.

    Raises:
        ValueError, TypeError: as `call_function`; or it returns something that is no teacher.
    """
    teacher = call_function(source)
    if not isinstance(teacher, (nn.Module, TeacherEnsemble, CertifiedModel)):
        raise TypeError(
            f"{source} returned {type(teacher).__name__}; a torch.nn.Module, a privkd.TeacherEnsemble or a "
            "privkd.CertifiedModel is needed"
        )
    return teacher


def call_function(source: str) -> Any:
    """What a function without arguments returns, given as `module:function`.

    The module is imported as `python -m` would: the current directory comes first. Errors that the caller's
    own code raises are passed on as they are.

    Args:
        source: `module:function`; a class whose constructor needs no arguments will do as well.

    Raises:
        ValueError: no such module, or no such function in it.
        TypeError: not a function, or it needs arguments.
    """
    match = _REFERENCE.fullmatch(source)
    if match is None:
        raise ValueError(f"{source!r} is not of the form module:function, e.g. my_teachers:digits")
    with _current_directory_first():
        function = _find(match["module"], match["function"], source=source)
        _refuse_arguments(function, source=source)
        return function()


def _find(module_name: str, function_name: str, *, source: str) -> Callable[[], Any]:
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ValueError(
                f"source={source!r}: no module {missing!r}, neither installed nor in {os.getcwd()}; give "
                "the import name of a Python file or package there, without .py"
            ) from error
        raise
    if not hasattr(module, function_name):
        offered = [
            name for name, value in vars(module).items() if inspect.isfunction(value) and not name.startswith("_")
        ]
        raise ValueError(
            f"source={source!r}: {module_name} has no {function_name!r}; its functions: "
            f"{', '.join(sorted(offered)) or 'none'}"
        )
    found = getattr(module, function_name)
    if isinstance(found, nn.Module) or not callable(found):
        raise TypeError(
            f"source={source!r}: {function_name} is a {type(found).__name__}, not a function; write "
            f"`def make(): return {function_name}` and give {module_name}:make"
        )
    return found


def _refuse_arguments(function: Callable[..., Any], *, source: str) -> None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some builtins do not say; calling them will
        return
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind not in optional]
    if needed:
        raise TypeError(
            f"source={source!r} needs the arguments {', '.join(needed)}; it is called without any: give them defaults"
        )


@contextmanager
def _current_directory_first() -> Iterator[None]:
    here = os.getcwd()
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
