"""Numbers in the text files beside a video: boxes, flags, indicators; errors name the sequence and the frame."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from privkd.data.kinds.sequence import SequenceError
from privkd.errors import CheckpointError
from privkd.storage import opened

_LARGEST = 64 * 2**20  # bytes of a text file: a million frames of boxes


def text_of(path: Path, *, sequence: str) -> str:
    """The whole text of a file, UTF-8.

    Raises:
        SequenceError: it is no regular file, larger than 64 MiB, or no UTF-8.
    """
    try:
        with opened(path) as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST} bytes")
        return content.decode("utf-8-sig")
    except (OSError, ValueError, CheckpointError) as error:
        raise SequenceError(sequence, f"{path.name} cannot be read: {error}") from None


def rows_of(path: Path, columns: int, *, sequence: str) -> np.ndarray:
    """Numbers of a file with a line per frame, separated by commas or white space.

    Args:
        path: of the file; empty lines at its end are left out.
        columns: numbers per line.
        sequence: for the message.

    Returns:
        float64, shape (lines, columns); NaN and infinities are given on.

    Raises:
        SequenceError: a line with another number of entries, or with something that is no number; its frame is named.
    """
    lines = text_of(path, sequence=sequence).rstrip().splitlines()
    rows = np.empty((len(lines), columns))
    for frame, line in enumerate(lines):
        numbers = [_number(entry) for entry in _entries(line)]
        if len(numbers) != columns or None in numbers:
            problem = f"{path.name} must have {columns} numbers in each line; here it has {len(numbers)} entries"
            raise SequenceError(
                sequence, problem if len(numbers) != columns else f"{path.name} has no number", frame=frame
            )
        rows[frame] = numbers
    return rows


def flags_of(path: Path, frames: int, *, sequence: str) -> np.ndarray:
    """Flags 0 and 1 of a file, one per frame, in lines or separated by commas; bool, shape (frames,).

    Raises:
        SequenceError: another number of flags, or something else than 0 and 1; its frame is named.
    """
    entries = _entries(" ".join(text_of(path, sequence=sequence).split()))
    if len(entries) != frames:
        raise SequenceError(sequence, f"{path.name} has {len(entries)} flags for {frames} frames")
    for frame, entry in enumerate(entries):
        if _number(entry) not in (0.0, 1.0):
            raise SequenceError(sequence, f"{path.name} must hold 0 and 1", frame=frame)
    return np.array([_number(entry) == 1.0 for entry in entries])


def whole_numbers_of(path: Path, *, sequence: str) -> list[int]:
    """Whole numbers of a file, separated by commas or white space.

    Raises:
        SequenceError: something else is among them.
    """
    numbers = [_number(entry) for entry in _entries(" ".join(text_of(path, sequence=sequence).split()))]
    if any(number is None or not math.isfinite(number) or number != int(number) for number in numbers):
        raise SequenceError(sequence, f"{path.name} must hold whole numbers")
    return [int(number) for number in numbers if number is not None]


def _entries(line: str) -> list[str]:
    return re.split(r"\s*,\s*|\s+", line.strip()) if line.strip() else []


def _number(entry: str) -> float | None:
    try:
        return float(entry) if len(entry) < 64 and "_" not in entry else None
    except ValueError:
        return None
