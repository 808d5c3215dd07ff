"""What `transcribe` was given, each argument checked by itself: public queries, private records, numbers and settings."""

from __future__ import annotations

import math
import secrets
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accountants import check
from privkd.certificates.scopes import check_delta
from privkd.data import Records
from privkd.data.arrays import input_tensor, to_array
from privkd.data.input_spec import InputSpec
from privkd.data.labels import Classes, ClassesGiven, class_indices, named_labels
from privkd.data.ranges import require_range, typical_size, warn_of_other_range
from privkd.mechanisms import NoiseSource, SystemNoise
from privkd.mechanisms.private_value import Private


def checked_queries(queries: Any, declared: InputSpec | None = None) -> tuple[Tensor | None, int | None]:
    """Public inputs as a float32 CPU tensor of their own memory, or a number of queries to generate.

    Inputs may be of any kind that `privkd.data.load` takes as arrays, under its rule for uint8, or `Records`.

    Raises:
        TypeError: neither inputs nor a number.
        ValueError: empty, not finite, carrying a gradient, or of another scale than was declared.
    """
    if queries is None:
        return None, None
    if isinstance(queries, np.ndarray) and queries.ndim == 0:
        queries = queries.item()
    if isinstance(queries, Integral) and not isinstance(queries, bool):
        check.integer(queries=queries, at_least=1)
        return None, int(queries)
    if isinstance(queries, Records):
        queries = queries.inputs
    if isinstance(queries, str | bool | float | int | type(None)):
        raise TypeError(
            f"{check.given('queries', queries)} must be public inputs (tensor, array or table, shape (n, ...)), or how many to "
            "generate; files are read with privkd.data.load(path).inputs"
        )
    if isinstance(queries, Tensor) and queries.requires_grad:
        raise ValueError("queries require a gradient, which would tie them to a model; pass queries.detach()")
    plain = input_tensor(queries, role="queries")
    if plain.dim() not in (2, 4) or not plain.numel():
        raise ValueError(
            f"queries have shape {tuple(plain.shape)}; (n >= 1, d), (n >= 1, height, width) or (n >= 1, channels, height, "
            "width) is needed"
        )
    if not torch.isfinite(plain).all():
        raise ValueError("queries contain NaN, infinite values or values beyond float32")
    if declared is not None:
        require_range(plain, low=declared.low, high=declared.high)
    return plain, None


def checked_records(
    records: Any, *, shape: tuple[int, ...], classes: ClassesGiven | None, queries: Tensor | None = None
) -> tuple[Private, Private] | None:
    """Private inputs and labels, boxed, with the shape and classes of the teacher; warns if queries are on another scale.

    Raises:
        TypeError: not a pair of arrays, or labels of another kind than the classes.
        ValueError: shapes differ, inputs are not finite, or a label is no class; which is not said.
    """
    if records is None:
        return None
    values, classified = _pair(records, classes)
    inputs = input_tensor(values, role="record inputs")
    labels = to_array(classified, role="record labels", text=True)
    if tuple(inputs.shape[1:]) != tuple(shape) or labels.shape[:1] != inputs.shape[:1] or not len(inputs):
        raise ValueError(
            f"records have shapes {tuple(inputs.shape)} and {labels.shape}; (n, {shape}) and (n,) are needed"
        )
    if not torch.isfinite(inputs).all():
        raise ValueError("record inputs contain NaN, infinite values or values beyond float32; clean them first")
    indices, _ = class_indices(labels, classes, role="record labels")
    if queries is not None:
        warn_of_other_range(typical_size(inputs), queries)
    return (
        Private(inputs, origin="private record inputs"),
        Private(torch.from_numpy(indices), origin="private record labels"),
    )


def classes_of_records(records: Any, classes: ClassesGiven | None) -> Classes:
    """The classes of private records that work without a teacher: as declared, or as many as their labels show.

    Raises:
        TypeError, ValueError: see `class_indices`.
    """
    labels = to_array(_pair(records, classes)[1], role="record labels", text=True)
    return class_indices(labels, classes, role="record labels")[1]


def _pair(records: Any, classes: ClassesGiven | None) -> tuple[Any, Any]:
    """Inputs and labels as they were given."""
    if isinstance(records, Records):
        if records.labels is None:
            raise ValueError("records have no labels; the labels of the private records are what is counted")
        return records.inputs, named_labels(records, classes)
    if not isinstance(records, (tuple, list)) or len(records) != 2:
        raise TypeError(f"records must be a pair (inputs, labels), got {type(records).__name__}")
    return records[0], records[1]


def require_trainable() -> None:
    """Refuse global settings of torch under which no student can be trained.

    Raises:
        ValueError: inference mode, or another default dtype than float32.
    """
    if torch.is_inference_mode_enabled():
        raise ValueError("no student can be trained under torch.inference_mode(); call transcribe outside of it")
    if torch.get_default_dtype() is not torch.float32:
        raise ValueError(
            f"torch's default dtype is {torch.get_default_dtype()}; students are float32: torch.set_default_dtype(torch.float32)"
        )


def checked_epsilon(epsilon: float, *, allow_nonprivate: bool) -> float:
    """Epsilon as a float > 0; infinity only where the caller allows a student without any guarantee."""
    if isinstance(epsilon, float) and math.isinf(epsilon) and epsilon > 0:
        if not allow_nonprivate:
            raise ValueError(
                "epsilon=inf adds no noise and guarantees nothing; pass allow_nonprivate=True if that is what you want"
            )
        return epsilon
    check.real(epsilon=epsilon, above=0.0)
    return float(epsilon)


def checked_delta(delta: float | None, n: int | None) -> float:
    """The given delta if it is below 1/n; by default the largest power of ten that is at most 1/(10 n), 1e-5 for unknown n."""
    if delta is None:
        return 1e-5 if n is None else 10.0 ** math.floor(math.log10(1 / (10 * n)) + 1e-12)
    check_delta(delta, n)
    return float(delta)


def checked_seed(seed: int | None) -> int:
    """The given seed of public randomness, or a fresh one."""
    if seed is None:
        return secrets.randbelow(2**31)
    check.integer(seed=seed, at_least=0, at_most=2**31 - 1)
    return int(seed)


def checked_noise(noise: NoiseSource | None) -> NoiseSource:
    """The given noise source, or the operating system's entropy."""
    if noise is None:
        return SystemNoise()
    if not isinstance(noise, NoiseSource):
        raise TypeError(f"noise must be a privkd.mechanisms.NoiseSource, got {type(noise).__name__}")
    return noise


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value, if it is allowed."""
    if value not in allowed:
        raise ValueError(f"{name}={value!r} is unknown; allowed are {', '.join(map(repr, allowed))}")
    return value
