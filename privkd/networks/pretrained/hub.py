"""Optional libraries and the weights that they keep: both are there, or it is said in words what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Literal

Weights = Literal["pretrained"] | None
"""The published weights, or None for random ones."""


def optional(library: str, *names: str) -> Any:
    """The library, imported now, or the objects of these names in it.

    Raises:
        ImportError: it is not installed, or does not fit the installed torch; how to get it is told.
    """
    try:
        module = import_module(library)
        return [getattr(module, name) for name in names] if names else module
    except (ImportError, RuntimeError) as error:
        causes = list(_causes(error))
        if any("torchvision::" in str(cause) for cause in causes):
            raise ImportError(
                f"{library} cannot be imported: torchvision's compiled operators do not match this torch. Install the build "
                "of torchvision that belongs to it, from the same index"
            ) from error
        absent = next((cause.name for cause in causes if isinstance(cause, ModuleNotFoundError) and cause.name), None)
        if absent is None:
            raise
        raise ImportError(
            f"{library} is needed for this encoder, but {absent} is not installed: pip install privkd[pretrained]"
        ) from error


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def weights_of(name: str, *, local_files_only: bool) -> Iterator[None]:
    """Inside, the model hub answers from this machine alone if so wished. It is a switch for all threads.

    Raises:
        FileNotFoundError: what is asked for is not on this machine.
    """
    constants: Any = import_module("huggingface_hub.constants")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or local_files_only
    try:
        yield
    except (OSError, RuntimeError) as error:  # open_clip wraps what the hub says
        if local_files_only:
            raise absent(name) from error
        raise
    finally:
        constants.HF_HUB_OFFLINE = before


def absent(name: str) -> FileNotFoundError:
    """The error for weights that are not on this machine."""
    return FileNotFoundError(
        f"{name}: not all of its files are on this machine, and local_files_only=True forbids a download; fetch them once "
        "with local_files_only=False, or take random weights"
    )


def require_name(source: Any, weights: Weights) -> str | None:
    """The name of published weights, or None where `source` is a configuration.

    Raises:
        ValueError: weights are asked for by a configuration, which has none.
    """
    if isinstance(source, str):
        return source
    if weights is not None:
        raise ValueError(
            f"a {type(source).__name__} describes a network but has no weights: pass weights=None for random ones, or the "
            "name of a published model"
        )
    return None
