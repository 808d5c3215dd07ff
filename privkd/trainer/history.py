"""What a run reported: rows of means, on disk line by line, and as a table."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from privkd.errors import CheckpointError

if TYPE_CHECKING:
    from privkd.certificate import Certificate

__all__ = ["History", "MetricsFile"]

Row = dict[str, Any]
"""Numbers by name; the stage is a string."""


class History(Sequence[Row]):
    """Rows in the order in which they were reported; each has `step` and the means of losses and logs since the last.

    Args:
        rows: as a run reports them.
        leaks: what was written down although nothing protects it, in words.

    Attributes:
        certificate: of a run with private gradients: what its iterates guarantee; None for any other run.
    """

    certificate: Certificate | None = None

    def __init__(self, rows: Iterable[Row] = (), *, leaks: tuple[str, ...] = ()) -> None:
        self.rows, self.leaks = list(rows), leaks

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        return self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # rows may be added

    @property
    def names(self) -> list[str]:
        """Of the columns, in the order in which they first appeared."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> list[float]:
        """One number per row; NaN where a row has none.

        Raises:
            KeyError: no row has it; the message lists the names.
        """
        if name not in self.names:
            raise KeyError(f"{name!r} was not reported; known: {', '.join(self.names)}")
        return [float(row.get(name, math.nan)) for row in self.rows]

    def __str__(self) -> str:
        names = self.names
        lines = [[*names], *([_shown(row.get(name)) for name in names] for row in self.rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(names))]
        return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def _shown(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:.6g}"


class MetricsFile:
    """`metrics.jsonl`: one line per row, written as it is reported.

    Args:
        path: of the file; its folder must exist.
        rows: of the run so far: what a killed run wrote after its last checkpoint is dropped.
    """

    def __init__(self, path: Path, rows: Iterable[Row] = ()) -> None:
        self.path = path
        self._write("wb", rows)

    def append(self, row: Row) -> None:
        """Write one row.

        Raises:
            CheckpointError: the disk is full or the file cannot be written.
        """
        self._write("ab", [row])

    def _write(self, mode: str, rows: Iterable[Row]) -> None:
        try:
            with self.path.open(mode) as file:
                file.write(b"".join(_line(row) for row in rows))
        except OSError as error:
            why = "the disk is full" if error.errno == errno.ENOSPC else str(error)
            raise CheckpointError(
                f"{self.path} was not written: {why}; earlier checkpoints are whole: make room and start the run again to go "
                "on from the latest"
            ) from error


def _line(row: Row) -> bytes:
    """JSON knows no infinities and no NaN: they become strings."""
    plain = {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
    return json.dumps(plain).encode() + b"\n"
