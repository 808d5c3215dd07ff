"""Labels of any kind as class indices 0..K-1, and the names that the classes have.

Names are public: they are what the caller declares, never what private labels were found to hold. No error quotes a
label or says how many of them are wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from accountants import check
from privkd.data.records import Records, require_declared_names

Label: TypeAlias = str | int | bool
"""What a class may be called."""

ClassesGiven: TypeAlias = int | np.integer | Sequence[Label] | np.ndarray
"""A declaration of classes: how many there are, or what they are called, in the order of their indices."""

FOUND = "found"
"""What an owner of public data says instead of the names of its classes: take those that are there."""

_MOST_FOUND = 10_000  # classes that may be read off labels; more are identifiers, or a mistake
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a task.

    Attributes:
        count: number of classes K, >= 2.
        labels: what the classes are called, by index; None where they are just 0..K-1.
        declared: whether the caller declared them; False where the count was read off the labels.
    """

    count: int
    labels: tuple[Label, ...] | None
    declared: bool


def declared_classes(classes: Any) -> Classes:
    """What `classes=` declares (see `ClassesGiven`).

    Raises:
        TypeError: neither a number nor a sequence of names of one kind (text, whole numbers or booleans).
        ValueError: fewer than two classes, or a name that repeats.

    Example:
        >>> declared_classes(("cat", "dog")).count, declared_classes(np.array([10, 20, 30])).labels
        (2, (10, 20, 30))
    """
    if isinstance(classes, set | frozenset | dict | str | bytes):
        raise TypeError(
            f"classes (a {type(classes).__name__}) has no order; give the number of classes, or a list of their names in the "
            "order of their indices"
        )
    is_list = isinstance(classes, list | tuple) or (isinstance(classes, np.ndarray) and classes.ndim > 0)
    if not is_list:
        check.integer(classes=classes, at_least=2)  # its message names what was given
        return Classes(int(cast(Any, classes)), None, declared=True)
    names = tuple(_plain(name) for name in classes)
    if len(names) < 2:
        raise ValueError(f"classes has {len(names)} names; at least 2 classes are needed")
    if len({type(name) for name in names}) > 1:
        raise TypeError("classes mixes names of different kinds; give text only, whole numbers only, or False and True")
    if len(set(names)) != len(names):
        raise ValueError("classes repeats a name; every class needs its own")
    return Classes(len(names), names, declared=True)


def class_indices(labels: np.ndarray, classes: ClassesGiven | None, *, role: str) -> tuple[np.ndarray, Classes]:
    """Labels as indices into the classes.

    Args:
        labels: as `privkd.data.arrays.to_array` gives them with `text=True`, shape (n,) or (n, 1).
        classes: number of classes K; or their names in the order of their indices; or None: booleans have two classes,
            whole numbers those from 0 to the largest label, and text must be declared.
        role: what to call the labels in an error.

    Returns:
        Class index per label, int64, shape (n,), and the classes.

    Raises:
        TypeError: labels of a kind that cannot be classes, or another kind than the declared names.
        ValueError: labels are empty, have another shape, or hold what is no class.
    """
    found = None if classes is None else declared_classes(classes)
    values = _column(labels, role=role)
    if values.dtype.kind == "U":
        if found is None or found.labels is None:
            raise ValueError(
                f"{role} are text; declare the names of all classes, which are public: classes=['cat', 'dog', ...], in the "
                "order of their indices"
            )
        return _looked_up(values, found.labels, role=role), found
    if values.dtype.kind == "b" and found is None:
        return values.astype(np.int64), Classes(2, (False, True), declared=True)  # the dtype tells, no label does
    numbers = whole_numbers(values, role=role)
    if found is None:
        return numbers, Classes(_found(numbers, role=role), None, declared=False)
    if found.labels is not None and not isinstance(found.labels[0], str):
        return _looked_up(numbers, found.labels, role=role), found
    _require_indices(numbers, found.count, role=role)
    return numbers, found


def declared_names(classes: Any) -> tuple[str, ...] | None:
    """The names that `classes=` of `privkd.data.load` declares; None for "found", and where nothing is declared.

    Raises:
        TypeError: neither names that are text nor the word.
        ValueError: see `declared_classes`.
    """
    if classes is None or (isinstance(classes, str) and classes == FOUND):
        return None
    names = None if isinstance(classes, str | int | np.integer) else declared_classes(classes).labels
    if names is None or not isinstance(names[0], str):
        raise TypeError(
            "classes of a source must be a list of names, which are text, in the order of their indices, or the word 'found' for "
            "public data; a number of classes, and names that are whole numbers, are declared where the records are used"
        )
    return cast("tuple[str, ...]", names)


