"""Named columns: what a data kind gives to whoever goes through its rows."""

from __future__ import annotations

from typing import Any, Protocol, TypeGuard, runtime_checkable

from torch import Tensor


@runtime_checkable
class Columns(Protocol):
    """Data whose rows lie in tensors with names.

    A kind whose rows are ragged, or are read one by one, is a torch `Dataset` of named values instead.
    """

    def __len__(self) -> int:
        """Number of rows."""
        ...

    def columns(self) -> dict[str, Tensor]:
        """The columns by name, in the order in which they are shown; each has as many rows as the data."""
        ...


def has_columns(data: Any) -> TypeGuard[Columns]:
    """Whether data are `Columns`; tables whose `columns` is a list of names are not."""
    return isinstance(data, Columns) and callable(data.columns)
