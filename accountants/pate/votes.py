"""Tables of teachers' votes, checked without ever showing a count."""

from contextlib import suppress

import numpy as np
from numpy.typing import ArrayLike

from accountants import check
from accountants.numerics.array_kinds import FloatArray

_HIDDEN = "(the counts are private and are not shown)"
_ROUNDING = 1e-6  # a row of probabilities may miss 1 by this much, for single precision


def vote_table(votes: ArrayLike, *, teachers: int) -> FloatArray:
    """The votes as a float64 table, if each row holds one whole vote per teacher.

    Args:
        votes: PRIVATE counts, shape (queries >= 1, classes >= 2).
        teachers: number of teachers, >= 2.

    Returns:
        A copy, shape (queries, classes).

    Raises:
        TypeError: not a table of real numbers, or `teachers` is no integer.
        ValueError: the shape is wrong, or a count is negative, fractional, NaN or infinite, or a row does not sum to
            `teachers`. The message shows the shape and no count.
    """
    teachers = check.as_int(teachers=teachers, at_least=2)
    counts = _as_table(votes, "votes", _HIDDEN)
    with np.errstate(invalid="ignore"):
        whole = np.isfinite(counts) & (counts >= 0.0) & (counts == np.floor(counts))
    if not whole.all():
        raise ValueError(f"votes of shape {counts.shape} must be non-negative whole finite numbers {_HIDDEN}")
    if not (counts.sum(axis=1) == teachers).all():
        raise ValueError(
            f"every row of votes must sum to teachers={teachers}: each teacher gives one vote per query, otherwise one "
            f"record could move more than one vote {_HIDDEN}"
        )
    return counts


def prediction_table(predictions: ArrayLike, *, shape: tuple[int, ...]) -> FloatArray:
    """The public predictions of a student as a float64 table, if each row is a probability distribution.

    Args:
        predictions: probabilities, shape (queries, classes), computed from public or already released values only.
        shape: shape of the votes.

    Returns:
        A copy of that shape.

    Raises:
        TypeError: not a table of real numbers.
        ValueError: another shape than the votes', or a row is no probability distribution.
    """
    table = _as_table(predictions, "predictions", "")
    if table.shape != shape:
        raise ValueError(f"predictions of shape {table.shape} must have the shape of the votes, {shape}")
    if not ((table >= 0.0).all() and np.allclose(table.sum(axis=1), 1.0, rtol=0.0, atol=_ROUNDING)):
        raise ValueError(
            "every row of predictions must be probabilities that sum to 1; pass the softmax, not the logits"
        )
    return table


def _as_table(values: ArrayLike, name: str, note: str) -> FloatArray:
    raw = None
    with suppress(TypeError, ValueError):  # the message of which quotes the offending value
        raw = np.asarray(values)
    if raw is None or raw.dtype.kind not in "iuf":
        fault = " with rows of one length" if raw is None else f", got dtype {raw.dtype}"
        raise TypeError(f"{name} must be a table of real numbers{fault} {note}".rstrip())
    table = raw.astype(np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2:
        raise ValueError(f"{name} must have shape (queries >= 1, classes >= 2), got {table.shape}")
    return table
