"""Few-shot class-incremental learning: what a model still knows, and what it has learned, after every session."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from privkd.metrics.inputs import Flags, Labels, integers, require_same_length


@dataclass(frozen=True)
class IncrementalScores:
    """Accuracies after each session, of one head over all classes seen so far.

    Read base and new together: a model that learns nothing new keeps a high accuracy and a drop near 0.

    Attributes:
        accuracy: a_t, share of all test rows, after session t = 0, 1, ...
        base: share of the rows of the classes of session 0.
        new: share of the rows of all later classes; NaN after session 0, when there are none.
        forgetting: of each class seen before the last session, its best earlier accuracy minus its last one; negative
            where it got better.
    """

    accuracy: tuple[float, ...]
    base: tuple[float, ...]
    new: tuple[float, ...]
    forgetting: dict[int, float]

    @property
    def average(self) -> float:
        """The mean of a_t over the sessions."""
        return float(np.mean(self.accuracy))

    @property
    def performance_drop(self) -> float:
        """PD = a_0 - a_T. Lower is better, but it means nothing alone: a model that is always wrong has 0."""
        return self.accuracy[0] - self.accuracy[-1]

    @property
    def harmonic_mean(self) -> tuple[float, ...]:
        """2 B N / (B + N) of base and new accuracy after each session; 0 if both are 0, NaN after session 0."""
        return tuple(_harmonic(base, new) for base, new in zip(self.base, self.new, strict=True))

    @property
    def mean_forgetting(self) -> float:
        """The mean of `forgetting` over classes; NaN if there was one session only."""
        return float(np.mean(list(self.forgetting.values()))) if self.forgetting else math.nan


def score_sessions(
    predicted: Sequence[ArrayLike], labels: Sequence[ArrayLike], classes: Sequence[Sequence[int]]
) -> IncrementalScores:
    """The scores of a class-incremental run, by rows (means of batch means would weigh a short last batch too much).

    Args:
        predicted: after each session, the predicted class of every test row, integers, shape (n_t,).
        labels: after each session, the classes of the same rows, integers; every class seen so far must occur and no other.
        classes: of each session, the classes that it added.

    Raises:
        TypeError: not integers.
        ValueError: no session, lengths that differ, a session without classes, a class in two sessions, labels that are not
            exactly the classes seen so far, or predictions of a class that was not seen yet (its logit must not exist).

    Example:
        >>> found = score_sessions([[0, 1], [0, 0, 2]], [[0, 1], [0, 1, 2]], [[0, 1], [2]])
        >>> found.accuracy, found.base, found.forgetting
        ((1.0, 0.6666666666666666), (1.0, 0.5), {0: 0.0, 1: 1.0})
    """
    if not len(classes) or not len(predicted) == len(labels) == len(classes):
        raise ValueError(
            f"predicted of {len(predicted)} sessions, labels of {len(labels)} and classes of {len(classes)} do not fit, or there "
            "are none"
        )
    added = [integers(list(one), name=f"classes[{t}]") for t, one in enumerate(classes)]
    every = np.concatenate(added)
    if len(np.unique(every)) != len(every):
        raise ValueError("classes names a class twice; every class is added by one session")
    rows = [_session(t, predicted[t], labels[t], np.concatenate(added[: t + 1])) for t in range(len(classes))]
    base = [np.isin(wanted, added[0]) for _, wanted in rows]
    return IncrementalScores(
        accuracy=tuple(float(right.mean()) for right, _ in rows),
        base=tuple(float(right[old].mean()) for (right, _), old in zip(rows, base, strict=True)),
        new=tuple(
            float(right[~old].mean()) if not old.all() else math.nan for (right, _), old in zip(rows, base, strict=True)
        ),
        forgetting=_forgetting(rows, added),
    )


def _session(t: int, predicted: ArrayLike, labels: ArrayLike, seen: Labels) -> tuple[Flags, Labels]:
    """Whether each row is right, and its class."""
    answers, wanted = integers(predicted, name=f"predicted[{t}]"), integers(labels, name=f"labels[{t}]")
    require_same_length(**{f"predicted[{t}]": answers, f"labels[{t}]": wanted})
    if set(np.unique(wanted)) != set(seen):
        raise ValueError(
            f"labels[{t}] must hold every one of the {len(seen)} classes seen up to session {t}, and no other; it holds "
            f"{len(np.unique(wanted))} classes"
        )
    unseen = ~np.isin(answers, seen)
    if unseen.any():
        raise ValueError(
            f"predicted[{t}] names classes not seen up to session {t} in {int(unseen.sum())} rows; mask their logits, or let "
            "the head grow with the classes"
        )
    return answers == wanted, wanted


def _forgetting(rows: list[tuple[Flags, Labels]], added: list[Labels]) -> dict[int, float]:
    lost = {}
    for session, classes in enumerate(added[:-1]):
        for name in classes.tolist():
            history = [float(right[wanted == name].mean()) for right, wanted in rows[session:]]
            lost[name] = max(history[:-1]) - history[-1]
    return lost


def _harmonic(base: float, new: float) -> float:
    return 0.0 if base + new == 0 else 2 * base * new / (base + new)
