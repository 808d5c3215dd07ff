"""The rehearsal of a private run: its task is tried on made-up rows before anything is charged.

What is found depends on the structure of task and modules alone, not on records, so that texts of errors may be shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from privkd.errors import GuaranteeError, TaskError, UnsupportedModule
from privkd.private_training.clipping.clipper import Clipper
from privkd.private_training.clipping.job import Rows
from privkd.trainer.task import Task

_NAMES_SHOWN = 4  # names in a message


class UseOfTensor(TorchFunctionMode):
    """Notes in `found` whether anything is computed from a tensor; its shape and other attributes may be read."""

    def __init__(self) -> None:
        super().__init__()
        self.tensor: Tensor | None = None
        self.found = False

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":
            for value in (*args, *kwargs.values()):
                parts = value if isinstance(value, tuple | list) else (value,)
                self.found = self.found or any(part is self.tensor for part in parts)
        return func(*args, **kwargs)


def rehearse(
    task: Task, clipper: Clipper, kinds: Sequence[Rows], index_use: UseOfTensor, begin: Callable[[], None] | None
) -> None:
    """Try losses per record, their gradients and the clipping strategy; everything is left as it was.

    All kinds of made-up batches are tried in turn; where losses fail on them, `begin` is called before, as a run calls it
    before its first step.

    Raises:
        TaskError: the task fails on all of them, or none of its parameters gets a gradient.
        MixedRecordsError: records mix.
        UnsupportedModule: the strategy that was asked for does not cover the model.

    Warns:
        UserWarning: some parameters get no gradient.
    """
    failures: list[TaskError] = []
    unreached: list[set[str]] = []
    for start in (None, begin) if begin is not None else (None,):
        for rows in kinds:
            try:
                with clipper.undisturbed(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    if start is not None:
                        start()
                    unreached.append(_tried(task, clipper, rows, index_use))
            except TaskError as error:
                failures.append(error)
        if unreached:
            break
    if unreached:
        _require_gradients(task, clipper, set.intersection(*unreached))
    elif failures:
        raise failures[0]


def _tried(task: Task, clipper: Clipper, rows: Rows, index_use: UseOfTensor) -> set[str]:
    """Parameters without a gradient.

    Raises:
        TaskError: something fails; the message says on what.
    """
    for count in (len(rows[0]), 1):
        try:
            with index_use:
                clipper.losses(*(part[:count] for part in rows))
        except Exception as error:
            raise _failed(task, rows, count, error, index_use) from error
    try:
        unreached = set(clipper.unreached(*rows))
    except Exception as error:
        raise _failed(task, rows, len(rows[0]), error, index_use) from error
    try:
        clipper.try_out(*rows)
    except (GuaranteeError, UnsupportedModule):
        raise
    except Exception as error:
        raise TaskError(
            f"strategy={clipper.strategy!r} cannot clip the gradients of {type(task).__name__}: {_shown(error, index_use)}\n"
            "Nothing was charged; use strategy='auto'"
        ) from error
    return unreached


def _shown(error: Exception, index_use: UseOfTensor) -> str:
    """What an error says, unless the task may have looked up something private."""
    if index_use.found:
        return f"{type(error).__name__}, whose text is kept back, as the task looks up rows by their index"
    return f"{type(error).__name__}: {error}"


def _failed(task: Task, rows: Rows, count: int, error: Exception, index_use: UseOfTensor) -> TaskError:
    name = type(task).__name__
    on = f"{count} made-up rows"
    if count == 1:
        on = (
            f"a batch of one row, although {len(rows[0])} made-up rows work (a private run computes rows one by one, too: squeeze "
            "a dimension by its number, and take no statistics over rows)"
        )
    shapes = ", ".join(f"{tuple(part.shape[1:])} {str(part.dtype)[6:]}" for part in rows[1:])
    return TaskError(
        f"{name}.per_record fails on {on}: {_shown(error, index_use)}\n"
        f"Nothing was charged. The rows have the shapes of the data ({shapes}), floating numbers in [0, 1), and whole numbers "
        f"that are all 0 or all 1. Where only made-up values are at fault, return better ones from {name}.made_up(rows)"
    )


def _require_gradients(task: Task, clipper: Clipper, unreached: set[str]) -> None:
    names = [name for name in clipper.names if name in unreached]
    if not names:
        return
    shown = ", ".join(names[:_NAMES_SHOWN]) + " ..." * (len(names) > _NAMES_SHOWN)
    if len(names) == len(clipper.names):
        raise TaskError(
            f"no gradient reaches {shown} from the losses of {type(task).__name__}: detach(), torch.no_grad(), inference mode or "
            "numpy cuts it off on the way, and the run would release noise alone. Nothing was charged; compute the losses by "
            "operations of torch on what self.modules give"
        )
    warnings.warn(
        f"no gradient reaches {shown} from the losses of {type(task).__name__} on made-up rows: the run would move them by noise "
        "alone. Set requires_grad_(False) where they are not in use; otherwise look for detach(), torch.no_grad() or numpy",
        UserWarning,
        stacklevel=2,
    )


def refuse_half_default() -> None:
    """Refuse a default dtype in which losses and noise would be rounded.

    Raises:
        TaskError: it is not float32 or float64.
    """
    dtype = torch.get_default_dtype()
    if dtype.itemsize < 4:
        raise TaskError(
            f"torch's default dtype is {dtype}, too coarse for losses and gradients that a guarantee rests on; call "
            "torch.set_default_dtype(torch.float32) before, and give precision='bf16' for half precision. Nothing was charged"
        )
