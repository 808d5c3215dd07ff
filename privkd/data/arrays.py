"""The one road from raw arrays to `Records`: dtype rules, scaling of uint8 images, the channel dimension.

Every loader ends here, so the same data gives the same records whatever it came from.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from privkd.data.records import Records

EXACT_INTEGER = 2**24  # float32 holds every integer up to this size


@dataclass(frozen=True, eq=False)
class Raw:
    """What a reader found, before any cast.

    Attributes:
        inputs: array, tensor or nested list, shape (n, ...).
        labels: the same with shape (n,) or (n, 1); None if the source has none.
        name: name for the records.
        class_names: names by class index, or None.
    """

    inputs: object
    labels: object | None
    name: str
    class_names: tuple[str, ...] | None = None


def to_records(raw: Raw, *, scale: bool) -> Records:
    """Records from raw arrays; the data are copied, so later changes to the source do not reach them.

    Args:
        raw: inputs and labels as found.
        scale: divide uint8 images, i.e. uint8 inputs with at least three dimensions, by 255. Nothing else is
            ever scaled: not floats, not other integers, not uint8 vectors (n, d).

    Returns:
        Records; inputs (n, height, width) became (n, 1, height, width), all other shapes are as given.

    Raises:
        TypeError: not an array of numbers; labels that are not integers.
        ValueError: ragged lists, integers that float32 cannot hold, or anything that `Records` refuses.
    """
    inputs = _input_tensor(to_array(raw.inputs, role="inputs"), scale=scale)
    labels = None if raw.labels is None else _label_tensor(to_array(raw.labels, role="labels"))
    return Records(inputs, labels, raw.name, raw.class_names)


def to_array(value: object, *, role: str) -> np.ndarray:
    """`value` as a numpy array of its own dtype.

    Args:
        value: numpy array, torch tensor, number or nested list of numbers.
        role: what to call the value in an error.

    Returns:
        Array of booleans, integers or floats.

    Raises:
        TypeError: another type, a masked, sparse or non-numeric array.
        ValueError: a ragged list.
    """
    if isinstance(value, Tensor):
        array = _tensor_to_array(value, role=role)
    elif isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{role} is a masked array, and its mask would be lost; fill or drop the masked values first")
    elif isinstance(value, np.ndarray | np.generic | list | tuple | int | float):
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{role} is a ragged list: all rows must have one length ({error})") from None
    else:
        raise TypeError(
            f"{role}={type(value).__name__} is not an array; give a numpy array, a torch tensor or a nested "
            "list (for a data frame: .to_numpy())"
        )
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{role}.dtype={array.dtype} is not numeric; booleans, integers and floats are read")
    return array


def _tensor_to_array(tensor: Tensor, *, role: str) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.float()  # exact; numpy has no bfloat16
    try:
        return tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(
            f"{role} is a tensor of dtype={tensor.dtype}, layout={tensor.layout}, which numpy cannot hold; "
            f"use .to_dense() or .float() ({error})"
        ) from None


def _input_tensor(array: np.ndarray, *, scale: bool) -> Tensor:
    is_image = array.ndim >= 3
    if array.dtype.kind in "iu" and array.size:
        largest = max(int(array.max()), -int(array.min()))
        if largest > EXACT_INTEGER:
            raise ValueError(
                f"inputs.dtype={array.dtype} has an integer of size {largest}, but float32 is exact only up "
                f"to {EXACT_INTEGER}; scale it or convert it to float yourself"
            )
    with np.errstate(over="ignore"):  # an overflow becomes infinity, which Records refuses with its index
        values = np.array(array, dtype=np.float32, order="C")
    if scale and is_image and array.dtype == np.uint8:
        values /= np.float32(255)
    if values.ndim == 3:
        values = values[:, None]
    return torch.from_numpy(values)


def _label_tensor(array: np.ndarray) -> Tensor:
    if array.size == 0:
        raise ValueError(f"labels.shape={array.shape} is empty; give one class index per record, or None")
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"labels.dtype={array.dtype} must be an integer type: labels are class indices and are never "
            "cast silently; if every value is a class index, use labels.astype('int64')"
        )
    if int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"labels has {array.max()}, which does not fit int64; class indices count from 0")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    return torch.from_numpy(np.array(array, dtype=np.int64, order="C"))