def named_indices(
    labels: np.ndarray, classes: Sequence[str] | np.ndarray | str | None, *, role: str
) -> tuple[np.ndarray, tuple[str, ...] | None, bool]:
    """Labels of a source as indices, and the names that go with them.

    Args:
        labels: as for `class_indices`.
        classes: names in the order of their indices; "found": those that text labels turn out to have, sorted, for public data
            only; None: text is refused, whole numbers are indices as they are, and booleans are False and True.
        role: what to call the labels in an error.

    Returns:
        Class index per label, int64, shape (n,); names by index, or None; and whether the names were found in the labels.

    Raises:
        TypeError, ValueError: see `class_indices`; the labels are text and nothing was said about their names.
    """
    names = declared_names(classes)
    if names is not None:
        return class_indices(labels, names, role=role)[0], names, False
    values = _column(labels, role=role)
    if values.dtype.kind == "U":
        if classes is None:
            raise ValueError(
                f"{role} are text, or folders; declare the names of all classes in the order of their indices: classes=['cat', "
                "'dog', ...]. For public data alone classes='found' takes the names that are there; on private data one "
                "record more would then renumber the others"
            )
        present, indices = np.unique(values, return_inverse=True)
        return indices.reshape(-1).astype(np.int64), tuple(str(name) for name in present), True
    return whole_numbers(values, role=role), ("False", "True") if values.dtype.kind == "b" else None, False


def named_labels(records: Records, classes: ClassesGiven | None) -> np.ndarray:
    """The labels of private records under the names that both they and the classes have; else their class indices.

    Two sources may number the same names differently, so names count where there are any.

    Raises:
        ValueError: the names of the records were found in their labels, and the classes have no names to match them with.
    """
    assert records.labels is not None
    indices = records.labels.cpu().numpy()
    names = None if classes is None else declared_classes(classes).labels
    if names is None or not isinstance(names[0], str) or records.class_names is None:
        require_declared_names(
            records, cure="declare all names: classes=['cat', 'dog', ...] (--class-names cat,dog on the command line)"
        )
        return indices
    return np.array(records.class_names)[indices]


def whole_numbers(values: np.ndarray, *, role: str) -> np.ndarray:
    """Numbers as int64; floats and booleans are taken where every value is whole.

    Raises:
        TypeError: no numbers, or floats with a fraction (a regression target is no class).
        ValueError: a number that does not fit int64.
    """
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{role} have dtype {values.dtype}; text, booleans or whole numbers are needed")
    if values.dtype.kind == "f" and not (np.isfinite(values).all() and (np.abs(values) < 2**53).all()):
        raise ValueError(f"{role} hold NaN, infinite or very large values; drop records without a class")
    if values.dtype.kind == "f" and (values != np.round(values)).any():
        raise TypeError(
            f"{role} are {values.dtype} numbers with fractions, which are no classes: only classification is supported. "
            "For a class per range of values use numpy.digitize"
        )
    if values.dtype.kind == "u" and values.size and int(values.max()) > np.iinfo(np.int64).max:
        raise ValueError(f"{role} hold a number that does not fit int64; class indices count from 0")
    return values.astype(np.int64)


def _column(labels: np.ndarray, *, role: str) -> np.ndarray:
    """Labels with shape (n,), n >= 1."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(
            f"{role}.shape={labels.shape} must be (n,), one class per record; of one-hot rows take argmax(axis=1)"
        )
    if not len(labels):
        raise ValueError(f"{role}.shape={labels.shape} is empty; give one class per record")
    return labels


def _looked_up(values: np.ndarray, names: tuple[Label, ...], *, role: str) -> np.ndarray:
    if (values.dtype.kind == "U") != isinstance(names[0], str):
        raise TypeError(f"{role} have dtype {values.dtype}, but the names in classes are of another kind")
    known = np.array(names)
    known = known if known.dtype.kind == "U" else known.astype(np.int64)
    order = np.argsort(known)
    place = np.clip(np.searchsorted(known[order], values), 0, len(names) - 1)
    indices = order[place]
    if (known[indices] != values).any():
        raise ValueError(
            f"{role} hold values that are not among the {len(names)} declared classes; declare all of them in classes=, or "
            "drop the other records"
        )
    return indices.astype(np.int64)


def _found(numbers: np.ndarray, *, role: str) -> int:
    """Number of classes from 0 to the largest label."""
    if (numbers < 0).any():
        raise ValueError(f"{role} hold negative numbers; declare what they are: classes=[-1, 1], for example")
    count = int(numbers.max()) + 1
    if count > _MOST_FOUND:
        raise ValueError(
            f"{role} reach beyond {_MOST_FOUND} classes; they look like identifiers. Declare the classes: classes=[10001, "
            "10002, ...]"
        )
    if count < 2:
        raise ValueError(f"{role} hold a single class; declare how many there are: classes=2, for example")
    return count


def _require_indices(numbers: np.ndarray, count: int, *, role: str) -> None:
    if (numbers < 0).any() or (numbers >= count).any():
        raise ValueError(
            f"{role} hold numbers outside 0..{count - 1}; for labels that do not count from 0 give their names, such as "
            "classes=[10, 20, 30]"
        )


def _plain(name: object) -> Label:
    """A name as Python holds it."""
    value = name.item() if isinstance(name, np.generic) else name
    if not isinstance(value, str | int):
        raise TypeError(f"classes has a name of type {type(name).__name__}; text, whole numbers or booleans are needed")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("classes has a number that does not fit int64; give it as text")
    if isinstance(value, str) and not 1 <= len(value) <= _LONGEST_NAME:
        raise ValueError(f"classes has a name of {len(value)} characters; 1 to {_LONGEST_NAME} are allowed")
    return value
