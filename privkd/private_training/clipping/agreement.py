"""Whether two ways of computing the same numbers agree but for rounding.

No tolerance in float32 is right for every model: a loss of 1e-5 is the difference of logits that are a million times as
large, and a unit at the kink of a ReLU may fall on either side. So a difference that is too large for float32 is computed
once more in float64. There rounding shrinks by 2^-29, while what one record does to another stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from privkd.private_training.clipping.job import Job, Rows
from privkd.private_training.clipping.precision import full_precision

_ULPS = 4096  # units of rounding by which two exact ways of summing the same gradient may differ
_FEW_ULPS = 64  # and two passes over the same records, for which additions may come in another order
_ROUGHEST = 0.1  # half precision
_SHRUNK = 2.0**-10  # a difference that becomes smaller than this share of itself in float64 is rounding

T = TypeVar("T")

Measured = tuple[Tensor, Tensor, Tensor]
"""What was tried, the truth, and what their difference is measured by."""


def agree(tried: Tensor, truth: Tensor, scale: Tensor, *, eps: float, again: Callable[[], Measured]) -> bool:
    """Whether all finite values agree, measured by the length of `scale`, to which they belong, in units of rounding `eps`.

    `again` gives all three, computed once more in float64; it is asked where the difference is too large. If it raises, the
    difference counts.
    """
    difference, size = _measured(tried, truth, scale)
    allowed = min(_ROUGHEST, _ULPS * eps)
    if difference <= allowed * size + torch.finfo(truth.dtype).tiny:
        return True
    wide = _given(again)
    if wide is None:
        return False
    repeated, size = _measured(*wide)
    is_rounding = difference < float("inf") and repeated <= _SHRUNK * difference
    return is_rounding or repeated <= allowed * size


def alike(later: Tensor, first: Tensor, *, again: Callable[[], tuple[Tensor, Tensor]]) -> bool:
    """Whether two passes over the same records gave the same losses, but for an order of additions that nobody has promised.

    `again` gives both, computed once more in float64; it is asked where they differ. If it raises, the difference counts.
    """
    if torch.equal(later.nan_to_num(), first.nan_to_num()):
        return True
    difference, size = _measured(later, first, first)
    if later.dtype.itemsize >= 4 and difference <= _FEW_ULPS * torch.finfo(later.dtype).eps * size:
        return True
    wide = _given(again)
    if wide is None:
        return False
    repeated, exact = wide
    # What changed once for all is alike in float64: then the first pass is further from it than rounding takes the later one.
    rounding, _ = _measured(later, repeated, repeated)
    return _measured(repeated, exact, exact)[0] <= _SHRUNK * difference <= _SHRUNK * _FEW_ULPS * rounding


def _given(again: Callable[[], T]) -> T | None:
    """The result; None on devices without float64, and for models that insist on their dtype."""
    with suppress(Exception):
        return again()
    return None


def _measured(tried: Tensor, truth: Tensor, scale: Tensor) -> tuple[float, float]:
    """Length of the difference, and of the scale, over finite values; infinite where only one of the two is finite."""
    usable = truth.isfinite()
    size = float(torch.linalg.vector_norm(torch.where(scale.isfinite(), scale, 0.0).double()))
    if not torch.equal(usable, tried.isfinite()):
        return float("inf"), size
    return float(torch.linalg.vector_norm((tried.double() - truth.double())[usable])), size


def in_float64(job: Job) -> Job:
    """The same job with a loss that is computed in float64; the parameters stay as they are."""

    def loss_per_sample(model: nn.Module, *rows: Tensor) -> Tensor:
        with torch.autocast(rows[0].device.type, enabled=False), _Float64():
            return job.loss_per_sample(model, *(_widened(part) for part in rows))

    return replace(job, loss_per_sample=loss_per_sample)


_NARROW = (torch.float16, torch.bfloat16, torch.float32)
_CASTS = ("float", "half", "bfloat16")


def _widened(value: Any) -> Any:
    """Tensors and names of dtypes in float64, also inside of lists, tuples and dicts."""
    if isinstance(value, Tensor):
        return value.double() if value.dtype in _NARROW else value
    if isinstance(value, torch.dtype):
        return torch.float64 if value in _NARROW else value
    if type(value) in (list, tuple):
        return type(value)(map(_widened, value))
    if type(value) is dict:
        return {name: _widened(part) for name, part in value.items()}
    return value


class _Float64(TorchFunctionMode):
    """Every function of torch gets its floating tensors in float64; parameters are widened where they are used."""

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name == "__get__":  # attributes of the tensor as it is; its dtype alone is given as that of its wide twin
            return _widened(value) if isinstance(value := func(*args, **kwargs), torch.dtype) else value
        in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        if in_place or (name.startswith("__i") and name.endswith("__") and name != "__invert__"):
            return func(args[0], *_widened(args[1:]), **_widened(kwargs))
        if name in _CASTS:
            return args[0].double()
        return func(*_widened(args), **_widened(kwargs))


def rounding_unit(job: Job, rows: Rows) -> float:
    """Rounding unit of the coarsest number that takes part."""
    dtypes = {value.dtype for value in (*rows, *job.model.parameters()) if value.is_floating_point()}
    device = next(job.model.parameters()).device.type
    if torch.is_autocast_enabled(device):
        dtypes.add(torch.get_autocast_dtype(device))
    return max(torch.finfo(dtype).eps for dtype in dtypes)


@contextmanager
def without_autocast(job: Job, rows: Rows) -> Iterator[None]:
    """Autocast off, where parameters and inputs allow it: a check of structure shall not drown in rounding."""
    values = (*rows, *job.model.parameters())
    half = any(value.is_floating_point() and value.dtype.itemsize < 4 for value in values)
    with nullcontext() if half else full_precision(next(job.model.parameters())):
        yield
