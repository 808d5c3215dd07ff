"""What can go wrong in a step through no fault of the mathematics, told in terms of the run."""

from __future__ import annotations

import torch
from torch import Tensor

from privkd.errors import NonFiniteLoss, OutOfMemory, TaskError
from privkd.trainer.batch import Batch
from privkd.trainer.task import Task

__all__ = ["MISFITS", "misfit", "partly_used", "too_large"]

MISFITS = (RuntimeError, ValueError, IndexError, TypeError, KeyError, AssertionError)
"""What torch raises when tensors do not fit each other."""

_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "std::bad_alloc")


def misfit(error: Exception, task: Task, batch: Batch, *, is_private: bool) -> TaskError | None:
    """The error for a first batch that does not fit its task; None for an error that says it all by itself.

    Of private rows it tells shapes and dtypes only: not their range, and not torch's message, which may quote a label.
    """
    if isinstance(error, NonFiniteLoss | TaskError) or _is_memory(error):
        return None
    rows = [
        tensor[0] if is_private and len(tensor) else tensor for tensor in batch.tensors
    ]  # sampled: their number is private
    shapes = ", ".join(
        f"{'rows of ' * is_private}{tuple(one.shape)} {str(one.dtype)[6:]}{'' if is_private else _range(one)}"
        for one in rows
    )
    paid = (
        "; a private run is charged before its first batch: with the same folder and ledger it is started again without a second "
        "charge"
    )
    what = f"{type(error).__name__}, whose text unsafe_logging=True would show" if is_private else str(error)
    return TaskError(
        f"the first batch does not fit {type(task).__name__}: {what} (the batch holds {shapes or 'nothing'}); check shapes, "
        f"dtypes and that labels lie in [0, classes){paid if is_private else ''}"
    )


def too_large(
    error: BaseException, *, step: int, rows: int, accumulate: int, is_saved: bool, is_private: bool
) -> OutOfMemory | None:
    """The error for a step that did not fit into memory; None for any other error."""
    if not _is_memory(error):
        return None
    kept = "; earlier checkpoints are whole, a run with the same settings goes on from the latest" if is_saved else ""
    said = "" if is_private else f" ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
    return OutOfMemory(
        f"step {step + 1} ran out of memory with {rows} rows per step in {accumulate} parts: give accumulate={2 * accumulate} "
        f"for the same gradients in half the memory, or a smaller batch_size{kept}{said}"
    )


def partly_used(error: BaseException, task: Task) -> TaskError | None:
    """The error for a step that several processes cannot share because it used a part of a module; None for any other."""
    if "Expected to have finished reduction" not in str(error):
        return None
    return TaskError(
        f"a step of {type(task).__name__} used only some parameters of a module, so the processes wait for gradients that never "
        "come: make two modules of what is used apart, or run in one process"
    )


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def _range(tensor: Tensor) -> str:
    if tensor.is_floating_point() or not tensor.numel():
        return ""
    return f" in [{int(tensor.min())}, {int(tensor.max())}]"
