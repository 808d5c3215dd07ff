"""Tables of text: CSV, TSV and one JSON object per line, read strictly; errors name the line, and quote nothing of it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from privkd.errors import CheckpointError
from privkd.storage import json_lines, opened


def read_table(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, list[str]]:
    """Columns of a table by name, as text; other columns are left alone.

    Args:
        path: .csv (comma, quotes as of RFC 4180), .tsv (tabs, no quoting) or .jsonl (an object per line, whose values are text,
            numbers, booleans or null, which is empty text), UTF-8; the first line of .csv and .tsv names the columns.
        required: columns that must be there.
        optional: columns that are read where they are.

    Returns:
        Columns of one length, at least 1.

    Raises:
        ValueError: a column is missing or occurs twice, a line has another number of fields, is too long or cannot be read, or
            there is no row.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".jsonl" else _delimited_rows(path)
    columns: dict[str, list[str]] = {}
    for position, (line, row) in enumerate(rows):
        if not position:
            missing = [name for name in required if name not in row]
            if missing:
                raise ValueError(f"{path} has no column {missing[0]!r}; columns found: {sorted(row)[:20]}")
            columns = {name: [] for name in dict.fromkeys((*required, *optional)) if name in row}
        for name, column in columns.items():
            if name not in row:
                raise ValueError(f"{path}, line {line} has no {name!r}, which earlier lines have")
            column.append(row[name])
    if not columns:
        raise ValueError(f"{path} has no rows")
    return columns


def whole_column(column: list[str], *, role: str, path: Path) -> Tensor:
    """A column of whole numbers as int64.

    Raises:
        ValueError: something else is in a row, which is named.
    """
    numbers = []
    for row, text in enumerate(column):
        if not _is_whole(text):
            raise ValueError(f"{path}: {role} in row {row} is no whole number")
        numbers.append(int(text))
    return torch.tensor(numbers, dtype=torch.int64)


def numbers_or_text(column: list[str]) -> np.ndarray:
    """A column of labels, shape (n,): int64 if all of them are whole numbers, else text.

    Example:
        >>> numbers_or_text(["3", "-1"]), numbers_or_text(["3", "x"])
        (array([ 3, -1]), array(['3', 'x'], dtype='<U1'))
    """
    if all(map(_is_whole, column)):
        return np.array([int(text) for text in column], dtype=np.int64)
    return np.array(column)


def _is_whole(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdecimal() and len(text) < 19  # fits int64


def _delimited_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    tabs = path.suffix.lower() == ".tsv"
    quoting = csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL
    with _read(path), opened(path) as file, TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, "excel-tab" if tabs else "excel", quoting=quoting, strict=True)
        names = next(reader, None)
        if names is None or len(set(names)) != len(names):
            raise ValueError("the first line must name the columns, each by a name of its own")
        for row in reader:
            if not row and len(names) > 1:  # an empty line
                continue
            if len(row) != len(names):
                raise ValueError(f"line {reader.line_num} has {len(row)} fields, but there are {len(names)} columns")
            yield reader.line_num, dict(zip(names, row, strict=True))


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with _read(path):
        for line, values in json_lines(path):
            nested = [name for name, value in values.items() if isinstance(value, dict | list)]
            if nested:
                raise ValueError(
                    f"line {line} has a value that is an object or a list; text, numbers, booleans and null are read"
                )
            yield line, {name: "" if value is None else str(value) for name, value in values.items()}


@contextmanager
def _read(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, csv.Error, CheckpointError) as error:
        raise ValueError(f"{path} cannot be read as a table: {error}") from None
