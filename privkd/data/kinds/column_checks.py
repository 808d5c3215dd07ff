"""Checks of columns: each gives the list of what is wrong, with the position of the first row at fault, and never a value."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from privkd.data.records import name_problems

TOLERANCE = 1e-3  # by which images may leave [0, 1]


def refuse(what: str, problems: list[str]) -> None:
    """Raise all problems at once; nothing happens if there are none.

    Raises:
        ValueError: there are problems.
    """
    if problems:
        raise ValueError(f"{what} cannot be used:\n  - " + "\n  - ".join(problems))


def require_tensors(dtype: torch.dtype, **named: object) -> None:
    """Refuse what is no tensor of the dtype; `None` is taken where it is given.

    Raises:
        TypeError: another type or dtype; nothing is cast.
    """
    for name, value in named.items():
        if value is None:
            continue
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} (a {type(value).__name__}) must be a torch.Tensor of dtype {dtype}")
        if value.dtype != dtype:
            raise TypeError(f"{name}.dtype={value.dtype} must be {dtype}; convert it with .to({dtype})")


def first_row(wrong: Tensor) -> int | None:
    """Position of the first row in which anything is true; None if there is none.

    Example:
        >>> first_row(torch.tensor([[False, False], [False, True]]))
        1
    """
    rows = wrong.flatten(1).any(1) if wrong.ndim > 1 else wrong
    found = rows.nonzero()
    return int(found[0]) if len(found) else None


def value_problems(values: Tensor, *, role: str) -> list[str]:
    """Numbers that are not finite, or a tensor that is part of a graph of gradients."""
    if values.requires_grad:
        return [f"{role}.requires_grad=True, but these are data; use {role}.detach()"]
    if not values.is_floating_point():
        return []
    row = first_row(~torch.isfinite(values))
    return [] if row is None else [f"{role} has NaN or infinite values, first in row {row}; drop or repair such rows"]


def image_problems(images: Tensor, *, role: str) -> list[str]:
    """Images (n, channels, height, width), each size >= 1, whose values are not finite or not in [0, 1]."""
    if images.ndim != 4 or images.numel() == 0:
        return [f"{role}.shape={tuple(images.shape)} must be (n, channels, height, width) with at least one value"]
    if problems := value_problems(images, role=role):
        return problems
    row = first_row((images < -TOLERANCE) | (images > 1 + TOLERANCE))
    if row is None:
        return []
    return [f"{role} has values outside [0, 1], first in row {row}; divide values of 0..255 by 255"]


def label_problems(
    labels: Tensor, class_names: tuple[str, ...] | None, *, rows: int, lowest: int = 0, role: str = "labels"
) -> list[str]:
    """Class indices (n,) of another length, below `lowest` (-1: unlabelled rows are allowed), or beyond the class names."""
    if tuple(labels.shape) != (rows,):
        return [f"{role}.shape={tuple(labels.shape)} must be ({rows},), one class index per row"]
    problems = []
    row = first_row(labels < lowest)
    if row is not None:
        meaning = "classes count from 0" + (", and -1 means unlabelled" if lowest < 0 else "")
        problems.append(f"{role} has a number below {lowest}, first in row {row}; {meaning}")
    row = None if class_names is None else first_row(labels >= len(class_names))
    if class_names and row is not None:
        problems.append(
            f"{role} has a number above {len(class_names) - 1}, the last of class_names, first in row {row}"
        )
    return problems


def class_name_problems(class_names: object) -> list[str]:
    """Names of classes that are empty or repeat one.

    Raises:
        TypeError: neither None nor a tuple of strings.
    """
    if class_names is None:
        return []
    if not isinstance(class_names, tuple) or not all(isinstance(name, str) for name in class_names):
        raise TypeError(f"class_names (a {type(class_names).__name__}) must be a tuple of strings or None")
    return name_problems(class_names, labels=None)


def extra_problems(extra: Mapping[str, Tensor], *, rows: int, taken: tuple[str, ...]) -> list[str]:
    """Further columns with a name that is in use or no identifier, of another length, or not finite."""
    problems = []
    for name, column in extra.items():
        if not name.isidentifier() or name in taken:
            problems.append(f"column name {name!r} must be an identifier other than {', '.join(taken)}")
        elif column.ndim == 0 or len(column) != rows:
            problems.append(f"column {name!r} has shape {tuple(column.shape)}; its first dimension must be {rows}")
        else:
            problems += value_problems(column, role=f"column {name!r}")
    return problems


def require_name(name: object) -> None:
    """Refuse what is no string as the name of data.

    Raises:
        TypeError: another type.
    """
    if not isinstance(name, str):
        raise TypeError(f"name (a {type(name).__name__}) must be a string")
