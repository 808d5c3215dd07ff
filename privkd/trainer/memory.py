"""A memory with a place for every row of the data, which all processes of a run share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from accountants import check
from privkd.errors import TaskError
from privkd.plain import plain

if TYPE_CHECKING:
    from privkd.trainer.context import Context


class RowMemory:
    """What a task remembers of every row: the last loss, a running prediction, a corrected label.

    Given as `Task(memories={"loss": RowMemory(len(data))})`, it lies on the device of the run and is part of every checkpoint.

    Args:
        rows: places, >= 1.
        shape: of what one place holds; () for a number.
        dtype: real numbers, whole numbers or truth values.
        fill: what every place holds before anything is written to it; finite, and a value of the dtype.

    Raises:
        ValueError: a number is out of range, or the fill is no value of the dtype.
        TypeError: the dtype is none that a memory can have.

    Example:
        >>> memory = RowMemory(4, fill=1.0)
        >>> memory[torch.tensor([2, 0])]
        tensor([1., 1.])
    """

    def __init__(
        self,
        rows: int,
        shape: tuple[int, ...] = (),
        dtype: torch.dtype = torch.float32,
        fill: float = 0.0,
    ) -> None:
        rows, fill = plain(rows), plain(fill)
        check.integer(rows=rows, at_least=1)
        for place, side in enumerate(shape):
            check.integer(**{f"shape[{place}]": side, "at_least": 1})
        if not isinstance(dtype, torch.dtype) or dtype.is_complex:
            raise TypeError(f"dtype={dtype} must be one of torch's for real numbers, whole numbers or truth values")
        check.real(fill=float(fill))
        filled = torch.full((rows, *shape), fill, dtype=dtype)
        if not dtype.is_floating_point and float(filled.flatten()[0]) != float(fill):
            raise ValueError(f"fill={fill!r} is no value of {dtype}")
        self.rows, self.shape, self.dtype, self.fill = rows, tuple(shape), dtype, fill
        self._values = filled

    @property
    def values(self) -> Tensor:
        """All places, shape (rows, ...); to be read, as what is written there bypasses the other processes."""
        return self._values

    def __getitem__(self, index: Tensor) -> Tensor:
        """What the places of these rows hold, on the device of the memory.

        Args:
            index: positions, whole numbers in [0, rows), shape (b,); `batch.index`, for example.

        Raises:
            TaskError: a position is no place.
        """
        _require_positions(index)
        self._require_places(index)
        return self._values[index.to(self._values.device, torch.int64)]

    @torch.no_grad()
    def write(self, index: Tensor, values: Tensor, context: Context) -> None:
        """Put values into the places of these rows, without gradients, and those that other processes write at the same time.

        All processes must call it equally often, with equally many rows. Of a row that is given twice the last value stays, and
        that of the process with the highest rank.

        Args:
            index: positions, whole numbers in [0, rows), shape (b,).
            values: shape (b, ...), of a dtype that the memory holds without loss, real numbers of any precision.
            context: that of the step.

        Raises:
            TaskError: a position is no place, shapes or dtypes do not fit, or a value is not finite. Nothing was written.
        """
        self._require_form(index, values)
        index = context.gather(index.to(context.device, torch.int64))
        values = context.gather(values.detach().to(context.device))
        # What is wrong in one process is refused in all of them, so that none waits for the others.
        self._require_places(index)
        kept = values.to(self.dtype)
        if not bool(torch.isfinite(kept).all()):
            raise TaskError(f"a memory was to hold NaN or infinity as {self.dtype}; nothing was written")
        if not self.dtype.is_floating_point and not bool((kept == values).all()):
            raise TaskError(f"a memory was to hold numbers beyond {self.dtype}; nothing was written")
        # Writing twice to one place at once has no defined end on an accelerator: the last one of each row is taken before.
        ordered, order = index.sort(stable=True)
        is_last = torch.cat([ordered[1:] != ordered[:-1], ordered.new_ones(min(1, len(ordered)), dtype=torch.bool)])
        self._values[ordered[is_last].to(self._values.device)] = kept[order[is_last]].to(self._values.device)

    def to(self, device: torch.device | str) -> None:
        """Move all places to a device."""
        self._values = self._values.to(device)

    def form(self) -> list[Any]:
        """What must be equal for two memories to belong to one run, as JSON."""
        return [self.rows, list(self.shape), str(self.dtype), self.fill]

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""
        return {"values": self._values}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            ValueError: it is that of another memory.
        """
        values = state["values"]
        if values.shape != self._values.shape or values.dtype != self.dtype:
            raise ValueError(
                f"a memory of shape {tuple(self._values.shape)} and dtype {self.dtype} cannot take back one of shape "
                f"{tuple(values.shape)} and dtype {values.dtype}"
            )
        self._values = values.to(self._values.device, copy=True)

    def _require_form(self, index: Tensor, values: Tensor) -> None:
        _require_positions(index)
        if tuple(values.shape) != (len(index), *self.shape):
            places = ", ".join(["b", *map(str, self.shape)])
            raise TaskError(
                f"values of shape {tuple(values.shape)} at {len(index)} positions do not fit a memory with places of shape "
                f"{self.shape}; give positions (b,) and values ({places})"
            )
        if not torch.can_cast(values.dtype, self.dtype):
            raise TaskError(
                f"values of dtype {values.dtype} do not fit a memory of dtype {self.dtype}; convert them, or make another memory"
            )

    def _require_places(self, index: Tensor) -> None:
        if len(index) and (int(index.min()) < 0 or int(index.max()) >= self.rows):
            raise TaskError(
                f"a position is beyond the {self.rows} places of a memory; give positions in [0, {self.rows})"
            )


def _require_positions(index: Tensor) -> None:
    if index.dim() != 1 or index.is_floating_point() or index.is_complex() or index.dtype == torch.bool:
        raise TaskError(
            f"positions have shape {tuple(index.shape)} and dtype {index.dtype}; give whole numbers of shape (b,), such as "
            "batch.index"
        )
