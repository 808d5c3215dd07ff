"""Torch map-style datasets: every item is read once, in order, in this process."""

from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from privkd.data.arrays import Raw, to_array
from privkd.progress import track


def read_dataset(dataset: Dataset) -> Raw:
    """Stacked items of a map-style dataset.

    A random transform is drawn once per record and then fixed. A tuple (x, y) is a labelled record; (x,) or
    anything else is an input alone, also a list of two numbers.

    Args:
        dataset: yields x or (x, y) for the indices 0 to len - 1; x has one shape and dtype, y is a whole number, a boolean
            or text.

    Returns:
        Inputs (n, *shape of x) in the dtype of x, and labels (n,) or None; named after the dataset's class.

    Raises:
        TypeError: an iterable dataset, one without length, an item of another form, labels of more than one
            kind.
        ValueError: no items, ragged shapes, mixed dtypes, or labels on some items only.
    """
    name = type(dataset).__name__
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise TypeError(f"{name} is not a map-style dataset: both __len__ and __getitem__ are needed")
    count = len(dataset)  # pyright: ignore[reportArgumentType]  # Dataset declares no __len__; checked above
    if count < 1:
        raise ValueError(f"{name} has no items; at least one record is needed")
    inputs, labels = [], []
    with track(f"reading {name}", count) as advance:
        for index in range(count):
            item_input, item_label = _item(dataset[index], where=f"{name}[{index}]")
            if inputs:
                _check_like_first(item_input, inputs[0], where=f"{name}[{index}]", name=name)
            if index > 0 and (item_label is None) != (not labels):
                raise ValueError(f"{name}[{index}] and {name}[0] disagree: either all items have a label or none has")
            inputs.append(item_input)
            if item_label is not None:
                labels.append(item_label)
            advance()
    return Raw(np.stack(inputs), _labels_together(labels, name=name) if labels else None, name)


def _item(item: object, *, where: str) -> tuple[np.ndarray, Any]:
    if not isinstance(item, tuple):
        return _own(item, where=where), None
    if len(item) not in (1, 2):
        raise TypeError(f"{where} is a tuple of {len(item)}; items must be x or (x, y)")
    label = _label(item[1], where=where) if len(item) == 2 else None
    return _own(item[0], where=where), label


def _own(value: object, *, where: str) -> np.ndarray:
    if not isinstance(value, Tensor | np.ndarray | list | int | float | np.generic):
        raise TypeError(
            f"{where} has an input of type {type(value).__name__}; give the dataset a transform that returns "
            "a tensor (for images, channel first)"
        )
    return to_array(value, role=f"{where} input").copy()  # a dataset may hand out one buffer again and again


def _label(value: object, *, where: str) -> Any:
    """One label as Python holds it: text, a boolean or a number."""
    if isinstance(value, str):
        return value
    array = to_array(value, role=f"{where} label", text=True)
    if array.size != 1:
        raise TypeError(f"{where} has a label of shape={array.shape}; one class per item is needed")
    return array.item()


def _labels_together(labels: list[Any], *, name: str) -> np.ndarray:
    """All labels as one array; numpy would turn numbers beside text into text."""
    kinds = {type(label).__name__ for label in labels}
    if len(kinds) > 1 and "str" in kinds:
        raise TypeError(f"the items of {name} have labels of the kinds {sorted(kinds)}; all must be of one kind")
    return to_array(labels, role=f"labels of {name}", text=True)


def _check_like_first(value: np.ndarray, first: np.ndarray, *, where: str, name: str) -> None:
    if value.shape != first.shape:
        raise ValueError(
            f"{where} has shape {value.shape} but {name}[0] has {first.shape}: inputs are never resized or "
            "padded; give the dataset a transform that makes them equal"
        )
    if value.dtype != first.dtype:
        raise ValueError(f"{where} has dtype {value.dtype} but {name}[0] has {first.dtype}: all items need one dtype")
