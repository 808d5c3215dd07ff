"""What goes wrong in a run, in words of the run: misfits, memory, numbers that are not finite."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from privkd.errors import NonFiniteLoss, OutOfMemory, PrivkdError, TaskError
from privkd.trainer.batch import Batch
from privkd.trainer.settings import TrainerSettings
from privkd.trainer.task import Losses, Task

T = TypeVar("T")
Modules: TypeAlias = "Mapping[str, nn.Module]"
"""Trained modules by name, without wrappers."""

_MISFITS = (RuntimeError, ValueError, IndexError, TypeError, KeyError, AssertionError)
"""What torch raises when tensors do not fit each other."""

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc")


def translated(call: Callable[[], T], translation: Callable[[Exception], PrivkdError | None], *, is_private: bool) -> T:
    """What a call gives; its errors in words of the run.

    Args:
        call: of code that is not the trainer's own.
        translation: from an error to the one that is raised in its place; None lets it pass.
        is_private: whether nothing of the error may be found in the one in its place, not even as its cause.
    """
    try:
        return call()
    except Exception as error:
        clear = translation(error)
        if clear is None:
            raise
        if not is_private:
            raise clear from error
    # Outside of the handler, because inside of it the new error would carry the old one as its context.
    raise clear


def withheld(error: Exception, step: int) -> TaskError | None:
    """The error in place of one whose text may quote private rows, in a step counted from 1; None for the library's own."""
    if isinstance(error, PrivkdError):
        return None
    return TaskError(
        f"{type(error).__name__} in step {step}; its text may quote private rows and is kept back. unsafe_logging=True shows it, "
        "and ends every guarantee; a run on made-up rows like the real ones shows most mistakes, too"
    )


def misfit(error: Exception, task: Task, batch: Batch, *, is_private: bool) -> TaskError | None:
    """The error for a first batch that does not fit its task; None for an error that says it all by itself.

    Of private rows it tells shapes and dtypes only: not their range, and not torch's message, which may quote a label.
    """
    if not isinstance(error, _MISFITS) or isinstance(error, NonFiniteLoss | TaskError) or _is_memory(error):
        return None
    shapes = ", ".join(f"{name!r}: {_shown(column, is_private=is_private)}" for name, column in batch.columns.items())
    paid = (
        "; a private run is charged before its first batch: with the same folder and ledger it is started again without a second "
        "charge"
    )
    what = f"{type(error).__name__}, whose text unsafe_logging=True would show" if is_private else str(error)
    return TaskError(
        f"the first batch does not fit {type(task).__name__}: {what} (the batch holds {shapes or 'nothing'}); check shapes, "
        f"dtypes and that labels lie in [0, classes){paid if is_private else ''}"
    )


def too_large(error: Exception, settings: TrainerSettings, *, step: int, rows: int) -> OutOfMemory | None:
    """The error for a step, counted from 1, of so many rows that did not fit into memory; None for any other error."""
    if not _is_memory(error):
        return None
    is_saved, parts = settings.folder is not None, settings.accumulate
    kept = "; earlier checkpoints are whole, a run with the same settings goes on from the latest" if is_saved else ""
    said = "" if settings.is_quiet else f" ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
    return OutOfMemory(
        f"step {step} ran out of memory with {rows} rows per step in {parts} parts: give accumulate={2 * parts} "
        f"for the same gradients in half the memory, or a smaller batch_size{kept}{said}"
    )


def partly_used(error: Exception, task: Task) -> TaskError | None:
    """The error for a step that several processes cannot share because it used a part of a module; None for any other."""
    if not isinstance(error, RuntimeError) or "Expected to have finished reduction" not in str(error):
        return None
    return TaskError(
        f"a step of {type(task).__name__} used only some parameters of a module, so the processes wait for gradients that never "
        "come: make two modules of what is used apart, or run in one process"
    )


def refuse_losses(losses: Losses, modules: Modules, step: int) -> NoReturn:
    """The error for losses whose sum is not finite, before the step (counted from 1) has changed anything.

    Raises:
        NonFiniteLoss: always; it names the losses and the weight, if one is not finite, that is to blame.
    """
    bad = [name for name, loss in losses.items() if not math.isfinite(float(loss.detach()))]
    broken = _first_broken(modules, lambda p: p)
    cause = (
        f"{broken} is not finite since the step before: its gradient was not" if broken else "this update was not made"
    )
    raise NonFiniteLoss(
        f"loss term {', '.join(bad) or 'sum'} is not finite at step {step}; {cause}; lower the learning rate, "
        "or check the range of the inputs"
    )


def require_finite_gradients(modules: Modules, step: int) -> None:
    """Refuse gradients that are not finite before an optimiser uses them in a step, counted from 1.

    Raises:
        NonFiniteLoss: a gradient is not finite; its parameter is named.
    """
    if broken := _first_broken(modules, lambda p: p.grad):
        raise NonFiniteLoss(
            f"the gradient of {broken} is not finite at step {step}, although every loss is; this update was "
            "not made: look for a root or a log at 0, or clip what goes into an exponential"
        )


def require_finite_weights(modules: Modules, step: int) -> None:
    """Refuse weights that are not finite after a step: a checkpoint of them would replace a good one.

    Raises:
        NonFiniteLoss: a parameter or buffer is not finite; it is named.
    """
    if broken := _first_broken(modules, lambda p: p):
        raise NonFiniteLoss(
            f"{broken} is not finite after step {step}: its gradient was not; look for a root or a log at 0, or "
            "lower the learning rate. Checkpoints written before are good"
        )


def _is_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _shown(column: Tensor | list[Any], *, is_private: bool) -> str:
    """A column without its contents; of private rows the first alone: under sampling their number is private, too."""
    if not isinstance(column, Tensor):
        return "a list" if is_private else f"a list of {len(column)}"
    if is_private:
        column = column[0] if len(column) else column
        return f"rows of {tuple(column.shape)} {str(column.dtype)[6:]}"
    return f"{tuple(column.shape)} {str(column.dtype)[6:]}{_range(column)}"


def _range(tensor: Tensor) -> str:
    if tensor.is_floating_point() or not tensor.numel():
        return ""
    return f" in [{int(tensor.min())}, {int(tensor.max())}]"


def _first_broken(modules: Modules, tensor_of: Callable[[Tensor], Tensor | None]) -> str:
    """The name of the first parameter or buffer of which something is not finite; empty if there is none."""
    for module_name, module in modules.items():
        for name, value in (*module.named_parameters(), *module.named_buffers()):
            tensor = tensor_of(value)
            if tensor is not None and not _is_finite(tensor.detach()):
                return f"{module_name}.{name}"
    return ""


def _is_finite(tensor: Tensor) -> bool:
    dense = tensor.coalesce().values() if tensor.layout is torch.sparse_coo else tensor  # what it leaves out is 0
    return bool(torch.isfinite(dense).all())
