"""Settings as plain Python values: equal to, and written like, what a config file would give."""

from __future__ import annotations

import dataclasses
import json
import operator
import re
from contextlib import suppress
from numbers import Integral, Real
from typing import Any


def plain(value: Any) -> Any:
    """The bool, int, float or str that a value stands for; what is none of these comes back as it is.

    Numbers of numpy, arrays and tensors without dimensions, fractions and members of enums that are numbers or strings all
    pass for numbers in Python, and none of them can be written as JSON.

    Example:
        >>> import numpy as np
        >>> [plain(value) for value in (np.int64(3), np.array(0.5), np.True_, "poisson", None)]
        [3, 0.5, True, 'poisson', None]
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value).__module__.partition(".")[0] in ("numpy", "torch") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return operator.index(value)
    if isinstance(value, Real):
        with suppress(OverflowError):  # checks of ranges say so
            return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    return value


def as_read(value: Any) -> Any:
    """The value that a reader of its JSON file gets: tuples become lists, and keys become text."""
    return json.loads(json.dumps(value))


def make_plain(settings: Any) -> None:
    """Make the fields of a dataclass plain, for the beginning of `__post_init__`; frozen ones, too.

    Numbers in fields whose annotation says float become floats, so that 1 and 1.0 are one setting.
    """
    for field in dataclasses.fields(settings):
        given = getattr(settings, field.name)
        value = tuple(map(plain, given)) if type(given) is tuple else plain(given)
        if type(value) is int and "float" in re.findall(r"\w+", str(field.type)):
            with suppress(OverflowError):
                value = float(value)
        if value is not given:
            object.__setattr__(settings, field.name, value)
