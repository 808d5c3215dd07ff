"""What users have, as plain arrays, and the one rule of dtypes: wherever inputs enter, they pass through here.

The rule: uint8 becomes float32 in [0, 1] by division by 255, whatever its shape; every other dtype keeps its values.
Queries, private records, training rows, what a student predicts from and every file follow it, so that the same data
mean the same wherever they are given. Values are never quoted in an error: they may be private.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from privkd.data.labels import declared_names, named_indices
from privkd.data.records import Records

EXACT_INTEGER = 2**24  # float32 holds every integer up to this size


@dataclass(frozen=True, eq=False)
class Raw:
    """What a reader found, before any cast.

    Attributes:
        inputs: array, tensor or nested list, shape (n, ...).
        labels: the same with shape (n,) or (n, 1); None if the source has none.
        name: name for the records.
    """

    inputs: object
    labels: object | None
    name: str


def to_records(raw: Raw, *, scale: bool, classes: Sequence[str] | np.ndarray | str | None = None) -> Records:
    """Records from raw arrays; the data are copied, so later changes to the source do not reach them.

    Args:
        raw: inputs and labels as found.
        scale: whether uint8 inputs become [0, 1].
        classes: names of the classes, or "found"; see `named_indices`.

    Returns:
        Records; inputs (n, height, width) became (n, 1, height, width), all other shapes are as given.

    Raises:
        TypeError: not an array of numbers, or labels of a kind that is not read.
        ValueError: ragged lists, integers that float32 cannot hold, or anything that `Records` refuses.
    """
    inputs = input_tensor(raw.inputs, role="inputs", scale=scale)
    if raw.labels is None:
        return Records(inputs, None, raw.name, declared_names(classes))
    values = to_array(raw.labels, role="labels", text=True)
    indices, names, found = named_indices(values, classes, role="labels")
    return Records(inputs, torch.from_numpy(indices), raw.name, names, found)


def input_tensor(value: object, *, role: str, scale: bool = True) -> Tensor:
    """A batch of inputs as torch holds it: see `input_array`; (n, height, width) becomes (n, 1, height, width).

    Args:
        value: anything that `to_array` takes, shape (n, ...).
        role: what to call the value in an error.
        scale: see `input_array`.

    Returns:
        Float32 tensor on the CPU that shares no memory with the value.
    """
    values = input_array(value, role=role, scale=scale)
    return torch.from_numpy(values[:, None] if values.ndim == 3 else values)


def input_array(value: object, *, role: str, scale: bool = True) -> np.ndarray:
    """Inputs as float32 under the rule of this module: uint8 is divided by 255, other dtypes keep their values.

    Args:
        value: anything that `to_array` takes, of any shape.
        role: what to call the value in an error.
        scale: False keeps the values of uint8 as well.

    Returns:
        Float32 array in C order that shares no memory with the value. Values beyond float32 become infinite.

    Raises:
        TypeError: as `to_array`.
        ValueError: as `to_array`, or an integer beyond 2^24, which float32 would round.

    Example:
        >>> input_array(np.array([[0, 51, 255]], dtype=np.uint8), role="inputs").tolist()
        [[0.0, 0.20000000298023224, 1.0]]
        >>> input_array([[0, 51, 255]], role="inputs").tolist()
        [[0.0, 51.0, 255.0]]
    """
    array = to_array(value, role=role)
    if array.dtype.kind in "iu" and array.size and max(int(array.max()), -int(array.min())) > EXACT_INTEGER:
        raise ValueError(
            f"{role}.dtype={array.dtype} with integers beyond {EXACT_INTEGER}, which float32 would round; scale them, or "
            "convert them to float yourself"
        )
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which whoever checks the values refuses
        values = np.array(array, dtype=np.float32, order="C")
    if scale and array.dtype == np.uint8:
        values /= np.float32(255)
    return values


def to_array(value: object, *, role: str, text: bool = False) -> np.ndarray:
    """`value` as a numpy array of its own dtype.

    Args:
        value: numpy array, torch tensor (of any device, layout and dtype that is real), pandas or polars table or column,
            scipy sparse matrix, number, or nested list.
        role: what to call the value in an error.
        text: whether strings are allowed (labels), too.

    Returns:
        Array of booleans, integers, floats or, if allowed, unicode strings. It may share memory with the value.

    Raises:
        TypeError: another type, a masked or non-numeric array; of a table, the first column that is not numeric.
        ValueError: a ragged list, or missing values in a column of objects.
    """
    if isinstance(value, Tensor):
        array = _tensor_to_array(value, role=role)
    elif isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{role} is a masked array, and its mask would be lost; fill or drop the masked values first")
    elif isinstance(value, np.ndarray | np.generic | list | tuple | int | float):
        try:
            array = np.asarray(value)
        except ValueError:
            raise ValueError(f"{role} is a ragged list: all rows must have one length") from None
    elif _is_sparse(value):
        array = np.asarray(value.toarray())  # pyright: ignore[reportAttributeAccessIssue]
    elif callable(getattr(value, "to_numpy", None)):
        array = _table_to_array(value, role=role, text=text)
    else:
        raise TypeError(
            f"{role}={type(value).__name__} is not an array; give a numpy array, a torch tensor, a pandas or polars table, "
            "a scipy sparse matrix or a nested list"
        )
    if array.dtype.kind in "OT":
        array = _plain_objects(array, role=role)
    if array.dtype.kind not in ("biufU" if text else "biuf"):
        allowed = "text, booleans, integers and floats" if text else "booleans, integers and floats"
        raise TypeError(f"{role}.dtype={array.dtype} is not numeric; {allowed} are read")
    return array


def is_table(value: object) -> bool:
    """Whether a value is a table, column or sparse matrix that `to_array` reads."""
    return callable(getattr(value, "to_numpy", None)) or _is_sparse(value)


def _is_sparse(value: object) -> bool:
    from scipy.sparse import issparse

    return bool(issparse(value))


def _tensor_to_array(tensor: Tensor, *, role: str) -> np.ndarray:
    tensor = tensor.detach()
    try:
        tensor = (tensor.to_dense() if tensor.layout != torch.strided else tensor).cpu().resolve_conj().resolve_neg()
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()  # exact; numpy has no bfloat16
        return tensor.numpy()
    except (TypeError, RuntimeError):
        raise TypeError(
            f"{role} is a tensor of dtype={tensor.dtype}, layout={tensor.layout}, which numpy cannot hold; "
            "use .to_dense() or .float()"
        ) from None


def _table_to_array(table: Any, *, role: str, text: bool) -> np.ndarray:
    """A table as one array; a column that holds no numbers is named, as its name is no private value."""
    array = np.asarray(table.to_numpy())
    if array.dtype.kind in "OT" and array.ndim == 2 and not text:
        for name in table.columns:
            column = np.asarray(table[name].to_numpy())
            if column.dtype.kind in "OT":
                column = _plain_objects(column, role=f"{role}: column {str(name)!r}")
            if column.dtype.kind not in "biuf":
                raise TypeError(
                    f"{role}: column {str(name)!r} has dtype {column.dtype}, which is not numeric; encode it (for example with "
                    "pandas.get_dummies) or drop it"
                )
    return array


def _plain_objects(array: np.ndarray, *, role: str) -> np.ndarray:
    """An array of Python objects as the dtype that all of them have.

    Raises:
        TypeError: kinds are mixed or unknown.
        ValueError: values are missing.
    """
    values = list(array.ravel())
    if any(_is_missing(value) for value in values):
        raise ValueError(f"{role}.dtype={array.dtype} with missing values (None, NaN or NA); fill or drop them first")
    if _all(values, str):
        return np.array([str(value) for value in values]).reshape(array.shape)
    if _all(values, bool | np.bool_):
        return array.astype(bool)
    if _all(values, bool | np.bool_ | Real):
        kind = np.int64 if all(isinstance(value, int | np.integer | np.bool_) for value in values) else np.float64
        try:
            return array.astype(kind)
        except OverflowError:
            raise ValueError(f"{role} has an integer that does not fit int64; convert it to float yourself") from None
    raise TypeError(
        f"{role}.dtype={array.dtype} is not numeric: an array of Python objects must hold numbers only, or text only where "
        "it is labels; convert it to one dtype with .astype(...)"
    )


def _all(values: Iterable[object], kind: Any) -> bool:
    return all(isinstance(value, kind) for value in values)


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value
